"""One contract for every object that the project writes, in every transfer syntax that the object may take.

Both checkers find nothing, the identity is the source's, and what the header says of the pixels is what their
stream says of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from media2dicom.dicom.attributes import MODULES
from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import OptionRefused, SourceUnusable
from media2dicom.media.payload import Payload, Picture, Pictures
from media2dicom.model import Instance, Options, SopClassPolicy, VideoMode
from tests.contract import Recorder, record
from tests.dicom import making
from tests.dicom.making import BASELINE, EXPLICIT, EXTENDED, IMPLICIT, P14, SV1

SC, SC_GREY, SC_COLOR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.4"
MODELS = STL, OBJ = "1.2.840.10008.5.1.4.1.1.104.3", "1.2.840.10008.5.1.4.1.1.104.4"
ALL = (BASELINE, EXTENDED, P14, SV1, EXPLICIT)
EVEN, UNEVEN = (0.0, 33.333, 66.667, 100.0), (0.0, 40.0, 120.5, 1000.0 / 3)
CINE = Options(video_mode=VideoMode.CINE)


@dataclass(frozen=True)
class Case:
    """One kind of object: how its payload is made, its storage class, the transfer syntaxes that it may take."""

    payload: Callable[[Path], Payload]
    sop_class_uid: str
    syntaxes: tuple[str, ...] = ALL
    default: str = SV1


CASES = {
    "colour still": Case(lambda _: making.still(making.picture(making.pixels())), SC),
    "grey still": Case(lambda _: making.still(making.picture(making.pixels(color=False))), SC),
    "12-bit grey still": Case(
        lambda _: making.still(making.picture(making.pixels(color=False, bits=12), bits=12)),
        SC,
        (EXTENDED, P14, SV1, EXPLICIT),
    ),
    "16-bit grey still": Case(
        lambda _: making.still(making.picture(making.pixels(color=False, bits=16), bits=16)), SC, (P14, SV1, EXPLICIT)
    ),
    "kept colour JPEG": Case(lambda _: making.still(making.kept_picture(making.pixels())), SC, (BASELINE,), BASELINE),
    "kept 4:4:4 JPEG": Case(
        lambda _: making.still(making.kept_picture(making.pixels(), "444")), SC, (BASELINE,), BASELINE
    ),
    "kept RGB JPEG": Case(
        lambda _: making.still(making.kept_picture(making.pixels(), "rgb")), SC, (BASELINE,), BASELINE
    ),
    "kept grey JPEG": Case(
        lambda _: making.still(making.kept_picture(making.pixels(color=False))), SC, (BASELINE,), BASELINE
    ),
    "pixels that are not square": Case(
        lambda _: making.still(making.picture(making.pixels(), pixel_aspect_ratio=(12, 11))), SC, (SV1,)
    ),
    "video frames": Case(lambda _: making.clip(UNEVEN[:2], cine=False), SC, ALL, BASELINE),
    "colour cine, even": Case(lambda _: making.clip(EVEN, cine=True), SC_COLOR, ALL, BASELINE),
    "colour cine, uneven": Case(lambda _: making.clip(UNEVEN, cine=True), SC_COLOR, ALL, BASELINE),
    "grey cine, even": Case(lambda _: making.clip(EVEN, cine=True, color=False), SC_GREY, ALL, BASELINE),
    "grey cine, uneven": Case(lambda _: making.clip(UNEVEN, cine=True, color=False), SC_GREY, ALL, BASELINE),
    "cine of one frame": Case(lambda _: making.clip((0.0,), cine=True), SC, (SV1,), BASELINE),
    "STL": Case(lambda folder: making.model(folder), STL, (EXPLICIT,), EXPLICIT),
    "OBJ": Case(lambda folder: making.obj_model(folder), OBJ, (EXPLICIT,), EXPLICIT),
}
MATRIX = [(name, syntax) for name, case in CASES.items() for syntax in case.syntaxes]

CT, US, US_CINE, CR = (f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("2", "6.1", "3.1", "1"))
OLD_US, OLD_US_CINE = "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.3"  # retired
PHOTO, VIDEO_PHOTO, ENDOSCOPY, VIDEO_ENDOSCOPY = (
    f"1.2.840.10008.5.1.4.1.1.77.1.{suffix}" for suffix in ("4", "4.1", "1", "1.1")
)
NATIVE = Options(sop_class_policy=SopClassPolicy.NATIVE)
LIGHT = Options(sop_class_policy=SopClassPolicy.VISIBLE_LIGHT, body_part="HAND", laterality="L")


@dataclass(frozen=True)
class Way:
    """A source, a policy, and what a single picture and a cine become by them."""

    source_class: str
    modality: str
    options: Options
    single: str
    cine: str | None
    color: bool = True
    deep: bool = False  # 12 and 16 bits of grey


WAYS = {
    "US, native": Way(US, "US", NATIVE, US, US_CINE),
    "US multi-frame, native": Way(US_CINE, "US", NATIVE, US, US_CINE),
    "retired US, native": Way(OLD_US, "US", NATIVE, US, US_CINE),
    "retired US multi-frame, native": Way(OLD_US_CINE, "US", NATIVE, US, US_CINE),
    "CR, native": Way(CR, "CR", NATIVE, CR, None, color=False, deep=True),
    "SC, native": Way(SC, "OT", NATIVE, SC, SC_COLOR, deep=True),
    "CT, visible-light": Way(CT, "CT", LIGHT, PHOTO, VIDEO_PHOTO),
    "photograph, native": Way(PHOTO, "XC", replace(NATIVE, body_part="FACE"), PHOTO, VIDEO_PHOTO),
    "endoscopy, native": Way(ENDOSCOPY, "ES", replace(NATIVE, body_part="STOMACH"), ENDOSCOPY, VIDEO_ENDOSCOPY),
}


def _build(name: str, source: Dataset, folder: Path, options: Options) -> tuple[list[Instance], list[str]]:
    build = making.a_build(source, folder, options)
    return build_instances(CASES[name].payload(folder), build), build.warnings


@pytest.mark.parametrize(("name", "syntax"), MATRIX)
def test_each_object_in_each_transfer_syntax_passes_both_checkers(
    name: str, syntax: str, standard: Path, tmp_path: Path, record_property: Recorder
) -> None:
    source = making.real_source("CT_small.dcm")
    instances, warnings = _build(name, source, tmp_path, Options(transfer_syntax=syntax))

    assert warnings == []
    for instance in instances:
        written = dcmread(instance.path)
        said = record(record_property, instance.path, standard, source="CT", policy="secondary-capture", payload=name)
        assert said.clean, said
        assert (written.file_meta.TransferSyntaxUID, written.SOPClassUID) == (syntax, CASES[name].sop_class_uid)
        assert instance.transfer_syntax_uid == syntax
        assert instance.size_bytes == instance.path.stat().st_size
        _assert_identity(source, written)
        if CASES[name].sop_class_uid not in MODELS:
            _assert_pixels_are_described(instance)


@pytest.mark.parametrize("to", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("name", CASES)
def test_each_object_rewritten_natively_passes_both_checkers(
    name: str, to: str, standard: Path, tmp_path: Path, record_property: Recorder
) -> None:
    source = making.real_source("CT_small.dcm")
    instance = _build(name, source, tmp_path, Options())[0][0]

    native = transcode(instance, to, tmp_path / "native.dcm")

    before, after = dcmread(instance.path), dcmread(native.path)
    assert instance.transfer_syntax_uid == CASES[name].default
    said = record(record_property, native.path, standard, source="CT", policy="sent uncompressed", payload=name)
    assert said.clean, said
    assert after.file_meta.TransferSyntaxUID == to
    assert native.size_bytes == native.path.stat().st_size
    _assert_identity(source, after)
    assert after.SOPInstanceUID == before.SOPInstanceUID == native.sop_instance_uid
    told = {"PixelData", "PhotometricInterpretation"}
    assert [e for e in before if e.keyword not in told] == [e for e in after if e.keyword not in told]


def _assert_identity(source: Dataset, written: Dataset) -> None:
    for module in MODULES.values():
        for tag in module.tags:
            if tag in source and source[tag].value and not (tag == 0x00101030 and not float(source[tag].value)):
                assert written[tag].value == source[tag].value, written[tag].keyword
    assert written.SpecificCharacterSet == "ISO_IR 192"
    assert not any(element.tag.is_private for element in written.iterall())
    assert "ReferencedPatientSequence" not in written
    assert UID(written.SOPInstanceUID).is_valid
    assert UID(written.SeriesInstanceUID).is_valid
    reference = written.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == source.SeriesInstanceUID
    assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def _assert_pixels_are_described(instance: Instance) -> None:
    """The Image Pixel module against the JPEG's own markers, the Basic Offset Table against the fragments."""
    written = dcmread(instance.path)
    frames = int(written.get("NumberOfFrames", 1))
    if not UID(instance.transfer_syntax_uid).is_encapsulated:
        size = frames * written.Rows * written.Columns * written.SamplesPerPixel * written.BitsAllocated // 8
        assert len(written.PixelData) == size + size % 2
        return
    offsets, streams = making.fragments(instance.path)
    assert len(streams) == frames
    assert offsets == [sum(8 + len(one) for one in streams[:number]) for number in range(frames)]
    for stream in streams:
        said = making.jpeg_header(stream)
        assert (said["rows"], said["columns"]) == (written.Rows, written.Columns)
        assert said["components"] == written.SamplesPerPixel
        assert said["precision"] == written.BitsStored == written.HighBit + 1
        assert said["sof"] == {BASELINE: 0xC0, EXTENDED: 0xC1, P14: 0xC3, SV1: 0xC3}[instance.transfer_syntax_uid]
        if said["sof"] == 0xC3:
            assert (said["predictor"] == 1) == (instance.transfer_syntax_uid == SV1)
        lossy_color = said["sof"] != 0xC3 and said["components"] == 3 and not said["adobe_rgb"]
        plain = "RGB" if said["components"] == 3 else "MONOCHROME2"
        # PS3.5 8.2.1: YBR_FULL_422 whatever the stream's own subsampling; YBR_FULL only where there is none.
        allowed = ["YBR_FULL_422", *(["YBR_FULL"] if said["sampling"][0] == 0x11 else [])] if lossy_color else [plain]
        assert written.PhotometricInterpretation in allowed
    assert written.get("PlanarConfiguration") == (0 if written.SamplesPerPixel == 3 else None)
    assert written.PixelRepresentation == 0
    if instance.transfer_syntax_uid in (BASELINE, EXTENDED):
        assert written.LossyImageCompression == "01"
        methods, ratios = written.LossyImageCompressionMethod, written.LossyImageCompressionRatio
        last = ratios if isinstance(methods, str) else ratios[-1]
        assert (methods if isinstance(methods, str) else methods[-1]) == "ISO_10918_1"
        raw = written.Rows * written.Columns * written.SamplesPerPixel * written.BitsAllocated // 8
        compressed = sum(len(stream) for stream in streams)
        assert float(last) == pytest.approx(frames * raw / compressed, rel=0.01)


# --- policies ---------------------------------------------------------------------------------------------------


def _fits(way: Way, name: str) -> bool:
    grey = "grey" in name
    return (way.color or grey) and (way.deep or "-bit" not in name) and (way.cine is not None or "cine" not in name)


def _pairs() -> Iterator[tuple[str, str, str]]:
    """Each way with each payload that it can hold, each time in another transfer syntax.

    All pairs of way and payload, of way and syntax, and (above) of payload and syntax; not the whole cube.
    """
    for turn, (way_name, way) in enumerate(WAYS.items()):
        pictures = [(name, case) for name, case in CASES.items() if case.sop_class_uid not in MODELS]
        fits = [(name, case) for name, case in pictures if _fits(way, name)]
        for number, (name, case) in enumerate(fits):
            yield way_name, name, case.syntaxes[(turn + number) % len(case.syntaxes)]
        name, case = next(one for one in fits if one[0] == "grey still")  # 8 bits: it goes into every syntax
        yield from ((way_name, name, syntax) for syntax in case.syntaxes)


PAIRS = list(dict.fromkeys(_pairs()))


def test_every_way_is_tried_in_every_transfer_syntax() -> None:
    assert {(way, syntax) for way, _, syntax in PAIRS} >= {(way, syntax) for way in WAYS for syntax in ALL}


@pytest.mark.parametrize(("way_name", "name", "syntax"), PAIRS)
def test_each_policy_with_each_payload_passes_both_checkers(
    way_name: str, name: str, syntax: str, standard: Path, tmp_path: Path, record_property: Recorder
) -> None:
    way = WAYS[way_name]
    source = making.made_source(way.source_class, way.modality)
    options = replace(way.options, transfer_syntax=None if name == "kept RGB JPEG" else syntax)
    if "cine" in name:
        options = replace(options, video_mode=VideoMode.CINE)
    instances, warnings = _build(name, source, tmp_path, options)

    assert warnings == []
    for instance in instances:
        source_name, policy = way_name.split(", ")
        said = record(record_property, instance.path, standard, source=source_name, policy=policy, payload=name)
        assert said.clean, said
        written = dcmread(instance.path)
        assert written.SOPClassUID == (way.cine if written.get("NumberOfFrames") else way.single) or (
            written.SOPClassUID == SC_GREY and way.cine == SC_COLOR
        )
        assert written.Modality == {PHOTO: "XC", ENDOSCOPY: "ES"}.get(way.single, way.modality)
        _assert_pixels_are_described(instance)


SOURCES_WITHOUT_NATIVE = ("2", "4", "1.1", "1.1.1", "1.2", "1.3", "12.1", "12.2", "20", "2.1", "4.1", "12.1.1", "11.1")


@pytest.mark.parametrize("suffix", SOURCES_WITHOUT_NATIVE)
def test_native_where_a_picture_cannot_conform_is_refused_with_the_reason(suffix: str, tmp_path: Path) -> None:
    source = making.made_source(f"1.2.840.10008.5.1.4.1.1.{suffix}", STATEMENT[suffix])
    with pytest.raises(OptionRefused, match="cannot conform to the class of the source") as refusal:
        making.build(CASES["grey still"].payload(tmp_path), source, tmp_path, NATIVE)
    assert "secondary-capture" in refusal.value.next_step
    assert not list(tmp_path.rglob("*.dcm"))


@pytest.mark.parametrize(
    ("source_class", "modality", "options", "name", "told"),
    [
        (CR, "CR", NATIVE, "colour still", "in colour"),
        (CR, "CR", NATIVE, "grey cine, even", "a cine"),
        (US, "US", NATIVE, "12-bit grey still", "12 bits"),
        (CT, "CT", LIGHT, "16-bit grey still", "16 bits"),
        (CT, "CT", replace(LIGHT, body_part=None), "colour cine, even", "body part"),
        (CT, "CT", replace(LIGHT, body_part="LEG"), "colour cine, even", "body part"),  # a term without a code
        (CT, "CT", replace(LIGHT, modality="CT"), "colour still", "Modality XC"),
        (US, "US", replace(NATIVE, modality="XC"), "colour still", "Modality US"),
        (US, "IVUS", NATIVE, "colour still", "Modality US"),
        ("1.2.3.4.5", "US", NATIVE, "colour still", "a private class"),
    ],
)
def test_what_a_policy_cannot_hold_is_refused_and_nothing_is_written(
    source_class: str, modality: str, options: Options, name: str, told: str, tmp_path: Path
) -> None:
    source = making.made_source(source_class, modality, Rows=16, Columns=16)
    with pytest.raises(OptionRefused, match=told) as refusal:
        _build(name, source, tmp_path, options)
    assert refusal.value.next_step
    assert not list(tmp_path.rglob("*.dcm"))


def test_policy_says_nothing_of_models(tmp_path: Path) -> None:
    source = making.made_source(CT, "CT")
    (mesh,) = making.build(making.model(tmp_path), source, tmp_path, NATIVE)
    assert mesh.sop_class_uid == STL


# --- sources ----------------------------------------------------------------------------------------------------

# The conformance statement's table (section 5): storage classes and a modality of each.
STATEMENT = {
    **{"1": "CR", "1.1": "DX", "1.1.1": "DX", "1.2": "MG", "1.2.1": "MG", "1.3": "IO", "1.3.1": "IO"},
    **{"104.1": "DOC", "11.1": "PR", "11.2": "PR", "11.3": "PR", "11.4": "PR", "12.1": "XA", "12.1.1": "XA"},
    **{"12.2": "RF", "12.2.1": "RF", "2": "CT", "2.1": "CT", "20": "NM", "3": "US", "3.1": "US", "4": "MR"},
    **{"4.1": "MR", "4.2": "MR"},
}
REAL = ("US1_UNCI.dcm", "examples_rgb_color.dcm", "examples_ybr_color.dcm", "SC_rgb_rle.dcm", "RG1_J2KI.dcm")
REAL += ("reportsi.dcm", "test-SR.dcm", "rtdose_1frame.dcm", "rtplan.dcm", "liver_1frame.dcm", "waveform_ecg.dcm")
REAL += ("eCT_Supplemental.dcm", "emri_small.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm", "gdcm-US-ALOKA-16.dcm")


@pytest.mark.parametrize("name", REAL)
def test_real_files_of_other_makers_can_be_the_source(
    name: str, standard: Path, tmp_path: Path, record_property: Recorder
) -> None:
    source = making.with_identity(making.real_source(name))
    for kind, payload in (("kept JPEG", CASES["kept colour JPEG"].payload(tmp_path)), ("STL", making.model(tmp_path))):
        (instance,) = making.build(payload, source, tmp_path)
        where = {"source": "files of other makers", "policy": "secondary-capture", "payload": kind}
        said = record(record_property, instance.path, standard, **where)
        assert said.clean, said
        written = dcmread(instance.path)
        assert (str(written.PatientName), written.PatientID) == ("Doe^Jane", "P-1")
        assert written.StudyInstanceUID == source.StudyInstanceUID
        assert ("ReferencedStudySequence" in written) == bool(source.get("ReferencedStudySequence"))


def test_empty_referenced_study_sequence_is_not_copied_and_a_full_one_is(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT", ReferencedStudySequence=[])
    assert "ReferencedStudySequence" not in dcmread(making.build(making.model(tmp_path), source, tmp_path)[0].path)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", "1.2.3.4"
    source.ReferencedStudySequence = [item]
    source.ReferencedPatientSequence = [item]
    written = dcmread(making.build(making.model(tmp_path), source, tmp_path)[0].path)
    assert written.ReferencedStudySequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert "ReferencedPatientSequence" not in written


def test_source_that_nothing_can_refer_to_is_refused_by_attribute(tmp_path: Path) -> None:
    for keyword in ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID"):
        source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
        setattr(source, keyword, "not-a-uid-CANARY")
        with pytest.raises(SourceUnusable, match=keyword) as refusal:
            making.build(CASES["colour still"].payload(tmp_path), source, tmp_path)
        assert "CANARY" not in refusal.value.message


def test_private_storage_class_with_rows_and_an_image_modality_is_an_image(tmp_path: Path) -> None:
    source = making.made_source("1.2.3.4.5.6", "US", Rows=16, Columns=16)
    written = dcmread(making.build(CASES["grey still"].payload(tmp_path), source, tmp_path)[0].path)
    assert written.Modality == "US"
    assert "ReferencedImageSequence" in written


# --- what options and rows change -------------------------------------------------------------------------------


def test_uids_follow_from_study_media_and_options_and_from_nothing_else(tmp_path: Path) -> None:
    def uids(**more: object) -> tuple[str, str]:
        options = more.pop("options", Options())
        written = dcmread(
            making.build(CASES["colour still"].payload(tmp_path), source, tmp_path, options, **more)[0].path
        )
        return written.SOPInstanceUID, written.SeriesInstanceUID

    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    plain = uids()
    assert plain == uids(row_number=99, row_id="other", media="other.png", order_in_group=4)
    others = [uids(media_sha256="cd" * 32), uids(options=Options(series_description="x"))]
    source.StudyInstanceUID = "1.2.3.5"
    others.append(uids())
    assert len({sop for sop, _ in [plain, *others]}) == 4


def test_rows_of_a_series_group_share_series_and_are_numbered_by_their_order(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    written = []
    for order, options in ((1, Options(series_group="g")), (2, Options(series_group="g", instance_order=7))):
        payload = CASES["colour still"].payload(tmp_path)
        sha = f"{order:064x}"
        (one,) = making.build(payload, source, tmp_path, options, media_sha256=sha, order_in_group=order)
        written.append(dcmread(one.path))
    assert written[0].SeriesInstanceUID == written[1].SeriesInstanceUID
    assert written[0].SOPInstanceUID != written[1].SOPInstanceUID
    assert [one.InstanceNumber for one in written] == [1, 7]
    # The rows are converted at different times: no attribute of the series may tell them apart.
    assert all("SeriesDate" not in one and "SeriesTime" not in one for one in written)


def test_series_description_number_accession_and_content_moment_are_the_rows(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "THEIRS"
    source.IssuerOfAccessionNumberSequence = [issuer]
    source.AccessionNumber = "far too long for a short string"
    options = Options(
        series_description="Größe",
        series_number=0,
        accession_override="A-9",
        content_date="20200203",
        body_part="HAND",
        laterality="L",
        burned_in_annotation=True,
        modality="XC",
    )
    written = dcmread(making.build(CASES["colour still"].payload(tmp_path), source, tmp_path, options)[0].path)
    assert (written.SeriesDescription, written.SeriesNumber) == ("Größe", 0)
    assert written.AccessionNumber == "A-9"
    assert "IssuerOfAccessionNumberSequence" not in written  # it issued the other number
    assert (written.ContentDate, written.ContentTime) == ("20200203", "")
    assert (written.BodyPartExamined, written.ImageLaterality, written.BurnedInAnnotation) == ("HAND", "L", "YES")
    assert (written.Modality, written.StudyDate, written.StudyTime) == ("XC", "20200101", "101112")


def test_frames_of_a_clip_are_a_series_in_order_with_their_instants(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.6.1", "US")
    options = Options(content_date="20191231", content_time="235959.9")
    instances = making.build(making.clip((0.0, 40.0, 100.5), cine=False), source, tmp_path, options)
    written = [dcmread(instance.path) for instance in instances]
    assert len({one.SOPInstanceUID for one in written}) == 3
    assert len({one.SeriesInstanceUID for one in written}) == 1
    assert [one.InstanceNumber for one in written] == [1, 2, 3]
    assert [instance.number for instance in instances] == [0, 1, 2]
    told = [(one.ContentDate, one.ContentTime) for one in written]
    assert told == [("20191231", "235959.900000"), ("20191231", "235959.940000"), ("20200101", "000000.000500")]
    assert written[2].DerivationDescription == "Video frame at 0.1005 s of the clip"


def test_cine_tells_even_times_as_frame_time_and_uneven_ones_as_vector(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.6.1", "US")
    even = dcmread(making.build(making.clip(EVEN, cine=True), source, tmp_path, CINE)[0].path)
    assert (even.FrameIncrementPointer, str(even["FrameTime"].value)) == (0x00181063, "33.333333")
    assert even.DerivationDescription == "Video frames from 0 s to 0.1 s of the clip"
    uneven = dcmread(making.build(making.clip(UNEVEN, cine=True), source, tmp_path, CINE)[0].path)
    assert uneven.FrameIncrementPointer == 0x00181065
    assert np.allclose(np.cumsum([float(step) for step in uneven.FrameTimeVector]), UNEVEN, atol=0.002)
    assert all(len(str(step)) <= 16 for step in uneven.FrameTimeVector)


def test_long_clip_with_uneven_times_keeps_its_instants_within_a_millisecond(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.6.1", "US")
    times = [round(number * 1000 / 29.97 + 7 * (number % 3), 3) for number in range(400)]
    (instance,) = making.build(making.clip(times, cine=True, rows=8, columns=8), source, tmp_path, CINE)
    written = dcmread(instance.path)
    assert np.allclose(np.cumsum([float(step) for step in written.FrameTimeVector]), times, atol=1)


def test_clip_with_more_uneven_times_than_fit_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def undecoded() -> Iterator[Picture]:
        raise AssertionError("a frame was asked for")
        yield

    @contextmanager
    def opener() -> Iterator[Iterator[Picture]]:
        yield undecoded()

    source = making.made_source("1.2.840.10008.5.1.4.1.1.6.1", "US")
    times = tuple(33.333 * number + number % 2 for number in range(12_000))
    with pytest.raises(OptionRefused, match="12000 unevenly"):
        making.build(Pictures(12_000, times, opener(), cine=True), source, tmp_path, CINE)


def test_instance_number_beyond_an_integer_string_is_refused(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.6.1", "US")
    with pytest.raises(OptionRefused, match="instance_order"):
        making.build(
            making.clip((0.0, 40.0), cine=False), source, tmp_path, Options(instance_order=2**31 - 1), media="a.mp4"
        )
