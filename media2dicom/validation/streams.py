"""Encapsulated pixels against the Image Pixel module: what each stream's own markers say (PS3.5 8.2, A.4).

Of a JPEG frame its beginning and its end are read; videos are `videos.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import BinaryIO, Final

import numpy as np

from media2dicom.dicom.part10 import UNDEFINED_LENGTH
from media2dicom.dicom.transfer_syntaxes import VIDEO_SYNTAX_UIDS
from media2dicom.errors import RowRefused
from media2dicom.media.jpeg import JpegHeader, Process, read_jpeg_header
from media2dicom.validation.findings import Finding
from media2dicom.validation.videos import check_video
from media2dicom.validation.written import Fragment, Written, fragments

_HEAD_BYTES: Final = 1024  # holds the markers before the first scan of a stream without metadata
_MOST_HEAD_BYTES: Final = 1 << 17
_PREDICTORS: Final = range(1, 8)
_PROCESSES: Final = {
    "1.2.840.10008.1.2.4.50": (frozenset({Process.BASELINE}), frozenset({8})),
    "1.2.840.10008.1.2.4.51": (frozenset({Process.EXTENDED}), frozenset({8, 12})),
    "1.2.840.10008.1.2.4.57": (frozenset({Process.LOSSLESS}), frozenset(range(2, 17))),
    "1.2.840.10008.1.2.4.70": (frozenset({Process.LOSSLESS}), frozenset(range(2, 17))),
}
_FIRST_ORDER: Final = "1.2.840.10008.1.2.4.70"


def check_streams(written: Written) -> Iterator[Finding]:
    """Fragments, offset table, and each frame's header."""
    bulk = written.bulk
    if bulk is None or bulk.length != UNDEFINED_LENGTH or bulk.vr != "OB":
        yield Finding("PixelData", "is not of undefined length and VR OB, as encapsulated pixels are", "PS3.5 A.4")
        return
    with written.path.open("rb") as file:
        found = list(fragments(written, file))
        behind = file.tell()
        whole = [fragment for fragment in found if fragment is not None]
        if len(whole) != len(found) or not whole:
            yield Finding("PixelData", "breaks off in its chain of fragments", "PS3.5 A.4")
            return
        if behind != written.size_bytes:
            yield Finding("file", "goes on behind its pixels", "PS3.10 7")
        table, frames = whole[0], whole[1:]
        if any(fragment.length % 2 for fragment in whole):
            yield Finding("PixelData", "has a fragment of odd length", "PS3.5 A.4")
        if written.transfer_syntax_uid in VIDEO_SYNTAX_UIDS:
            yield from check_video(written, table, frames, file)
        elif written.transfer_syntax_uid in _PROCESSES:
            yield from _check_offsets(written, table, frames, file)
            yield from _check_frames(written, frames, file)


def compressed_bytes(written: Written) -> int:
    """All fragments together; what a compression ratio is told against."""
    with written.path.open("rb") as file:
        return sum(fragment.length for fragment in list(fragments(written, file))[1:] if fragment is not None)


def _check_offsets(written: Written, table: Fragment, frames: list[Fragment], file: BinaryIO) -> Iterator[Finding]:
    """One fragment a frame, each where the Basic or Extended Offset Table says (PS3.5 A.4, PS3.3 C.7.6.3.1.8)."""
    if len(frames) != written.frames:
        yield Finding("NumberOfFrames", "differs from the number of fragments", "PS3.5 A.4")
    offsets = np.array([0, *accumulate(8 + fragment.length for fragment in frames[:-1])], dtype=np.uint64)
    extended = written.header.get("ExtendedOffsetTable")
    file.seek(table.offset)
    told = file.read(table.length)
    if extended is None:
        if told != offsets.astype("<u4").tobytes():
            yield Finding("PixelData", "has an offset table that does not point to its frames", "PS3.5 A.4")
        return
    lengths = np.array([fragment.length for fragment in frames], dtype="<u8").tobytes()
    if (
        told
        or extended != offsets.astype("<u8").tobytes()
        or written.header.get("ExtendedOffsetTableLengths") != lengths
    ):
        yield Finding("ExtendedOffsetTable", "does not point to the frames", "PS3.3 C.7.6.3.1.8")


def _check_frames(written: Written, frames: list[Fragment], file: BinaryIO) -> Iterator[Finding]:
    """Each frame's markers; a finding is told once, however many frames it is of."""
    told: set[Finding] = set()
    checked: set[bytes] = set()
    for fragment in frames:
        if not _ends(fragment, file):
            told.add(Finding("PixelData", "has a frame without its end marker", "PS3.5 A.4.1"))
        head, header = _header(fragment, file)
        if header is None:
            told.add(Finding("PixelData", "has a frame that is no JPEG stream", "PS3.5 A.4.1"))
        elif head not in checked:  # frames of one encoder have one header
            checked.add(head)
            told.update(_check_header(written, header))
    yield from sorted(told, key=str)


def _header(fragment: Fragment, file: BinaryIO) -> tuple[bytes, JpegHeader | None]:
    for size in (_HEAD_BYTES, _MOST_HEAD_BYTES):
        file.seek(fragment.offset)
        head = file.read(min(size, fragment.length))
        if not head.startswith(b"\xff\xd8"):
            return head, None
        try:
            header = read_jpeg_header(head)
        except RowRefused:
            return head, None
        if header is not None:
            return head[: head.index(b"\xff\xda")], header
    return b"", None


def _ends(fragment: Fragment, file: BinaryIO) -> bool:
    """The stream ends with EOI; one zero byte may make its length even."""
    file.seek(fragment.offset + max(0, fragment.length - 3))
    tail = file.read(3)
    return tail.endswith(b"\xff\xd9") or tail == b"\xff\xd9\x00"


def _check_header(written: Written, header: JpegHeader) -> Iterator[Finding]:
    processes, precisions = _PROCESSES[written.transfer_syntax_uid]
    if header.process not in processes or header.precision not in precisions:
        yield Finding("TransferSyntaxUID", "differs from the stream's coding process", "PS3.5 8.2.1")
    if header.process is Process.LOSSLESS and (
        header.spectral_start not in _PREDICTORS
        or (header.spectral_start == 1) != (written.transfer_syntax_uid == _FIRST_ORDER)
    ):
        yield Finding("TransferSyntaxUID", "differs from the stream's predictor", "PS3.5 8.2.1, 10.4")
    for keyword, said in (
        ("Rows", header.rows),
        ("Columns", header.columns),
        ("SamplesPerPixel", header.samples_per_pixel),
        ("BitsStored", header.precision),
    ):
        if written.number(keyword) != said:
            yield Finding(keyword, "differs from the stream's own header", "PS3.5 8.2.1")
    if written.text("PhotometricInterpretation") not in _photometric(header):
        yield Finding("PhotometricInterpretation", "differs from what the stream's markers say", "PS3.5 8.2.1")


def _photometric(header: JpegHeader) -> tuple[str, ...]:
    """What may be said of the stream. Lossy YCbCr is YBR_FULL_422 whatever its subsampling (PS3.5 8.2.1)."""
    if header.samples_per_pixel == 1:
        return ("MONOCHROME1", "MONOCHROME2")
    own = header.photometric_interpretation
    return (own,) if own == "RGB" or header.process is Process.LOSSLESS else ("YBR_FULL_422", own)
