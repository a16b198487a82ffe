"""Clips cut out of longer ones, frames in two fields, two frames in one: not what stands in the file is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from media2dicom.errors import MediaDamaged, MediaUnsupported, OptionRefused
from media2dicom.media import open_media, plan_media
from media2dicom.media.payload import Pictures
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from tests.media.fields import numbered_fields
from tests.media.numbered import number_of, numbered_video
from tests.media.test_clip import HEVC, HIGH, MPEG2, NATIVE, TRANSCODE, opened
from tests.media.test_containers import taken
from tests.real_media import ffmpeg

SETTINGS = Settings()
PACKET = 188
OPEN_HEVC = (*HEVC[:-1], "log-level=none:open-gop=1:keyint=12:bframes=2:scenecut=0")
OPEN_H264 = (*HIGH, "-x264-params", "open-gop=1:keyint=12:scenecut=0")
# After the cut, a command to forget a frame (memory_management_control_operation) names one that is not there.
UNDECODABLE = (
    *HIGH,
    "-x264-params",
    "open-gop=1:keyint=25:bframes=3:min-keyint=25",
    "-bf",
    "3",
    "-g",
    "25",
    "-refs",
    "6",
)


def cut_at_a_key_frame(path: Path, *codec: str, count: int = 50) -> Path:
    """A transport stream from its third place on at which a reader may begin (random_access_indicator)."""
    content = numbered_video(path, *codec, count=count).read_bytes()
    packets = [content[at : at + PACKET] for at in range(0, len(content), PACKET)]
    tables = [packet for packet in packets if packet[1] & 0x1F != 1][:3]
    entries = [
        number
        for number, packet in enumerate(packets)
        if packet[1] & 0x1F == 1 and packet[2] == 0 and packet[3] & 0x20 and packet[4] and packet[5] & 0x40
    ]
    path.write_bytes(b"".join([*tables, *packets[entries[2] :]]))
    return path


@pytest.mark.parametrize("codec", [MPEG2, OPEN_HEVC, OPEN_H264])
def test_clip_that_begins_in_an_open_group_begins_with_the_first_frame_that_decodes(
    tmp_path: Path, codec: tuple[str, ...]
) -> None:
    path = cut_at_a_key_frame(tmp_path / "a.ts", *codec)
    frames = taken(path, frame_interval_s=0.04)
    first = number_of(frames[0])
    assert [number_of(frame) for frame in frames] == list(range(first, 50))
    assert [frame.time_ms for frame in frames] == [40.0 * number for number in range(50 - first)]
    with pytest.raises(OptionRefused, match="open group"):
        plan_media(path, NATIVE, SETTINGS)
    clip = opened(path, TRANSCODE)
    assert len(clip.times_ms) == 50 - first
    assert number_of(taken(clip.path)[0]) == first


@pytest.mark.parametrize("mode", VideoMode)
def test_clip_that_cannot_be_decoded_from_its_beginning_is_refused_when_planned(
    tmp_path: Path, mode: VideoMode
) -> None:
    path = cut_at_a_key_frame(tmp_path / "a.ts", *UNDECODABLE, count=100)
    with pytest.raises(MediaDamaged, match="open group") as refusal:
        plan_media(path, Options(video_mode=mode), SETTINGS)
    assert refusal.value.next_step == "Save it anew as MP4 with another program."


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_two_fields_are_one_frame(tmp_path: Path, suffix: str) -> None:
    stream, path = tmp_path / "a.h264", tmp_path / f"a{suffix}"
    stream.write_bytes(numbered_fields(12))
    ffmpeg("-r", "50", "-i", stream, "-c", "copy", path)
    options = Options(video_mode=VideoMode.CINE, frame_interval_s=0.001)
    pictures = open_media(path, options, SETTINGS, tmp_path)
    assert isinstance(pictures, Pictures)
    assert pictures.times_ms == tuple(40.0 * number for number in range(12))
    assert [number_of(frame) for frame in taken(path, frame_interval_s=0.001)] == list(range(12))
    with pytest.raises(OptionRefused, match="two fields"):
        plan_media(path, NATIVE, SETTINGS)
    clip = opened(path, TRANSCODE)
    assert clip.times_ms == pictures.times_ms
    assert [number_of(frame) for frame in taken(clip.path, frame_interval_s=0.2)] == [0, 5, 10]


def test_frames_as_close_as_fields_are_not_taken_for_them(tmp_path: Path) -> None:
    interlaced = ("-bf", "0", "-flags", "+ilme+ildct", "-x264-params", "tff=1")
    path = numbered_video(tmp_path / "a.mkv", *HIGH, *interlaced, "-bsf:v", "setts=ts=TS/2", count=30)
    with pytest.raises(MediaUnsupported, match="when each frame"):
        plan_media(path, Options(), SETTINGS)


def test_avi_with_two_frames_in_one_is_refused_when_planned(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.avi", "-c:v", "mpeg4", "-bf", "1", count=5)
    content = path.read_bytes()
    at = content.index(b"\0\0\1\xb2Lavc") + 4
    path.write_bytes(content[:at] + b"DivX503b139p" + content[at + 12 :])
    for mode in (VideoMode.FRAMES, VideoMode.TRANSCODE):
        with pytest.raises(MediaUnsupported, match="packed B-frames"):
            plan_media(path, Options(video_mode=mode), SETTINGS)
