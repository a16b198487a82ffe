"""Kept video streams as objects: clean under the checkers, one fragment, played back frame by frame."""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.dicom.frame_times import cine_timing, frame_time_vector
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import NoPresentationContext, OptionRefused, OverUploadLimit
from media2dicom.media.payload import Clip, LossyHistory
from media2dicom.model import Instance, Options, SopClassPolicy, VideoMode
from media2dicom.validation import findings
from tests.contract import Recorder, record
from tests.dicom import making
from tests.media.numbered import numbered_video
from tests.media.test_clip import HEVC, HEVC_51, HIGH, LEVEL_41, MAIN_LEVEL, opened
from tests.media.test_containers import MPEG2

SC_COLOR, VIDEO_PHOTO = (f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("7.4", "77.1.4.1"))
NATIVE = Options(video_mode=VideoMode.NATIVE)
LIGHT = Options(video_mode=VideoMode.NATIVE, sop_class_policy=SopClassPolicy.VISIBLE_LIGHT, body_part="HAND")
OWN_CLASS = Options(video_mode=VideoMode.NATIVE, sop_class_policy=SopClassPolicy.NATIVE)
CODECS = {LEVEL_41: ("a.mp4", HIGH), HEVC_51: ("a.mp4", HEVC), MAIN_LEVEL: ("a.mpg", MPEG2)}
_FOLDER = TemporaryDirectory()
_WAYS = {
    "SC": (making.real_source("CT_small.dcm"), NATIVE, SC_COLOR, "CT"),
    "VL": (making.real_source("CT_small.dcm"), LIGHT, VIDEO_PHOTO, "XC"),
}


def built(tmp_path: Path, source: Dataset, options: Options = NATIVE, syntax: str = LEVEL_41) -> tuple[Clip, Instance]:
    clip = kept(syntax)
    (instance,) = making.build(clip, source, tmp_path, options, media=CODECS[syntax][0])
    return clip, instance


@cache
def kept(syntax: str) -> Clip:
    file_name, codec = CODECS[syntax]
    folder = Path(_FOLDER.name) / syntax
    folder.mkdir()
    return opened(numbered_video(folder / file_name, *codec, count=12))


def known_to_the_checker(path: Path) -> Path:
    """A copy that says H.264: dciodvfy does not know the transfer syntaxes of H.265 and reads on as if it were none."""
    copy = path.with_suffix(".h264.dcm")
    said = path.read_bytes().replace(HEVC_51.encode(), LEVEL_41.encode(), 1)
    copy.write_bytes(said.replace(b"ISO_23008_2 ", b"ISO_14496_10", 1))
    return copy


@pytest.mark.parametrize("syntax", CODECS)
@pytest.mark.parametrize("way", _WAYS)
def test_kept_stream_passes_the_checkers_and_is_in_one_fragment(
    tmp_path: Path, standard: Path, way: str, syntax: str, record_property: Recorder
) -> None:
    source, options, sop_class_uid, modality = _WAYS[way]
    clip, instance = built(tmp_path, source, options, syntax)
    checked = known_to_the_checker(instance.path) if syntax == HEVC_51 else instance.path
    said = record(
        record_property,
        checked,
        standard,
        source=str(source.Modality),
        policy=str(options.sop_class_policy),
        payload="kept video",
    )
    assert said.clean, said
    assert findings(instance.path) == ()

    written = dcmread(instance.path)
    assert (written.SOPClassUID, written.Modality) == (sop_class_uid, modality)
    assert instance.transfer_syntax_uid == written.file_meta.TransferSyntaxUID == syntax
    assert instance.size_bytes == instance.path.stat().st_size
    table, (stream,) = making.fragments(instance.path)
    assert table == []
    assert stream == clip.path.read_bytes() + b"\0" * (clip.size_bytes % 2)
    assert (written.Rows, written.Columns, written.NumberOfFrames) == (128, 256, 12)
    assert written.PhotometricInterpretation == "YBR_PARTIAL_420"
    assert (written.FrameTime, written.CineRate, written.RecommendedDisplayFrameRate) == (40, 25, 25)
    assert written.FrameIncrementPointer == 0x00181063
    assert written.LossyImageCompression == "01"
    assert written.LossyImageCompressionMethod == clip.lossy[0].method
    assert float(written.LossyImageCompressionRatio) == pytest.approx(clip.lossy[0].ratio, abs=0.01)
    assert written.BurnedInAnnotation == "YES"


def test_uneven_times_become_a_vector_and_both_lossy_steps_are_told(tmp_path: Path, standard: Path) -> None:
    path = tmp_path / "stream.mp4"
    path.write_bytes(kept(LEVEL_41).path.read_bytes() + b"\0\0\0\x09free\0")
    history = (LossyHistory(300.0, "VP9"), LossyHistory(120.0, "ISO_23008_2"), LossyHistory(90.5, "ISO_14496_10"))
    clip = Clip(path, path.stat().st_size, (LEVEL_41,), 128, 256, (0.0, 40.0, 1000.0), history)
    (instance,) = making.build(clip, making.real_source("CT_small.dcm"), tmp_path, NATIVE)
    written = dcmread(instance.path)
    assert [float(step) for step in written.FrameTimeVector] == [0, 40, 960]
    assert written.LossyImageCompressionMethod == ["ISO_23008_2", "ISO_14496_10"]
    assert [float(ratio) for ratio in written.LossyImageCompressionRatio] == [120, 90.5]
    assert "VP9 with ratio 300" in written.DerivationDescription


def test_times_of_a_clip_are_kept_up_to_the_longest_value_of_a_vector() -> None:
    steps = [10.125, 20.25] * 5_050
    while len("\\".join(["0", *map(str, steps)])) > 65_534:
        steps.pop()
    times_ms = (0.0, *accumulate(steps))
    vector = frame_time_vector(times_ms)
    assert vector is not None
    assert 65_520 < len("\\".join(vector)) <= 65_534
    assert len(cine_timing(times_ms).FrameTimeVector) == len(times_ms)
    assert frame_time_vector((*times_ms, times_ms[-1] + 30.125, times_ms[-1] + 40.125)) is None
    with pytest.raises(OptionRefused, match="unevenly spaced"):
        cine_timing((*times_ms, times_ms[-1] + 30.125, times_ms[-1] + 40.125))


def test_stream_over_the_upload_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    clip = Clip(tmp_path / "none.mp4", 4_000_000_001, (LEVEL_41,), 8, 8, (0.0, 40.0), ())
    with pytest.raises(OverUploadLimit):
        making.build(clip, making.real_source("CT_small.dcm"), tmp_path, NATIVE)


def test_video_of_visible_light_has_to_name_the_body_part(tmp_path: Path) -> None:
    options = Options(video_mode=VideoMode.NATIVE, sop_class_policy=SopClassPolicy.VISIBLE_LIGHT)
    with pytest.raises(OptionRefused, match="body part"):
        built(tmp_path, making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT"), options)


def test_ultrasound_has_no_term_for_the_colours_of_a_stream(tmp_path: Path) -> None:
    with pytest.raises(OptionRefused, match="no term for the colours"):
        built(tmp_path, making.made_source("1.2.840.10008.5.1.4.1.1.6.1", "US"), OWN_CLASS)


def test_video_stream_is_never_rewritten_natively(tmp_path: Path) -> None:
    _, instance = built(tmp_path, making.real_source("CT_small.dcm"))
    with pytest.raises(NoPresentationContext, match=r"High Profile / Level 4\.1") as refusal:
        transcode(instance, making.EXPLICIT, tmp_path / "native.dcm")
    assert "cine or frames" in refusal.value.next_step
    assert not (tmp_path / "native.dcm").exists()
