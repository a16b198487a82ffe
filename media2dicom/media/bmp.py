"""Windows and OS/2 bitmaps. What Pillow's plugin does not read is refused with its reason (docs/images.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import BmpImagePlugin

from media2dicom.media.image import MAX_METADATA_BYTES, ImageFormat, Look
from media2dicom.media.payload import Picture
from media2dicom.media.pillow import loaded, opened
from media2dicom.media.pixels import picture_of
from media2dicom.model import Options

_DIB_AT: Final = 14  # after BITMAPFILEHEADER
_V5_BYTES: Final = 124
_EMBEDDED: Final = b"DEBM"  # PROFILE_EMBEDDED, little endian


def look(path: Path) -> Look:
    with opened(BmpImagePlugin.BmpImageFile, path, "BMP") as image:
        return Look(image.height, image.width, 1 if image.mode in ("1", "L") else 3)


def read(path: Path, options: Options) -> Picture:
    with opened(BmpImagePlugin.BmpImageFile, path, "BMP") as image:
        return picture_of(loaded(image), profile=_profile(path))


def _profile(path: Path) -> bytes | None:
    """The ICC profile of a BITMAPV5HEADER, whose offset counts from that header."""
    with path.open("rb") as file:
        header = file.read(_DIB_AT + _V5_BYTES)[_DIB_AT:]
        if len(header) < _V5_BYTES or header[0] != _V5_BYTES or header[56:60] != _EMBEDDED:
            return None
        offset, size = (int.from_bytes(header[at : at + 4], "little") for at in (112, 116))
        file.seek(_DIB_AT + offset)
        return file.read(size) if size <= MAX_METADATA_BYTES else None


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
