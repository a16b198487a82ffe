"""Each rule of the validator, broken on purpose in an object that is good in all else: that rule is found."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

from media2dicom.dicom.references import code_item
from media2dicom.errors import ObjectNotConformant
from media2dicom.validation import findings, refuse_findings
from media2dicom.validation.attributes import check_attributes
from media2dicom.validation.iods import IOD, IODS
from media2dicom.validation.written import Written, open_written
from tests.dicom.making import BASELINE, EXPLICIT, EXTENDED, P14, SV1
from tests.dicom.test_contract import CASES, MATRIX
from tests.validation.objects import dataset_start, good, said, with_attributes, with_bytes

Change = Callable[[FileDataset], None]
STILL, GREY, DEEP, TWELVE = "colour still", "grey still", "16-bit grey still", "12-bit grey still"
KEPT, KEPT_RGB, EVEN, UNEVEN, GREY_CINE = (
    *("kept colour JPEG", "kept RGB JPEG"),
    *("colour cine, even", "colour cine, uneven", "grey cine, even"),
)


@pytest.mark.parametrize(("name", "syntax"), MATRIX)
def test_object_that_conforms_has_no_finding(name: str, syntax: str) -> None:
    assert findings(good(name, syntax)) == ()


# --- one attribute changed --------------------------------------------------------------------------------------


def _set(**values: object) -> Change:
    def change(dataset: FileDataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def _drop(*keywords: str) -> Change:
    def change(dataset: FileDataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return change


def _meta(**values: object) -> Change:
    def change(dataset: FileDataset) -> None:
        for keyword, value in values.items():
            setattr(dataset.file_meta, keyword, value)

    return change


def _part(term: str, code: str, meaning: str) -> Change:
    return _set(BodyPartExamined=term, AnatomicRegionSequence=[code_item(code, "SCT", meaning)])


def _code(
    sequence: str, value: str, scheme: str = "DCM", within: str | None = None, meaning: str = "a meaning"
) -> Change:
    def change(dataset: FileDataset) -> None:
        holder: Dataset = dataset[within].value[0] if within else dataset
        item = holder[sequence].value[0] if holder[sequence].value else Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        holder[sequence].value = Sequence([item])

    return change


def _icon(**values: object) -> Change:
    def change(dataset: FileDataset) -> None:
        (icon,) = dataset.IconImageSequence
        for keyword, value in values.items():
            delattr(icon, keyword) if value is None else setattr(icon, keyword, value)

    return change


def _private(dataset: FileDataset) -> None:
    dataset.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "LO", "x")


def _profile(color_space: bytes = b"RGB ", profile_class: bytes = b"scnr", size: int = 132) -> Change:
    head = struct.pack(">I", size).ljust(12, b"\0") + profile_class + color_space
    return _set(ICCProfile=head.ljust(36, b"\0") + b"acsp".ljust(96, b"\0"))


def _frames(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    def of_dataset(dataset: FileDataset) -> None:
        count = int(dataset.get("NumberOfFrames", 1))
        dataset.PixelData = encapsulate(change(list(generate_frames(dataset.PixelData, number_of_frames=count))))

    return of_dataset


def _reference_to_itself(dataset: FileDataset) -> None:
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = dataset.SOPInstanceUID


def _item_of_another_character_set(dataset: FileDataset) -> None:
    dataset.ReferencedImageSequence[0].SpecificCharacterSet = "ISO_IR 192"


def _no_purpose(dataset: FileDataset) -> None:
    del dataset.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence


def _no_meaning(dataset: FileDataset) -> None:
    del dataset.MeasurementUnitsCodeSequence[0].CodeMeaning


def _other_document(payload: bytes) -> Change:
    return _set(EncapsulatedDocument=payload, EncapsulatedDocumentLength=len(payload))


def _shorter_length(dataset: FileDataset) -> None:
    dataset.EncapsulatedDocumentLength -= 1


_UNITS, _PURPOSE = "MeasurementUnitsCodeSequence", "PurposeOfReferenceCodeSequence"
_LOSSY, _RATIO, _METHOD = "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"
_LOSSY_RULE = "3 C.7.6.1.1.5"
_ANNEX_L = "16 Annex L"
_ICON, _ICON_RULE = "IconImageSequence[1]", "3 C.7.6.1.1.6"
_TABLE = (f"{_ICON}.RedPaletteColorLookupTableData", "3 C.7.6.3.1.5")

BROKEN: dict[str, tuple[str, str, Change, set[tuple[str, str]]]] = {
    # values
    "another character set": (
        STILL,
        SV1,
        _set(SpecificCharacterSet="ISO_IR 100"),
        {("SpecificCharacterSet", "3 C.12.1.1.2")},
    ),
    "a character set in an item": (
        *(STILL, SV1, _item_of_another_character_set),
        {("ReferencedImageSequence[1].SpecificCharacterSet", "3 C.12.1.1.2")},
    ),
    "a private attribute": (STILL, SV1, _private, {("(0009,0010)", "5 7.8"), ("(0009,1001)", "5 7.8")}),
    "an attribute of no dictionary": (
        *(STILL, SV1, lambda dataset: dataset.add_new(0x00081235, "LO", "x")),
        {("(0008,1235)", "6 6")},
    ),
    "65 characters in LO": (STILL, SV1, _set(SeriesDescription="ü" * 65), {("SeriesDescription", "5 6.2")}),
    "17 characters in SH": (STILL, SV1, _set(AccessionNumber="1" * 17), {("AccessionNumber", "5 6.2")}),
    "a line break in LO": (STILL, SV1, _set(SeriesDescription="a\nb"), {("SeriesDescription", "5 6.2")}),
    "a day that is none": (STILL, SV1, _set(StudyDate="20230229"), {("StudyDate", "5 6.2")}),
    "a time that is none": (STILL, SV1, _set(StudyTime="256199"), {("StudyTime", "5 6.2")}),
    "small letters in CS": (STILL, SV1, _set(BodyPartExamined="hand"), {("BodyPartExamined", "5 6.2")}),
    "six components in PN": (STILL, SV1, _set(PatientName="a^b^c^d^e^f"), {("PatientName", "5 6.2")}),
    "a UID with a leading zero": (STILL, SV1, _set(SeriesInstanceUID="1.2.03"), {("SeriesInstanceUID", "5 6.2")}),
    "17 characters in DS": (EVEN, BASELINE, _set(FrameTime="33.33333333333333"), {("FrameTime", "5 6.2")}),
    "two values in CS of one": (STILL, SV1, _set(Modality=["CT", "MR"]), {("Modality", "5 6.4")}),
    "two values in US of one": (STILL, SV1, _set(PixelRepresentation=[0, 0]), {("PixelRepresentation", "5 6.4")}),
    # animals, and what may not stand alone
    "an animal without breed": (
        *(STILL, SV1, _set(PatientSpeciesDescription="CANINE")),
        {
            *((f"PatientBreed{what}", "3 C.7.1.1") for what in ("Description", "CodeSequence")),
            ("BreedRegistrationSequence", "3 C.7.1.1"),
            *((f"Responsible{who}", "3 C.7.1.1") for who in ("Person", "Organization")),
            ("PatientSexNeutered", "3 C.7.2.2"),
        },
    ),
    "a breed without species": (
        *(STILL, SV1, _set(PatientBreedDescription="Beagle")),
        {("PatientSpeciesDescription", "3 C.7.1.1")},
    ),
    "a role of nobody": (STILL, SV1, _set(ResponsiblePersonRole="OWNER"), {("ResponsiblePersonRole", "3 C.7.1.1")}),
    "a calendar without dates": (
        *(STILL, SV1, _set(PatientAlternativeCalendar="CHINESE")),
        {("PatientAlternativeCalendar", "3 C.7.1.1")},
    ),
    "an event without an offset": (
        *(STILL, SV1, _set(ClinicalTrialTimePointID="1", LongitudinalTemporalEventType="BASELINE")),
        {("LongitudinalTemporalEventType", "3 C.7.2.3")},
    ),
    # identity and file meta
    "another class in the file meta": (
        *(STILL, SV1, _meta(MediaStorageSOPClassUID="1.2.840.10008.5.1.4.1.1.2")),
        {("MediaStorageSOPClassUID", "10 7.1")},
    ),
    "another instance in the file meta": (
        *(STILL, SV1, _meta(MediaStorageSOPInstanceUID="1.2.3")),
        {("MediaStorageSOPInstanceUID", "10 7.1")},
    ),
    "a version name too long": (
        *(STILL, SV1, _meta(ImplementationVersionName="M" * 17)),
        {("ImplementationVersionName", "5 6.2")},
    ),
    "pixels' syntax for a model": ("STL", EXPLICIT, _meta(TransferSyntaxUID=SV1), {("TransferSyntaxUID", "5 8.2, 10")}),
    "an unknown class": (
        *(
            STILL,
            SV1,
            lambda dataset: (_set(SOPClassUID="1.2.3")(dataset), _meta(MediaStorageSOPClassUID="1.2.3")(dataset)),
        ),
        {("SOPClassUID", "4 B.5")},
    ),
    "a reference to itself": (
        *(STILL, SV1, _reference_to_itself),
        {("ReferencedImageSequence[1].ReferencedSOPInstanceUID", "3 10.8")},
    ),
    "one UID twice": (
        "STL",
        EXPLICIT,
        lambda dataset: _set(ModelGroupUID=dataset.SeriesInstanceUID)(dataset),
        {("ModelGroupUID", "5 9")},
    ),
    # enumerated values and conditions
    "burned in, perhaps": (
        GREY_CINE,
        BASELINE,
        _set(BurnedInAnnotation="PERHAPS"),
        {("BurnedInAnnotation", "3 A.8.3")},
    ),
    "a side that is none": (STILL, SV1, _set(ImageLaterality="X"), {("ImageLaterality", "3 A.8.1")}),
    "planes one after the other": (STILL, SV1, _set(PlanarConfiguration=1), {("PlanarConfiguration", "3 A.8.1")}),
    "a model's modality": ("STL", EXPLICIT, _set(Modality="CT"), {("Modality", "3 A.85.1")}),
    "an attribute of other objects": (STILL, SV1, _set(SliceThickness="1"), {("SliceThickness", "3 A.8.1")}),
    "an image type of no kind": (STILL, SV1, _set(ImageType=["DERIVED", "OTHER"]), {("ImageType", "3 A.8.1")}),
    "a paired body part without its side": (
        STILL,
        SV1,
        lambda dataset: (_drop("ImageLaterality")(dataset), _part("HAND", "85562004", "Hand")(dataset)),
        {("Laterality", "3 C.7.3.1")},
    ),
    "an unpaired body part without its side": (
        STILL,
        SV1,
        lambda dataset: (_drop("ImageLaterality")(dataset), _part("HEART", "80891009", "Heart")(dataset)),
        set(),
    ),
    "neither laterality nor body part": (STILL, SV1, _drop("ImageLaterality"), {("Laterality", "3 C.7.3.1")}),
    "no planar configuration": (STILL, SV1, _drop("PlanarConfiguration"), {("PlanarConfiguration", "3 C.7.6.3")}),
    "no rescale slope of a grey cine": (GREY_CINE, BASELINE, _drop("RescaleSlope"), {("RescaleSlope", "3 C.8.6.3")}),
    "another rescale slope of a grey cine": (
        GREY_CINE,
        BASELINE,
        _set(RescaleSlope="2"),
        {("RescaleSlope", "3 A.8.3")},
    ),
    "references to nothing": (
        *(STILL, SV1, _set(ReferencedImageSequence=[])),
        {("ReferencedImageSequence", "3 C.7.6.4")},
    ),
    "no frame time": (
        *(EVEN, BASELINE, _drop("FrameTime")),
        {("FrameTime", "3 C.7.6.5"), ("FrameIncrementPointer", "3 C.7.6.6.1.2"), ("FrameTime", "3 C.7.6.5.1.1")},
    ),
    "references without the series": (
        *(STILL, SV1, _drop("ReferencedSeriesSequence")),
        set(),  # of usage U: allowed
    ),
    "a model's references without the series": (
        *("STL", EXPLICIT, _drop("ReferencedSeriesSequence")),
        {("ReferencedSeriesSequence", "3 C.12.2")},
    ),
    "an image of first hand": (STILL, SV1, _set(ImageType=["ORIGINAL", "PRIMARY"]), {("ImageType", "3 A.8.1")}),
    # defined terms
    "a modality that is none": (STILL, SV1, _set(Modality="FOO"), {("Modality", "3 C.7.3.1.1.1")}),
    "a body part that is none": (STILL, SV1, _set(BodyPartExamined="NONSENSE"), {("BodyPartExamined", _ANNEX_L)}),
    "a body part that the code alone tells": (
        *(STILL, SV1, _part("FOREARM", "14975008", "Forearm")),
        {("BodyPartExamined", _ANNEX_L)},
    ),
    "a body part with the code of another": (
        *(STILL, SV1, _part("KNEE", "85562004", "Hand")),
        {("AnatomicRegionSequence", _ANNEX_L)},
    ),
    "a body part without its code": (
        *(STILL, SV1, _set(BodyPartExamined="KNEE")),
        {("AnatomicRegionSequence", _ANNEX_L)},
    ),
    "a region with the meaning of another": (
        *(STILL, SV1, _part("KNEE", "72696002", "Hand")),
        {("AnatomicRegionSequence[1]", _ANNEX_L)},
    ),
    "no reference to the source": (
        *(STILL, SV1, _drop("ReferencedImageSequence")),
        {("ReferencedImageSequence", "3 C.7.6.4")},
    ),
    # codes
    "a unit with the meaning of another": (
        *("STL", EXPLICIT, _code(_UNITS, "mm", "UCUM", meaning="inch")),
        {(f"{_UNITS}[1]", "16 CID 7063")},
    ),
    "units of weight": ("STL", EXPLICIT, _code(_UNITS, "kg", "UCUM"), {(f"{_UNITS}[1]", "16 CID 7063")}),
    "a unit of another scheme": ("STL", EXPLICIT, _code(_UNITS, "mm", "DCM"), {(f"{_UNITS}[1]", "16 CID 7063")}),
    "a unit without meaning": (
        *("STL", EXPLICIT, _no_meaning),
        {(f"{_UNITS}[1]", "3 8.8"), (f"{_UNITS}[1].CodeMeaning", "3 C.35.1")},
    ),
    "a usage of no list": (
        *("STL", EXPLICIT, _code("ModelUsageCodeSequence", "129999")),
        {("ModelUsageCodeSequence[1]", "16 CID 7064")},
    ),
    "a title of no list": (
        *("STL", EXPLICIT, _code("ConceptNameCodeSequence", "121324")),
        {("ConceptNameCodeSequence[1]", "16 CID 7061")},
    ),
    "a purpose of another list": (
        *(STILL, SV1, _code(_PURPOSE, "121324", within="ReferencedImageSequence")),
        {(f"ReferencedImageSequence[1].{_PURPOSE}[1]", "16 CID 7201")},
    ),
    "a model's purpose of another list": (
        *("STL", EXPLICIT, _code(_PURPOSE, "121338", within="SourceInstanceSequence")),
        {(f"SourceInstanceSequence[1].{_PURPOSE}[1]", "16 CID 7060")},
    ),
    "a reference without purpose": (
        *(STILL, SV1, _no_purpose),
        {(f"ReferencedImageSequence[1].{_PURPOSE}", "3 C.7.6.4")},
    ),
    # documents
    "a length of another document": (
        *("STL", EXPLICIT, _set(EncapsulatedDocumentLength=1)),
        {("EncapsulatedDocumentLength", "3 C.24.2")},
    ),
    "a length that leaves out a byte of the model": (
        *("STL", EXPLICIT, _shorter_length),
        {("EncapsulatedDocument", "3 C.24.2")},
    ),
    "another MIME type": (
        *("STL", EXPLICIT, _set(MIMETypeOfEncapsulatedDocument="model/obj")),
        {("MIMETypeOfEncapsulatedDocument", "3 C.24.2")},
    ),
    "a model cut off": (
        "STL",
        EXPLICIT,
        _other_document(b"\0" * 80 + b"\2\0\0\0" + b"\0" * 50),
        {("EncapsulatedDocument", "3 C.24.2")},
    ),
    "an opacity of more than all": (
        *("STL", EXPLICIT, _set(RecommendedPresentationOpacity=1.5)),
        {("RecommendedPresentationOpacity", "3 C.35.1")},
    ),
    "a colour of two parts": (
        *("STL", EXPLICIT, _set(RecommendedDisplayCIELabValue=[1, 2])),
        {("RecommendedDisplayCIELabValue", "5 6.4")},
    ),
    # icons
    "an icon without a palette": (
        *("STL", EXPLICIT, _icon(RedPaletteColorLookupTableData=None)),
        {(f"{_ICON}.RedPaletteColorLookupTableData", "3 C.35.1")},
    ),
    "a palette cut off": (*("STL", EXPLICIT, _icon(RedPaletteColorLookupTableData=b"ab")), {_TABLE}),
    "an icon cut off": (*("STL", EXPLICIT, _icon(PixelData=b"ab")), {(f"{_ICON}.PixelData", _ICON_RULE)}),
    "an icon of more rows": (*("STL", EXPLICIT, _icon(Rows=999)), {(f"{_ICON}.PixelData", _ICON_RULE)}),
    "an icon of no colours": (
        *("STL", EXPLICIT, _icon(PhotometricInterpretation="FOO")),
        {(f"{_ICON}.PhotometricInterpretation", _ICON_RULE)},
    ),
    "an icon that names the patient": (
        *("STL", EXPLICIT, _icon(PatientName="Doe^Jane")),
        {(f"{_ICON}.PatientName", "3 C.35.1")},
    ),
    "a reference that says more": (
        *(STILL, SV1, lambda dataset: setattr(dataset.ReferencedImageSequence[0], "SeriesDescription", "Knee")),
        {("ReferencedImageSequence[1].SeriesDescription", "3 C.7.6.4")},
    ),
    # the lossy history
    "a lossy stream that says it is none": (
        KEPT,
        BASELINE,
        _set(**{_LOSSY: "00"}),
        {(_LOSSY, _LOSSY_RULE), (_RATIO, _LOSSY_RULE)},
    ),
    "a lossy stream that says nothing": (
        *(KEPT, BASELINE, _drop(_LOSSY, _RATIO, _METHOD)),
        {(_LOSSY, _LOSSY_RULE)},
    ),
    "no ratio": (KEPT, BASELINE, _drop(_RATIO), {(_RATIO, _LOSSY_RULE), (_METHOD, _LOSSY_RULE)}),
    "no method": (KEPT, BASELINE, _drop(_METHOD), {(_METHOD, _LOSSY_RULE)}),
    "two ratios, one method": (EVEN, BASELINE, _set(**{_METHOD: "ISO_10918_1"}), {(_METHOD, _LOSSY_RULE)}),
    "another method": (KEPT, BASELINE, _set(**{_METHOD: "ISO_15444_1"}), {(_METHOD, _LOSSY_RULE)}),
    "another ratio": (KEPT, BASELINE, _set(**{_RATIO: "30"}), {(_RATIO, _LOSSY_RULE)}),
    # the module with itself and with the stream
    "other rows": (STILL, SV1, _set(Rows=25), {("Rows", "5 8.2.1")}),
    "other columns": (STILL, SV1, _set(Columns=36), {("Columns", "5 8.2.1")}),
    "another precision": (TWELVE, SV1, _set(BitsStored=13, HighBit=12), {("BitsStored", "5 8.2.1")}),
    "another high bit": (DEEP, SV1, _set(HighBit=14), {("HighBit", "3 C.7.6.3")}),
    "more bits stored than allocated": (
        *(STILL, EXPLICIT, _set(BitsStored=9, HighBit=8)),
        {("BitsStored", "3 C.7.6.3")},
    ),
    "grey that is said to be colour": (
        *(GREY, SV1, _set(SamplesPerPixel=3, PlanarConfiguration=0)),
        {("SamplesPerPixel", "3 C.7.6.3"), ("SamplesPerPixel", "5 8.2.1")},
    ),
    "planes of one sample": (GREY, SV1, _set(PlanarConfiguration=0), {("PlanarConfiguration", "3 C.7.6.3")}),
    "a YCbCr stream as RGB": (
        KEPT,
        BASELINE,
        _set(PhotometricInterpretation="RGB"),
        {("PhotometricInterpretation", "5 8.2.1")},
    ),
    "an RGB stream as YCbCr": (
        *(KEPT_RGB, BASELINE, _set(PhotometricInterpretation="YBR_FULL_422")),
        {("PhotometricInterpretation", "5 8.2.1")},
    ),
    "a lossless RGB stream as YCbCr": (
        *(STILL, SV1, _set(PhotometricInterpretation="YBR_FULL_422")),
        {("PhotometricInterpretation", "5 8.2.1")},
    ),
    "native pixels as YCbCr": (
        *(STILL, EXPLICIT, _set(PhotometricInterpretation="YBR_FULL_422")),
        {("PhotometricInterpretation", "5 8.2")},
    ),
    "native pixels too few": (STILL, EXPLICIT, _set(PixelData=b"\0" * 100), {("PixelData", "5 8.1.1")}),
    "a baseline stream as extended": (
        KEPT,
        BASELINE,
        _meta(TransferSyntaxUID=EXTENDED),
        {("TransferSyntaxUID", "5 8.2.1")},
    ),
    "an extended stream as baseline": (
        TWELVE,
        EXTENDED,
        _meta(TransferSyntaxUID=BASELINE),
        {("TransferSyntaxUID", "5 8.2.1")},
    ),
    "another predictor as first order": (
        STILL,
        P14,
        _meta(TransferSyntaxUID=SV1),
        {("TransferSyntaxUID", "5 8.2.1, 10.4")},
    ),
    "first order as another predictor": (
        STILL,
        SV1,
        _meta(TransferSyntaxUID=P14),
        {("TransferSyntaxUID", "5 8.2.1, 10.4")},
    ),
    "a frame without its end": (STILL, SV1, _frames(lambda frames: [frames[0][:-4]]), {("PixelData", "5 A.4.1")}),
    "a frame that is no JPEG": (
        STILL,
        SV1,
        _frames(lambda frames: [b"\0\1" + frames[0][2:]]),
        {("PixelData", "5 A.4.1")},
    ),
    "a frame of another size among many": (
        *(
            EVEN,
            BASELINE,
            _frames(lambda frames: [*frames[:2], frames[2].replace(b"\0\x18\0\x24", b"\0\x18\0\x28", 1), frames[3]]),
        ),
        {("Columns", "5 8.2.1")},
    ),
    # frames and times
    "a frame too few": (
        UNEVEN,
        BASELINE,
        _frames(lambda frames: frames[:-1]),
        {("NumberOfFrames", "5 A.4"), (_RATIO, _LOSSY_RULE)},
    ),
    "a time too few": (
        *(UNEVEN, BASELINE, lambda dataset: _set(FrameTimeVector=list(dataset.FrameTimeVector)[:-1])(dataset)),
        {("FrameTimeVector", "3 C.7.6.5.1.2")},
    ),
    "times that do not begin with zero": (
        *(UNEVEN, BASELINE, _set(FrameTimeVector=["5", "1", "1", "1"])),
        {("FrameTimeVector", "3 C.7.6.5.1.2")},
    ),
    "no time from frame to frame": (EVEN, BASELINE, _set(FrameTime="0"), {("FrameTime", "3 C.7.6.5.1.1")}),
    "a pointer to what is not there": (
        *(EVEN, BASELINE, _set(FrameIncrementPointer=[0x00181063, 0x00182001])),
        {("FrameIncrementPointer", "3 C.7.6.6.1.2")},
    ),
    # the ICC profile
    "a display profile": (STILL, SV1, _profile(profile_class=b"mntr"), {("ICCProfile", "3 C.11.15.1.1")}),
    "a profile of a printer's colours": (STILL, SV1, _profile(b"CMYK"), {("ICCProfile", "3 C.11.15.1.1")}),
    "a profile of a cine": (EVEN, BASELINE, _profile(), {("ICCProfile", "3 A.8.5")}),
    "a profile of a model without colours": ("STL", EXPLICIT, _profile(), {("ICCProfile", "3 A.85.1")}),
    "a profile cut off": (STILL, SV1, _profile(size=400), {("ICCProfile", "3 C.11.15")}),
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


# --- bytes changed ----------------------------------------------------------------------------------------------


def _element(tag: tuple[int, int], vr: bytes) -> bytes:
    return struct.pack("<HH", *tag) + vr


def _odd_length(data: bytes) -> bytes:
    head = _element((0x0010, 0x0020), b"LO")
    at = data.index(head) + len(head)
    (length,) = struct.unpack("<H", data[at : at + 2])
    return data[:at] + struct.pack("<H", length - 1) + data[at + 2 : at + 1 + length] + data[at + 2 + length :]


def _group_length(data: bytes) -> bytes:
    start = dataset_start(data)
    return data[:start] + struct.pack("<HH2sHL", 0x0008, 0, b"UL", 4, 0) + data[start:]


def _meta_length(data: bytes) -> bytes:
    return data[:140] + struct.pack("<L", struct.unpack("<L", data[140:144])[0] - 8) + data[144:]


def _offset_table(data: bytes) -> bytes:
    at = data.rindex(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)) + 12
    return data[: at + 12] + b"\7" + data[at + 13 :]


BYTES: dict[str, tuple[str, str, Callable[[bytes], bytes], set[tuple[str, str]]]] = {
    "text that does not decode": (
        *(STILL, SV1, lambda data: data.replace(b"CompressedSamples", b"Compress\xffdSamples")),
        {("PatientName", "5 6.1")},
    ),
    "an odd length": (STILL, SV1, _odd_length, {("PatientID", "5 7.1")}),
    "a group length": (STILL, SV1, _group_length, {("(0008,0000)", "5 7.2")}),
    "another VR": (
        *(STILL, SV1, lambda data: data.replace(_element((0x0028, 0x0010), b"US"), _element((0x0028, 0x0010), b"SS"))),
        {("Rows", "6 6")},
    ),
    "a file meta of another length": (STILL, SV1, _meta_length, {("FileMetaInformationGroupLength", "10 7.1")}),
    "an offset table to nowhere": (EVEN, BASELINE, _offset_table, {("PixelData", "5 A.4")}),
    "a file cut off": (EVEN, BASELINE, lambda data: data[:-100], {("PixelData", "5 A.4"), (_RATIO, _LOSSY_RULE)}),
    "a file cut off in its model": (
        *("STL", EXPLICIT, lambda data: data[: data.index(b"made for a test") + 200]),
        {
            *(("EncapsulatedDocument", "3 C.24.2"), ("file", "10 7")),
            *(("MIMETypeOfEncapsulatedDocument", "3 C.24.2"), ("SourceInstanceSequence", "3 C.24.2")),  # behind it
        },
    ),
    "a file cut off in its icon": (
        *("STL", EXPLICIT, lambda data: data[:-200]),
        {("IconImageSequence", "5 7.1"), ("IconImageSequence[1].PixelData", "5 7.1"), ("file", "10 7")},
    ),
    "native pixels cut off": (STILL, EXPLICIT, lambda data: data[:-200], {("file", "10 7")}),
    "more behind the pixels": (STILL, SV1, lambda data: data + b"\0" * 8, {("file", "10 7")}),
    "a progressive stream": (
        *(KEPT, BASELINE, lambda data: data.replace(b"\xff\xc0\0\x11", b"\xff\xc2\0\x11")),
        {("TransferSyntaxUID", "5 8.2.1")},
    ),
}


@pytest.mark.parametrize("what", BYTES)
def test_each_rule_that_is_broken_in_the_bytes_is_found(what: str, tmp_path: Path) -> None:
    name, syntax, change, expected = BYTES[what]
    assert said(with_bytes(good(name, syntax), change, tmp_path)) == expected


# --- what becomes of a finding ----------------------------------------------------------------------------------


def test_finding_refuses_the_object_and_names_attribute_and_rule_but_no_value(tmp_path: Path) -> None:
    change = _set(PatientID="CANARY" * 20, PatientName="CANARY^" * 9, StudyDate="CANARY", Rows=4711)
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
    assert said(with_attributes(good(STILL, SV1), _set(SeriesDescription="ü" * 64), tmp_path)) == set()


def test_stated_patient_of_the_good_objects_is_the_one_that_the_tests_break() -> None:
    assert dcmread(good(STILL, SV1)).PatientName == "CompressedSamples^CT1"
