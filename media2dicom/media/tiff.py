"""TIFF 6.0 and BigTIFF: one page of unsigned samples, decoded by libtiff.

- Grey (either polarity), palette, RGB, YCbCr in JPEG, CMYK of 8 bits; 1 to 16 bits a sample; one alpha channel.
- A file of several pages is refused; reduced pictures and masks before and behind the one page are passed over.
- Signed and floating-point samples are refused: which greys they stand for is not in the file.
- Pixels that are not square, as of a fax, keep their ratio; nothing else is made of a resolution.
- JPEG inside TIFF is a lossy history; the other codings read here are lossless.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media.exif import UPRIGHT, upright
from media2dicom.media.image import ImageFormat, Look
from media2dicom.media.jpeg import read_jpeg
from media2dicom.media.jpeg_reader import refuse_rotten
from media2dicom.media.payload import JPEG, LossyHistory, Picture
from media2dicom.media.pillow import FAULTS, loaded
from media2dicom.media.pixels import on_white, picture_of, scaled_to_8_bits
from media2dicom.media.tiff_directory import (
    Directory,
    read_beginning_with,
    read_directories,
    read_directory,
    set_short,
)
from media2dicom.model import Options

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
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS: Final = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}  # without alpha
_BITS: Final = {
    _WHITE_IS_ZERO: (1, 2, 4, 8, 10, 12, 14, 16),
    _BLACK_IS_ZERO: (1, 2, 4, 8, 10, 12, 14, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _CMYK: (8,),
    _YCBCR: (8,),
}
_PREMULTIPLIED, _STRAIGHT = 1, 2  # ExtraSamples
_WITH_ALPHA: Final = (_BLACK_IS_ZERO, _RGB)
_SQUARE: Final = Fraction(105, 100)  # up to here pixels are taken as square: writers round their resolutions
_OBLONG: Final = 10  # beyond, it is a mistake
_NOT_AS_SAID: Final = "The TIFF file's pixels are not what its directory says."
_NO_PAGE: Final = 1 | 4  # bits of NewSubfileType: reduced picture, mask


class _Tag(IntEnum):
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


_RESOLUTIONS: Final = frozenset({_Tag.X_RESOLUTION, _Tag.Y_RESOLUTION})


@dataclass(frozen=True)
class _Page:
    """What the directory of the one page says."""

    at: int  # where that directory is
    rows: int
    columns: int
    bits: int
    photometric: int
    alpha: int  # 0, _PREMULTIPLIED or _STRAIGHT
    planar: bool
    orientation: int
    lossy: bool
    strips: tuple[tuple[int, int], ...]  # (offset, bytes) of each strip or tile
    jpeg_tables: bytes
    colors: tuple[int, ...]  # of a palette: all reds, all greens, all blues, 16 bits each
    icc_profile: bytes | None
    pixel_aspect_ratio: tuple[int, int] | None = None  # of the upright picture

    @property
    def in_grey(self) -> bool:
        return self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)

    @property
    def samples(self) -> int:
        return _COLOURS[self.photometric] + (1 if self.alpha else 0)


def look(path: Path) -> Look:
    page = _page(path)
    deep = page.in_grey and page.bits > 8
    return Look(page.rows, page.columns, 1 if page.in_grey else 3, 2 if deep else 1, page.orientation)


def read(path: Path, options: Options) -> Picture:
    page = _page(path)
    data = read_beginning_with(path, page.at)
    lossy = _history(page, data) if page.lossy else None
    if page.photometric == _CMYK:
        picture = picture_of(_decoded_cmyk(page, data), lossy=lossy)
    else:
        pixels, bits_stored = _decoded(page, data)
        picture = picture_of(upright(pixels, page.orientation), bits_stored, lossy, page.icc_profile)
    return replace(picture, pixel_aspect_ratio=page.pixel_aspect_ratio)


# --- the directory ------------------------------------------------------------------------------------------------


def _page(path: Path) -> _Page:
    """The one full page of the file. Raises MediaDamaged, MediaUnsupported."""
    pages = [
        at
        for at, one in read_directories(path, {_Tag.SUBFILE})
        if not any(value & _NO_PAGE for value in one.get(_Tag.SUBFILE, ()))
    ]
    if not pages:
        raise MediaUnsupported("The TIFF file holds reduced pictures only.")
    if len(pages) > 1:
        raise MediaUnsupported(
            f"The TIFF file has {len(pages)} pages.", next_step="Export each page to a file of its own."
        )
    needed = read_directory(path, pages[0], frozenset(_Tag) - _RESOLUTIONS)
    try:
        page = _page_of(pages[0], needed)
    except (KeyError, IndexError, ValueError):
        raise MediaDamaged("The TIFF file's directory lacks what a picture needs.") from None
    try:
        resolutions = read_directory(path, pages[0], _RESOLUTIONS)
    except MediaDamaged:  # no reason to refuse the pixels
        return page
    return replace(page, pixel_aspect_ratio=_aspect(resolutions, page.orientation))


def _page_of(at: int, directory: Directory) -> _Page:
    photometric, bits, alpha = _pixel_form(directory)
    (compression,) = directory.get(_Tag.COMPRESSION, (1,))
    if compression != _JPEG and compression not in _LOSSLESS:
        raise MediaUnsupported(f"The TIFF file's coding (Compression {compression}) cannot be read.")
    if photometric == _YCBCR and compression != _JPEG:
        raise MediaUnsupported("The TIFF file holds YCbCr pixels that are not JPEG.")
    rows, columns = directory[_Tag.ROWS][0], directory[_Tag.COLUMNS][0]
    if not rows or not columns:
        raise MediaDamaged("The TIFF file declares a picture without pixels.")
    kinds = (_Tag.TILES, _Tag.TILE_BYTES) if _Tag.TILES in directory else (_Tag.STRIPS, _Tag.STRIP_BYTES)
    (orientation,) = directory.get(_Tag.ORIENTATION, (UPRIGHT,))
    orientation = orientation if 1 <= orientation <= 8 else UPRIGHT
    return _Page(
        at=at,
        rows=rows,
        columns=columns,
        bits=bits,
        photometric=photometric,
        alpha=alpha,
        planar=directory.get(_Tag.PLANAR, (1,)) == (2,) and _COLOURS[photometric] + bool(alpha) > 1,
        orientation=orientation,
        lossy=compression == _JPEG,
        strips=tuple(zip(directory[kinds[0]], directory[kinds[1]], strict=True)),
        jpeg_tables=bytes(directory.get(_Tag.JPEG_TABLES, ())),
        colors=directory[_Tag.COLORS] if photometric == _PALETTE else (),
        icc_profile=bytes(directory[_Tag.ICC]) if _Tag.ICC in directory else None,
    )


def _aspect(directory: Directory, orientation: int) -> tuple[int, int] | None:
    """Pixel Aspect Ratio, vertical and horizontal (PS3.3 C.7.6.3.1.7), from pixels per unit across and down.

    The unit is the same for both, and may be none: ResolutionUnit 1 is for just such pictures.
    """
    across, down = (directory.get(tag, ()) for tag in (_Tag.X_RESOLUTION, _Tag.Y_RESOLUTION))
    if len(across) != 2 or len(down) != 2 or not all((*across, *down)):
        return None
    ratio = Fraction(*across) / Fraction(*down)
    if not _SQUARE < max(ratio, 1 / ratio) <= _OBLONG:
        return None
    small = (1 / ratio if orientation >= 5 else ratio).limit_denominator(100)
    return small.numerator, small.denominator


def _pixel_form(directory: Directory) -> tuple[int, int, int]:
    """PhotometricInterpretation, bits a sample, and the kind of alpha, when the project can show such pixels."""
    (photometric,) = directory[_Tag.PHOTOMETRIC]
    if photometric not in _COLOURS:
        raise MediaUnsupported(f"The TIFF file's colours (PhotometricInterpretation {photometric}) cannot be read.")
    (samples,) = directory.get(_Tag.SAMPLES, (1,))
    if set(directory.get(_Tag.SAMPLE_FORMAT, (1,))) != {1}:
        raise MediaUnsupported(
            "The TIFF file holds signed or floating-point samples.",
            next_step="Export it with unsigned samples of 8 or 16 bits: which greys are meant is yours to choose.",
        )
    bits = set(directory.get(_Tag.BITS, (1,)))
    if len(bits) != 1 or not bits <= set(_BITS[photometric]):
        raise MediaUnsupported(f"The TIFF file's samples of {', '.join(map(str, sorted(bits)))} bits cannot be read.")
    further = samples - _COLOURS[photometric]
    if further == 0:
        return photometric, bits.pop(), 0
    extra = directory.get(_Tag.EXTRA, ())
    if further != 1 or extra not in ((_PREMULTIPLIED,), (_STRAIGHT,)) or photometric not in _WITH_ALPHA:
        raise MediaUnsupported("The TIFF file has channels besides its colours that are not transparency.")
    return photometric, bits.pop(), extra[0]


# --- pixels -------------------------------------------------------------------------------------------------------


def _history(page: _Page, data: bytearray) -> LossyHistory:
    """Of JPEG inside TIFF (TIFF Technical Note 2); each strip or tile is looked through for rot."""
    for offset, length in page.strips:
        stream = bytes(data[offset : offset + length])
        refuse_rotten(read_jpeg(page.jpeg_tables[:-2] + stream[2:] if page.jpeg_tables else stream))
    raw_bytes = page.rows * page.columns * page.samples
    return LossyHistory(raw_bytes / max(1, sum(length for _, length in page.strips)), JPEG)


def _decoded_cmyk(page: _Page, data: bytearray) -> NDArray[np.uint8]:
    """Upright sRGB pixels: Pillow turns by the file's orientation itself."""
    try:
        image = TiffImagePlugin.TiffImageFile(BytesIO(data))
    except FAULTS as error:
        raise MediaUnsupported(f"The TIFF file is of a variant that cannot be read: {error}.") from None
    with image:
        size = (page.rows, page.columns) if page.orientation >= 5 else (page.columns, page.rows)
        if image.size != size or image.mode != "CMYK":
            raise MediaDamaged(_NOT_AS_SAID)
        return loaded(image, page.icc_profile)


def _decoded(page: _Page, data: bytearray) -> tuple[NDArray[Any], int]:
    """Pixels as stored (not turned), and bits stored."""
    if page.lossy:  # libtiff makes RGBA of JPEG: black is zero, and it is flipped (but not turned) by Orientation
        set_short(data, page.at, _Tag.ORIENTATION, UPRIGHT)
    try:
        pixels = np.asarray(imagecodecs.tiff_decode(data, out=_room(page)))
    except ValueError:  # the room does not fit, before anything is decoded
        raise MediaDamaged(_NOT_AS_SAID) from None
    except (imagecodecs.TiffError, IndexError, RuntimeError, MemoryError) as error:
        raise MediaDamaged(f"The TIFF file is damaged: {str(error).rstrip('.')}.") from None
    if page.planar:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.shape[:2] != (page.rows, page.columns) or pixels.shape[2:] != (
        () if page.samples == 1 else (page.samples,)
    ):
        raise MediaDamaged(_NOT_AS_SAID)
    if page.photometric == _PALETTE:
        palette = np.array(page.colors, np.uint16).reshape(3, 1 << page.bits).T
        return scaled_to_8_bits(palette, 65_535 if palette.max() > 255 else 255)[pixels.astype(np.intp)], 8
    top = (1 << page.bits) - 1
    if page.photometric == _WHITE_IS_ZERO and not page.lossy:
        pixels = (top - pixels).astype(pixels.dtype) if page.bits > 1 else ~pixels
    if page.alpha:
        pixels = on_white(pixels, top, premultiplied=page.alpha == _PREMULTIPLIED)
    if page.bits > 8 and page.in_grey:
        return np.ascontiguousarray(pixels, dtype=np.uint16), page.bits
    return (pixels if page.bits == 8 else scaled_to_8_bits(pixels, top)), 8


def _room(page: _Page) -> NDArray[Any]:
    """An array of zeros for what the page is said to hold; the decoder refuses any other size."""
    if page.lossy:
        return np.zeros((page.rows, page.columns, 4), np.uint8)  # libtiff decodes JPEG to RGBA
    kind = np.bool_ if page.bits == 1 else np.uint8 if page.bits <= 8 else np.uint16
    if page.samples == 1:
        return np.zeros((page.rows, page.columns), kind)
    planes = (page.samples, page.rows, page.columns) if page.planar else (page.rows, page.columns, page.samples)
    return np.zeros(planes, kind)


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
