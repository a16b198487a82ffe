"""TIFF files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from media2dicom.errors import MediaDamaged, MediaUnsupported
from tests.media import making_images as making
from tests.media.image_cases.table import (
    ALPHA,
    BLACK_WHITE,
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


def by_tifffile(
    pixels: Array, *more_pages: Array, byteorder: Any = "<", bigtiff: bool = False, **options: Any
) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as writer:
            for page in (pixels, *more_pages):
                writer.write(page, metadata=None, **options)
        return buffer.getvalue()

    return make


def _tiff(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("TIFF", ".tif", what, make, pixels, **more)


def _coded(what: str, pixels: Array, *, bits: int = 8, shown: Array | None = None, **options: Any) -> Case:
    return _tiff(what, by_tifffile(pixels, **options), pixels if shown is None else shown, bits=bits)


_RGBA = np.dstack([RGB, ALPHA])
_PREMULTIPLIED = np.dstack([np.rint(RGB * (ALPHA / 255)[..., None]).astype(np.uint8), ALPHA])
_COLORMAP = np.zeros((3, 256), np.uint16)
_COLORMAP[:, :16] = PALETTE.T.astype(np.uint16) * 257
_JPEG_TIFF = {"compression": "jpeg", "compressionargs": {"level": 100}}
TIFF_CASES = (
    _coded("grey, 1 bit", BLACK_WHITE > 0, shown=BLACK_WHITE, photometric="minisblack"),
    _coded("grey, 1 bit, white is zero", BLACK_WHITE == 0, shown=BLACK_WHITE, photometric="miniswhite"),
    _coded("grey, 4 bits", GREY >> 4, shown=to_8_bits(GREY >> 4, 15), bitspersample=4),
    _coded("grey, 8 bits", GREY),
    _coded("grey, 8 bits, white is zero", 255 - GREY, shown=GREY, photometric="miniswhite"),
    _coded("grey, 12 bits", GREY16 >> 4, bits=12, bitspersample=12),
    _coded("grey, 16 bits", GREY16, bits=16),
    _coded("grey, 16 bits, white is zero", 65_535 - GREY16, shown=GREY16, bits=16, photometric="miniswhite"),
    _coded("RGB, 8 bits", RGB, photometric="rgb"),
    _coded(
        "RGB, 8 bits, planes apart",
        np.moveaxis(RGB, -1, 0).copy(),
        shown=RGB,
        photometric="rgb",
        planarconfig="separate",
    ),
    _coded("RGB, 16 bits", RGB16, shown=to_8_bits(RGB16, 65_535), photometric="rgb"),
    _coded("RGB and alpha", _RGBA, shown=over_white(RGB, ALPHA), photometric="rgb", extrasamples=["unassalpha"]),
    _tiff(
        "RGB and premultiplied alpha",
        by_tifffile(_PREMULTIPLIED, photometric="rgb", extrasamples=["assocalpha"]),
        over_white(RGB, ALPHA),
        tolerance=1,
    ),
    _coded("palette", INDEX, shown=OF_PALETTE, photometric="palette", colormap=_COLORMAP),
    _tiff("CMYK", by_pillow(PHOTO.convert("CMYK"), "TIFF"), RGB),
    _tiff(
        "CMYK with a profile",
        by_pillow(PHOTO.convert("CMYK"), "TIFF", icc_profile=making.cmyk_profile()),
        np.full_like(RGB, 119),  # L* 50
        tolerance=1,
    ),
    _coded("LZW with predictor", RGB, photometric="rgb", compression="lzw", predictor=True),
    _coded("Deflate with predictor, 16 bits", GREY16, bits=16, compression="adobe_deflate", predictor=True),
    _coded("PackBits", RGB, photometric="rgb", compression="packbits"),
    *(
        _tiff(
            f"CCITT {name}",
            by_pillow(Image.fromarray(BLACK_WHITE).convert("1"), "TIFF", compression=coding),
            BLACK_WHITE,
        )
        for name, coding in (("RLE", "tiff_ccitt"), ("G3", "group3"), ("G4", "group4"))
    ),
    _coded("Zstandard", RGB, photometric="rgb", compression="zstd"),
    _tiff("JPEG, grey", by_tifffile(GREY, **_JPEG_TIFF), GREY, tolerance=3, method="ISO_10918_1"),
    _tiff(
        "JPEG, grey, white is zero",
        by_tifffile(255 - GREY, photometric="miniswhite", **_JPEG_TIFF),
        GREY,
        tolerance=3,
        method="ISO_10918_1",
    ),
    _tiff("JPEG, RGB", by_tifffile(RGB, photometric="rgb", **_JPEG_TIFF), RGB, tolerance=90, method="ISO_10918_1"),
    _tiff(
        "JPEG, YCbCr",
        by_pillow(PHOTO.convert("YCbCr"), "TIFF", compression="jpeg", quality=100),
        RGB,
        tolerance=90,
        method="ISO_10918_1",
    ),
    _coded("tiled", RGB, photometric="rgb", tile=(16, 16), compression="lzw"),
    _coded("big-endian, 16 bits", GREY16, bits=16, byteorder=">"),
    _coded("BigTIFF", GREY16, bits=16, bigtiff=True),
    _coded("BigTIFF, big-endian", RGB, photometric="rgb", bigtiff=True, byteorder=">"),
    _tiff(
        "bits from the lowest (FillOrder 2)",
        lambda: making.tiff(
            8, 2, b"\x01\x03", {258: ("H", 1), 259: ("H", 1), 262: ("H", 1), 266: ("H", 2), 277: ("H", 1)}
        ),
        np.array([[255, 0, 0, 0, 0, 0, 0, 0], [255, 255, 0, 0, 0, 0, 0, 0]], np.uint8),
    ),
    _tiff("ICC profile of RGB", by_tifffile(RGB, photometric="rgb", iccprofile=SRGB), RGB, profile=True),
    _tiff(
        "a reduced picture beside the page",
        lambda: _with_thumbnail(),
        RGB,
        why="the reduced picture is passed over",
    ),
    _tiff(
        "several pages",
        by_tifffile(GREY, GREY),
        refused=MediaUnsupported,
        why="its other pages would be missed; export each page to a file of its own",
    ),
    _tiff(
        "floating-point samples",
        by_tifffile(GREY.astype(np.float32)),
        refused=MediaUnsupported,
        why="which greys are meant is not in the file",
    ),
    _tiff(
        "signed samples",
        by_tifffile(GREY.astype(np.int16)),
        refused=MediaUnsupported,
        why="which greys are meant is not in the file",
    ),
    _tiff("32 bits a sample", by_tifffile(GREY.astype(np.uint32)), refused=MediaUnsupported, why="too many bits"),
    _tiff(
        "channels besides colour and alpha",
        by_tifffile(np.dstack([RGB, ALPHA, ALPHA]), photometric="rgb", extrasamples=["unspecified", "unspecified"]),
        refused=MediaUnsupported,
        why="what they show is not known",
    ),
    _tiff(
        "CIELab, raw sensor data",
        by_tifffile(RGB, photometric="cielab"),
        refused=MediaUnsupported,
        why="these colours are not read",
    ),
    _tiff(
        "YCbCr that is not JPEG",
        by_pillow(PHOTO.convert("YCbCr"), "TIFF", compression="tiff_lzw"),
        refused=MediaUnsupported,
        why="these colours are not read",
    ),
    _tiff(
        "JPEG 2000, old-style JPEG and other codings inside",
        by_tifffile(RGB, photometric="rgb", compression="jpeg2000"),
        refused=MediaUnsupported,
        why="this coding is not read",
    ),
    _tiff(
        "JPEG of 12 bits, or lossless, inside",
        by_tifffile(GREY16 >> 4, compression="jpeg", compressionargs={"bitspersample": 12}, bitspersample=12),
        refused=MediaUnsupported,
        why="this coding is not read",
    ),
    _tiff("cut off", lambda: by_tifffile(RGB, photometric="rgb")()[:-500], refused=MediaDamaged, why="it is cut off"),
    _tiff(
        "rotten JPEG inside",
        lambda: _flipped(by_tifffile(np.tile(RGB, (4, 4, 1)), photometric="rgb", **_JPEG_TIFF)()),
        refused=MediaDamaged,
        why="it is damaged",
    ),
)


def _with_thumbnail() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(RGB, photometric="rgb", metadata=None)
        writer.write(RGB[::4, ::4].copy(), photometric="rgb", metadata=None, subfiletype=1)
    return buffer.getvalue()


def _flipped(data: bytes, share: float = 0.6, count: int = 40) -> bytes:
    at = int(len(data) * share)
    return data[:at] + bytes(byte ^ 0x5A for byte in data[at : at + count]) + data[at + count :]
