"""The one page of a TIFF file, as its directory tells it (TIFF 6.0; tags by number in section 8 and later).

Which pages the project can show is decided here; tiff.py decodes them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Final

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media.exif import UPRIGHT
from media2dicom.media.tiff_directory import Directory, read_directories, read_directory

_JPEG: Final = 7
_LOSSLESS: Final = {
    1: "none",
    2: "CCITT RLE",
    3: "CCITT G3",
    4: "CCITT G4",
    5: "LZW",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    34925: "LZMA",
    50000: "Zstandard",
}
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS: Final = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3}  # without alpha
_BITS: Final = {
    WHITE_IS_ZERO: (1, 2, 4, 8, 10, 12, 14, 16),
    BLACK_IS_ZERO: (1, 2, 4, 8, 10, 12, 14, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    CMYK: (8,),
    YCBCR: (8,),
}
PREMULTIPLIED, STRAIGHT = 1, 2  # ExtraSamples
_WITH_ALPHA: Final = (BLACK_IS_ZERO, RGB)
_SQUARE: Final = Fraction(105, 100)  # up to here pixels are taken as square: writers round their resolutions
_OBLONG: Final = 10  # beyond, it is a mistake
_NO_PAGE: Final = 1 | 4  # bits of NewSubfileType: reduced picture, mask


class Tag(IntEnum):
    """The fields that are read; nothing else of the file's metadata is."""

    SUBFILE = 254
    COLUMNS = 256
    ROWS = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    STRIPS = 273
    ORIENTATION = 274
    SAMPLES = 277
    STRIP_BYTES = 279
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR = 284
    COLORS = 320
    TILES = 324
    TILE_BYTES = 325
    EXTRA = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    ICC = 34675


_RESOLUTIONS: Final = frozenset({Tag.X_RESOLUTION, Tag.Y_RESOLUTION})
_PROFILE: Final = frozenset({Tag.ICC})
BESIDE_PIXELS: Final = _RESOLUTIONS | _PROFILE  # broken ones are no reason to refuse a page


@dataclass(frozen=True)
class Page:
    """What the directory of the one page says."""

    at: int  # where that directory is
    rows: int
    columns: int
    bits: int
    photometric: int
    alpha: int  # 0, PREMULTIPLIED or STRAIGHT
    planar: bool
    orientation: int
    lossy: bool
    strips: tuple[tuple[int, int], ...]  # (offset, bytes) of each strip or tile
    jpeg_tables: bytes
    colors: tuple[int, ...]  # of a palette: all reds, all greens, all blues, 16 bits each
    icc_profile: bytes | None = None
    pixel_aspect_ratio: tuple[int, int] | None = None  # of the upright picture

    @property
    def in_grey(self) -> bool:
        return self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO)

    @property
    def samples(self) -> int:
        return _COLOURS[self.photometric] + (1 if self.alpha else 0)


def page_of(path: Path) -> Page:
    """The one full page of the file. Raises MediaDamaged, MediaUnsupported."""
    pages = [
        at
        for at, one in read_directories(path, {Tag.SUBFILE})
        if not any(value & _NO_PAGE for value in one.get(Tag.SUBFILE, ()))
    ]
    if not pages:
        raise MediaUnsupported("The TIFF file holds reduced pictures only.")
    if len(pages) > 1:
        raise MediaUnsupported(
            f"The TIFF file has {len(pages)} pages.", next_step="Export each page to a file of its own."
        )
    needed = read_directory(path, pages[0], frozenset(Tag) - BESIDE_PIXELS)
    try:
        page = _described(pages[0], needed)
    except (KeyError, IndexError, ValueError):
        raise MediaDamaged("The TIFF file's directory lacks what a picture needs.") from None
    resolutions, profile = (_if_whole(path, page.at, tags) for tags in (_RESOLUTIONS, _PROFILE))
    return replace(
        page,
        pixel_aspect_ratio=_aspect(resolutions, page.orientation),
        icc_profile=bytes(profile[Tag.ICC]) if Tag.ICC in profile else None,
    )


def _if_whole(path: Path, at: int, tags: Collection[Tag]) -> Directory:
    """Some of `BESIDE_PIXELS`."""
    try:
        return read_directory(path, at, tags)
    except MediaDamaged:
        return {}


def _described(at: int, directory: Directory) -> Page:
    photometric, bits, alpha = _pixel_form(directory)
    (compression,) = directory.get(Tag.COMPRESSION, (1,))
    if compression != _JPEG and compression not in _LOSSLESS:
        raise MediaUnsupported(f"The TIFF file's coding (Compression {compression}) cannot be read.")
    if photometric == YCBCR and compression != _JPEG:
        raise MediaUnsupported("The TIFF file holds YCbCr pixels that are not JPEG.")
    rows, columns = directory[Tag.ROWS][0], directory[Tag.COLUMNS][0]
    if not rows or not columns:
        raise MediaDamaged("The TIFF file declares a picture without pixels.")
    kinds = (Tag.TILES, Tag.TILE_BYTES) if Tag.TILES in directory else (Tag.STRIPS, Tag.STRIP_BYTES)
    (orientation,) = directory.get(Tag.ORIENTATION, (UPRIGHT,))
    orientation = orientation if 1 <= orientation <= 8 else UPRIGHT
    return Page(
        at=at,
        rows=rows,
        columns=columns,
        bits=bits,
        photometric=photometric,
        alpha=alpha,
        planar=directory.get(Tag.PLANAR, (1,)) == (2,) and _COLOURS[photometric] + bool(alpha) > 1,
        orientation=orientation,
        lossy=compression == _JPEG,
        strips=tuple(zip(directory[kinds[0]], directory[kinds[1]], strict=True)),
        jpeg_tables=bytes(directory.get(Tag.JPEG_TABLES, ())),
        colors=directory[Tag.COLORS] if photometric == PALETTE else (),
    )


def _aspect(directory: Directory, orientation: int) -> tuple[int, int] | None:
    """Pixel Aspect Ratio, vertical and horizontal (PS3.3 C.7.6.3.1.7), from pixels per unit across and down.

    The unit is the same for both, and may be none: ResolutionUnit 1 is for just such pictures.
    """
    across, down = (directory.get(tag, ()) for tag in (Tag.X_RESOLUTION, Tag.Y_RESOLUTION))
    if len(across) != 2 or len(down) != 2 or not all((*across, *down)):
        return None
    ratio = Fraction(*across) / Fraction(*down)
    if not _SQUARE < max(ratio, 1 / ratio) <= _OBLONG:
        return None
    small = (1 / ratio if orientation >= 5 else ratio).limit_denominator(100)
    return small.numerator, small.denominator


def _pixel_form(directory: Directory) -> tuple[int, int, int]:
    """PhotometricInterpretation, bits a sample, and the kind of alpha, when the project can show such pixels."""
    (photometric,) = directory[Tag.PHOTOMETRIC]
    if photometric not in _COLOURS:
        raise MediaUnsupported(f"The TIFF file's colours (PhotometricInterpretation {photometric}) cannot be read.")
    (samples,) = directory.get(Tag.SAMPLES, (1,))
    if set(directory.get(Tag.SAMPLE_FORMAT, (1,))) != {1}:
        raise MediaUnsupported(
            "The TIFF file holds signed or floating-point samples.",
            next_step="Export it with unsigned samples of 8 or 16 bits: which greys are meant is yours to choose.",
        )
    bits = set(directory.get(Tag.BITS, (1,)))
    if len(bits) != 1 or not bits <= set(_BITS[photometric]):
        raise MediaUnsupported(f"The TIFF file's samples of {', '.join(map(str, sorted(bits)))} bits cannot be read.")
    further = samples - _COLOURS[photometric]
    if further == 0:
        return photometric, bits.pop(), 0
    extra = directory.get(Tag.EXTRA, ())
    if further != 1 or extra not in ((PREMULTIPLIED,), (STRAIGHT,)) or photometric not in _WITH_ALPHA:
        raise MediaUnsupported("The TIFF file has channels besides its colours that are not transparency.")
    return photometric, bits.pop(), extra[0]
