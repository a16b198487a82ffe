"""Each rule of the validator, broken on purpose in an object that is good in all else: that rule is found.

The rules of pixels, and of bytes, are in `test_findings_of_pixels.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydicom import dcmread

from media2dicom.errors import ObjectNotConformant
from media2dicom.validation import findings, refuse_findings
from media2dicom.validation.attributes import check_attributes
from media2dicom.validation.iods import IOD, IODS
from media2dicom.validation.written import Written, open_written
from tests.dicom.making import BASELINE, EXPLICIT, SV1
from tests.dicom.test_contract import CASES, MATRIX
from tests.validation.breaking import (
    EVEN,
    GREY_CINE,
    STILL,
    Broken,
    add_private,
    drop,
    drop_meaning,
    drop_purpose,
    give_item_a_character_set,
    in_icon,
    in_meta,
    name_code,
    name_part,
    put,
    put_document,
    refer_to_itself,
    shorten_length,
)
from tests.validation.objects import good, said, with_attributes

UNITS, PURPOSE = "MeasurementUnitsCodeSequence", "PurposeOfReferenceCodeSequence"
ANNEX_L = "16 Annex L"
ICON, ICON_RULE = "IconImageSequence[1]", "3 C.7.6.1.1.6"
TABLE = (f"{ICON}.RedPaletteColorLookupTableData", "3 C.7.6.3.1.5")


@pytest.mark.parametrize(("name", "syntax"), MATRIX)
def test_object_that_conforms_has_no_finding(name: str, syntax: str) -> None:
    assert findings(good(name, syntax)) == ()


BROKEN: Broken = {
    # values
    "another character set": (
        STILL,
        SV1,
        put(SpecificCharacterSet="ISO_IR 100"),
        {("SpecificCharacterSet", "3 C.12.1.1.2")},
    ),
    "a character set in an item": (
        *(STILL, SV1, give_item_a_character_set),
        {("ReferencedImageSequence[1].SpecificCharacterSet", "3 C.12.1.1.2")},
    ),
    "a private attribute": (STILL, SV1, add_private, {("(0009,0010)", "5 7.8"), ("(0009,1001)", "5 7.8")}),
    "an attribute of no dictionary": (
        *(STILL, SV1, lambda dataset: dataset.add_new(0x00081235, "LO", "x")),
        {("(0008,1235)", "6 6")},
    ),
    "65 characters in LO": (STILL, SV1, put(SeriesDescription="ü" * 65), {("SeriesDescription", "5 6.2")}),
    "17 characters in SH": (STILL, SV1, put(AccessionNumber="1" * 17), {("AccessionNumber", "5 6.2")}),
    "a line break in LO": (STILL, SV1, put(SeriesDescription="a\nb"), {("SeriesDescription", "5 6.2")}),
    "a day that is none": (STILL, SV1, put(StudyDate="20230229"), {("StudyDate", "5 6.2")}),
    "a time that is none": (STILL, SV1, put(StudyTime="256199"), {("StudyTime", "5 6.2")}),
    "small letters in CS": (STILL, SV1, put(BodyPartExamined="hand"), {("BodyPartExamined", "5 6.2")}),
    "six components in PN": (STILL, SV1, put(PatientName="a^b^c^d^e^f"), {("PatientName", "5 6.2")}),
    "a UID with a leading zero": (STILL, SV1, put(SeriesInstanceUID="1.2.03"), {("SeriesInstanceUID", "5 6.2")}),
    "17 characters in DS": (EVEN, BASELINE, put(FrameTime="33.33333333333333"), {("FrameTime", "5 6.2")}),
    "two values in CS of one": (STILL, SV1, put(Modality=["CT", "MR"]), {("Modality", "5 6.4")}),
    "two values in US of one": (STILL, SV1, put(PixelRepresentation=[0, 0]), {("PixelRepresentation", "5 6.4")}),
    # animals, and what may not stand alone
    "an animal without breed": (
        *(STILL, SV1, put(PatientSpeciesDescription="CANINE")),
        {
            *((f"PatientBreed{what}", "3 C.7.1.1") for what in ("Description", "CodeSequence")),
            ("BreedRegistrationSequence", "3 C.7.1.1"),
            *((f"Responsible{who}", "3 C.7.1.1") for who in ("Person", "Organization")),
            ("PatientSexNeutered", "3 C.7.2.2"),
        },
    ),
    "a breed without species": (
        *(STILL, SV1, put(PatientBreedDescription="Beagle")),
        {("PatientSpeciesDescription", "3 C.7.1.1")},
    ),
    "a role of nobody": (STILL, SV1, put(ResponsiblePersonRole="OWNER"), {("ResponsiblePersonRole", "3 C.7.1.1")}),
    "a calendar without dates": (
        *(STILL, SV1, put(PatientAlternativeCalendar="CHINESE")),
        {("PatientAlternativeCalendar", "3 C.7.1.1")},
    ),
    "an event without an offset": (
        *(STILL, SV1, put(ClinicalTrialTimePointID="1", LongitudinalTemporalEventType="BASELINE")),
        {("LongitudinalTemporalEventType", "3 C.7.2.3")},
    ),
    # identity and file meta
    "another class in the file meta": (
        *(STILL, SV1, in_meta(MediaStorageSOPClassUID="1.2.840.10008.5.1.4.1.1.2")),
        {("MediaStorageSOPClassUID", "10 7.1")},
    ),
    "another instance in the file meta": (
        *(STILL, SV1, in_meta(MediaStorageSOPInstanceUID="1.2.3")),
        {("MediaStorageSOPInstanceUID", "10 7.1")},
    ),
    "a version name too long": (
        *(STILL, SV1, in_meta(ImplementationVersionName="M" * 17)),
        {("ImplementationVersionName", "5 6.2")},
    ),
    "pixels' syntax for a model": (
        "STL",
        EXPLICIT,
        in_meta(TransferSyntaxUID=SV1),
        {("TransferSyntaxUID", "5 8.2, 10")},
    ),
    "an unknown class": (
        *(
            STILL,
            SV1,
            lambda dataset: (put(SOPClassUID="1.2.3")(dataset), in_meta(MediaStorageSOPClassUID="1.2.3")(dataset)),
        ),
        {("SOPClassUID", "4 B.5")},
    ),
    "a reference to itself": (
        *(STILL, SV1, refer_to_itself),
        {("ReferencedImageSequence[1].ReferencedSOPInstanceUID", "3 10.8")},
    ),
    "one UID twice": (
        "STL",
        EXPLICIT,
        lambda dataset: put(ModelGroupUID=dataset.SeriesInstanceUID)(dataset),
        {("ModelGroupUID", "5 9")},
    ),
    # enumerated values and conditions
    "burned in, perhaps": (
        GREY_CINE,
        BASELINE,
        put(BurnedInAnnotation="PERHAPS"),
        {("BurnedInAnnotation", "3 A.8.3")},
    ),
    "a side that is none": (STILL, SV1, put(ImageLaterality="X"), {("ImageLaterality", "3 A.8.1")}),
    "planes one after the other": (STILL, SV1, put(PlanarConfiguration=1), {("PlanarConfiguration", "3 A.8.1")}),
    "a model's modality": ("STL", EXPLICIT, put(Modality="CT"), {("Modality", "3 A.85.1")}),
    "an attribute of other objects": (STILL, SV1, put(SliceThickness="1"), {("SliceThickness", "3 A.8.1")}),
    "an image type of no kind": (STILL, SV1, put(ImageType=["DERIVED", "OTHER"]), {("ImageType", "3 A.8.1")}),
    "a paired body part without its side": (
        STILL,
        SV1,
        lambda dataset: (drop("ImageLaterality")(dataset), name_part("HAND", "85562004", "Hand")(dataset)),
        {("Laterality", "3 C.7.3.1")},
    ),
    "an unpaired body part without its side": (
        STILL,
        SV1,
        lambda dataset: (drop("ImageLaterality")(dataset), name_part("HEART", "80891009", "Heart")(dataset)),
        set(),
    ),
    "neither laterality nor body part": (STILL, SV1, drop("ImageLaterality"), {("Laterality", "3 C.7.3.1")}),
    "no planar configuration": (STILL, SV1, drop("PlanarConfiguration"), {("PlanarConfiguration", "3 C.7.6.3")}),
    "no rescale slope of a grey cine": (GREY_CINE, BASELINE, drop("RescaleSlope"), {("RescaleSlope", "3 C.8.6.3")}),
    "another rescale slope of a grey cine": (
        GREY_CINE,
        BASELINE,
        put(RescaleSlope="2"),
        {("RescaleSlope", "3 A.8.3")},
    ),
    "references to nothing": (
        *(STILL, SV1, put(ReferencedImageSequence=[])),
        {("ReferencedImageSequence", "3 C.7.6.4")},
    ),
    "no frame time": (
        *(EVEN, BASELINE, drop("FrameTime")),
        {("FrameTime", "3 C.7.6.5"), ("FrameIncrementPointer", "3 C.7.6.6.1.2"), ("FrameTime", "3 C.7.6.5.1.1")},
    ),
    "references without the series": (
        *(STILL, SV1, drop("ReferencedSeriesSequence")),
        set(),  # of usage U: allowed
    ),
    "a model's references without the series": (
        *("STL", EXPLICIT, drop("ReferencedSeriesSequence")),
        {("ReferencedSeriesSequence", "3 C.12.2")},
    ),
    "an image of first hand": (STILL, SV1, put(ImageType=["ORIGINAL", "PRIMARY"]), {("ImageType", "3 A.8.1")}),
    # defined terms
    "a modality that is none": (STILL, SV1, put(Modality="FOO"), {("Modality", "3 C.7.3.1.1.1")}),
    "a body part that is none": (STILL, SV1, put(BodyPartExamined="NONSENSE"), {("BodyPartExamined", ANNEX_L)}),
    "a body part that the code alone tells": (
        *(STILL, SV1, name_part("FOREARM", "14975008", "Forearm")),
        {("BodyPartExamined", ANNEX_L)},
    ),
    "a body part with the code of another": (
        *(STILL, SV1, name_part("KNEE", "85562004", "Hand")),
        {("AnatomicRegionSequence", ANNEX_L)},
    ),
    "a body part without its code": (
        *(STILL, SV1, put(BodyPartExamined="KNEE")),
        {("AnatomicRegionSequence", ANNEX_L)},
    ),
    "a region with the meaning of another": (
        *(STILL, SV1, name_part("KNEE", "72696002", "Hand")),
        {("AnatomicRegionSequence[1]", ANNEX_L)},
    ),
    "no reference to the source": (
        *(STILL, SV1, drop("ReferencedImageSequence")),
        {("ReferencedImageSequence", "3 C.7.6.4")},
    ),
    # codes
    "a unit with the meaning of another": (
        *("STL", EXPLICIT, name_code(UNITS, "mm", "UCUM", meaning="inch")),
        {(f"{UNITS}[1]", "16 CID 7063")},
    ),
    "units of weight": ("STL", EXPLICIT, name_code(UNITS, "kg", "UCUM"), {(f"{UNITS}[1]", "16 CID 7063")}),
    "a unit of another scheme": ("STL", EXPLICIT, name_code(UNITS, "mm", "DCM"), {(f"{UNITS}[1]", "16 CID 7063")}),
    "a unit without meaning": (
        *("STL", EXPLICIT, drop_meaning),
        {(f"{UNITS}[1]", "3 8.8"), (f"{UNITS}[1].CodeMeaning", "3 C.35.1")},
    ),
    "a usage of no list": (
        *("STL", EXPLICIT, name_code("ModelUsageCodeSequence", "129999")),
        {("ModelUsageCodeSequence[1]", "16 CID 7064")},
    ),
    "a title of no list": (
        *("STL", EXPLICIT, name_code("ConceptNameCodeSequence", "121324")),
        {("ConceptNameCodeSequence[1]", "16 CID 7061")},
    ),
    "a purpose of another list": (
        *(STILL, SV1, name_code(PURPOSE, "121324", within="ReferencedImageSequence")),
        {(f"ReferencedImageSequence[1].{PURPOSE}[1]", "16 CID 7201")},
    ),
    "a model's purpose of another list": (
        *("STL", EXPLICIT, name_code(PURPOSE, "121338", within="SourceInstanceSequence")),
        {(f"SourceInstanceSequence[1].{PURPOSE}[1]", "16 CID 7060")},
    ),
    "a reference without purpose": (
        *(STILL, SV1, drop_purpose),
        {(f"ReferencedImageSequence[1].{PURPOSE}", "3 C.7.6.4")},
    ),
    # documents
    "a length of another document": (
        *("STL", EXPLICIT, put(EncapsulatedDocumentLength=1)),
        {("EncapsulatedDocumentLength", "3 C.24.2")},
    ),
    "a length that leaves out a byte of the model": (
        *("STL", EXPLICIT, shorten_length),
        {("EncapsulatedDocument", "3 C.24.2")},
    ),
    "another MIME type": (
        *("STL", EXPLICIT, put(MIMETypeOfEncapsulatedDocument="model/obj")),
        {("MIMETypeOfEncapsulatedDocument", "3 C.24.2")},
    ),
    "a model cut off": (
        "STL",
        EXPLICIT,
        put_document(b"\0" * 80 + b"\2\0\0\0" + b"\0" * 50),
        {("EncapsulatedDocument", "3 C.24.2")},
    ),
    "an opacity of more than all": (
        *("STL", EXPLICIT, put(RecommendedPresentationOpacity=1.5)),
        {("RecommendedPresentationOpacity", "3 C.35.1")},
    ),
    "a colour of two parts": (
        *("STL", EXPLICIT, put(RecommendedDisplayCIELabValue=[1, 2])),
        {("RecommendedDisplayCIELabValue", "5 6.4")},
    ),
    # icons
    "an icon without a palette": (
        *("STL", EXPLICIT, in_icon(RedPaletteColorLookupTableData=None)),
        {(f"{ICON}.RedPaletteColorLookupTableData", "3 C.35.1")},
    ),
    "a palette cut off": (*("STL", EXPLICIT, in_icon(RedPaletteColorLookupTableData=b"ab")), {TABLE}),
    "an icon cut off": (*("STL", EXPLICIT, in_icon(PixelData=b"ab")), {(f"{ICON}.PixelData", ICON_RULE)}),
    "an icon of more rows": (*("STL", EXPLICIT, in_icon(Rows=999)), {(f"{ICON}.PixelData", ICON_RULE)}),
    "an icon of no colours": (
        *("STL", EXPLICIT, in_icon(PhotometricInterpretation="FOO")),
        {(f"{ICON}.PhotometricInterpretation", ICON_RULE)},
    ),
    "an icon that names the patient": (
        *("STL", EXPLICIT, in_icon(PatientName="Doe^Jane")),
        {(f"{ICON}.PatientName", "3 C.35.1")},
    ),
    "a reference that says more": (
        *(STILL, SV1, lambda dataset: setattr(dataset.ReferencedImageSequence[0], "SeriesDescription", "Knee")),
        {("ReferencedImageSequence[1].SeriesDescription", "3 C.7.6.4")},
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_rule_that_is_broken_is_found_and_no_other(what: str, tmp_path: Path) -> None:
    name, syntax, change, expected = BROKEN[what]
    assert said(with_attributes(good(name, syntax), change, tmp_path)) == expected


@pytest.mark.parametrize("name", [STILL, EVEN, GREY_CINE, "STL"])
def test_every_attribute_of_type_1_or_2_is_missed_and_every_empty_one_of_type_1(name: str) -> None:
    path = good(name, CASES[name].default)
    iod = IODS[CASES[name].sop_class_uid]
    held = {a.keyword: a.type for use in iod.uses if use.usage == "M" for a in reversed(use.module.attributes)}
    bulk = {"PixelData", "EncapsulatedDocument", "SOPClassUID"}
    asked = [keyword for keyword, type_ in held.items() if type_ in ("1", "2") and keyword not in bulk]
    assert len(asked) > 20
    for keyword in asked:
        written = open_written(path)
        del written.header[keyword]
        assert (keyword, f"is missing (type {held[keyword]})") in _of_attributes(written, iod)
        if held[keyword] == "1":
            setattr(written.header, keyword, None)
            assert (keyword, "has no value (type 1)") in _of_attributes(written, iod)


def _of_attributes(written: Written, iod: IOD) -> set[tuple[str, str]]:
    return {(finding.attribute, finding.text) for finding in check_attributes(written, iod)}


# --- what becomes of a finding ----------------------------------------------------------------------------------


def test_finding_refuses_the_object_and_names_attribute_and_rule_but_no_value(tmp_path: Path) -> None:
    change = put(PatientID="CANARY" * 20, PatientName="CANARY^" * 9, StudyDate="CANARY", Rows=4711)
    broken = with_attributes(good(STILL, SV1), change, tmp_path)
    with pytest.raises(ObjectNotConformant) as refusal:
        refuse_findings(broken)
    assert "PatientID breaks its value representation (PS3.5 6.2)" in refusal.value.message
    assert not re.search("CANARY|4711", refusal.value.message)
    assert not any("CANARY" in str(finding) or "4711" in str(finding) for finding in findings(broken))


def test_file_that_cannot_be_read_again_is_refused_without_what_it_holds(tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"CANARY" * 100)
    with pytest.raises(ObjectNotConformant, match="cannot be read again") as refusal:
        refuse_findings(broken)
    assert "CANARY" not in refusal.value.message


def test_characters_are_counted_not_bytes(tmp_path: Path) -> None:
    assert said(with_attributes(good(STILL, SV1), put(SeriesDescription="ü" * 64), tmp_path)) == set()


def test_stated_patient_of_the_good_objects_is_the_one_that_the_tests_break() -> None:
    assert dcmread(good(STILL, SV1)).PatientName == "CompressedSamples^CT1"
