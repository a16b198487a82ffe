"""The boxes of MP4 and MOV files (ISO/IEC 14496-12), as far as needed to tell a whole file from a cut one, and to find
what the sample entry says of the stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from media2dicom.errors import MediaDamaged, MediaUnsupported

_CONTAINERS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_ESSENTIAL: Final = frozenset({b"moov", b"mdat", b"moof"})
_CONFIGURATIONS: Final = frozenset({b"avcC", b"hvcC", b"esds"})
_VISUAL_SAMPLE_ENTRY: Final = 78  # its bytes before the boxes within (12.1.3)


@dataclass(frozen=True)
class Box:
    name: bytes
    start: int  # of its payload
    end: int


@dataclass(frozen=True)
class MovieBoxes:
    video_sample_counts: tuple[int, ...]  # one per video track, 0 where the samples are in fragments
    fragmented: bool


def video_sample_counts(path: Path) -> tuple[int, ...]:
    """The frames of each video track; () where they are in fragments. Raises MediaDamaged, MediaUnsupported."""
    boxes = read_movie_boxes(path)
    if not boxes.video_sample_counts:
        raise MediaUnsupported("The file holds no video stream.")
    return () if boxes.fragmented else boxes.video_sample_counts


def read_movie_boxes(path: Path) -> MovieBoxes:
    """Sample counts by the container's own tables. Raises MediaDamaged when a box runs past the end of the file."""
    size_bytes = path.stat().st_size
    counts: list[int] = []
    with path.open("rb") as file:
        top = list(_boxes(file, 0, size_bytes))
        for box in top:
            if box.end > size_bytes and box.name in _ESSENTIAL:
                raise MediaDamaged(f"The video is cut off: {box.end - size_bytes:,} bytes are missing at its end.")
        if not any(box.name == b"moov" for box in top):
            raise MediaDamaged("The video is cut off or was never finished: it has no index (moov).")
        for movie in (box for box in top if box.name == b"moov"):
            for track in (box for box in _boxes(file, movie.start, movie.end) if box.name == b"trak"):
                inside = {box.name: box for box in _leaves(file, track)}
                if _handler(file, inside.get(b"hdlr")) == b"vide":
                    counts.append(_sample_count(file, inside.get(b"stsz") or inside.get(b"stz2")))
    return MovieBoxes(tuple(counts), any(box.name == b"moof" for box in top))


def configuration_record(file: BinaryIO, start: int, end: int) -> Box | None:
    """The box of the video's parameters (avcC, hvcC, esds) in an MP4 file that stands between these places."""
    movies = (box for box in _boxes(file, start, end) if box.name == b"moov")
    descriptions = (leaf for movie in movies for leaf in _leaves(file, movie) if leaf.name == b"stsd")
    entries = (entry for one in descriptions for entry in _boxes(file, one.start + 8, one.end))
    inside = (box for entry in entries for box in _boxes(file, entry.start + _VISUAL_SAMPLE_ENTRY, entry.end))
    return next((box for box in inside if box.name in _CONFIGURATIONS), None)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    at = start
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        length, name, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:  # a 64-bit length follows
            length, header = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:  # up to the end
            length = end - at
        if length < header:
            return
        yield Box(name, at + header, at + length)
        at += length


def _leaves(file: BinaryIO, box: Box) -> Iterator[Box]:
    for child in _boxes(file, box.start, box.end):
        if child.name in _CONTAINERS:
            yield from _leaves(file, child)
        elif child.name != b"hdlr" or not _is_data_handler(file, child):
            yield child


def _handler(file: BinaryIO, box: Box | None) -> bytes:
    if box is None:
        return b""
    file.seek(box.start + 8)
    return file.read(4)


def _is_data_handler(file: BinaryIO, box: Box) -> bool:
    """QuickTime has a second handler box below minf, which says where the data are."""
    file.seek(box.start + 4)
    return file.read(4) == b"dhlr"


def _sample_count(file: BinaryIO, box: Box | None) -> int:
    if box is None:
        return 0
    file.seek(box.start + 8)
    return int.from_bytes(file.read(4), "big")
