"""PNG files (ISO/IEC 15948): the chunks are read here, the pixels by libpng."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import imagecodecs
import numpy as np
from PIL import PngImagePlugin

from media2dicom.errors import MediaDamaged
from media2dicom.media.exif import UPRIGHT, exif_orientation, upright, xmp_orientation
from media2dicom.media.image import MAX_METADATA_BYTES, ImageFormat, Look
from media2dicom.media.payload import Picture
from media2dicom.media.pillow import loaded, opened
from media2dicom.media.pixels import on_white, picture_of, scaled_to_8_bits
from media2dicom.model import Options

_SIGNATURE_LENGTH: Final = 8
_OF_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
_END: Final = b"\0\0\0\0IEND\xaeB`\x82"
_EXIF_TEXTS: Final = (b"Raw profile type exif", b"Raw profile type APP1")
_INDEXED: Final = b"\x03"  # the colour type of palettes
_SAMPLES: Final = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # by colour type, alpha taken away, palette looked up


@dataclass(frozen=True)
class PngHeader:
    rows: int
    columns: int
    bit_depth: int
    samples_per_pixel: int  # of the final picture: 1 or 3
    palette_colors: int | None  # None: no palette looked up
    animated: bool
    orientation: int
    icc_profile: bytes | None


def read_png_header(path: Path) -> PngHeader:
    """What the chunks of a PNG file say, IHDR to IEND. Raises MediaDamaged when the file is cut off."""
    ihdr, animated, icc_profile, palette_colors = b"", False, None, None
    exif, text, xmp = None, None, None  # orientations, in the order in which they count
    with path.open("rb") as file:
        for name, length in _chunks(file):
            if name == b"IHDR":
                if ihdr:
                    raise MediaDamaged("The PNG file has two headers.")
                ihdr = file.read(13)
            elif name == b"PLTE" and ihdr[9:10] == _INDEXED:
                palette_colors = length // 3
            elif name == b"acTL":
                animated = True
            elif length > MAX_METADATA_BYTES:
                continue
            elif name == b"eXIf":
                exif = exif_orientation(file.read(length))
            elif name in (b"tEXt", b"zTXt"):
                text = _orientation_in_text(name, file.read(length)) or text
            elif name == b"iTXt":
                xmp = _orientation_in_xmp(file.read(length)) or xmp
            elif name == b"iCCP":
                icc_profile = _unpacked(file.read(length).partition(b"\0")[2])
    rows, columns = int.from_bytes(ihdr[4:8], "big"), int.from_bytes(ihdr[:4], "big")
    if len(ihdr) < 13 or not rows or not columns or ihdr[9] not in _SAMPLES:
        raise MediaDamaged("The PNG file's header is wrong.")
    orientation = exif or text or xmp or UPRIGHT
    return PngHeader(rows, columns, ihdr[8], _SAMPLES[ihdr[9]], palette_colors, animated, orientation, icc_profile)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(name, length) of each chunk up to IEND; the file stands at the chunk's data."""
    at = _SIGNATURE_LENGTH
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            raise MediaDamaged("The PNG file is cut off: its end (IEND) is missing.")
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name == b"IEND":
            return
        yield name, length
        at += 12 + length


def _pixel_chunks(path: Path) -> bytearray:
    """The file with the chunks that pixels need and no others.

    libpng's warnings of faulty chunks are logged, and quote texts of the file; those that are left have none.
    """
    with path.open("rb") as file:
        data = bytearray(file.read(_SIGNATURE_LENGTH))
        for name, length in _chunks(file):
            if name in _OF_PIXELS:
                data += length.to_bytes(4, "big") + name + file.read(length + 4)  # its checksum is behind it
    return data + _END


def _orientation_in_text(name: bytes, data: bytes) -> int | None:
    """Of EXIF in a text chunk, as ImageMagick writes it: the profile's name, its length, its bytes in hexadecimal."""
    keyword, _, text = data.partition(b"\0")
    if keyword not in _EXIF_TEXTS:
        return None
    lines = (text if name == b"tEXt" else _unpacked(text) or b"").split(b"\n")
    try:
        return exif_orientation(bytes.fromhex(b"".join(lines[3:]).decode("ascii")))
    except ValueError:
        return None


def _orientation_in_xmp(data: bytes) -> int | None:
    """Of an iTXt chunk: keyword, whether and how it is packed, two names of the language, text."""
    keyword, _, rest = data.partition(b"\0")
    if keyword != b"XML:com.adobe.xmp":
        return None
    text = rest[2:].split(b"\0", 2)[-1]
    return xmp_orientation(text if rest[:1] == b"\0" else _unpacked(b"\0" + text) or b"")


def _unpacked(data: bytes) -> bytes | None:
    """What is packed behind the byte that names the method, to a limit; None when it is broken."""
    try:
        return zlib.decompressobj().decompress(data[1:], MAX_METADATA_BYTES)
    except zlib.error:
        return None  # a broken profile is no reason to refuse the pixels


def look(path: Path) -> Look:
    header = read_png_header(path)
    wide = header.bit_depth == 16 and header.samples_per_pixel == 1
    warnings = ("The PNG is animated: only its first picture is filed.",) if header.animated else ()
    return Look(
        header.rows, header.columns, header.samples_per_pixel, 2 if wide else 1, header.orientation, warnings=warnings
    )


def read(path: Path, options: Options) -> Picture:
    header = read_png_header(path)
    try:
        decoded = imagecodecs.png_decode(_pixel_chunks(path))  # libpng: checks every CRC and the number of rows
    except (imagecodecs.PngError, ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        raise MediaDamaged(f"The PNG file is damaged: {reason}.") from None
    if header.palette_colors is not None and header.palette_colors < 1 << header.bit_depth:
        with opened(PngImagePlugin.PngImageFile, path, "PNG") as image:
            loaded(image)  # libpng passes over colours that the palette does not have
    top = 65_535 if decoded.dtype == np.uint16 else 255
    if decoded.ndim == 3 and decoded.shape[2] in (2, 4):
        decoded = on_white(decoded, top)
    if decoded.ndim == 3 and top > 255:
        decoded = scaled_to_8_bits(decoded, top)
    bits_stored = 16 if decoded.dtype == np.uint16 else 8
    return picture_of(upright(decoded, header.orientation), bits_stored, profile=header.icc_profile)


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
