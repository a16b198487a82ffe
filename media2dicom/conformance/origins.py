"""Where the value of each attribute comes from, and when it is there (PS3.2: presence of value, source of value).

What is copied from the source instance is the table of `dicom/attributes.py`; here is the rest. An attribute that
several modules have is told once; a module that differs has a line of its own, as "Module.Keyword". The tests hold
these lines against objects that the builders write.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydicom.datadict import keyword_for_tag

from media2dicom.dicom.attributes import MANUFACTURER, MODULES
from media2dicom.dicom.building import DEFAULT_SERIES_NUMBER
from media2dicom.validation.values import CHARACTER_SET


class Presence(StrEnum):
    """As conformance statements abbreviate it."""

    ALWAYS = "ALWAYS"  # with a value
    VNAP = "VNAP"  # the attribute always, its value where there is one
    ANAP = "ANAP"  # the attribute, with a value, where there is one
    EMPTY = "EMPTY"  # always there, never with a value
    NEVER = "never"  # a condition that does not arise


class Source(StrEnum):
    """Who gives the value."""

    SOURCE = "source"  # the instance that lends patient and study
    ROW = "row"  # of the manifest
    MEDIA = "media"  # the file
    MADE = "made"  # by the program
    FIXED = "fixed"


@dataclass(frozen=True)
class Origin:
    presence: Presence
    sources: tuple[Source, ...]
    words: str  # names of columns and settings in `backticks`

    @property
    def who(self) -> str:
        return ", ".join(self.sources)


_NAMES: Final = {source.value: source for source in Source}


def _origin(presence: Presence, sources: str, words: str) -> Origin:
    return Origin(presence, tuple(_NAMES[source] for source in sources.split()), words)


def _always(sources: str, words: str) -> Origin:
    return _origin(Presence.ALWAYS, sources, words)


def _vnap(sources: str, words: str) -> Origin:
    return _origin(Presence.VNAP, sources, words)


def _anap(sources: str, words: str) -> Origin:
    return _origin(Presence.ANAP, sources, words)


def _empty(words: str) -> Origin:
    return _origin(Presence.EMPTY, "fixed", words)


def _never(words: str) -> Origin:
    return _origin(Presence.NEVER, "", words)


_CONVERSION: Final = "The moment of the conversion."
_ICON_ATTRIBUTES: Final = frozenset(
    ["SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelData"]
)
_ICON: Final = "Of the icon: 8-bit grey, or a palette of the row's `color`."
_PALETTE_ATTRIBUTES: Final = tuple(
    f"{color}PaletteColorLookupTable{part}" for color in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
)
_PALETTE: Final = "256 shades of the row's `color`, of 16 bits each."

ORIGINS: Final = {
    # Series
    "Modality": _always(
        "row source fixed",
        "`modality`, else the source's, else an image series' of the study, else OT; or the IOD's own.",
    ),
    "Encapsulated Document Series.Modality": _always("fixed", "M3D for a model, DOC for a document."),
    "SeriesInstanceUID": _always("made", "Derived from study, media and options; rows of a `series_group` share it."),
    "ReferencedSeriesSequence.SeriesInstanceUID": _always(
        "source", "The source's series; of material libraries, this one."
    ),
    "SeriesNumber": _always("row fixed", f"`series_number`, else {DEFAULT_SERIES_NUMBER}."),
    "Laterality": _never("Image Laterality is always there."),
    "SeriesDate": _anap("made", f"{_CONVERSION} Not in a `series_group`."),
    "SeriesTime": _anap("made", f"{_CONVERSION} Not in a `series_group`."),
    "SeriesDescription": _anap("row", "`series_description`."),
    "BodyPartExamined": _anap("row source", "`body_part`, else the source's, as a defined term (PS3.16 Annex L)."),
    "CR Series.BodyPartExamined": _vnap("row source", "`body_part`, else the source's; empty where it is not known."),
    "ViewPosition": _empty("Not known of a picture that is filed."),
    # Frame of Reference, equipment
    "FrameOfReferenceUID": _always("source made", "The source's, else derived from the row's group or series."),
    "PositionReferenceIndicator": _vnap("source", "The source's."),
    "Manufacturer": _always("fixed", MANUFACTURER),
    "ManufacturerModelName": _always("fixed", MANUFACTURER),
    "DeviceSerialNumber": _always("made", "Of this installation, made once and kept in `data_dir`."),
    "SoftwareVersions": _always("fixed", "The version of the program."),
    "ConversionType": _always("fixed", "WSD for pictures and documents, DV for video."),
    # Image
    "InstanceNumber": _always("row made", "`instance_order`, else the place in the series; frames count on from it."),
    "PatientOrientation": _empty("Not known of a picture that is filed."),
    "ContentDate": _always(
        "row made", "`content_date`, else the date of the conversion; a frame's runs on with its time."
    ),
    "ContentTime": _vnap("row made", "`content_time`, else that of the conversion; a frame's runs on with its time."),
    "Encapsulated Document.ContentDate": _always("row made", "`content_date`, else the date of the conversion."),
    "Encapsulated Document.ContentTime": _vnap("row made", "`content_time`, else that of the conversion."),
    "ImageType": _always("fixed", "DERIVED\\SECONDARY"),
    "BurnedInAnnotation": _anap("row fixed", "`burned_in_annotation`; YES for a cine that does not say."),
    "SC Multi-frame Image.BurnedInAnnotation": _always("row fixed", "`burned_in_annotation`, else YES."),
    "Encapsulated Document.BurnedInAnnotation": _always(
        "row fixed", "`burned_in_annotation`, else NO for a model, YES for a document."
    ),
    "LossyImageCompression": _always("media made", "01 as soon as one step lost something, the file's own included."),
    "LossyImageCompressionRatio": _anap("media made", "Of each lossy step, oldest first."),
    "LossyImageCompressionMethod": _anap("media made", "Of each lossy step, oldest first."),
    "ImageLaterality": _always("row source fixed", "`laterality`, else the source's of the same body part, else U."),
    "Encapsulated Document.ImageLaterality": _anap(
        "row source", "`laterality`; of a model, else the source's of the same body part."
    ),
    "AnatomicRegionSequence": _anap("row source", "The code of the body part, where it has one."),
    "PresentationLUTShape": _anap("fixed", "IDENTITY, of a grey cine of Secondary Capture."),
    "DerivationDescription": _anap("media", "A frame's instant in its clip; lossy codecs without a defined term."),
    "PixelAspectRatio": _anap("media", "Where the file's pixels are not square."),
    "SamplesPerPixel": _always("media", "1 or 3."),
    "PhotometricInterpretation": _always(
        "media made", "MONOCHROME2, RGB, YBR_FULL_422 (lossy JPEG), YBR_PARTIAL_420 (video)."
    ),
    "CR Image.PhotometricInterpretation": _always("fixed", "MONOCHROME2"),
    "Rows": _always("media", "Of the upright picture."),
    "Columns": _always("media", "Of the upright picture."),
    "BitsAllocated": _always("media", "8 or 16."),
    "BitsStored": _always("media", "8, or 9 to 16 of grey."),
    "HighBit": _always("made", "Bits Stored less 1."),
    "PixelRepresentation": _always("fixed", "0"),
    "PlanarConfiguration": _anap("fixed", "0, of colour."),
    "PixelData": _always("media", "The picture, or its own stream."),
    "DateOfSecondaryCapture": _always("made", _CONVERSION),
    "TimeOfSecondaryCapture": _always("made", _CONVERSION),
    "ICCProfile": _always("media fixed", "The module is there with the file's input profile; sRGB in OBJ and MTL."),
    "ColorSpace": _anap("fixed", "SRGB, of OBJ and MTL."),
    "AcquisitionContextSequence": _empty("No item."),
    # Frames
    "NumberOfFrames": _always(
        "media row", "The frames that `frame_interval_s`, `start_s`, `end_s`, `max_frames` leave."
    ),
    "FrameIncrementPointer": _always("made", "Frame Time, or Frame Time Vector."),
    "US Image.FrameIncrementPointer": _anap("made", "Of a cine."),
    "FrameTime": _anap("media", "In ms, where the frames are evenly spaced."),
    "FrameTimeVector": _anap("media", "In ms, where they are not."),
    "CineRate": _anap("media", "Of a video kept as one stream."),
    "RecommendedDisplayFrameRate": _anap("media", "Of a video kept as one stream."),
    "RescaleIntercept": _anap("fixed", "0, of grey."),
    "RescaleSlope": _anap("fixed", "1, of grey."),
    "RescaleType": _anap("fixed", "US, of grey."),
    # References
    "ReferencedImageSequence": _anap("source", "The source instance, when it is an image."),
    "SourceInstanceSequence": _anap("source", "The source instance, when it is no image."),
    "Encapsulated Document.SourceInstanceSequence": _always("source", "The source instance."),
    "Encapsulated Document.ReferencedInstanceSequence": _anap("made", "Of an OBJ: its material libraries."),
    "ReferencedSeriesSequence.ReferencedInstanceSequence": _always("source made", "The same instances."),
    "RelativeURIReferenceWithinEncapsulatedDocument": _always("media", "As the OBJ names the library."),
    "ReferencedSeriesSequence": _always("source made", "The series of what is referred to, in this study."),
    "ReferencedSOPClassUID": _always("source made", "Of what is referred to."),
    "ReferencedSOPInstanceUID": _always("source made", "Of what is referred to."),
    "PurposeOfReferenceCodeSequence": _always("fixed", "See [[Coded terminology]]."),
    # Codes
    "CodeValue": _always("fixed", "See [[Coded terminology]]."),
    "CodingSchemeDesignator": _always("fixed", "See [[Coded terminology]]."),
    "CodeMeaning": _always("fixed", "See [[Coded terminology]]."),
    # Documents and models
    "MIMETypeOfEncapsulatedDocument": _always("media", "By the kind of file."),
    "EncapsulatedDocument": _always("media", "The file; a text STL, and what is converted, as binary STL."),
    "EncapsulatedDocumentLength": _always("media", "In bytes, without padding."),
    "Encapsulated Document.AcquisitionDateTime": _empty("Not known."),
    "DocumentTitle": _always(
        "row media", "`document_title`, `part_name`, `series_description`; else the kind of document."
    ),
    "ConceptNameCodeSequence": _vnap("source media", "Of a model by the source's modality; of a CDA its own code."),
    "HL7InstanceIdentifier": _anap("media", "The CDA document's own."),
    "ListOfMIMETypes": _anap("media", "Of what is embedded in a CDA document."),
    "MeasurementUnitsCodeSequence": _always("row", "`units`, mm when it is empty."),
    "ModelModification": _always("row", "YES or NO, from `modified`."),
    "ModelMirroring": _always("row", "YES or NO, from `mirrored`."),
    "ModelUsageCodeSequence": _anap("row", "`model_usage`."),
    "ModelGroupUID": _always("row made", "Derived; rows of one `model_group` in a study share it."),
    "ContentDescription": _anap("row", "`part_name`; or the colour as ColorRGB(r, g, b), with `color_in_description`."),
    "RecommendedDisplayCIELabValue": _anap("row", "`color`, from sRGB to CIELab at D50 (C.10.7.1.1)."),
    "RecommendedPresentationOpacity": _anap("row", "`opacity`."),
    "General Image.IconImageSequence": _never("A picture is its own preview."),
    "IconImageSequence": _anap("made", "A rendered preview of the model."),
    **{f"IconImageSequence.{keyword}": _always("made", _ICON) for keyword in _ICON_ATTRIBUTES},
    **{f"IconImageSequence.{keyword}": _anap("row", _PALETTE) for keyword in _PALETTE_ATTRIBUTES},
    "IconImageSequence.PlanarConfiguration": _never("The icon has one sample per pixel."),
    # SOP Common
    "SOPClassUID": _always("made", "By media, policy and pixels: [[From media to objects]]."),
    "SOPInstanceUID": _always("made", "Derived from study, media, options and part: the same again in every run."),
    "SpecificCharacterSet": _always("fixed", CHARACTER_SET),
    "InstanceCreationDate": _always("made", _CONVERSION),
    "InstanceCreationTime": _always("made", _CONVERSION),
    # Conditions that do not arise
    "LongCodeValue": _never("All codes have at most 16 characters."),
    "URNCodeValue": _never("No code is a URN."),
    "ExtendedOffsetTableLengths": _never("The upload limit is below 4 GiB: the Basic Offset Table suffices."),
    "PixelSpacing": _never("No picture is calibrated."),
    "MultiplexedAudioChannelsDescriptionCodeSequence": _never("Sound is not filed."),
    "NumberOfStages": _never("No picture is of a staged protocol."),
    "NumberOfViewsInStage": _never("No picture is of a staged protocol."),
    "VL Image.ReferencedImageSequence": _anap("source", "As in General Reference; no picture is of a stereo pair."),
    "WindowWidth": _never("There is no Window Center."),
    "StudiesContainingOtherReferencedInstancesSequence": _never("All that is referred to is in this study."),
}


def origin_of(module: str, keyword: str, sequence: str = "") -> Origin | None:
    """Of an attribute of a module, or of an item of its `sequence`; None for one that is never written."""
    for key in (f"{sequence}.{keyword}", f"{module}.{keyword}") if sequence else (f"{module}.{keyword}",):
        if key in ORIGINS:
            return ORIGINS[key]
    if module in MODULES:
        return _always("source", "Copied with its item.") if sequence else _copied(module, keyword)
    return ORIGINS.get(keyword)


def _copied(module: str, keyword: str) -> Origin:
    table = MODULES[module]
    of_type = {keyword_for_tag(tag): 2 for tag in table.type_2} | {keyword_for_tag(tag): 1 for tag in table.type_1}
    words = "Copied."
    if keyword == "AccessionNumber":
        return _vnap("source row", "Copied; `accession_override` takes its place.")
    match of_type.get(keyword):
        case 1:
            return _always("source", words)
        case 2:
            return _vnap("source", words)
    if keyword in {keyword_for_tag(tag) for tag in table.type_2c}:
        return _anap("source", "Copied; empty for an animal whose source lacks it.")
    return _anap("source", words)
