"""A whole clip as one stream: what DICOM holds is kept bit by bit, everything else is refused or coded anew."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from media2dicom.errors import MediaDamaged, OptionRefused
from media2dicom.media import open_media, plan_media
from media2dicom.media.mp4 import configuration_record
from media2dicom.media.parameter_sets import Parameters, read_parameters
from media2dicom.media.payload import Clip
from media2dicom.media.stream_texts import parameter_sets, without_texts
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from tests.media.numbered import RATE, numbered_video
from tests.media.test_containers import H264, MPEG2, number_of, taken
from tests.real_media import ffmpeg, make_video, real_video

SETTINGS = Settings()
NATIVE, TRANSCODE = Options(video_mode=VideoMode.NATIVE), Options(video_mode=VideoMode.TRANSCODE)
HIGH = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "12")  # preset medium: High Profile
HEVC = ("-c:v", "libx265", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-x265-params", "log-level=none")
LEVEL_41, BD, LEVEL_42, HEVC_51, MAIN_LEVEL, HIGH_LEVEL = (
    f"1.2.840.10008.1.2.4.{number}" for number in (102, 103, 104, 107, 100, 101)
)


def opened(path: Path, options: Options = NATIVE) -> Clip:
    folder = path.parent / f"{path.name}-{options.video_mode}"
    folder.mkdir(exist_ok=True)
    clip = open_media(path, options, SETTINGS, folder)
    assert isinstance(clip, Clip)
    plan = plan_media(path, options, SETTINGS)
    assert (plan.instances, plan.rows, plan.columns) == (1, clip.rows, clip.columns)
    assert plan.video_transfer_syntax == clip.transfer_syntaxes[0]
    assert clip.size_bytes == clip.path.stat().st_size
    return clip


def frame_hashes(path: Path) -> list[bytes]:
    listed = ffmpeg("-i", path, "-map", "0:V:0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
    return [line.split(b",")[-1].strip() for line in listed.splitlines() if not line.startswith(b"#")]


def parameters(path: Path, codec: str = "h264") -> Parameters:
    return read_parameters(codec, ffmpeg("-i", path, "-map", "0:V:0", "-c", "copy", "-frames:v", "1", "-f", codec, "-"))


# --- kept ---------------------------------------------------------------------------------------------------------

KEPT = {
    "MP4": ("a.mp4", HIGH, LEVEL_41, "ISO_14496_10"),
    "QuickTime": ("a.mov", HIGH, LEVEL_41, "ISO_14496_10"),
    "Matroska": ("a.mkv", HIGH, LEVEL_41, "ISO_14496_10"),
    "transport stream": ("a.ts", HIGH, LEVEL_41, "ISO_14496_10"),
    "late start": ("a.mp4", (*HIGH, "-output_ts_offset", "3"), LEVEL_41, "ISO_14496_10"),
    "open groups": ("a.mp4", (*HIGH, "-x264-params", "open-gop=1"), LEVEL_41, "ISO_14496_10"),
    "H.265": ("a.mp4", HEVC, HEVC_51, "ISO_23008_2"),
    "MPEG-2": ("a.mpg", MPEG2, MAIN_LEVEL, "ISO_13818_2"),
}


@pytest.mark.parametrize("name", KEPT)
def test_own_stream_is_kept_bit_by_bit(tmp_path: Path, name: str) -> None:
    file_name, codec, syntax, method = KEPT[name]
    path = numbered_video(tmp_path / file_name, *codec)
    clip = opened(path)
    assert clip.transfer_syntaxes[0] == syntax
    assert (clip.rows, clip.columns, len(clip.times_ms)) == (128, 256, 50)
    assert clip.times_ms == tuple(1000 * number / RATE for number in range(50))
    assert [step.method for step in clip.lossy] == [method]
    assert clip.lossy[0].ratio == pytest.approx(128 * 256 * 3 * 50 / clip.size_bytes)
    again = tmp_path / "again.mp4" if file_name.endswith(".ts") else path
    if again is not path:  # some builds of ffmpeg cannot read the service tables of a transport stream
        numbered_video(again, *codec)
    assert frame_hashes(clip.path) == frame_hashes(again)
    assert [number_of(frame) for frame in taken(clip.path, frame_interval_s=0.4)] == [0, 10, 20, 30, 40]


def test_real_clip_is_kept_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "bikes.mp4"
    path.write_bytes(real_video("bikes.mp4").read_bytes())
    clip = opened(path)
    assert frame_hashes(clip.path) == frame_hashes(path)
    assert clip.times_ms == tuple(40.0 * number for number in range(250))


def test_nothing_of_the_files_metadata_comes_along(tmp_path: Path) -> None:
    canaries = ["DOE^JANE", "+48.1374+011.5755", "ward seven", "sound of a voice", "chapter one", "in the stream"]
    told = ["title", "location", "comment", "artist"]
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(f";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle={canaries[4]}\n")
    plain = numbered_video(tmp_path / "plain.mp4", *HIGH)
    path = tmp_path / "a.mov"
    identifier = "086f3693b7b34f2c965321492feee5b8+" + canaries[5].replace(" ", "_")
    ffmpeg(
        *("-i", plain, "-f", "lavfi", "-i", "sine=duration=2", "-i", chapters, "-map", "0:v", "-map", "1:a"),
        *("-map_chapters", "2", "-c:v", "copy", "-c:a", "aac", "-bsf:v", f"h264_metadata=sei_user_data={identifier}"),
        *(part for key, value in zip(told, canaries, strict=False) for part in ("-metadata", f"{key}={value}")),
        *("-metadata:s:v", f"handler_name={canaries[0]}", "-metadata", "creation_time=2024-03-04T05:06:07Z", path),
    )
    source = path.read_bytes()
    assert all(canary.encode() in source for canary in canaries if " in the " not in canary and "stream" not in canary)
    assert canaries[5].replace(" ", "_").encode() in source
    kept = opened(path).path.read_bytes()
    assert not [canary for canary in [*canaries, "in_the_stream", "x264", "Lavf"] if canary.encode() in kept]
    assert b"soun" not in kept
    assert plan_media(path, NATIVE, SETTINGS).warnings == ("The video's sound is left out.",)
    assert kept.count(b"trak") == 1
    assert frame_hashes(opened(path).path) == frame_hashes(plain)


CANARY = b"SMITH^JOHN"


def with_text_in_its_head(folder: Path, codec: str) -> Path:
    """A clip with a text beside the parameters in its head: SEI of H.265, user data of MPEG-2."""
    path = folder / "told.mp4"
    if codec == "hevc":
        numbered_video(path, *HEVC, count=3)
        before, text = b"x265 (build", CANARY + b"!"  # the encoder's own SEI, in hvcC
    else:
        whole, path = numbered_video(folder / "a.mpg", *MPEG2, "-bf", "0", count=3), path.with_suffix(".mkv")
        ffmpeg("-fflags", "+genpts", "-i", whole, "-c", "copy", path)
        content = path.read_bytes()
        before = content[content.index(b"\0\0\1\xb5") :][:10]  # the extension; its like is in the stream
        text = b"\0\0\1\xb2" + CANARY[:6]
    content = path.read_bytes()
    assert before in content
    assert len(before) == len(text)
    path.write_bytes(content.replace(before, text, 1))
    return path


@pytest.mark.parametrize("codec", ["hevc", "mpeg2video"])
def test_nothing_of_the_texts_in_the_streams_head_comes_along(tmp_path: Path, codec: str) -> None:
    path = with_text_in_its_head(tmp_path, codec)
    assert CANARY[:6] in path.read_bytes()
    clip = opened(path)
    kept = clip.path.read_bytes()
    assert CANARY[:6] not in kept
    assert b"x265" not in kept
    assert frame_hashes(clip.path) == frame_hashes(path)
    with clip.path.open("rb") as file:
        assert configuration_record(file, 0, clip.size_bytes) is not None


def test_private_units_among_the_pictures_do_not_come_along(tmp_path: Path) -> None:
    stream, path = tmp_path / "a.h264", tmp_path / "a.mp4"
    pictures = numbered_video(tmp_path / "plain.h264", *HIGH, "-bf", "0", count=3).read_bytes()
    at = pictures.rindex(b"\0\0\1")
    stream.write_bytes(pictures[:at] + b"\0\0\1\x1e" + CANARY + pictures[at:])  # nal_unit_type 30
    ffmpeg("-r", "25", "-i", stream, "-c", "copy", path)
    assert CANARY in path.read_bytes()
    clip = opened(path)
    assert CANARY not in clip.path.read_bytes()
    assert len(clip.times_ms) == 3


def test_head_of_h264_loses_what_is_no_parameter_set() -> None:
    sets = bytes.fromhex("016400 0c ff e1 0004 6764000c 01 0003 68ebe3")
    assert without_texts(b"avcC", sets + b"\xfd\xf8\xf8\1\0\x0a" + CANARY) == sets + b"\xfd\xf8\xf8\0"
    assert without_texts(b"avcC", sets + b"\xfd\xf8\xf8\0") == sets + b"\xfd\xf8\xf8\0"
    assert parameter_sets(b"avcC", sets) == [b"gd\0\x0c"]
    with pytest.raises(MediaDamaged):
        without_texts(b"avcC", sets[:-4])


@pytest.mark.parametrize("options", [NATIVE, TRANSCODE])
def test_same_clip_gives_the_same_bytes(tmp_path: Path, options: Options) -> None:
    codec = HIGH if options is NATIVE else MPEG2
    path = numbered_video(tmp_path / "a.mkv", *codec, "-s", "254x126")
    first = opened(path, options).path.read_bytes()
    assert opened(path, options).path.read_bytes() == first


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    chosen = [0, 1, 2, 9, 10, 24, 25, 26, 27, 49]
    select = "select='" + "+".join(f"eq(n,{number})" for number in chosen) + "'"
    path = numbered_video(tmp_path / "a.mp4", "-vf", select, "-fps_mode", "vfr", *HIGH)
    assert opened(path).times_ms == tuple(1000 * number / RATE for number in chosen)


REPORTED = {
    "High 4:2:0": ("h264", (*HIGH, "-level", "4.1")),
    "Main": ("h264", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-profile:v", "main")),
    "High 4:2:2": ("h264", ("-c:v", "libx264", "-pix_fmt", "yuv422p")),
    "High 10": ("h264", ("-c:v", "libx264", "-pix_fmt", "yuv420p10le")),
    "fields": ("h264", (*HIGH, "-flags", "+ilme+ildct")),
    "order type 2": ("h264", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast")),
    "scaling lists": ("h264", (*HIGH, "-x264-params", "cqm=jvt")),
    "H.265 Main": ("hevc", HEVC),
    "H.265 Main 10": ("hevc", (*HEVC[:3], "yuv420p10le", *HEVC[4:])),
}


@pytest.mark.parametrize("name", REPORTED)
def test_parameters_are_those_that_ffmpeg_reports(tmp_path: Path, name: str) -> None:
    codec, output = REPORTED[name]
    path = numbered_video(tmp_path / "a.mp4", *output, "-s", "242x116", count=3)
    said = parameters(path, codec)
    traced = subprocess.run(
        [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-i", path, "-c", "copy", "-bsf:v", "trace_headers"),
            *("-frames:v", "1", "-f", "null", "-"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    text = traced[traced.index("Sequence Parameter Set") :]

    def value(key: str, default: int = 0) -> int:
        found = re.search(rf" {key} .*= (-?\d+)$", text, re.MULTILINE)
        return int(found[1]) if found else default

    prefix = "general_" if codec == "hevc" else ""
    assert (said.rows, said.columns) == (116, 242)
    assert (said.profile, said.level) == (value(f"{prefix}profile_idc"), value(f"{prefix}level_idc"))
    assert said.chroma_format == value("chroma_format_idc", 1)
    assert said.bit_depth == 8 + value("bit_depth_luma_minus8")
    assert said.interlaced == (codec == "h264" and not value("frame_mbs_only_flag"))
    assert said.high_tier == bool(value("general_tier_flag"))


# --- not kept -----------------------------------------------------------------------------------------------------

ENCODED: dict[str, tuple[str, tuple[str, ...], str]] = {
    "Main Profile": ("a.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-profile:v", "main"), "profile is 77"),
    "level 5": ("a.mp4", (*HIGH, "-level", "5.0"), "level, 5,"),
    "4:2:2": ("a.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv422p"), "8 bits a sample in 4:2:2"),
    "10 bits": ("a.mp4", (*HEVC[:3], "yuv420p10le", *HEVC[4:]), "10 bits a sample"),
    "full range": ("a.mp4", ("-c:v", "libx264", "-pix_fmt", "yuvj420p"), "full range"),
    "oblong pixels": ("a.mp4", (*HIGH, "-vf", "setsar=16/15"), "not square"),
    "VP9": ("a.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-b:v", "1M"), "coded as vp9"),
    "MPEG-2 of another profile": ("a.mpg", ("-c:v", "mpeg2video", "-pix_fmt", "yuv422p"), "4:2:2"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_stream_that_dicom_does_not_hold_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    file_name, output, reason = ENCODED[name]
    path = numbered_video(tmp_path / file_name, *output, count=6)
    with pytest.raises(OptionRefused, match=reason) as refusal:
        plan_media(path, NATIVE, SETTINGS)
    assert "video_mode transcode" in refusal.value.next_step
    clip = opened(path, TRANSCODE)
    assert reason in plan_media(path, TRANSCODE, SETTINGS).warnings[0]
    said = parameters(clip.path)
    assert (said.profile, said.level, said.chroma_format, said.bit_depth) == (100, 41, 1, 8)
    assert clip.transfer_syntaxes == (LEVEL_41,)
    assert [step.method for step in clip.lossy][-1] == "ISO_14496_10"
    assert len(clip.lossy) == 2


def test_real_clip_is_coded_anew_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "carphone.mp4"
    path.write_bytes(real_video("carphone_pristine.mp4").read_bytes())
    with pytest.raises(OptionRefused, match="not square"):
        plan_media(path, NATIVE, SETTINGS)
    assert len(opened(path, TRANSCODE).times_ms) == len(frame_hashes(path))


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotated_clip_is_refused_or_coded_anew_upright(tmp_path: Path, quarter_turns: int) -> None:
    upright = numbered_video(tmp_path / "upright.mp4", *H264)
    path = tmp_path / "turned.mov"
    ffmpeg("-display_rotation", str(90 * quarter_turns), "-i", upright, "-c", "copy", path)
    with pytest.raises(OptionRefused, match="rotated"):
        plan_media(path, NATIVE, SETTINGS)
    frames = taken(opened(path, TRANSCODE).path, frame_interval_s=0.8)
    assert [number_of(frame, -quarter_turns) for frame in frames] == [0, 20, 40]


def test_clip_of_which_an_edit_list_hides_a_part_is_refused_or_coded_anew(tmp_path: Path) -> None:
    whole = numbered_video(tmp_path / "whole.mp4", *HIGH)
    path = tmp_path / "cut.mp4"
    ffmpeg("-ss", "0.8", "-i", whole, "-c", "copy", path)
    with pytest.raises(OptionRefused, match="edit list"):
        plan_media(path, NATIVE, SETTINGS)
    clip = opened(path, TRANSCODE)
    assert len(clip.times_ms) == 30
    assert [number_of(frame) for frame in taken(clip.path, frame_interval_s=0.4)] == [20, 30, 40]


def test_uneven_frames_coded_anew_come_at_the_usual_rate(tmp_path: Path) -> None:
    chosen = [0, 1, 2, 9, 10, 24, 25, 26, 27, 49]
    select = "select='" + "+".join(f"eq(n,{number})" for number in chosen) + "'"
    path = numbered_video(tmp_path / "a.mkv", "-vf", select, "-fps_mode", "vfr", "-c:v", "ffv1")
    clip = opened(path, TRANSCODE)
    assert clip.times_ms == tuple(1000 * number / RATE for number in range(50))
    shown = [max(number for number in chosen if number <= k) for k in (0, 5, 12, 20, 26, 40, 49)]
    frames = taken(clip.path, frame_interval_s=0.001)
    assert [number_of(frames[k]) for k in (0, 5, 12, 20, 26, 40, 49)] == shown
    assert [step.method for step in clip.lossy] == ["ISO_14496_10"]


@pytest.mark.parametrize(
    ("size", "rate", "syntax", "rows_and_columns"),
    [
        ("1920x1080", 30, LEVEL_41, (1080, 1920)),
        ("1920x1080", 60, LEVEL_42, (1080, 1920)),
        ("3840x2160", 25, LEVEL_42, (1080, 1920)),
        ("641x361", 25, LEVEL_41, (360, 640)),
    ],
)
def test_clip_coded_anew_is_as_large_as_the_level_allows(
    tmp_path: Path, size: str, rate: int, syntax: str, rows_and_columns: tuple[int, int]
) -> None:
    path = make_video(tmp_path / "a.avi", seconds=2 / rate, rate=str(rate), size=size, codec=("-c:v", "mjpeg"))
    plan = plan_media(path, TRANSCODE, SETTINGS)
    assert plan.video_transfer_syntax == syntax
    assert plan.rows is not None
    assert plan.columns is not None
    assert plan.rows == pytest.approx(rows_and_columns[0], rel=0.03)
    assert plan.rows / plan.columns == pytest.approx(rows_and_columns[0] / rows_and_columns[1], rel=0.01)


@pytest.mark.parametrize("size", ["128x112", "128x720"])
@pytest.mark.parametrize(
    ("file_name", "codec"),
    [
        ("rgb.mov", ("-c:v", "qtrle", "-pix_fmt", "rgb24")),
        ("full.avi", ("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "2")),
        ("other.mkv", ("-vf", "scale=out_color_matrix=bt709,format=yuv420p", "-c:v", "ffv1", "-colorspace", "bt709")),
    ],
)
def test_colours_stay_when_a_clip_is_coded_anew(
    tmp_path: Path, size: str, file_name: str, codec: tuple[str, ...]
) -> None:
    path = tmp_path / file_name
    ffmpeg("-f", "lavfi", "-i", f"color=0xC82A64:size={size}:rate=5:duration=0.6,format=rgb24", *codec, path)
    before, after = (taken(one)[0].pixels for one in (path, opened(path, TRANSCODE).path))
    assert before is not None
    assert after is not None
    assert abs(before[100, 100].astype(int) - after[100, 100]).max() <= 3


@pytest.mark.parametrize("codec", [HIGH, MPEG2])
@pytest.mark.parametrize("options", [NATIVE, TRANSCODE])
def test_single_frame_is_no_clip(tmp_path: Path, options: Options, codec: tuple[str, ...]) -> None:
    path = numbered_video(tmp_path / "a.mkv", *codec, count=1)
    for look in (plan_media, lambda *about: open_media(*about, tmp_path)):
        with pytest.raises(OptionRefused, match="single frame") as refusal:
            look(path, options, SETTINGS)
        assert refusal.value.next_step == "Choose video_mode frames."


def test_high_dynamic_range_is_told_whichever_way_the_clip_goes(tmp_path: Path) -> None:
    told = ("-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
    kept, other = (
        numbered_video(tmp_path / name, *HIGH, *told, *more, count=2)
        for name, more in (("a.mp4", ()), ("b.mp4", ("-pix_fmt", "yuv420p10le")))
    )
    for path, mode in ((kept, "native"), (other, "transcode"), (other, "cine"), (other, "frames")):
        warnings = plan_media(path, Options(video_mode=VideoMode(mode)), SETTINGS).warnings
        assert "The video has a high dynamic range: its colours look flat." in warnings


def test_oblong_pixels_are_told_where_they_stay(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.mpg", *MPEG2, "-s", "720x576", "-aspect", "4:3", count=2)
    assert "The video's pixels are not square." in plan_media(path, NATIVE, SETTINGS).warnings
    assert opened(path).pixel_aspect_ratio == (15, 16)


@pytest.mark.parametrize("asked", [{"start_s": 0.5}, {"end_s": 1.0}, {"frame_interval_s": 1.0}, {"max_frames": 3}])
@pytest.mark.parametrize("mode", [VideoMode.NATIVE, VideoMode.TRANSCODE])
def test_whole_clip_takes_no_choice_of_frames(tmp_path: Path, mode: VideoMode, asked: dict[str, float]) -> None:
    path = numbered_video(tmp_path / "a.mp4", *HIGH, count=3)
    with pytest.raises(OptionRefused, match="whole clip"):
        plan_media(path, Options(video_mode=mode, **asked), SETTINGS)  # type: ignore[arg-type]


def test_transfer_syntax_asked_for_must_fit_the_stream(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "a.mp4", *HIGH, "-s", "1280x720", "-r", "50", count=3)
    for syntax in (LEVEL_41, LEVEL_42, BD):
        options = Options(video_mode=VideoMode.NATIVE, transfer_syntax=syntax)
        assert opened(path, options).transfer_syntaxes == (syntax,)
    with pytest.raises(OptionRefused, match="may have"):
        plan_media(path, Options(video_mode=VideoMode.NATIVE, transfer_syntax=HEVC_51), SETTINGS)


def test_high_definition_mpeg2_is_kept(tmp_path: Path) -> None:
    codec = ("-c:v", "mpeg2video", "-q:v", "4", "-aspect", "16:9")
    path = make_video(tmp_path / "a.mpg", seconds=0.2, rate="25", size="1280x720", codec=codec)
    assert opened(path).transfer_syntaxes == (HIGH_LEVEL,)


def test_rot_within_a_kept_stream_is_found(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", seconds=4, rate="25", size="320x240")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8000] = np.random.default_rng(1).bytes(8000)
    path.write_bytes(content)
    with pytest.raises(MediaDamaged):
        opened(path)
