"""Models and documents as objects: clean for both checkers, the payload there byte for byte, the links right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageCms
from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.icc import srgb_input_profile
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import IdentityMismatch, MediaChanged, OptionRefused
from media2dicom.media import open_media, preview
from media2dicom.media.payload import Payload
from media2dicom.model import Instance, Options, Units
from media2dicom.settings import Settings
from media2dicom.validation import findings
from tests.checkers import check
from tests.dicom import making
from tests.dicom.making import EXPLICIT, IMPLICIT, SV1
from tests.media import making_models

CLASSES = {
    "model/stl": "1.2.840.10008.5.1.4.1.1.104.3",
    "model/obj": "1.2.840.10008.5.1.4.1.1.104.4",
    "model/mtl": "1.2.840.10008.5.1.4.1.1.104.5",
    "application/pdf": "1.2.840.10008.5.1.4.1.1.104.1",
    "text/XML": "1.2.840.10008.5.1.4.1.1.104.2",
}


def pdf(folder: Path) -> Path:
    path = folder / "letter.pdf"
    path.write_bytes(making_models.pdf())
    return path


def cda(folder: Path, **more: str) -> Path:
    path = folder / "summary.xml"
    path.write_text(making_models.cda(**more))
    return path


def stl(folder: Path) -> Path:
    return making.model(folder).path


FILES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "STL": (stl, ("model/stl",)),
    "OBJ with MTL": (making_models.obj_with_mtl, ("model/obj", "model/mtl")),
    "PDF": (pdf, ("application/pdf",)),
    "CDA": (cda, ("text/XML",)),
}
RICH = Options(
    part_name="Größe 1",
    color=(200, 30, 40),
    opacity=0.5,
    mirrored=True,
    modified=True,
    model_usage="129013",
    model_group="knee",
    laterality="L",
    series_description="Models",
    burned_in_annotation=False,
)


def opened(path: Path) -> Payload:
    return open_media(path, Options(), Settings(), path.parent)


def built(
    path: Path, folder: Path, options: Options | None = None, source: Dataset | None = None, **more: object
) -> list[Dataset]:
    source = source or making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    return [dcmread(one.path) for one in making.build(opened(path), source, folder, options, **more)]


SOURCES: dict[str, Callable[[], Dataset]] = {
    "CT": lambda: making.real_source("CT_small.dcm"),
    "US": lambda: making.with_identity(making.real_source("US1_UNCI.dcm")),
    "report": lambda: making.with_identity(making.real_source("test-SR.dcm")),
    "PDF": lambda: making.made_source("1.2.840.10008.5.1.4.1.1.104.1", "DOC"),
    "spectroscopy": lambda: making.made_source("1.2.840.10008.5.1.4.1.1.4.2", "MR"),
}


@pytest.mark.parametrize(
    ("options", "kinds"), [(Options(), ("CT", "report", "spectroscopy")), (RICH, ("US", "PDF"))], ids=["plain", "rich"]
)
@pytest.mark.parametrize("name", FILES)
def test_each_object_of_each_kind_of_source_passes_both_checkers_and_holds_the_file(
    name: str, options: Options, kinds: tuple[str, ...], standard: Path, tmp_path: Path
) -> None:
    make, mime_types = FILES[name]
    path = make(tmp_path)
    files = [path] if len(mime_types) == 1 else [path, path.with_suffix(".mtl")]
    for kind in kinds:
        source = SOURCES[kind]()
        more = {"patient_id": "P-1"} if kind != "CT" else {}
        if name == "CDA":  # which names its patient
            source.PatientID, source.PatientBirthDate, source.PatientName = "P-1", "19700102", "Doe^Jane"
        instances = making.build(opened(path), source, tmp_path / kind, options, image_modality="MR", **more)
        assert len(instances) == len(mime_types)
        for instance, file, mime_type in zip(instances, files, mime_types, strict=True):
            _assert_sound(instance, standard)
            written = dcmread(instance.path)
            assert written.SOPClassUID == instance.sop_class_uid == CLASSES[mime_type]
            assert written.MIMETypeOfEncapsulatedDocument == mime_type
            assert written.EncapsulatedDocument[: written.EncapsulatedDocumentLength] == file.read_bytes()
            assert len(written.EncapsulatedDocument) - written.EncapsulatedDocumentLength in (0, 1)
            assert (written.PatientID, written.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
            item = written.SourceInstanceSequence[0]
            assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
            assert item.PurposeOfReferenceCodeSequence[0].CodingSchemeDesignator == "DCM"


def _assert_sound(instance: Instance, standard: Path) -> None:
    assert findings(instance.path) == ()
    said = check(instance.path, standard)
    assert said.clean, said


@pytest.mark.parametrize("name", FILES)
def test_each_object_in_implicit_vr_passes_both_checkers(name: str, standard: Path, tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    for part, instance in enumerate(making.build(opened(FILES[name][0](tmp_path)), source, tmp_path, RICH)):
        implicit = transcode(instance, IMPLICIT, tmp_path / f"implicit{part}.dcm")
        _assert_sound(implicit, standard)
        assert list(dcmread(implicit.path)) == list(dcmread(instance.path))


def test_transfer_syntax_for_pixels_is_refused(tmp_path: Path) -> None:
    for make, _ in FILES.values():
        with pytest.raises(OptionRefused, match="Explicit VR Little Endian"):
            built(make(tmp_path), tmp_path, Options(transfer_syntax=SV1))
        assert built(make(tmp_path), tmp_path, Options(transfer_syntax=EXPLICIT))


def test_file_that_became_shorter_is_refused(tmp_path: Path) -> None:
    for make, _ in FILES.values():
        path = make(tmp_path)
        payload = opened(path)
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(MediaChanged):
            making.build(payload, making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT"), tmp_path)


# --- 3D models --------------------------------------------------------------------------------------------------


def test_model_says_all_that_the_row_says(tmp_path: Path) -> None:
    for written in built(making_models.obj_with_mtl(tmp_path), tmp_path, RICH):
        assert (written.Modality, written.DocumentTitle, written.ContentDescription) == ("M3D", "Größe 1", "Größe 1")
        assert (written.ModelModification, written.ModelMirroring, written.ImageLaterality) == ("YES", "YES", "L")
        assert list(written.RecommendedDisplayCIELabValue) == [28904, 49322, 43621]
        assert written.RecommendedPresentationOpacity == 0.5
        assert written.ModelUsageCodeSequence[0].CodeMeaning == "Planning Intent"
        assert written.MeasurementUnitsCodeSequence[0].CodeValue == "mm"
        assert (written.BurnedInAnnotation, written.ColorSpace) == ("NO", "SRGB")
        assert written.ICCProfile[12:16] == b"scnr"


@pytest.mark.parametrize(
    ("options", "side"),
    [
        (Options(), "R"),
        (Options(laterality="U"), "U"),
        (Options(body_part="KNEE"), "R"),
        (Options(body_part="HAND"), None),
    ],
)
def test_model_has_the_side_of_the_row_or_of_the_sources_body_part_and_a_document_the_rows_alone(
    options: Options, side: str | None, standard: Path, tmp_path: Path
) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT", BodyPartExamined="KNEE", Laterality="R")
    (model,) = making.build(opened(stl(tmp_path)), source, tmp_path, options)
    assert dcmread(model.path).get("ImageLaterality") == side
    _assert_sound(model, standard)
    (document,) = built(pdf(tmp_path), tmp_path, options, source)
    assert document.get("ImageLaterality") == options.laterality


def test_title_is_the_rows_and_never_the_files_name(tmp_path: Path) -> None:
    path = making_models.obj_with_mtl(tmp_path, "Doe_Jane_19700102")
    for options, title in (
        (Options(document_title="Knee", part_name="p", series_description="s"), "Knee"),
        (Options(part_name="p", series_description="s"), "p"),
        (Options(series_description="s"), "s"),
        (Options(), "3D model"),
    ):
        assert {one.DocumentTitle for one in built(path, tmp_path, options, media=path.name)} == {title}


@pytest.mark.parametrize(
    ("modality", "code"),
    [
        *(("CT", "85040-4"), ("MR", "85041-2"), ("US", "129018"), ("XC", "129020"), ("OSS", "129021")),
        *(("CR", None), ("PT", None)),
    ],
)
def test_concept_name_follows_the_modality_that_the_model_comes_from(
    tmp_path: Path, modality: str, code: str | None
) -> None:
    path = stl(tmp_path)
    image = making.made_source("1.2.840.10008.5.1.4.1.1.7", modality)
    report = making.made_source("1.2.840.10008.5.1.4.1.1.11.1", "PR")
    for source, more in ((image, {}), (report, {"image_modality": modality})):
        (written,) = built(path, tmp_path, source=source, **more)
        assert [one.CodeValue for one in written.ConceptNameCodeSequence] == ([code] if code else [])


def test_icon_is_the_rendered_model_in_grey_or_in_its_colour(tmp_path: Path) -> None:
    path = making_models.obj_with_mtl(tmp_path)
    expected = preview.preview(opened(path))
    assert expected is not None
    for options, photometric in ((Options(), "MONOCHROME2"), (Options(color=(200, 30, 40)), "PALETTE COLOR")):
        model, library = built(path, tmp_path, options)
        (icon,) = model.IconImageSequence
        assert (icon.PhotometricInterpretation, icon.BitsAllocated, icon.SamplesPerPixel) == (photometric, 8, 1)
        found = np.frombuffer(icon.PixelData, np.uint8).reshape(icon.Rows, icon.Columns)
        np.testing.assert_array_equal(found, expected)
        assert "IconImageSequence" not in library
    table = [np.frombuffer(icon[f"{c}PaletteColorLookupTableData"].value, "<u2") for c in ("Red", "Green", "Blue")]
    assert [int(channel[240]) // 257 for channel in table] == [200, 30, 40]


def test_model_too_flat_to_be_seen_has_no_icon(tmp_path: Path) -> None:
    path = tmp_path / "flat.obj"
    path.write_text("v 0 0 0\nv 1 1 1\nv 2 2 2\nf 1 2 3\n")
    assert "IconImageSequence" not in built(path, tmp_path)[0]


def test_obj_refers_to_its_materials_by_the_names_that_it_has_for_them(tmp_path: Path) -> None:
    path = tmp_path / "model.obj"
    (tmp_path / "lib").mkdir()
    for name in ("lib/my bones.mtl", "skin.mtl"):
        (tmp_path / name).write_text(making_models.MTL)
    path.write_text(making_models.obj("mtllib lib/my bones.mtl\nmtllib skin.mtl"))
    model, *libraries = built(path, tmp_path)

    assert [one.InstanceNumber for one in (model, *libraries)] == [1, 2, 3]
    assert len({one.SOPInstanceUID for one in (model, *libraries)}) == 3
    assert len({one.SeriesInstanceUID for one in (model, *libraries)}) == 1
    items = model.ReferencedInstanceSequence
    assert [item.ReferencedSOPInstanceUID for item in items] == [one.SOPInstanceUID for one in libraries]
    assert {item.ReferencedSOPClassUID for item in items} == {CLASSES["model/mtl"]}
    references = [item.RelativeURIReferenceWithinEncapsulatedDocument for item in items]
    assert references == ["lib/my%20bones.mtl", "skin.mtl"]
    source, own = model.ReferencedSeriesSequence
    assert (source.SeriesInstanceUID, own.SeriesInstanceUID) == ("1.2.3.4.0", model.SeriesInstanceUID)
    assert len(own.ReferencedInstanceSequence) == 2
    assert "FrameOfReferenceUID" in model
    assert all("FrameOfReferenceUID" not in one for one in libraries)


def test_srgb_profile_is_of_the_input_class_and_the_same_each_time() -> None:
    profile = srgb_input_profile()
    srgb_input_profile.cache_clear()
    assert srgb_input_profile() == profile
    assert (profile[12:16], profile[16:20], len(profile) % 2) == (b"scnr", b"RGB ", 0)
    ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(__import__("io").BytesIO(profile)))


# --- documents --------------------------------------------------------------------------------------------------


def test_document_is_of_modality_doc_and_may_name_its_patient(tmp_path: Path) -> None:
    for path in (pdf(tmp_path), cda(tmp_path)):
        (written,) = built(path, tmp_path)
        assert (written.Modality, written.ConversionType, written.BurnedInAnnotation) == ("DOC", "WSD", "YES")
        assert "ReferencedSeriesSequence" not in written
        assert built(path, tmp_path, Options(burned_in_annotation=False))[0].BurnedInAnnotation == "NO"


def test_title_of_a_document_is_the_rows_else_its_codes(tmp_path: Path) -> None:
    for path, title in ((pdf(tmp_path), "Document"), (cda(tmp_path), "Discharge summary")):
        assert built(path, tmp_path)[0].DocumentTitle == title
        assert built(path, tmp_path, Options(document_title="Letter"))[0].DocumentTitle == "Letter"
        assert built(path, tmp_path, Options(series_description="Letters"))[0].DocumentTitle == "Letters"
    assert built(cda(tmp_path, code=""), tmp_path)[0].DocumentTitle == "Clinical document"


def test_clinical_document_tells_identifier_code_and_embedded_types(tmp_path: Path) -> None:
    body = '<component><nonXMLBody><text mediaType="application/pdf" representation="B64">JVBERi0=</text></nonXMLBody>'
    (written,) = built(cda(tmp_path, body=body + "</component>"), tmp_path)
    assert written.HL7InstanceIdentifier == "2.999.7.1^D-17"
    assert written.ListOfMIMETypes == "application/pdf"
    (code,) = written.ConceptNameCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("18842-5", "LN", "Discharge summary")


def role(*ids: str, name: str = "Jane Doe", birth: str = "19700102") -> str:
    given = "".join(f'<id root="{i.partition("^")[0]}" extension="{i.partition("^")[2]}"/>' for i in ids)
    return f'{given}<patient><name>{name}</name><birthTime value="{birth}"/></patient>'


def issued(item: Dataset, by: str = "2.999.1") -> Dataset:
    issuer = Dataset()
    issuer.UniversalEntityID, issuer.UniversalEntityIDType = by, "ISO"
    item.IssuerOfPatientIDQualifiersSequence = [issuer]
    return item


@pytest.mark.parametrize(
    "patient_role",
    [
        role("2.999.1^P-2"),  # another ID of the same issuer, whatever else agrees
        role("2.999.1^P-2", "2.999.9^P-1"),  # nor does a number that another issuer gave help
        role("2.999.9^P-1", name="John Roe"),
        role("^P-1", name="John Roe"),
        role("2.999.8^P-2", name="John Roe"),
        role("2.999.8^P-2", birth="19700103"),
        role("2.999.8^P-2", birth=""),  # only the name agrees
        role("2.999.1^P-1", birth="19700103"),  # the ID of another hospital may be the same by chance
        role(birth="19700103"),
        role("2.999.1^FORMER", name="Mary Other", birth=""),  # the patient's number of another issuer, by its own
        role("2.999.5^P-1", name="Jane Doe", birth=""),  # nor is the patient's own number one of that issuer
        role("2.999.1^OTHER", name="Mary Other", birth=""),  # whose number OTHER is, the PACS does not say
        role(name="Peter Smith", birth=""),
        role(name="Peter Smith"),
    ],
)
def test_clinical_document_of_another_patient_is_refused_and_values_are_not_told(
    tmp_path: Path, patient_role: str
) -> None:
    with pytest.raises(IdentityMismatch, match="another patient") as refusal:
        built(cda(tmp_path, patient_role=patient_role), tmp_path, source=of_several_issuers())
    said = refusal.value.message + refusal.value.next_step
    assert all(word not in said for word in ("P-1", "P-2", "Doe", "Roe", "Smith", "1970", "2.999"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("patient_role", "warning"),
    [
        (role("2.999.1^P-1"), None),
        (role("2.999.8^N-9", "2.999.1^P-1", name="Jane Married"), None),
        (role("2.999.8^OTHER"), None),  # another ID of the patient in the PACS
        (role("2.999.8^OTHER", name="Dr. Jane M. Doe"), None),
        (role("2.999.5^FORMER", name="Jane Married"), None),  # one whose issuer the PACS knows
        (role("2.999.9^P-1", name=""), None),  # the birth date agrees
        (role("2.999.9^P-1", birth=""), None),  # the name agrees
        (role("2.999.9^P-1", name="", birth=""), "may be of another issuer"),
        (role("2.999.8^N-9"), "name and birth date agree"),
        (role(), "no patient ID"),
        ("", "no patient ID"),
        (role(name="Doe, Jane M.", birth=""), "no patient ID"),
        (role("2.999.1^OTHER", birth=""), None),
    ],
)
def test_clinical_document_that_may_be_the_patients_is_taken_and_doubt_is_told(
    tmp_path: Path, patient_role: str, warning: str | None
) -> None:
    build = making.a_build(of_several_issuers(), tmp_path)
    making.build_instances(opened(cda(tmp_path, patient_role=patient_role)), build)
    assert [warning in one for one in build.warnings] == [True] if warning else build.warnings == []


@pytest.mark.parametrize(
    ("pacs", "document"),
    [
        ("Mueller^Eva", "Eva Müller"),
        ("Sørensen^Åge", "Aage Soerensen"),
        ("ONEIL^MARY", "Mary O’Neil"),
        ("Yamada^Tarou", "山田 太郎"),  # nothing to compare: a doubt, no difference
        ("Yamada^Tarou=山田^太郎", "太郎 山田"),
        ("Married^Jane", "Jane Doe"),
        ("Married^Jane", "Jane Born"),
    ],
)
def test_name_in_another_spelling_or_script_or_an_earlier_one_is_no_other_patients(
    pacs: str, document: str, tmp_path: Path
) -> None:
    source = issued(making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT", PatientName=pacs, PatientBirthName="Born"))
    source.OtherPatientNames = ["Doe^Jane", "Roe^Jane"]
    for patient_role in (role(name=document, birth=""), role("2.999.9^P-1", name=document)):
        build = making.a_build(source, tmp_path)
        making.build_instances(opened(cda(tmp_path, patient_role=patient_role)), build)
        assert all("another issuer" not in one for one in build.warnings)


def of_several_issuers() -> Dataset:
    """P-1 of its own issuer, FORMER of another one, OTHER of whom the PACS does not say."""
    source = issued(making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT"))
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = "OTHER", "TEXT"
    former = issued(Dataset(), "2.999.5")
    former.PatientID, former.TypeOfPatientID = "FORMER", "TEXT"
    source.OtherPatientIDsSequence = [other, former]
    return source


def test_clinical_document_is_tried_out_before_the_patient_is_known(tmp_path: Path) -> None:
    source = Dataset()  # as the check without a PACS has it
    source.SOPClassUID, source.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "2.25.1"
    source.StudyInstanceUID, source.SeriesInstanceUID, source.PatientID = "2.25.2", "2.25.3", "0"
    for patient_id, name, told in (("P-1", "Jane Doe", 0), ("P-1", None, 1), ("Q-1", None, 1)):
        build = making.a_build(source, tmp_path, patient_id=patient_id, patient_name=name)
        making.build_instances(opened(cda(tmp_path)), build)
        assert ["not confirmed" in one for one in build.warnings] == [True] * told


@pytest.mark.parametrize(
    ("encoding", "document_id"),
    [("utf-16", '<id root="2.999.7"/>'), ("utf-8", '<id root="7d44b88c-4199-4bad-97dc-d78268e01398"/>')],
)
def test_clinical_document_in_utf_16_or_with_a_uuid_passes_all_checkers(
    encoding: str, document_id: str, standard: Path, tmp_path: Path
) -> None:
    path = tmp_path / "summary.xml"
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>'
    path.write_bytes(making_models.cda(document_id=document_id, declaration=declaration).encode(encoding))
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    (instance,) = making.build(opened(path), source, tmp_path)
    _assert_sound(instance, standard)


def test_what_is_seen_only_when_the_model_is_read_is_warned_of(tmp_path: Path) -> None:
    build = making.a_build(making.real_source("CT_small.dcm"), tmp_path, Options(units=Units.M))
    path = making_models.obj_with_mtl(tmp_path / "media")
    build_instances(open_media(path, build.row.options, Settings(), tmp_path), build)
    assert any("check the column units" in warning for warning in build.warnings)
