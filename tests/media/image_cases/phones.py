"""WebP, GIF and HEIC files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from media2dicom.errors import MediaDamaged
from tests.media.image_cases.table import (
    ALPHA,
    GREY,
    GREY16,
    INDEX,
    OF_PALETTE,
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

VP8, HEVC = "RFC_6386", "ISO_23008_2"


def _webp(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("WebP", ".webp", what, make, pixels, **more)


_TRANSPARENT = Image.fromarray(np.dstack([RGB, ALPHA]), "RGBA")
WEBP_CASES = (
    _webp("lossless", by_pillow(PHOTO, "WEBP", lossless=True), RGB),
    _webp("lossless, alpha", by_pillow(_TRANSPARENT, "WEBP", lossless=True, exact=True), over_white(RGB, ALPHA)),
    _webp("lossy", by_pillow(PHOTO, "WEBP", quality=100), RGB, tolerance=90, method=VP8),
    _webp(
        "lossy, alpha", by_pillow(_TRANSPARENT, "WEBP", quality=100), over_white(RGB, ALPHA), tolerance=90, method=VP8
    ),
    _webp("ICC profile of RGB", by_pillow(PHOTO, "WEBP", lossless=True, icc_profile=SRGB), RGB, profile=True),
    _webp(
        "animated",
        by_pillow(PHOTO, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", PHOTO.size)]),
        RGB,
        warns="animated",
    ),
    _webp("cut off", lambda: by_pillow(PHOTO, "WEBP")()[:-40], refused=MediaDamaged, why="it is cut off"),
)


def _gif(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("GIF", ".gif", what, make, pixels, **more)


def _indexed() -> Image.Image:
    image = Image.fromarray(INDEX, "P")
    image.putpalette(PALETTE.tobytes())
    return image


GIF_CASES = (
    _gif("palette", by_pillow(_indexed(), "GIF"), OF_PALETTE),
    _gif("interlaced", by_pillow(_indexed(), "GIF", interlace=1), OF_PALETTE),
    _gif("grey palette", by_pillow(PHOTO.convert("L"), "GIF"), np.dstack([GREY] * 3)),
    _gif(
        "one colour transparent",
        by_pillow(_indexed(), "GIF", transparency=3),
        np.where((INDEX == 3)[..., None], 255, OF_PALETTE),
    ),
    _gif(
        "animated",
        by_pillow(_indexed(), "GIF", save_all=True, append_images=[Image.new("P", PHOTO.size)]),
        OF_PALETTE,
        warns="animated",
    ),
    _gif("cut off", lambda: by_pillow(_indexed(), "GIF")()[:-200], refused=MediaDamaged, why="it is cut off"),
)


def by_heif(*images: Image.Image, primary: int = 0, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        file = pillow_heif.HeifFile()
        for image in images:
            file.add_from_pillow(image)
        file.save(buffer, primary_index=primary, **{"quality": -1, "chroma": 444, "matrix_coefficients": 0, **options})
        return buffer.getvalue()

    return make


def heif_of_samples(mode: str, pixels: Array) -> Callable[[], bytes]:
    """A HEIC file of 16-bit samples, which it holds in 10 bits."""

    def make() -> bytes:
        buffer = io.BytesIO()
        size = (pixels.shape[1], pixels.shape[0])
        image = pillow_heif.from_bytes(mode, size, pixels.tobytes())
        image.save(buffer, quality=-1, chroma=444, matrix_coefficients=0 if mode != "I;16" else 1)
        return buffer.getvalue()

    return make


def _heic(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("HEIC", ".heic", what, make, pixels, method="" if "refused" in more else HEVC, **more)


HEIC_CASES = (
    _heic("RGB", by_heif(PHOTO), RGB),
    _heic("4:2:0", by_heif(PHOTO, quality=95, chroma=420, matrix_coefficients=1), RGB, tolerance=90),
    _heic("grey", by_heif(PHOTO.convert("L"), matrix_coefficients=1), GREY),
    _heic("grey, 10 bits", heif_of_samples("I;16", GREY16), GREY16 >> 6, bits=10),
    _heic("RGB, 10 bits", heif_of_samples("RGB;16", RGB16), to_8_bits(RGB16 >> 6, 1023)),
    _heic("alpha", by_heif(_TRANSPARENT), over_white(RGB, ALPHA)),
    _heic("ICC profile of RGB", by_heif(PHOTO, icc_profile=SRGB), RGB, profile=True),
    _heic("several pictures", by_heif(Image.new("RGB", (64, 64)), PHOTO, primary=1), RGB, warns="several pictures"),
    _heic("cut off", lambda: by_heif(PHOTO)()[:-200], refused=MediaDamaged, why="it is cut off"),
)
