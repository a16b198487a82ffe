"""The containers that videos come in: how each is recognised, demuxed, and known to be whole.

The demuxer is forced by this table, so that no file opens another one (a playlist named .mp4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from media2dicom.errors import MediaUnsupported
from media2dicom.media.avi import check_whole_avi
from media2dicom.media.matroska import check_whole_matroska
from media2dicom.media.mp4 import video_sample_counts
from media2dicom.media.signatures import HEAD_BYTES
from media2dicom.media.transport_stream import is_transport_stream, write_packets

# The brands of still pictures in the same boxes: HEIF, AVIF, Canon raw, JPEG 2000.
_STILL_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"msf1", b"avif", b"avis", b"crx ", b"jp2 ", b"jpx "}
)
_OLD_MOVIE_BOXES: Final = frozenset({b"moov", b"mdat", b"wide", b"skip", b"pnot"})  # QuickTime before ftyp


@dataclass(frozen=True)
class Container:
    """One container format.

    sample_counts: the frames of each video track by the container's own tables, () where it has none; raises
    MediaDamaged when the file is not whole. feed: writes what ffmpeg is to read; None: the file itself.
    """

    name: str  # for people
    suffixes: tuple[str, ...]
    matches: Callable[[bytes, int], bool]  # (the first HEAD_BYTES, the file's size)
    demuxer: str
    sample_counts: Callable[[Path], tuple[int, ...]]
    feed: Callable[[Path, BinaryIO], None] | None = None
    input_options: tuple[str, ...] = ()
    clock_may_jump: bool = False  # times are those of a running clock, not of the file


def _is_movie(head: bytes, size_bytes: int) -> bool:
    if head[4:8] == b"ftyp":  # ISO/IEC 14496-12 4.3
        return head[8:12] not in _STILL_BRANDS
    return head[4:8] in _OLD_MOVIE_BOXES


def _is_matroska(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"\x1a\x45\xdf\xa3")  # EBML (RFC 8794 11.2.1)


def _is_avi(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"AVI "


def _is_program_stream(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"\x00\x00\x01\xba")  # pack_start_code (ISO/IEC 13818-1 2.5.3.3)


def _tells_nothing(path: Path) -> tuple[int, ...]:
    return ()


# AVI and program streams leave out times that follow from the order of the frames.
_MADE_TIMES: Final = ("-fflags", "+genpts")

CONTAINERS: Final = (
    Container("MP4", (".mp4", ".m4v", ".mov", ".qt"), _is_movie, "mov", video_sample_counts),
    Container("Matroska", (".mkv", ".webm"), _is_matroska, "matroska", check_whole_matroska),
    Container("AVI", (".avi",), _is_avi, "avi", check_whole_avi, input_options=_MADE_TIMES),
    Container(
        "MPEG program stream",
        (".mpg", ".mpeg", ".vob"),
        _is_program_stream,
        "mpeg",
        _tells_nothing,
        input_options=_MADE_TIMES,
        clock_may_jump=True,
    ),
    Container(
        "MPEG transport stream",
        (".ts", ".m2ts", ".mts"),
        is_transport_stream,
        "mpegts",
        _tells_nothing,
        feed=write_packets,
        clock_may_jump=True,
    ),
)


def container_of(path: Path) -> Container:
    """The container of a file, by its content. Raises MediaUnsupported."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    size_bytes = path.stat().st_size
    for container in CONTAINERS:
        if container.matches(head, size_bytes):
            return container
    raise MediaUnsupported("The file holds no video that can be read.", next_step="Save it as MP4 with H.264.")
