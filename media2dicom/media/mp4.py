"""The boxes of MP4 and MOV files (ISO/IEC 14496-12), as far as needed to tell a whole file from a cut one, and to find
what the sample entry says of the stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from media2dicom.errors import MediaDamaged, MediaUnsupported

_CONTAINERS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"traf"})
_ESSENTIAL: Final = frozenset({b"moov", b"mdat", b"moof"})
_CONFIGURATIONS: Final = frozenset({b"avcC", b"hvcC", b"esds"})
_VISUAL_SAMPLE_ENTRY: Final = 78  # its bytes before the boxes within (12.1.3)
_NORMAL_RATE: Final = b"\0\1\0\0"  # of an edit
_MOST_EDITS: Final = 1 << 16


@dataclass(frozen=True)
class Box:
    name: bytes
    start: int  # of its payload
    end: int


def video_sample_counts(path: Path) -> tuple[int, ...]:
    """The frames of each video track by the container's own tables, those in fragments (8.8) too.

    Raises MediaDamaged when a box runs past the end of the file or a fragment is missing, MediaUnsupported.
    """
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        top = list(_boxes(file, 0, size_bytes))
        for box in top:
            if box.end > size_bytes and box.name in _ESSENTIAL:
                raise MediaDamaged(f"The video is cut off: {box.end - size_bytes:,} bytes are missing at its end.")
        if not any(box.name == b"moov" for box in top):
            raise MediaDamaged("The video is cut off or was never finished: it has no index (moov).")
        counts = _samples_by_track(file, [box for box in top if box.name == b"moov"])
        if not counts:
            raise MediaUnsupported("The file holds no video stream.")
        fragments = [box for box in top if box.name == b"moof"]
        if fragments:
            if top[-1].end < size_bytes:
                raise MediaDamaged("The video is cut off: it ends within the head of a box.")
            _check_order(file, top)
            for track, samples in _fragment_samples(file, fragments):
                if track in counts:
                    counts[track] += samples
    return tuple(counts.values())


def _samples_by_track(file: BinaryIO, movies: list[Box]) -> dict[int, int]:
    """Of the video tracks: the samples that the movie itself lists, by track_ID. Raises MediaUnsupported."""
    counts: dict[int, int] = {}
    for track in (box for movie in movies for box in _boxes(file, movie.start, movie.end) if box.name == b"trak"):
        inside = {box.name: box for box in _leaves(file, track)}
        if _handler(file, inside.get(b"hdlr")) == b"vide":
            _check_edits(file, inside.get(b"elst"))
            counts[_track_id(file, inside.get(b"tkhd"))] = _number(file, inside.get(b"stsz") or inside.get(b"stz2"), 8)
    return counts


def _check_edits(file: BinaryIO, box: Box | None) -> None:
    """An edit that is played slower or as a still (8.6.6: media_rate) is not read by ffmpeg."""
    if box is None:
        return
    width = 8 if _number(file, box, 0) >> 24 == 1 else 4  # by the version
    step = 2 * width + len(_NORMAL_RATE)
    for at in range(8, 8 + step * min(_number(file, box, 4), _MOST_EDITS), step):
        file.seek(box.start + at + width)
        media_time, rate = file.read(width), file.read(len(_NORMAL_RATE))
        if set(media_time) != {0xFF} and rate != _NORMAL_RATE:  # -1: nothing is displayed
            raise MediaUnsupported(
                "The edit list of the video plays a part of it slower, faster or as a still.",
                next_step="Save it anew as MP4 with another program.",
            )


def _check_order(file: BinaryIO, top: list[Box]) -> None:
    """Each fragment's head (moof) is followed by its data, and their numbers (8.8.5) leave none out."""
    expected, number = False, 0
    begun = False
    for box in top:
        if box.name == b"moof":
            following = next((_number(file, one, 4) for one in _leaves(file, box) if one.name == b"mfhd"), 0)
            if begun and following > number + 1:
                raise MediaDamaged("The video is damaged: a fragment of it is missing.")
            begun, expected, number = True, True, following
        elif box.name == b"mdat":
            if begun and not expected:
                raise MediaDamaged("The video is damaged: the head of a fragment is missing.")
            expected = False
    if expected:
        raise MediaDamaged("The video is cut off: its last fragment has no data.")


def _fragment_samples(file: BinaryIO, fragments: list[Box]) -> Iterator[tuple[int, int]]:
    """(track_ID, samples) of each run."""
    for fragment in fragments:
        track = 0
        for box in _leaves(file, fragment):
            if box.name == b"tfhd":
                track = _number(file, box, 4)
            elif box.name == b"trun":
                yield track, _number(file, box, 4)


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


def _track_id(file: BinaryIO, box: Box | None) -> int:
    return _number(file, box, 12 if _number(file, box, 0) >> 24 == 0 else 20)


def _number(file: BinaryIO, box: Box | None, at: int) -> int:
    """The four bytes there; 0 without the box."""
    if box is None:
        return 0
    file.seek(box.start + at)
    return int.from_bytes(file.read(4), "big")
