"""JPEG files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import simplejpeg

from media2dicom.errors import MediaDamaged, MediaUnsupported
from tests.media import making_images as making
from tests.media.image_cases.table import (
    GREY16,
    PHOTO,
    RGB,
    SRGB,
    Array,
    Case,
    by_pillow,
    seen_by_pillow,
)

JPEG = "ISO_10918_1"


def _jpeg(what: str, make: Callable[[], bytes], **more: Any) -> Case:
    if "refused" not in more:
        more = {"method": JPEG, **more}
        if "pixels" not in more:
            more["pixels"] = seen_by_pillow(make)
    return Case("JPEG", ".jpg", what, make, **more)


def _sampled(subsampling: str) -> Callable[[], bytes]:
    return lambda: simplejpeg.encode_jpeg(RGB, colorsubsampling=subsampling, quality=95)


def _by_imagecodecs(pixels: Array, **options: Any) -> Callable[[], bytes]:
    return lambda: bytes(imagecodecs.jpeg8_encode(pixels, **options))


_CMYK = PHOTO.convert("CMYK")
_LOSSLESS = {"lossless": True, "colorspace": "RGB", "outcolorspace": "RGB"}
JPEG_CASES = (
    _jpeg("baseline, grey", by_pillow(PHOTO.convert("L"), "JPEG"), kept=True),
    *(
        _jpeg(f"baseline, {':'.join(subsampling)}", _sampled(subsampling), kept=True)
        for subsampling in ("444", "422", "420", "440", "411")
    ),
    _jpeg("baseline, RGB (Adobe transform 0)", by_pillow(PHOTO, "JPEG", keep_rgb=True), kept=True),
    _jpeg("baseline, restart markers", by_pillow(PHOTO, "JPEG", restart_marker_blocks=2), kept=True),
    _jpeg("baseline, optimised Huffman tables", by_pillow(PHOTO, "JPEG", optimize=True), kept=True),
    _jpeg("baseline, ICC profile of RGB", by_pillow(PHOTO, "JPEG", icc_profile=SRGB), kept=True, profile=True),
    _jpeg(
        "baseline, damaged ICC profile",
        by_pillow(PHOTO, "JPEG", icc_profile=SRGB[:132] + b"\xff" * (len(SRGB) - 132)),
        kept=True,
        why="the profile is dropped",
    ),
    _jpeg(
        "baseline, grey, ICC profile of RGB",
        by_pillow(PHOTO.convert("L"), "JPEG", icc_profile=SRGB),
        kept=True,
        why="the profile is dropped",
    ),
    _jpeg("extended, 8 bits", lambda: by_pillow(PHOTO, "JPEG")().replace(b"\xff\xc0", b"\xff\xc1", 1)),
    _jpeg("progressive", by_pillow(PHOTO, "JPEG", progressive=True)),
    _jpeg("progressive, grey", by_pillow(PHOTO.convert("L"), "JPEG", progressive=True)),
    _jpeg(
        "extended (12 bits), grey",
        _by_imagecodecs(GREY16 >> 4, level=100, bitspersample=12),
        pixels=GREY16 >> 4,
        tolerance=12,
        bits=12,
    ),
    *(
        _jpeg(
            f"lossless, predictor {predictor}, RGB",
            _by_imagecodecs(RGB, predictor=predictor, **_LOSSLESS),
            pixels=RGB,
            method="",
        )
        for predictor in range(1, 8)
    ),
    _jpeg(
        "lossless, 16 bits, grey",
        _by_imagecodecs(GREY16, lossless=True, predictor=1, bitspersample=16),
        pixels=GREY16,
        bits=16,
        method="",
    ),
    _jpeg("arithmetic", lambda: making.arithmetic_jpeg(8, 8), pixels=np.full((8, 8), 128, np.uint8)),
    _jpeg("CMYK (Adobe transform 0)", by_pillow(_CMYK, "JPEG", quality=95), pixels=RGB, tolerance=60),
    _jpeg(
        "CMYK with a profile",
        by_pillow(_CMYK, "JPEG", icc_profile=making.cmyk_profile()),
        pixels=np.full_like(RGB, 119),  # L* 50
        tolerance=1,
    ),
    _jpeg(
        "YCCK (Adobe transform 2)",
        _by_imagecodecs(255 - np.asarray(_CMYK), level=95, colorspace="CMYK", outcolorspace="YCCK"),
        pixels=RGB,
        tolerance=60,
    ),
    _jpeg(
        "several pictures (MPO)",
        by_pillow(PHOTO, "MPO", save_all=True, append_images=[PHOTO.resize((20, 20))]),
        kept=True,
        warns="several pictures",
    ),
    _jpeg(
        "hierarchical, or the height after the pixels (DNL)",
        lambda: making.with_segment(by_pillow(PHOTO, "JPEG")(), 0xDC, b"\0\x22"),
        refused=MediaUnsupported,
        why="the decoders of viewers do not read it",
    ),
    _jpeg(
        "progressive or arithmetic, of 12 bits",
        lambda: by_pillow(PHOTO, "JPEG", progressive=True)().replace(b"\xff\xc2\0\x11\x08", b"\xff\xc2\0\x11\x0c"),
        refused=MediaUnsupported,
        why="it cannot be checked for damage",
    ),
    _jpeg(
        "lossless, damaged",
        lambda: making.with_zeros(_by_imagecodecs(GREY16, lossless=True, predictor=1, bitspersample=16)()),
        refused=MediaDamaged,
        why="it is damaged",
    ),
    _jpeg("cut off", lambda: by_pillow(PHOTO, "JPEG")()[:-200], refused=MediaDamaged, why="it is cut off"),
)
