"""What is taken from a file and what is told of it: its own stream's form, never a text that looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from media2dicom.errors import MediaDamaged, MediaUnsupported, OptionRefused, ProgramFailed
from media2dicom.media import open_media, plan_media
from media2dicom.media.containers import container_of
from media2dicom.media.ffmpeg import PixelFormat, pixel_format
from media2dicom.media.ffmpeg_log import InputStreams, log_line
from media2dicom.media.packets import list_packets
from media2dicom.media.payload import Pictures
from media2dicom.media.sampling import Timeline, usual_rate
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from tests.media.numbered import number_of, numbered_video
from tests.media.test_clip import HEVC, HIGH, MPEG2, NATIVE, TRANSCODE, opened
from tests.media.test_containers import taken
from tests.real_media import ffmpeg, make_video

SETTINGS = Settings()
INPUT = "[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:a.mp4':"
FIRST = "[info]   Stream #0:0[0x1](und): Video: h264 (High) (avc1 / 0x31637661), yuv420p({}), 256x128, 25 fps (default)"


def read(*lines: str) -> InputStreams:
    found = InputStreams()
    for line in map(log_line, lines):
        if line is not None:
            found.take(line)
    return found


# --- ffmpeg's log, in which the file's texts stand too -------------------------------------------------------------


def test_only_ffmpeg_itself_tells_of_a_fault() -> None:
    fault = log_line("[in#0/mov @ 0x1f] [h264 @ 0xabc0] [error] Invalid NAL unit size")
    assert fault is not None
    assert (fault.speaker, fault.is_severe, fault.text) == ("h264", True, "Invalid NAL unit size")
    for line in ("[info]     title           : [error] DOE^JOHN", "[info] [error] DOE^JOHN"):
        told = log_line(line)
        assert told is not None
        assert not told.is_severe
    assert log_line("                    : [error] DOE^JOHN") is None  # a title of two lines


def test_only_the_form_of_a_stream_tells_of_it() -> None:
    texts = (
        "[info]     title           : displaymatrix: rotation of 90.00 degrees",
        "[info]     Stream #0:7: Video: h264, yuv420p, 16x16 (default)",
        "[info]         displaymatrix   : rotation of 90.00 degrees",
        "[info]         displaymatrix: rotation of 90.00 degrees: knee",
        "[info] Output #0, framecrc, to 'pipe:1':",
        "[info]   Stream #0:0: Video: h264, yuv420p, 16x16",
        "[info]         displaymatrix: rotation of 90.00 degrees",
    )
    (stream,) = read(INPUT, FIRST.format("tv"), *texts).streams
    assert not stream.has_display_matrix
    (turned,) = read(INPUT, FIRST.format("tv"), "[info]         displaymatrix: rotation of -90.00 degrees").streams
    assert turned.quarter_turn


@pytest.mark.parametrize(
    ("remarks", "tells_matrix", "full", "dynamic", "interlaced"),
    [
        ("tv, unknown/bt709/bt709, progressive", False, False, False, False),
        ("tv, bt709, top coded first (swapped)", True, False, False, True),
        ("pc, bt470bg/unknown/unknown", True, True, False, False),
        ("tv, bt2020nc/bt2020/smpte2084, bottom first", True, False, True, True),
        ("progressive", False, False, False, False),
    ],
)
def test_colours_and_fields_are_read_from_the_streams_own_remarks(
    remarks: str, tells_matrix: bool, full: bool, dynamic: bool, interlaced: bool
) -> None:
    (stream,) = read(INPUT, FIRST.format(remarks)).streams
    found = (stream.tells_matrix, stream.is_full_range, stream.has_high_dynamic_range, stream.is_interlaced)
    assert found == (tells_matrix, full, dynamic, interlaced)
    assert (stream.pixel_format, stream.is_default) == ("yuv420p", True)


def test_pixel_formats_tell_their_depth_and_transparency() -> None:
    assert pixel_format("yuv420p") == PixelFormat(8, has_alpha=False)
    assert pixel_format("yuva444p12le") == PixelFormat(12, has_alpha=True)
    assert pixel_format("gray16le") == PixelFormat(16, has_alpha=False)
    assert pixel_format("rgb565le") == PixelFormat(6, has_alpha=False)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_title_that_looks_like_a_fault_reaches_no_message(tmp_path: Path, suffix: str) -> None:
    titled = ("-metadata", "title=[error] DOE^JOHN 19700101")
    path = make_video(tmp_path / f"a{suffix}", size="320x240", extra=titled)
    content = bytearray(path.read_bytes())
    at = len(content) * 6 // 10
    content[at : at + 8000] = np.random.default_rng(1).bytes(8000)
    path.write_bytes(content)
    with pytest.raises(MediaDamaged) as damage:
        taken(path, frame_interval_s=0.1)
    assert "DOE" not in damage.value.message


def test_title_that_looks_like_a_rotation_turns_nothing(tmp_path: Path) -> None:
    titled = ("-metadata", "title=displaymatrix: rotation of 90 degrees")
    path = numbered_video(tmp_path / "a.mp4", *HIGH, *titled, count=5)
    assert (opened(path).rows, opened(path).columns) == (128, 256)


def test_video_in_a_language_of_no_list_is_read(tmp_path: Path) -> None:
    language = ("-metadata:s:v", "language=a (b)")
    assert [number_of(frame) for frame in taken(numbered_video(tmp_path / "a.mkv", *HIGH, *language))] == [0, 25]


def test_video_that_ffmpeg_does_not_describe_is_refused(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.mkv", *HIGH, "-metadata:s:v", "language=a\nb", count=5)
    with pytest.raises(ProgramFailed, match="log cannot be understood"):
        plan_media(path, Options(), SETTINGS)


# --- several videos in a file --------------------------------------------------------------------------------------


def joined(path: Path, videos: Sequence[Path], *options: str) -> Path:
    inputs = (part for video in videos for part in ("-i", video))
    maps = (part for number in range(len(videos)) for part in ("-map", f"{number}:v"))
    ffmpeg(*inputs, *maps, "-c", "copy", *options, path)
    return path


@pytest.mark.parametrize("file_name", ["a.mp4", "a.mkv"])
def test_video_marked_as_the_default_is_filed_and_the_others_are_told(tmp_path: Path, file_name: str) -> None:
    small = numbered_video(tmp_path / "small.mp4", *HIGH, "-s", "128x64", count=5)
    video = numbered_video(tmp_path / "video.mp4", *HIGH, count=30)
    path = joined(tmp_path / file_name, (small, video), "-disposition:v:0", "0", "-disposition:v:1", "default")
    assert [number_of(frame) for frame in taken(path, frame_interval_s=0.4)] == [0, 10, 20]
    for mode in VideoMode:
        plan = plan_media(path, Options(video_mode=mode), SETTINGS)
        assert "The file holds 2 videos: number 2 is filed, the others are left out." in plan.warnings
        assert (plan.rows, plan.columns) == (128, 256)
    assert len(opened(path).times_ms) == 30


def test_first_video_is_filed_where_none_alone_is_the_default(tmp_path: Path) -> None:
    video = numbered_video(tmp_path / "video.mp4", *HIGH, count=30)
    other = numbered_video(tmp_path / "other.mp4", *HIGH, "-s", "128x64", count=5)
    ffmpeg("-display_rotation", "90", "-i", other, "-c", "copy", tmp_path / "turned.mp4")
    path = joined(tmp_path / "a.mp4", (video, tmp_path / "turned.mp4"))
    assert [number_of(frame) for frame in taken(path, frame_interval_s=0.4)] == [0, 10, 20]
    assert (opened(path).rows, opened(path).columns) == (128, 256)
    assert "number 1 is filed" in plan_media(path, Options(), SETTINGS).warnings[0]


@pytest.mark.parametrize("file_name", ["a.mov", "a.mkv"])
def test_still_picture_gives_way_to_the_video(tmp_path: Path, file_name: str) -> None:
    still = make_video(tmp_path / "still.mov", seconds=0.1, codec=("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"))
    video = numbered_video(tmp_path / "video.mp4", *HIGH, count=30)
    path = joined(tmp_path / file_name, (still, video), "-disposition:v:0", "default", "-disposition:v:1", "0")
    assert [number_of(frame) for frame in taken(path, frame_interval_s=0.4)] == [0, 10, 20]
    assert "number 2 is filed" in plan_media(path, Options(), SETTINGS).warnings[0]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi", ".mpg"])
def test_sound_alone_is_no_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sound{suffix}"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.5", "-c:a", "mp2", path)
    with pytest.raises(MediaUnsupported, match="no video"):
        plan_media(path, Options(), SETTINGS)


# --- colours and depth ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_primaries_alone_do_not_tell_the_matrix(tmp_path: Path, suffix: str) -> None:
    source = ("-f", "lavfi", "-i", "color=0x1EBE3C:size=64x720:rate=5:duration=0.4", "-c:v", "libx264")
    plain, told = tmp_path / f"plain{suffix}", tmp_path / f"told{suffix}"
    marked = "h264_metadata=colour_primaries=1:transfer_characteristics=1:matrix_coefficients={}"
    ffmpeg(*source, "-pix_fmt", "yuv420p", "-bsf:v", marked.format(2), told)
    ffmpeg(*source, "-pix_fmt", "yuv420p", "-bsf:v", marked.format(1), plain)
    pixels, same = (taken(path)[0].pixels for path in (told, plain))
    assert pixels is not None
    assert same is not None
    np.testing.assert_array_equal(pixels, same)


@pytest.mark.parametrize(("form", "bits"), [("gray16le", 16), ("gbrp10le", 10)])
def test_lossless_depth_is_refused_not_reduced_in_silence(tmp_path: Path, form: str, bits: int) -> None:
    path = make_video(tmp_path / "a.mkv", seconds=0.4, codec=("-c:v", "ffv1", "-pix_fmt", form))
    for mode in (VideoMode.FRAMES, VideoMode.CINE):
        with pytest.raises(MediaUnsupported, match=f"{bits} bits a sample"):
            plan_media(path, Options(video_mode=mode), SETTINGS)
    assert any(f"{bits} bits" in warning for warning in plan_media(path, TRANSCODE, SETTINGS).warnings)


def test_depth_and_transparency_that_are_lost_are_told(tmp_path: Path) -> None:
    deep = make_video(tmp_path / "a.mov", seconds=0.4, codec=("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"))
    assert plan_media(deep, Options(), SETTINGS).warnings == ("The video has 10 bits a sample: 8 of them are filed.",)
    clear = make_video(tmp_path / "b.mov", seconds=0.4, codec=("-c:v", "qtrle", "-pix_fmt", "argb"))
    assert "transparent" in plan_media(clear, Options(), SETTINGS).warnings[0]


# --- the form of a kept stream -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "first", "then", "suffix"),
    [
        ("h264", HIGH, (*HIGH, "-level", "5.1"), ".mp4"),
        ("h264", HIGH, (*HIGH, "-flags", "+ilme+ildct"), ".mkv"),
        ("h264", HIGH, (*HIGH, "-pix_fmt", "yuv420p10le"), ".ts"),
        ("hevc", HEVC, (*HEVC[:3], "yuv422p", *HEVC[4:]), ".mp4"),
        ("mpeg2video", MPEG2, (*MPEG2, "-pix_fmt", "yuv422p"), ".mp4"),
    ],
)
def test_stream_whose_form_changes_within_the_clip_is_not_kept(
    tmp_path: Path, codec: str, first: tuple[str, ...], then: tuple[str, ...], suffix: str
) -> None:
    parts = [
        numbered_video(tmp_path / f"{name}.{codec[:4]}", *how, "-bf", "0", "-f", codec, count=5)
        for name, how in (("first", first), ("then", then))
    ]
    both, path = tmp_path / "both", tmp_path / f"a{suffix}"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    demuxer = "mpegvideo" if codec == "mpeg2video" else codec
    ffmpeg("-fflags", "+genpts", "-r", "25", "-f", demuxer, "-i", both, "-c", "copy", path)
    with pytest.raises(OptionRefused, match="changes within the clip"):
        plan_media(path, NATIVE, SETTINGS)


def test_stream_that_begins_with_a_short_frame_is_kept(tmp_path: Path) -> None:
    black = ("-f", "lavfi", "-i", "color=black:size=1280x720:rate=25:duration=0.2")
    path = tmp_path / "a.mp4"
    ffmpeg(*black, *HEVC[:-1], "log-level=none:info=0", path)
    content = path.read_bytes()
    assert content[content.index(b"mdat") + 4 :][:3] == b"\0\0\1"  # its length looks like a start code
    assert len(opened(path).times_ms) == 5


# --- times ---------------------------------------------------------------------------------------------------------


def test_frames_left_out_are_seen_though_the_containers_ticks_are_coarse(tmp_path: Path) -> None:
    kept = [0, 1, 2, 3, 4, *range(6, 12)]
    select = "select='not(eq(n,5))'"
    path = numbered_video(tmp_path / "a.avi", "-vf", select, "-fps_mode", "vfr", "-c:v", "mjpeg", count=12)
    options = Options(video_mode=VideoMode.CINE, frame_interval_s=0.001)
    pictures = open_media(path, options, SETTINGS, tmp_path)
    assert isinstance(pictures, Pictures)
    assert pictures.times_ms == tuple(40.0 * number for number in kept)


def test_only_rounding_to_fine_ticks_is_evened_out() -> None:
    def evened(ticks_a_second: int, ticks: Sequence[int]) -> tuple[float, ...]:
        timeline = Timeline(Fraction(1, ticks_a_second), ticks, ticks[-1] + 1)
        return timeline.evened_ms(tuple(timeline.time_ms(tick) for tick in ticks))

    assert evened(1, [0, 1, 2, 4, 5]) == (0, 1000, 2000, 4000, 5000)
    assert evened(1000, [0, 33, 67, 100]) == (0, 33.333, 66.667, 100)
    assert evened(1000, [0, 8, 17, 25]) == (0, 8.333, 16.667, 25)
    assert evened(1000, [0, 33, 100, 133]) == (0, 33, 100, 133)


def behind_its_sound(path: Path, *codec: str) -> Path:
    """50 frames, uneven ones, that begin 2 s after the sound."""
    video = numbered_video(path.with_name("video.mkv"), *codec)
    sound = ("-f", "lavfi", "-i", "sine=duration=4")
    ffmpeg(*sound, "-itsoffset", "2", "-i", video, "-map", "1:v", "-map", "0:a", "-c:v", "copy", "-c:a", "aac", path)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_kept_clip_begins_with_its_video_not_with_its_sound(tmp_path: Path, suffix: str) -> None:
    clip = opened(behind_its_sound(tmp_path / f"a{suffix}", *HIGH))
    assert clip.times_ms == tuple(40.0 * number for number in range(50))
    assert min(list_packets(clip.path, container_of(clip.path), SETTINGS).displayed) == 0
    assert number_of(taken(clip.path)[0]) == 0


@pytest.mark.parametrize("uneven", [(), ("-vf", "select='not(between(n,30,39))'", "-fps_mode", "vfr")])
def test_clip_coded_anew_begins_with_its_video_not_with_its_sound(tmp_path: Path, uneven: tuple[str, ...]) -> None:
    path = behind_its_sound(tmp_path / "a.mp4", *uneven, *HIGH, "-profile:v", "main")
    clip = opened(path, TRANSCODE)
    assert clip.times_ms == tuple(40.0 * number for number in range(50))
    assert plan_media(path, TRANSCODE, SETTINGS).frames == 50
    shown = [number_of(frame) for frame in taken(clip.path, frame_interval_s=0.2)]
    assert shown == [0, 5, 10, 15, 20, 25, 29 if uneven else 30, 29 if uneven else 35, 40, 45]
    assert min(list_packets(clip.path, container_of(clip.path), SETTINGS).displayed) == 0


@pytest.mark.parametrize("rate", ["30000/1001", "30", "24000/1001", "60"])
def test_rate_of_an_uneven_clip_is_the_usual_one_though_its_times_are_rounded(rate: str) -> None:
    times = [float(round(1000 * number / Fraction(rate))) for number in range(250) if number not in (50, 51, 120)]
    assert usual_rate(times, 1) == Fraction(rate)
    assert usual_rate([0, 70, 140, 300], 0.01) == Fraction(1000, 70)
    assert usual_rate([0, 40, 80, 160, 200], 40) == 25  # of AVI: a tick is a frame
