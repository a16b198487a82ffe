"""Videos: the right frames at the right instants with the right colours, or a refusal with its reason."""

from __future__ import annotations

import os
import subprocess
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported, OptionRefused, ProgramFailed
from media2dicom.media import open_media, plan_media
from media2dicom.media.containers import container_of
from media2dicom.media.ffmpeg import running_ffmpeg
from media2dicom.media.payload import Picture, Pictures
from media2dicom.media.sampling import Timeline, sampled_ticks
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from tests.real_media import ffmpeg, make_video, real_video

SETTINGS = Settings()
EXACT = "flags=bicubic+accurate_rnd+full_chroma_int"  # of swscale: its fast way is some levels off
QUICK = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast")


def opened(path: Path, options: Options | None = None, settings: Settings = SETTINGS) -> Pictures:
    payload = open_media(path, options or Options(), settings, path.parent)
    assert isinstance(payload, Pictures)
    return payload


def taken(path: Path, options: Options | None = None) -> list[Picture]:
    pictures = opened(path, options)
    with pictures.open() as frames:
        taken = list(frames)
    assert tuple(frame.time_ms for frame in taken) == pictures.times_ms
    assert len(taken) == pictures.count == plan_media(path, options or Options(), SETTINGS).frames
    return taken


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    assert picture.pixels is not None
    assert picture.pixels.dtype == np.uint8
    return picture.pixels  # type: ignore[return-value]


def all_frames(path: Path, rows: int, columns: int, matrix: str = "bt601") -> NDArray[np.uint8]:
    """A full decode of every displayed frame, the peer to compare with."""
    raw = ffmpeg(
        *("-i", path, "-map", "0:V:0", "-fps_mode", "passthrough", "-vf", f"scale=in_color_matrix={matrix}:{EXACT}"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
    )
    return np.frombuffer(raw, np.uint8).reshape(-1, rows, columns, 3)


def test_log_that_is_not_understood_ends_the_decoding(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    make_video(path)
    ended = threading.Event()

    def on_line(line: str) -> None:
        raise ValueError(line)

    nowhere = ["-f", "null", "-"]
    with running_ffmpeg(
        path, container_of(path), nowhere, on_line=on_line, on_end=ended.set, max_pixels=10_000
    ) as running:
        assert ended.wait(20)
        with pytest.raises(ProgramFailed, match="log"):
            running.finish()


@pytest.mark.parametrize(
    ("name", "rate", "matrix"),
    [("bikes.mp4", Fraction(25), "bt601"), ("carphone_pristine.mp4", Fraction(30_000, 1001), "bt601")],
)
def test_frames_of_a_real_clip_are_those_on_display_at_each_instant(name: str, rate: Fraction, matrix: str) -> None:
    path = real_video(name)
    frames = taken(path, Options(frame_interval_s=0.7))
    rows, columns = frames[0].rows, frames[0].columns
    everything = all_frames(path, rows, columns, matrix)
    for k, frame in enumerate(frames):
        number = int(k * Fraction(7, 10) * rate)
        assert frame.time_ms == round(float(number / rate * 1000), 3)
        np.testing.assert_array_equal(pixels_of(frame), everything[number])
    assert int(len(frames) * Fraction(7, 10) * rate) >= len(everything)


CLIPS = {
    "b frames": ["-bf", "3", "-g", "12"],
    "open groups": ["-bf", "3", "-g", "10", "-x264-params", "open-gop=1"],
    "late start": ["-output_ts_offset", "7.3"],
    "fragments": ["-movflags", "frag_keyframe+empty_moov"],
    "index in front": ["-movflags", "+faststart"],
    "no edit list": ["-use_editlist", "0"],
}


@pytest.mark.parametrize("name", CLIPS)
def test_instants_are_right_however_the_clip_is_made(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / "clip.mp4", rate="30000/1001", extra=CLIPS[name])
    everything = all_frames(path, 48, 64)
    frames = taken(path)
    assert [frame.time_ms for frame in frames] == [0.0, 967.633, 1968.633, 2969.633, 3970.633]
    for frame, number in zip(frames, (0, 29, 59, 89, 119), strict=True):
        np.testing.assert_array_equal(pixels_of(frame), everything[number])


def test_clip_cut_by_an_edit_list_begins_at_its_first_displayed_frame(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", rate="10", extra=["-bf", "2", "-g", "20"])
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", "1.25", "-i", whole, "-c", "copy", cut)
    everything = all_frames(cut, 48, 64)
    assert len(everything) < 40 - 10
    frames = taken(cut, Options(frame_interval_s=0.5))
    for frame in frames:
        np.testing.assert_array_equal(pixels_of(frame), everything[round((frame.time_ms or 0) / 100)])
    assert frames[0].time_ms == 0


def test_variable_frame_rate_takes_the_frame_on_display(tmp_path: Path) -> None:
    path = tmp_path / "variable.mp4"
    keep = "select='not(between(n,3,17))*not(between(n,25,31))'"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=4", "-vf", keep, "-fps_mode", "vfr"),
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", path),
    )
    at = [k * 0.4 for k in range(10)]
    shown = [0, 1, 2, *range(18, 25), *range(32, 40)]
    wanted = [max(number for number in shown if number / 10 <= instant + 1e-9) * 100 for instant in at]
    assert [frame.time_ms for frame in taken(path, Options(frame_interval_s=0.4))] == sorted(set(wanted))


def test_frames_closer_together_than_the_nominal_rate_all_come(tmp_path: Path) -> None:
    path = tmp_path / "bursts.mp4"
    ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=64x48:rate=10:duration=4",
            "-vf",
            "settb=1/1000,setpts='100*N-99*mod(N,5)'",
        ),
        *("-fps_mode", "vfr", "-enc_time_base", "1/1000", "-c:v", "libx264", "-bf", "0", "-use_editlist", "0", path),
    )
    bursts = [float(500 * burst + frame) for burst in range(8) for frame in range(5)]
    assert [frame.time_ms for frame in taken(path, Options(frame_interval_s=0.0001))] == bursts


def test_interval_shorter_than_the_frames_takes_each_frame_once(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", seconds=1)
    assert [frame.time_ms for frame in taken(path, Options(frame_interval_s=0.001))] == [k * 100.0 for k in range(10)]


def test_start_end_and_max_frames_bound_the_samples(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", seconds=4)

    def times(**options: float | int) -> list[float | None]:
        return [frame.time_ms for frame in taken(path, Options(**options))]  # type: ignore[arg-type]

    assert times(start_s=0.5) == [500, 1500, 2500, 3500]
    assert times(start_s=0.5, end_s=2.5) == [500, 1500, 2500]
    assert times(end_s=99.0) == [0, 1000, 2000, 3000]
    assert times(max_frames=2) == [0, 1000]
    assert "max_frames" in plan_media(path, Options(max_frames=2), SETTINGS).warnings[0]
    with pytest.raises(OptionRefused, match=r"lasts 4\.000 s"):
        opened(path, Options(start_s=4.0))


def test_samples_of_a_day_do_not_drift() -> None:
    timeline = Timeline(Fraction(1, 30_000), range(0, 1001 * 2_589_410, 1001), 1001 * 2_589_410)
    ticks = list(sampled_ticks(timeline, 10.0, 0.0, None))
    assert len(ticks) == 8_640
    assert all(0 <= k * 300_000 - tick < 1001 for k, tick in enumerate(ticks))


def test_five_thousand_frames_are_picked_in_one_pass(tmp_path: Path) -> None:
    path = make_video(tmp_path / "long.mp4", seconds=1000, size="16x16", source="testsrc", codec=QUICK)
    pictures = opened(path, Options(frame_interval_s=0.2))
    with pictures.open() as frames:
        times = [frame.time_ms for frame in frames]
    assert times == [k * 200.0 for k in range(5000)]


@pytest.mark.parametrize(
    ("size", "flags", "matrix"),
    [
        ("128x112", ["-colorspace", "bt709", "-color_range", "tv"], "bt709"),
        ("128x112", ["-colorspace", "smpte170m", "-color_range", "pc"], "bt601"),
        ("128x720", [], "bt709"),
        ("128x576", [], "bt601"),
    ],
)
def test_colour_follows_the_declared_matrix_and_range(tmp_path: Path, size: str, flags: list[str], matrix: str) -> None:
    path = tmp_path / "red.mp4"
    out_range = "pc" if "pc" in flags else "tv"
    convert = f"scale={EXACT}:out_color_matrix={matrix}:out_range={out_range},format=yuv420p"
    ffmpeg(
        *("-f", "lavfi", "-i", f"color=0xC82A64:size={size}:rate=5:duration=1,format=rgb24", "-vf", convert),
        *("-c:v", "libx264", "-qp", "4", *flags, path),
    )
    middle = pixels_of(taken(path)[0])[100, 100].astype(int)
    assert abs(middle - [0xC8, 0x2A, 0x64]).max() <= 3


def test_rotation_of_the_camera_is_applied(tmp_path: Path) -> None:
    upright = make_video(tmp_path / "upright.mp4", seconds=1)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", upright, "-c", "copy", turned)
    plan = plan_media(turned, Options(), SETTINGS)
    frame = taken(turned)[0]
    assert (plan.rows, plan.columns) == (frame.rows, frame.columns) == (64, 48)
    difference = pixels_of(frame).astype(int) - np.rot90(pixels_of(taken(upright)[0]))
    assert abs(difference).mean() < 3


def test_pixels_that_are_not_square_are_said_to_be_so(tmp_path: Path) -> None:
    path = make_video(tmp_path / "wide.mp4", seconds=1, extra=["-vf", "setsar=16/15"])
    assert taken(path)[0].pixel_aspect_ratio == (15, 16)
    assert "square" in plan_media(path, Options(), SETTINGS).warnings[0]


@pytest.mark.parametrize(
    ("codec", "method"),
    [
        (("-c:v", "libx264", "-pix_fmt", "yuv420p"), "ISO_14496_10"),
        (("-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none"), "ISO_23008_2"),
        (("-c:v", "mpeg4"), "ISO_14496_2"),
        (("-c:v", "mpeg2video"), "ISO_13818_2"),
        (("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), "ISO_10918_1"),
    ],
)
def test_history_of_compression_is_told_by_the_codec(tmp_path: Path, codec: tuple[str, ...], method: str) -> None:
    path = make_video(tmp_path / "clip.mov", seconds=2, rate="25", codec=codec)
    history = taken(path)[0].lossy
    assert history is not None
    assert history.method == method
    assert 64 * 48 * 3 * 50 / path.stat().st_size < history.ratio < 500


def test_sound_cover_and_data_streams_are_passed_over(tmp_path: Path) -> None:
    cover = tmp_path / "cover.jpg"
    ffmpeg("-f", "lavfi", "-i", "color=blue:size=320x200", "-frames:v", "1", cover)
    video = make_video(tmp_path / "video.mp4", seconds=2)
    path = tmp_path / "rich.mp4"
    ffmpeg(
        *("-i", cover, "-f", "lavfi", "-i", "sine=duration=2", "-i", video, "-map", "0", "-map", "1", "-map", "2"),
        *("-c", "copy", "-c:a", "aac", "-disposition:v:0", "attached_pic", path),
    )
    assert [(frame.rows, frame.columns) for frame in taken(path)] == [(48, 64)] * 2


def test_cine_is_one_instance_of_all_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    plan = plan_media(path, Options(video_mode=VideoMode.CINE), SETTINGS)
    assert (plan.instances, plan.frames) == (1, 4)
    assert opened(path, Options(video_mode=VideoMode.CINE)).cine
    assert plan_media(path, Options(), SETTINGS).instances == 4


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("-movflags", "+faststart"), ("-movflags", "frag_keyframe+empty_moov")])
@pytest.mark.parametrize("part", [0.35, 0.6, 0.95])
def test_clip_that_was_cut_off_is_damaged(tmp_path: Path, flags: tuple[str, ...], part: float) -> None:
    whole = make_video(tmp_path / "whole.mp4", extra=flags).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(MediaDamaged):
        taken(path)


def test_rot_within_the_clip_is_an_error_not_fewer_frames(tmp_path: Path) -> None:
    content = bytearray(real_video("carphone_pristine.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20_000] = np.random.default_rng(1).bytes(20_000)
    path = tmp_path / "rotten.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaDamaged):
        taken(path, Options(frame_interval_s=0.01))


def test_playlist_named_mp4_opens_no_other_file(tmp_path: Path) -> None:
    other = make_video(tmp_path / "other.mp4", seconds=1)
    path = tmp_path / "playlist.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {other.name}\n")
    with pytest.raises(MediaUnsupported):
        opened(path)


def test_clip_whose_frames_change_size_is_refused(tmp_path: Path) -> None:
    small = make_video(tmp_path / "small.h264", seconds=2, extra=["-bf", "0"])
    large = make_video(tmp_path / "large.h264", seconds=2, size="128x96", extra=["-bf", "0"])
    both, path = tmp_path / "both.h264", tmp_path / "both.mp4"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    ffmpeg("-r", "10", "-i", both, "-c", "copy", path)
    with pytest.raises(MediaUnsupported, match="size"):
        taken(path)


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", path)
    with pytest.raises(MediaUnsupported, match="no video"):
        opened(path)


def test_limits_of_frames_hours_and_pixels_hold(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    with pytest.raises(MediaTooLarge, match="3 frames"):
        opened(path, settings=Settings(max_video_frames=3))
    with pytest.raises(MediaTooLarge, match="hours"):
        opened(path, settings=Settings(max_video_hours=3 / 3600))
    with pytest.raises(MediaTooLarge, match="pixels"):
        opened(path, settings=Settings(max_pixels=64 * 48 - 1))
    assert opened(path, Options(max_frames=3), Settings(max_video_frames=3)).count == 3


def children() -> set[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=True
    ).stdout
    return {int(line.split()[0]) for line in listed.splitlines() if "ffmpeg" in line}


@pytest.fixture
def long_clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "long.mp4", seconds=6, size="320x240", codec=QUICK)


def test_decoder_is_stopped_when_the_pictures_are_left_early(long_clip: Path) -> None:
    with opened(long_clip, Options(frame_interval_s=0.1)).open() as frames:
        next(frames)
        assert children()
    assert not children()


def test_decoder_is_stopped_when_the_work_on_a_picture_fails(long_clip: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(long_clip, Options(frame_interval_s=0.1)).open() as frames:  # noqa: PT012
        next(frames)
        raise ZeroDivisionError
    assert not children()
