"""JPEG's own structure (ISO/IEC 10918-1 Annex B): what a file holds, and its bitstream without metadata.

Markers only. Pixels are decoded in jpeg_reader.py; how a stream is encapsulated is for media2dicom.dicom.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media.exif import EXIF_MARK, UPRIGHT, exif_orientation, xmp_orientation

DHT, SOS, DQT, DRI = 0xC4, 0xDA, 0xDB, 0xDD
_DAC, _SOI, _EOI, _DNL = 0xCC, 0xD8, 0xD9, 0xDC
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_EXTENSIONS: Final = frozenset({0xC8, 0xDE, 0xDF, *range(0xF0, 0xFE)})  # JPG, DHP, EXP, JPG0 to JPG13
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {DHT, _DAC} - _EXTENSIONS  # SOF0 to SOF15
_DECODING: Final = _FRAMES | {DHT, _DAC, SOS, DQT, DRI}  # all that a decoder needs but the colours' meaning
_XMP, _ICC = b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_MULTI_PICTURE: Final = b"MPF\0"  # CIPA DC-007
_JFIF: Final = b"JFIF\0\1\1\0\0\1\0\1\0\0"  # version 1.1, square pixels, no thumbnail
_ADOBE: Final = b"Adobe\0\x64\0\0\0\0"  # version 100, no flags; the transform follows
# In entropy-coded data FF is followed by 00 or a restart marker; FF FF is fill (B.1.1.2).
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MAX_SCANS: Final = 1000  # real files have one to a dozen; each scan costs a pass over all pixels


class Process(IntEnum):
    """The coding process by its SOF marker, as far as the project reads it."""

    BASELINE = 0xC0
    EXTENDED = 0xC1
    PROGRESSIVE = 0xC2
    LOSSLESS = 0xC3
    EXTENDED_ARITHMETIC = 0xC9
    PROGRESSIVE_ARITHMETIC = 0xCA


@dataclass(frozen=True)
class Component:
    identifier: int
    horizontal: int  # sampling factors
    vertical: int


@dataclass(frozen=True)
class JpegHeader:
    """What a JPEG file says before its first scan."""

    process: Process
    precision: int  # bits per sample
    rows: int
    columns: int
    components: tuple[Component, ...]
    jfif: bool
    adobe_transform: int | None
    orientation: int  # 1 when absent
    icc_profile: bytes | None
    spectral_start: int  # Ss of the first scan: in the lossless process, the predictor
    several_pictures: bool  # Multi-Picture Format: further ones behind the first

    @property
    def samples_per_pixel(self) -> int:
        return len(self.components)

    @property
    def is_rgb(self) -> bool:
        """Three components that are not YCbCr, by the rules of libjpeg-turbo (jdapimin.c), which viewers share."""
        if self.samples_per_pixel != 3 or self.jfif:
            return False
        if self.adobe_transform is not None:
            return self.adobe_transform == 0
        return self.process is Process.LOSSLESS or self.is_called_rgb

    @property
    def is_called_rgb(self) -> bool:
        """By the identifiers of its components, which some decoders believe before any marker."""
        return bytes(component.identifier for component in self.components) == b"RGB"

    @property
    def photometric_interpretation(self) -> str:
        """PS3.3 C.7.6.3.1.2 for the stream as it is. One or three components only."""
        if self.samples_per_pixel == 1:
            return "MONOCHROME2"
        if self.is_rgb:
            return "RGB"
        first, *others = self.components
        full = all((c.horizontal, c.vertical) == (first.horizontal, first.vertical) for c in others)
        return "YBR_FULL" if full else "YBR_FULL_422"

    @property
    def is_plain_baseline(self) -> bool:
        """Fit to be kept in the JPEG Baseline transfer syntax: SOF0, 8 bits, 1 or 3 components, usual sampling."""
        if self.process is not Process.BASELINE or self.precision != 8 or self.samples_per_pixel not in (1, 3):
            return False
        if self.is_called_rgb and not self.is_rgb:
            return False
        first, *others = self.components
        return all(
            (c.horizontal, c.vertical) == (others[0].horizontal, others[0].vertical)
            and c.horizontal <= first.horizontal
            and c.vertical <= first.vertical
            for c in others
        )


@dataclass(frozen=True)
class JpegFile:
    """A whole JPEG file: its header and its bitstream, SOI to EOI, without metadata and without what follows."""

    header: JpegHeader
    bitstream: bytes


class _HeaderCollector:
    """Gathers the header from segments as they come."""

    def __init__(self) -> None:
        self.frame: tuple[int, bytes] | None = None
        self.jfif = False
        self.adobe_transform: int | None = None
        self.exif: int | None = None
        self.xmp: int | None = None
        self.icc: dict[int, bytes] = {}
        self.icc_count = 0
        self.spectral_start: int | None = None
        self.several_pictures = False

    def take(self, marker: int, payload: bytes) -> None:
        if marker in _EXTENSIONS:
            raise MediaUnsupported("The JPEG file is hierarchical or of an extension of JPEG.")
        if marker in _FRAMES:
            if self.frame is not None:
                raise MediaUnsupported("The JPEG file is hierarchical (several frames).")
            self.frame = marker, payload
        elif marker == _APP0 and payload.startswith(b"JFIF\0"):
            self.jfif = True
        elif marker == _APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
            self.adobe_transform = payload[11]
        elif marker == _APP1 and payload.startswith(EXIF_MARK) and self.exif is None:
            self.exif = exif_orientation(payload)
        elif marker == _APP1 and payload.startswith(_XMP) and self.xmp is None:
            self.xmp = xmp_orientation(payload)
        elif marker == SOS and self.spectral_start is None and payload and len(payload) > 1 + 2 * payload[0]:
            self.spectral_start = payload[1 + 2 * payload[0]]
        elif marker == _APP2 and payload.startswith(_ICC) and len(payload) > len(_ICC) + 2:
            number, self.icc_count = payload[len(_ICC)], payload[len(_ICC) + 1]
            self.icc[number] = payload[len(_ICC) + 2 :]
        elif marker == _APP2 and payload.startswith(_MULTI_PICTURE):
            self.several_pictures = True

    def header(self) -> JpegHeader:
        if self.frame is None:
            raise MediaDamaged("The JPEG file has no frame header.")
        marker, payload = self.frame
        try:
            process = Process(marker)
        except ValueError:
            raise MediaUnsupported(f"The JPEG file uses the coding process SOF{marker - 0xC0}.") from None
        if len(payload) < 6 or len(payload) < 6 + 3 * payload[5]:
            raise MediaDamaged("The JPEG file's frame header is too short.")
        components = tuple(
            Component(payload[at], payload[at + 1] >> 4, payload[at + 1] & 15) for at in range(6, 6 + 3 * payload[5], 3)
        )
        rows, columns = int.from_bytes(payload[1:3], "big"), int.from_bytes(payload[3:5], "big")
        if not rows or not columns or not components or not all(c.horizontal and c.vertical for c in components):
            raise MediaDamaged("The JPEG file declares a picture without pixels.")
        whole = self.icc_count > 0 and sorted(self.icc) == list(range(1, self.icc_count + 1))
        icc_profile = b"".join(self.icc[number] for number in sorted(self.icc)) if whole else None
        orientation = self.exif or self.xmp or UPRIGHT
        return JpegHeader(
            *(process, payload[0], rows, columns, components, self.jfif, self.adobe_transform, orientation),
            *(icc_profile, self.spectral_start or 0, self.several_pictures),
        )


def read_jpeg_header(data: bytes) -> JpegHeader | None:
    """The header from the beginning of a file; None when `data` ends before the first scan.

    Raises MediaDamaged, MediaUnsupported.
    """
    collector, at = _HeaderCollector(), 2
    while True:
        marker, at, end = _segment(data, at)
        if end > len(data):
            return None
        if marker == _EOI:
            raise MediaDamaged("The JPEG file ends before its pixels.")
        collector.take(marker, data[at:end])
        if marker == SOS:
            return collector.header()
        at = end


def read_jpeg(data: bytes) -> JpegFile:
    """Header and stripped bitstream of a whole file. The first picture only, up to its own EOI.

    Of the file's segments only those that decoding needs are kept; which colours the components are is said anew
    (`_colour_segment`). Raises MediaDamaged (no EOI, broken segments), MediaUnsupported.
    """
    collector, kept, scans = _HeaderCollector(), list[bytes](), 0
    for marker, payload, coded in segments(data):
        collector.take(marker, payload)
        if marker == _DNL:
            raise MediaUnsupported("The JPEG file gives its height after the pixels (DNL).")
        if marker == SOS:
            scans += 1
            if scans > _MAX_SCANS:
                raise MediaDamaged(f"The JPEG file has more than {_MAX_SCANS} scans.")
        if marker in _DECODING:
            kept += [_written(marker, payload), coded]
    if not scans:
        raise MediaDamaged("The JPEG file ends before its pixels.")
    header = collector.header()
    return JpegFile(header, b"".join((b"\xff\xd8", _colour_segment(header), *kept, b"\xff\xd9")))


def segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(marker, payload, the entropy-coded data behind it: of SOS only) from SOI to EOI. Raises MediaDamaged."""
    at = 2
    while True:
        marker, at, end = _segment(data, at)
        if end > len(data):
            raise MediaDamaged("The JPEG file is cut off: its end marker is missing.")
        if marker == _EOI:
            return
        payload, at = data[at:end], end
        if marker == SOS:
            found = _NEXT_MARKER.search(data, end)
            if found is None:
                raise MediaDamaged("The JPEG file is cut off: its end marker is missing.")
            at = found.start()
        yield marker, payload, data[end:at]


def _colour_segment(header: JpegHeader) -> bytes:
    """JFIF for grey and YCbCr, Adobe's APP14 for RGB, CMYK and YCCK: what decoders go by, each in its shortest form.

    YCbCr has no APP14, which lets pydicom's Pillow decoder turn the colours once more.
    """
    if header.samples_per_pixel == 4:
        transform = header.adobe_transform
        return b"" if transform is None else _written(_APP14, _ADOBE + bytes([transform]))
    return _written(_APP14, _ADOBE + b"\0") if header.is_rgb else _written(_APP0, _JFIF)


def _written(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload


def _segment(data: bytes, at: int) -> tuple[int, int, int]:
    """(marker, start of its payload, end) of the segment at `at`; end lies past the data when that is cut off."""
    beyond = len(data) + 1
    if at + 2 > len(data):
        return 0, at, beyond
    if data[at] != 0xFF:
        raise MediaDamaged(f"The JPEG file has no marker where one belongs (byte {at:,}).")
    while data[at + 1] == 0xFF:  # fill bytes
        at += 1
        if at + 2 > len(data):
            return 0, at, beyond
    marker = data[at + 1]
    if marker == _EOI:
        return marker, at + 2, at + 2
    if marker < 0xC0 or 0xD0 <= marker <= _SOI:
        raise MediaDamaged(f"The JPEG file has a marker where none belongs (byte {at:,}).")
    if at + 4 > len(data):
        return marker, at + 4, beyond
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if length < 2:
        raise MediaDamaged(f"The JPEG file has a segment of impossible length (byte {at:,}).")
    return marker, at + 4, at + 2 + length
