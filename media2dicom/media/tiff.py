"""TIFF 6.0 and BigTIFF: one page of unsigned samples, decoded by libtiff.

- Grey (either polarity), palette, RGB, YCbCr in JPEG, CMYK of 8 bits; 1 to 16 bits a sample; one alpha channel.
- A file of several pages is refused; reduced pictures and masks before and behind the one page are passed over.
- Signed and floating-point samples are refused: which greys they stand for is not in the file.
- Pixels that are not square, as of a fax, keep their ratio; nothing else is made of a resolution.
- JPEG inside TIFF is a lossy history; the other codings read here are lossless.
"""

from __future__ import annotations

from dataclasses import replace
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
from media2dicom.media.jpeg import Process, read_jpeg
from media2dicom.media.jpeg_reader import refuse_rotten
from media2dicom.media.payload import JPEG, LossyHistory, Picture
from media2dicom.media.pillow import FAULTS, loaded
from media2dicom.media.pixels import on_white, picture_of, scaled_to_8_bits
from media2dicom.media.tiff_directory import read_beginning_with, set_short
from media2dicom.media.tiff_page import BESIDE_PIXELS, CMYK, PALETTE, PREMULTIPLIED, WHITE_IS_ZERO, Page, Tag, page_of
from media2dicom.model import Options

_NOT_AS_SAID: Final = "The TIFF file's pixels are not what its directory says."


def look(path: Path) -> Look:
    page = page_of(path)
    deep = page.in_grey and page.bits > 8
    return Look(page.rows, page.columns, 1 if page.in_grey else 3, 2 if deep else 1, page.orientation)


def read(path: Path, options: Options) -> Picture:
    page = page_of(path)
    data = read_beginning_with(path, page.at)
    lossy = _history(page, data) if page.lossy else None
    if page.photometric == CMYK:
        picture = picture_of(_decoded_cmyk(page, data), lossy=lossy)
    else:
        pixels, bits_stored = _decoded(page, data)
        picture = picture_of(upright(pixels, page.orientation), bits_stored, lossy, page.icc_profile)
    return replace(picture, pixel_aspect_ratio=page.pixel_aspect_ratio)


def _history(page: Page, data: bytearray) -> LossyHistory:
    """Of JPEG inside TIFF (TIFF Technical Note 2); each strip or tile is looked through for rot."""
    for offset, length in page.strips:
        stream = bytes(data[offset : offset + length])
        file = read_jpeg(page.jpeg_tables[:-2] + stream[2:] if page.jpeg_tables else stream)
        if file.header.process is Process.LOSSLESS or file.header.precision != 8:
            raise MediaUnsupported(
                "The TIFF file holds JPEG that is lossless or not of 8 bits.",
                next_step="Export it with another compression, e.g. LZW.",
            )
        refuse_rotten(file)
    raw_bytes = page.rows * page.columns * page.samples
    return LossyHistory(raw_bytes / max(1, sum(length for _, length in page.strips)), JPEG)


def _decoded_cmyk(page: Page, data: bytearray) -> NDArray[np.uint8]:
    """Upright sRGB pixels: Pillow turns by the file's orientation itself."""
    for tag in BESIDE_PIXELS:  # have been read; Pillow reads no directory beyond a field that is broken
        set_short(data, page.at, tag, 1)
    try:
        image = TiffImagePlugin.TiffImageFile(BytesIO(data))
    except FAULTS as error:
        raise MediaUnsupported(f"The TIFF file is of a variant that cannot be read: {error}.") from None
    with image:
        size = (page.rows, page.columns) if page.orientation >= 5 else (page.columns, page.rows)
        if image.size != size or image.mode != "CMYK":
            raise MediaDamaged(_NOT_AS_SAID)
        return loaded(image, page.icc_profile)


def _decoded(page: Page, data: bytearray) -> tuple[NDArray[Any], int]:
    """Pixels as stored (not turned), and bits stored."""
    if page.lossy:  # libtiff makes RGBA of JPEG: black is zero, and it is flipped (but not turned) by Orientation
        set_short(data, page.at, Tag.ORIENTATION, UPRIGHT)
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
    if page.photometric == PALETTE:
        palette = np.array(page.colors, np.uint16).reshape(3, 1 << page.bits).T
        return scaled_to_8_bits(palette, 65_535 if palette.max() > 255 else 255)[pixels.astype(np.intp)], 8
    top = (1 << page.bits) - 1
    if page.photometric == WHITE_IS_ZERO and not page.lossy:
        pixels = (top - pixels).astype(pixels.dtype) if page.bits > 1 else ~pixels
    if page.alpha:
        pixels = on_white(pixels, top, premultiplied=page.alpha == PREMULTIPLIED)
    if page.bits > 8 and page.in_grey:
        return np.ascontiguousarray(pixels, dtype=np.uint16), page.bits
    return (pixels if page.bits == 8 else scaled_to_8_bits(pixels, top)), 8


def _room(page: Page) -> NDArray[Any]:
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
