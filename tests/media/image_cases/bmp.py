"""Bitmaps: the variants of Windows and OS/2."""

from __future__ import annotations

from typing import Any

import numpy as np

from media2dicom.errors import MediaDamaged, MediaUnsupported
from tests.media import making_images as making
from tests.media.image_cases.table import (
    ALPHA,
    BLACK_WHITE,
    GREY,
    INDEX,
    OF_PALETTE,
    PALETTE,
    PHOTO,
    RGB,
    SRGB,
    Array,
    Case,
    by_pillow,
    over_white,
    to_8_bits,
)

_W, _H = PHOTO.size
_BGR = RGB[..., ::-1].reshape(_H, -1)
_BGRX = np.dstack([RGB[..., ::-1], np.full((_H, _W), 7, np.uint8)]).reshape(_H, -1)
_BGRA = np.dstack([RGB[..., ::-1], ALPHA]).reshape(_H, -1)
_BGR0 = np.dstack([RGB[..., ::-1], np.zeros((_H, _W), np.uint8)]).reshape(_H, -1)
_QUADS = np.hstack([PALETTE[:, ::-1], np.zeros((16, 1), np.uint8)]).tobytes()
_TRIPLES = PALETTE[:, ::-1].tobytes()
_RGB5 = RGB.astype(np.uint16) >> 3
_RGB565 = RGB.astype(np.uint16) >> np.array([3, 2, 3])
_OF_RGB5 = to_8_bits(_RGB5, 31)
_OF_RGB565 = np.dstack([to_8_bits(_RGB565[..., i], top) for i, top in enumerate((31, 63, 31))])
_555 = (_RGB5[..., 0] << 10 | _RGB5[..., 1] << 5 | _RGB5[..., 2]).astype(np.uint16)
_565 = (_RGB565[..., 0] << 11 | _RGB565[..., 1] << 5 | _RGB565[..., 2]).astype(np.uint16)
_8888 = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def _bmp(what: str, bits: int, pixel_bytes: bytes, pixels: Array | None, **more: Any) -> Case:
    told = {name: more.pop(name) for name in ("tolerance", "refused", "why", "profile") if name in more}
    rows = more.pop("rows", _H)
    profile = SRGB if told.get("profile") else b""
    return Case(
        "BMP", ".bmp", what, lambda: making.bmp(_W, rows, bits, pixel_bytes, profile=profile, **more), pixels, **told
    )


_ROWS8 = making.bmp_rows(INDEX)
_BMP_PALETTE = {"palette": _QUADS, "colors_used": 16}
_TWO = np.where(BLACK_WHITE[..., None] > 0, PALETTE[1], PALETTE[0])
_ONE_BIT = making.bmp_rows(BLACK_WHITE // 255, bits=1)
_REFUSED_VARIANT = {"refused": MediaUnsupported}
BMP_CASES = (
    _bmp("1 bit, black and white", 1, _ONE_BIT, BLACK_WHITE, palette=b"\0\0\0\0\xff\xff\xff\0"),
    _bmp("1 bit, two colours", 1, _ONE_BIT, _TWO, palette=_QUADS[:8]),
    _bmp("4 bits", 4, making.bmp_rows(INDEX, bits=4), OF_PALETTE, palette=_QUADS),
    _bmp("8 bits", 8, _ROWS8, OF_PALETTE, **_BMP_PALETTE),
    _bmp(
        "8 bits, grey palette",
        8,
        making.bmp_rows(GREY),
        GREY,
        palette=bytes(v for i in range(256) for v in (i, i, i, 0)),
    ),
    _bmp("8 bits, top-down", 8, making.bmp_rows(INDEX[::-1]), OF_PALETTE, rows=-_H, **_BMP_PALETTE),
    _bmp("4 bits, RLE4", 4, making.rle4(INDEX), OF_PALETTE, compression=2, palette=_QUADS),
    _bmp("8 bits, RLE8", 8, making.rle8(INDEX), OF_PALETTE, compression=1, **_BMP_PALETTE),
    _bmp("16 bits, 5-5-5", 16, making.bmp_rows(_555), _OF_RGB5, tolerance=1),
    _bmp(
        "16 bits, 5-5-5 by masks",
        16,
        making.bmp_rows(_555),
        _OF_RGB5,
        tolerance=1,
        compression=3,
        masks=(0x7C00, 0x3E0, 0x1F),
    ),
    _bmp(
        "16 bits, 5-6-5 by masks",
        16,
        making.bmp_rows(_565),
        _OF_RGB565,
        tolerance=1,
        compression=3,
        masks=(0xF800, 0x7E0, 0x1F),
    ),
    _bmp("24 bits", 24, making.bmp_rows(_BGR), RGB),
    _bmp("24 bits, top-down", 24, making.bmp_rows(_BGR[::-1]), RGB, rows=-_H),
    _bmp("32 bits, fourth byte unused", 32, making.bmp_rows(_BGRX), RGB),
    _bmp(
        "32 bits by masks",
        32,
        making.bmp_rows(_BGRX),
        RGB,
        compression=3,
        masks=(0xFF0000, 0xFF00, 0xFF),
    ),
    _bmp(
        "32 bits, V4 header, alpha",
        32,
        making.bmp_rows(_BGRA),
        over_white(RGB, ALPHA),
        compression=3,
        masks=_8888,
        header_bytes=108,
    ),
    _bmp(
        "32 bits, V5 header, alpha",
        32,
        making.bmp_rows(_BGRA),
        over_white(RGB, ALPHA),
        compression=3,
        masks=_8888,
        header_bytes=124,
    ),
    _bmp(
        "32 bits, alpha zero all over",
        32,
        making.bmp_rows(_BGR0),
        RGB,
        compression=3,
        masks=_8888,
        header_bytes=124,
        why="taken as opaque",
    ),
    _bmp("24 bits, V5 header, ICC profile", 24, making.bmp_rows(_BGR), RGB, header_bytes=124, profile=True),
    _bmp("OS/2 1.x, 8 bits", 8, _ROWS8, OF_PALETTE, header_bytes=12, palette=_TRIPLES + bytes(3 * 240)),
    _bmp("OS/2 1.x, 24 bits", 24, making.bmp_rows(_BGR), RGB, header_bytes=12),
    _bmp("OS/2 2.x (64-byte header), 8 bits", 8, _ROWS8, OF_PALETTE, header_bytes=64, **_BMP_PALETTE),
    _bmp(
        "OS/2 2.x with a header of 16 bytes",
        24,
        making.bmp_rows(_BGR),
        None,
        header_bytes=16,
        why="this header is not read",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "2 bits (Windows CE)",
        2,
        making.bmp_rows(INDEX & 3, bits=2),
        None,
        palette=_QUADS[:16],
        why="this depth is not read",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "16 or 32 bits by other masks",
        16,
        making.bmp_rows(_555),
        None,
        compression=3,
        masks=(0xF00, 0xF0, 0xF),
        why="these masks are not read",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "JPEG or PNG inside",
        24,
        by_pillow(PHOTO, "JPEG")(),
        None,
        compression=4,
        why="this coding is not read; the JPEG or PNG file itself is",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "a palette of more than 256 colours",
        8,
        _ROWS8,
        None,
        palette=_QUADS * 17,
        colors_used=272,
        refused=MediaDamaged,
        why="there is no such palette",
    ),
    _bmp(
        "a palette too short for its pixels",
        8,
        _ROWS8,
        None,
        palette=_QUADS[:20],
        colors_used=5,
        refused=MediaDamaged,
        why="its pixels name colours that are not there",
    ),
    _bmp("cut off", 24, making.bmp_rows(_BGR)[:-300], None, refused=MediaDamaged, why="it is cut off"),
    _bmp(
        "RLE8, cut off",
        8,
        making.rle8(INDEX)[:-300],
        None,
        compression=1,
        refused=MediaDamaged,
        why="it is cut off",
        **_BMP_PALETTE,
    ),
)
