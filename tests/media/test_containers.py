"""Every container and codec that is read: the frame on display at each instant, or a refusal with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media import media_type_of, open_media, plan_media
from media2dicom.media.payload import Picture, Pictures
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from tests.media.numbered import RATE, number_of, numbered_video
from tests.real_media import ffmpeg

SETTINGS = Settings()
H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-bf", "3", "-g", "12")
H264_WITHOUT_B = (*H264[:6], "-bf", "0")
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4")
DNXHR = ("-c:v", "dnxhd", "-profile:v", "dnxhr_sq", "-pix_fmt", "yuv422p")

CLIPS: dict[str, tuple[str, tuple[str, ...], str | None]] = {
    "MP4": ("a.mp4", H264, "ISO_14496_10"),
    "MP4, MPEG-4 Part 2": ("a.mp4", ("-c:v", "mpeg4", "-bf", "2"), "ISO_14496_2"),
    "QuickTime": ("a.mov", H264, "ISO_14496_10"),
    "QuickTime, ProRes": ("a.mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"), "SMPTE_RDD_36"),
    "QuickTime, DNxHR": ("a.mov", DNXHR, "SMPTE_ST_2019_1"),
    "Matroska": ("a.mkv", H264, "ISO_14496_10"),
    "Matroska, FFV1": ("a.mkv", ("-c:v", "ffv1"), None),
    "Matroska, AV1": ("a.mkv", ("-c:v", "libaom-av1", "-cpu-used", "8", "-b:v", "1M"), "AV1"),
    "WebM, VP8": (
        "a.webm",
        ("-c:v", "libvpx", "-b:v", "1M", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-cpu-used", "5"),
        "RFC_6386",
    ),
    "WebM, VP9": ("a.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-b:v", "1M"), "VP9"),
    "AVI, Motion JPEG": ("a.avi", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p"), "ISO_10918_1"),
    "AVI, MPEG-4 Part 2 with B-frames": ("a.avi", ("-c:v", "mpeg4", "-bf", "2"), "ISO_14496_2"),
    "AVI, H.264 without B-frames": ("a.avi", H264_WITHOUT_B, "ISO_14496_10"),
    "AVI, uncompressed": ("a.avi", ("-c:v", "rawvideo", "-pix_fmt", "bgr24"), None),
    "program stream, MPEG-2": ("a.mpg", MPEG2, "ISO_13818_2"),
    "program stream, MPEG-1": ("a.mpeg", ("-c:v", "mpeg1video", "-bf", "2", "-q:v", "4"), "ISO_11172_2"),
    "DVD": ("a.vob", MPEG2, "ISO_13818_2"),
    "transport stream": ("a.ts", H264, "ISO_14496_10"),
    "transport stream, MPEG-2": ("a.ts", MPEG2, "ISO_13818_2"),
    "transport stream of a camcorder": ("a.m2ts", (*H264, "-mpegts_m2ts_mode", "1"), "ISO_14496_10"),
}


def taken(path: Path, **options: float | int) -> list[Picture]:
    wanted = Options(**options)  # type: ignore[arg-type]
    pictures = open_media(path, wanted, SETTINGS, path.parent)
    assert isinstance(pictures, Pictures)
    with pictures.open() as frames:
        found = list(frames)
    assert len(found) == plan_media(path, wanted, SETTINGS).frames
    return found


@pytest.mark.parametrize("name", CLIPS)
def test_each_instant_gets_the_frame_on_display(tmp_path: Path, name: str) -> None:
    file_name, output, method = CLIPS[name]
    path = numbered_video(tmp_path / file_name, *output)
    frames = taken(path, frame_interval_s=0.35)
    numbers = [int(k * 0.35 * RATE + 1e-9) for k in range(6)]  # 2 s: the last instant is 1.75 s
    assert [number_of(frame) for frame in frames] == numbers
    assert [frame.time_ms for frame in frames] == [1000 * number / RATE for number in numbers]
    assert (frames[0].lossy.method if frames[0].lossy else None) == method


@pytest.mark.parametrize("file_name", ["a.mkv", "a.mp4", "a.mov"])
def test_uneven_frames_keep_their_own_times(tmp_path: Path, file_name: str) -> None:
    kept = [0, 1, 2, 9, 10, 24, 25, 26, 27, 49]
    chosen = "+".join(f"eq(n,{number})" for number in kept)
    path = numbered_video(tmp_path / file_name, "-vf", f"select='{chosen}'", "-fps_mode", "vfr", *H264)
    frames = taken(path, frame_interval_s=0.001)
    assert [number_of(frame) for frame in frames] == kept
    assert [frame.time_ms for frame in frames] == [1000 * number / RATE for number in kept]
    shown = taken(path, frame_interval_s=0.3)
    assert [number_of(frame) for frame in shown] == [0, 2, 10, 27]


def test_clip_cut_by_an_edit_list_begins_where_it_is_displayed(tmp_path: Path) -> None:
    whole = numbered_video(tmp_path / "whole.mp4", *H264)
    ffmpeg("-ss", "0.8", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    frames = taken(tmp_path / "cut.mp4", frame_interval_s=0.4)
    assert [number_of(frame) for frame in frames] == [20, 30, 40]
    assert [frame.time_ms for frame in frames] == [0, 400, 800]


@pytest.mark.parametrize("file_name", ["a.mp4", "a.mkv", "a.ts", "a.mpg"])
def test_clip_that_begins_late_counts_from_its_first_frame(tmp_path: Path, file_name: str) -> None:
    codec = MPEG2 if file_name == "a.mpg" else H264
    path = numbered_video(tmp_path / file_name, *codec, "-output_ts_offset", "7.4")
    frames = taken(path, start_s=0.4, frame_interval_s=0.8)
    assert [(number_of(frame), frame.time_ms) for frame in frames] == [(10, 400), (30, 1200)]


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotation_is_applied(tmp_path: Path, quarter_turns: int) -> None:
    upright = numbered_video(tmp_path / "upright.mp4", *H264)
    turned = tmp_path / "turned.mov"
    ffmpeg("-display_rotation", str(90 * quarter_turns), "-i", upright, "-c", "copy", turned)
    frames = taken(turned, frame_interval_s=1)
    plan = plan_media(turned, Options(), SETTINGS)
    sides = (128, 256) if quarter_turns == 2 else (256, 128)
    assert (plan.rows, plan.columns) == (frames[0].rows, frames[0].columns) == sides
    assert [number_of(frame, -quarter_turns) for frame in frames] == [0, 25]


@pytest.mark.parametrize("rate", ["30", "30000/1001", "24000/1001"])
def test_cine_of_a_constant_rate_has_it_though_the_container_rounds_times(tmp_path: Path, rate: str) -> None:
    path = numbered_video(tmp_path / "a.mkv", *H264, rate=rate)
    pictures = open_media(path, Options(video_mode=VideoMode.CINE, frame_interval_s=0.001), SETTINGS, tmp_path)
    assert isinstance(pictures, Pictures)
    above, _, below = rate.partition("/")
    period_ms = 1000 * int(below or 1) / int(above)
    assert pictures.times_ms == tuple(round(k * period_ms, 3) for k in range(50))


def test_transport_stream_is_read_without_the_names_of_its_service(tmp_path: Path) -> None:
    path = numbered_video(
        tmp_path / "a.ts", *H264, "-metadata", "service_name=DOE JANE", "-metadata", "service_provider=WARD 7"
    )
    assert b"DOE JANE" in path.read_bytes()
    assert [number_of(frame) for frame in taken(path)] == [0, 25]


def test_high_dynamic_range_is_warned_of(tmp_path: Path) -> None:
    colours = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    coder = ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-preset", "ultrafast", "-x265-params", "log-level=none")
    path = numbered_video(tmp_path / "a.mkv", *coder, *colours, count=5)
    assert any("dynamic range" in warning for warning in plan_media(path, Options(), SETTINGS).warnings)


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_name", ["a.mkv", "a.webm", "a.avi", "a.ts", "a.m2ts", "a.mov"])
@pytest.mark.parametrize("part", [0.4, 0.97])
def test_file_that_was_cut_off_is_damaged(tmp_path: Path, file_name: str, part: float) -> None:
    codec = ("-c:v", "libvpx", "-b:v", "1M", "-deadline", "realtime") if file_name == "a.webm" else H264_WITHOUT_B
    path = numbered_video(tmp_path / file_name, *codec)
    whole = path.read_bytes()
    cut = int(len(whole) * part)
    path.write_bytes(whole[: cut + (cut % 188 == 0 or cut % 192 == 0)])  # not between two packets
    with pytest.raises(MediaDamaged, match=r"cut off|damaged"):
        taken(path)


def test_avi_that_was_never_finished_is_damaged(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.avi", "-c:v", "mjpeg")
    content = bytearray(path.read_bytes())
    content[4:8] = bytes(4)
    path.write_bytes(content)
    with pytest.raises(MediaDamaged, match="never finished"):
        taken(path)


def test_transport_stream_out_of_step_is_damaged(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.ts", *H264)
    content = path.read_bytes()
    path.write_bytes(content[: 188 * 60] + content[188 * 60 + 7 :] + bytes(7))
    with pytest.raises(MediaDamaged, match="packet"):
        taken(path)


@pytest.mark.parametrize("file_name", ["a.ts", "a.mpg"])
def test_recording_that_begins_within_a_group_of_pictures_is_refused(tmp_path: Path, file_name: str) -> None:
    path = numbered_video(tmp_path / file_name, *(MPEG2 if file_name == "a.mpg" else H264))
    whole = path.read_bytes()
    at = len(whole) // 3 // 188 * 188
    if file_name == "a.mpg":
        path.write_bytes(whole[whole.index(b"\0\0\1\xba", at) :])
    else:
        path.write_bytes(whole[: 3 * 188] + whole[at:])  # with its tables
    with pytest.raises(MediaDamaged, match=r"begins within|Invalid frame dimensions"):
        taken(path)


@pytest.mark.parametrize("file_name", ["a.ts", "a.mpg"])
def test_recordings_that_were_joined_are_refused(tmp_path: Path, file_name: str) -> None:
    codec = MPEG2 if file_name == "a.mpg" else H264
    late = numbered_video(tmp_path / f"late-{file_name}", *codec, "-output_ts_offset", "60").read_bytes()
    path = numbered_video(tmp_path / file_name, *codec)
    early = path.read_bytes()
    for joined in (late + early, early + late):
        path.write_bytes(joined)
        with pytest.raises((MediaUnsupported, MediaDamaged), match=r"clock|corrupt input packet"):
            taken(path)


def test_avi_that_does_not_tell_when_frames_are_displayed_is_refused(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.avi", *H264)
    with pytest.raises(MediaUnsupported, match="when each frame"):
        taken(path)


def test_codec_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.avi", "-c:v", "wmv2")
    with pytest.raises(MediaUnsupported, match="wmv2"):
        taken(path)


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".ts", ".mpg"])
def test_playlist_by_another_name_opens_no_other_file(tmp_path: Path, suffix: str) -> None:
    other = numbered_video(tmp_path / "other.mp4", *H264, count=3)
    path = tmp_path / f"playlist{suffix}"
    path.write_text(f"#EXTM3U\n{other.name}\nffconcat version 1.0\nfile {other.name}\n")
    with pytest.raises(MediaUnsupported):
        media_type_of(path)


def test_container_is_known_by_its_content(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.mkv", *H264)
    renamed = path.rename(tmp_path / "a.mp4")
    assert media_type_of(renamed).name == "Matroska"
    assert [number_of(frame) for frame in taken(renamed)] == [0, 25]
