"""WebP (RFC 9649): its chunks are read here, its pixels by libwebp.

VP8 pictures have a lossy history, VP8L pictures none. PS3.3 C.7.6.1.1.5.1 has no term for VP8: the method is named
by its specification, RFC 6386, in the form of those terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from PIL import WebPImagePlugin

from media2dicom.errors import MediaDamaged
from media2dicom.media.exif import UPRIGHT, exif_orientation, upright, xmp_orientation
from media2dicom.media.image import MAX_METADATA_BYTES, ImageFormat, Look
from media2dicom.media.payload import VP8, LossyHistory, Picture
from media2dicom.media.pillow import loaded, opened
from media2dicom.media.pixels import picture_of
from media2dicom.model import Options

_RIFF_HEADER_BYTES: Final = 12
_FRAME_HEADER_BYTES: Final = 16  # of ANMF, before the frame's own chunks
_ANIMATED: Final = 0x02  # flag of VP8X


@dataclass
class WebpHeader:
    """What the chunks say."""

    rows: int = 0
    columns: int = 0
    animated: bool = False
    lossy: bool = False  # the picture, or the first of an animation
    compressed_bytes: int = 0  # of that picture
    exif: int | None = None
    xmp: int | None = None
    icc_profile: bytes | None = None

    @property
    def orientation(self) -> int:
        return self.exif or self.xmp or UPRIGHT


def read_webp_header(path: Path) -> WebpHeader:
    """Raises MediaDamaged when the file is cut off."""
    header = WebpHeader()
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        riff_end = 8 + int.from_bytes(file.read(8)[4:], "little")
        if riff_end > size_bytes:
            raise MediaDamaged("The WebP file is cut off.")
        frames = 0
        for name, at, length in _chunks(file, _RIFF_HEADER_BYTES, riff_end):
            if name == b"ANMF":
                frames += 1
                inner = _chunks(file, at + _FRAME_HEADER_BYTES, at + length) if frames == 1 else ()
                for part, part_at, part_length in inner:
                    _take(header, file, part, part_at, part_length)
            else:
                _take(header, file, name, at, length)
    if not header.rows or not header.columns:
        raise MediaDamaged("The WebP file declares a picture without pixels.")
    return header


def _chunks(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, where its data begin, their length) of each chunk of a RIFF list."""
    while at + 8 <= end:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if at + 8 + length > end:
            raise MediaDamaged("The WebP file is cut off.")
        yield head[:4], at + 8, length
        at += 8 + length + length % 2


def _take(header: WebpHeader, file: BinaryIO, name: bytes, at: int, length: int) -> None:
    file.seek(at)
    if name == b"VP8X":
        data = file.read(min(length, 10))
        if len(data) < 10:
            raise MediaDamaged("The WebP file's header is too short.")
        header.animated = bool(data[0] & _ANIMATED)
        header.columns, header.rows = (1 + int.from_bytes(data[at : at + 3], "little") for at in (4, 7))
    elif name in (b"VP8 ", b"VP8L"):
        header.lossy = name == b"VP8 "
        header.compressed_bytes += length
        if not header.rows:  # a file without VP8X
            header.columns, header.rows = _vp8_size(file.read(10)) if header.lossy else _vp8l_size(file.read(5))
    elif name == b"ALPH":
        header.compressed_bytes += length
    elif length > MAX_METADATA_BYTES:
        return
    elif name == b"ICCP":
        header.icc_profile = file.read(length)
    elif name == b"EXIF" and header.exif is None:
        header.exif = exif_orientation(file.read(length))
    elif name == b"XMP " and header.xmp is None:
        header.xmp = xmp_orientation(file.read(length))


def _vp8_size(data: bytes) -> tuple[int, int]:
    """Columns and rows (RFC 6386 9.1), 14 bits each after the start code."""
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


def _vp8l_size(data: bytes) -> tuple[int, int]:
    """Columns and rows (RFC 9649 3.4), 14 bits each, less one, after the signature."""
    bits = int.from_bytes(data[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


def look(path: Path) -> Look:
    header = read_webp_header(path)
    warnings = ("The WebP is animated: only its first picture is filed.",) if header.animated else ()
    return Look(header.rows, header.columns, 3, orientation=header.orientation, warnings=warnings)


def read(path: Path, options: Options) -> Picture:
    header = read_webp_header(path)
    raw_bytes = header.rows * header.columns * 3
    lossy = LossyHistory(raw_bytes / max(1, header.compressed_bytes), VP8) if header.lossy else None
    with opened(WebPImagePlugin.WebPImageFile, path, "WebP") as image:
        pixels = loaded(image)
    return picture_of(upright(pixels, header.orientation), lossy=lossy, profile=header.icc_profile)


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
