"""MP4 files in fragments and with edit lists: every frame that is listed comes, or the file is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media import plan_media
from media2dicom.media.mp4 import video_sample_counts
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from tests.media.numbered import number_of, numbered_video
from tests.media.test_clip import HIGH
from tests.media.test_containers import taken
from tests.real_media import ffmpeg

SETTINGS = Settings()
FRAGMENTS = ("-g", "10", "-movflags", "frag_keyframe+empty_moov")
FLAGS = (FRAGMENTS, (*FRAGMENTS[:3], "frag_keyframe"), (*FRAGMENTS[:3], "frag_keyframe+dash"))
TICKS = 512  # of a frame


def boxes(content: bytes, start: int = 0, end: int | None = None) -> list[tuple[bytes, int, int]]:
    """Name, start and end of each box between two places."""
    found, at = [], start
    while at < (len(content) if end is None else end):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], at, at + length))
        at += length
    return found


@pytest.mark.parametrize("flags", FLAGS)
def test_frames_in_fragments_are_counted(tmp_path: Path, flags: tuple[str, ...]) -> None:
    path = numbered_video(tmp_path / "a.mp4", *HIGH, *flags)
    assert video_sample_counts(path) == (50,)
    assert [number_of(frame) for frame in taken(path, frame_interval_s=0.4)] == [0, 10, 20, 30, 40]


def test_fragments_of_a_video_with_sound_are_counted_by_track(tmp_path: Path) -> None:
    video, path = numbered_video(tmp_path / "video.mp4", *HIGH, "-g", "10"), tmp_path / "a.mp4"
    sound = ("-f", "lavfi", "-i", "sine=duration=2")
    ffmpeg("-i", video, *sound, "-c:v", "copy", "-movflags", "frag_keyframe+empty_moov", path)
    assert video_sample_counts(path) == (50,)
    assert len(taken(path)) == 2


@pytest.mark.parametrize("what", ["within a head", "no data", "no head", "last without a head", "a missing one"])
def test_loss_of_a_fragment_is_damage(tmp_path: Path, what: str) -> None:
    path = numbered_video(tmp_path / "a.mp4", *HIGH, *FRAGMENTS)
    content = bytearray(path.read_bytes())
    heads = [box for box in boxes(bytes(content)) if box[0] == b"moof"]
    assert len(heads) > 4
    match what:
        case "within a head":
            del content[heads[-1][1] + 5 :]
        case "no data":
            del content[heads[-1][2] :]
        case "no head" | "last without a head":
            at = heads[2 if what == "no head" else -1][1] + 4
            content[at : at + 4] = b"moog"
        case _:
            del content[heads[2][1] : heads[3][1]]
    path.write_bytes(content)
    for mode in VideoMode:
        with pytest.raises(MediaDamaged, match=r"fragment|within the head"):
            plan_media(path, Options(video_mode=mode), SETTINGS)


def with_edits(path: Path, edits: list[tuple[int, int, float]]) -> Path:
    """The clip with this edit list: milliseconds, first frame (-1: nothing), rate."""
    content = bytearray(numbered_video(path, *HIGH).read_bytes())
    chain, start, end = [], 0, None
    for name in (b"moov", b"trak", b"edts", b"elst"):
        found = next(box for box in boxes(bytes(content), start, end) if box[0] == name)
        chain.append(found)
        start, end = found[1] + 8, found[2]
    _, at, end = chain.pop()
    begin = int.from_bytes(content[at + 20 : at + 24], "big")  # of the first frame
    entries = ((ms, -1 if first < 0 else begin + first * TICKS, int(rate * 65536)) for ms, first, rate in edits)
    body = struct.pack(">II", 0, len(edits)) + b"".join(struct.pack(">IiI", *entry) for entry in entries)
    new = struct.pack(">I4s", 8 + len(body), b"elst") + body
    longer = len(new) - (end - at)
    content[at:end] = new
    for _, start, end in chain:  # the index is behind the data: their places stay
        content[start : start + 4] = (end - start + longer).to_bytes(4, "big")
    path.write_bytes(content)
    return path


def test_edit_list_that_begins_late_or_with_nothing_is_followed(tmp_path: Path) -> None:
    late = with_edits(tmp_path / "late.mp4", [(1000, 12, 1)])
    assert [number_of(frame) for frame in taken(late, frame_interval_s=0.4)] == [12, 22, 32]
    after = with_edits(tmp_path / "after.mp4", [(500, -1, 1), (2000, 0, 1)])
    assert [number_of(frame) for frame in taken(after, frame_interval_s=0.4)] == [0, 10, 20, 30, 40]


@pytest.mark.parametrize("rate", [0, 0.5, 2])
def test_edit_list_that_changes_the_speed_is_refused(tmp_path: Path, rate: float) -> None:
    path = with_edits(tmp_path / "a.mp4", [(1000, 0, 1), (1000, 25, rate)])
    with pytest.raises(MediaUnsupported, match="slower, faster or as a still"):
        plan_media(path, Options(), SETTINGS)


def test_edit_list_that_puts_parts_in_another_order_is_followed(tmp_path: Path) -> None:
    path = with_edits(tmp_path / "a.mp4", [(1000, 25, 1), (1000, 0, 1)])
    assert [number_of(frame) for frame in taken(path, frame_interval_s=0.4)] == [25, 35, 45, 5, 15]


def test_edit_list_whose_times_run_back_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = with_edits(tmp_path / "a.mp4", [(1000, 0, 1), (1000, 0, 1)])
    with pytest.raises(MediaUnsupported, match="edit list") as refusal:
        plan_media(path, Options(), SETTINGS)
    assert refusal.value.next_step == "Save it anew as MP4 with another program."
