"""PNG files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from media2dicom.errors import MediaDamaged
from tests.media import making_images as making
from tests.media.image_cases.table import (
    ALPHA,
    GREY,
    GREY16,
    INDEX,
    PALETTE,
    PHOTO,
    RGB,
    RGB16,
    SRGB,
    Array,
    Case,
    by_pillow,
    over_white,
    to_8_bits,
)


def _png(what: str, make: Callable[[], bytes], pixels: Array | None, **more: Any) -> Case:
    return Case("PNG", ".png", what, make, pixels, **more)


def _png_forms(interlaced: bool) -> list[Case]:
    """Every colour type in every depth, plain or interlaced."""
    cases = []
    how = ", interlaced" if interlaced else ""

    def add(what: str, samples: Array, depth: int, colour_type: int, pixels: Array, *chunks: Any, **more: Any) -> None:
        if samples.ndim == 2:
            samples = samples[..., None]
        made = making.png(samples, depth, colour_type, *chunks, interlaced=interlaced)
        cases.append(_png(f"{what}, {depth} bit{'s' if depth > 1 else ''}{how}", lambda: made, pixels, **more))

    for bits in (1, 2, 4, 8):
        levels = GREY >> (8 - bits)
        add("grey", levels, bits, 0, to_8_bits(levels, (1 << bits) - 1))
    add("grey", GREY16, 16, 0, GREY16, bits=16)
    for bits in (1, 2, 4, 8):
        index = INDEX & ((1 << bits) - 1)
        palette = (b"PLTE", PALETTE[: 1 << bits].tobytes())
        add("palette", index, bits, 3, PALETTE[index], palette)
    clear = over_white(PALETTE, np.array([0, 100, *[255] * 14]))
    add("palette with transparency", INDEX, 8, 3, clear[INDEX], (b"PLTE", PALETTE.tobytes()), (b"tRNS", b"\0\x64"))
    add("RGB", RGB, 8, 2, RGB)
    add("RGB", RGB16, 16, 2, to_8_bits(RGB16, 65_535))
    add("grey and alpha", np.dstack([GREY, ALPHA]), 8, 4, over_white(GREY, ALPHA))
    deep = ALPHA.astype(np.uint16) * 257
    add("grey and alpha", np.dstack([GREY16, deep]), 16, 4, over_white(GREY16, deep, 65_535), bits=16)
    add("RGB and alpha", np.dstack([RGB, ALPHA]), 8, 6, over_white(RGB, ALPHA))
    flat = to_8_bits(over_white(RGB16, deep, 65_535), 65_535)
    add("RGB and alpha", np.dstack([RGB16, deep]), 16, 6, flat)
    white_for_black = np.where(GREY[0, 0] == GREY, 255, GREY)
    add("grey, one transparent", GREY, 8, 0, white_for_black, (b"tRNS", bytes([0, GREY[0, 0]])))
    one = RGB[0, 0]
    white_for_one = np.where((one == RGB).all(axis=-1, keepdims=True), 255, RGB)
    add("RGB, one transparent", RGB, 8, 2, white_for_one, (b"tRNS", b"".join(bytes([0, v]) for v in one)))
    return cases


PNG_CASES = (
    *_png_forms(interlaced=False),
    *_png_forms(interlaced=True),
    _png("ICC profile of RGB", by_pillow(PHOTO, "PNG", icc_profile=SRGB), RGB, profile=True),
    _png(
        "animated",
        by_pillow(PHOTO, "PNG", save_all=True, append_images=[Image.new("RGB", PHOTO.size)]),
        RGB,
        warns="animated",
    ),
    _png(
        "a palette too short for its pixels",
        lambda: making.png(INDEX[..., None], 8, 3, (b"PLTE", PALETTE[:4].tobytes())),
        None,
        refused=MediaDamaged,
        why="its pixels name colours that are not there",
    ),
    _png("cut off", lambda: by_pillow(PHOTO, "PNG")()[:-40], None, refused=MediaDamaged, why="it is cut off"),
    _png(
        "a wrong checksum",
        lambda: by_pillow(PHOTO, "PNG")().replace(b"IDAT", b"IDAT\0", 1),
        None,
        refused=MediaDamaged,
        why="it is damaged",
    ),
)
