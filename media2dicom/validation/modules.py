"""The modules of PS3.3 that the project writes: attributes with their types, as far as they concern it.

Types 1 and 2 are complete, 1C and 2C are those that can arise here, 3 are those that the project writes. Which
object takes which module is in `iods.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from media2dicom.dicom import attributes as copied
from media2dicom.dicom.values import ITEM_REQUIRES
from media2dicom.validation import conditions as when
from media2dicom.validation.conditions import Condition


@dataclass(frozen=True)
class Attribute:
    """One attribute of a module. `required` says when a 1C or 2C is; None: not told by the data set."""

    keyword: str
    type: str  # 1, 1C, 2, 2C, 3
    required: Condition | None = None
    items: tuple[Attribute, ...] = ()  # of a sequence: what each item has to have
    not_otherwise: bool = False  # a 1C or 2C that shall not be present when it is not required
    more: bool = False  # whether an item may have other attributes too, being copied from the source

    @property
    def tag(self) -> int:
        tag = tag_for_keyword(self.keyword)
        if tag is None:
            raise KeyError(self.keyword)
        return int(tag)

    @property
    def condition(self) -> str:
        """In words, of a 1C or 2C that the data set tells."""
        return "" if self.required is None else when.words(self.required)


@dataclass(frozen=True)
class Module:
    name: str
    section: str  # of PS3.3
    attributes: tuple[Attribute, ...]


def _all(type_: str, keywords: str, required: Condition | None = None) -> tuple[Attribute, ...]:
    return tuple(Attribute(keyword, type_, required) for keyword in keywords.split())


def _copied(name: str) -> tuple[Attribute, ...]:
    """Type 3, as `dicom/attributes.py` copies them from the source: the table there is the one home."""
    module = copied.MODULES[name]
    told = {*module.type_1, *module.type_2, *module.type_2c}
    return tuple(
        Attribute(keyword_for_tag(tag), "3", items=_needed(tag), more=True) for tag in module.tags if tag not in told
    )


def _needed(sequence: int) -> tuple[Attribute, ...]:
    """What an item of a sequence that is copied must have; without alternatives."""
    return tuple(Attribute(keyword, "1") for keyword in ITEM_REQUIRES.get(sequence, ()) if "|" not in keyword)


def _module(name: str, section: str, *groups: tuple[Attribute, ...] | Attribute) -> Module:
    """Later mentions of a keyword give way to earlier ones."""
    found: dict[str, Attribute] = {}
    for group in groups:
        for attribute in (group,) if isinstance(group, Attribute) else group:
            found.setdefault(attribute.keyword, attribute)
    return Module(name, section, tuple(found.values()))


# --- macros -----------------------------------------------------------------------------------------------------

CODE: Final = (*_all("1", "CodeMeaning"), *_all("1C", "CodeValue CodingSchemeDesignator LongCodeValue URNCodeValue"))
SOP_REFERENCE: Final = _all("1", "ReferencedSOPClassUID ReferencedSOPInstanceUID")
PURPOSE: Final = Attribute("PurposeOfReferenceCodeSequence", "1", items=CODE)
SOURCE_REFERENCE: Final = (*SOP_REFERENCE, PURPOSE)
_IMAGE_PIXEL: Final = (
    *_all(
        "1",
        "SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation",
    ),
    Attribute("PlanarConfiguration", "1C", when.in_color),
)
_PALETTE: Final = tuple(
    Attribute(f"{color}PaletteColorLookupTable{part}", "1C", when.in_palette)
    for color in ("Red", "Green", "Blue")
    for part in ("Descriptor", "Data")
)
_ICON: Final = Attribute("IconImageSequence", "3", items=(*_IMAGE_PIXEL, *_PALETTE, Attribute("PixelData", "1")))

# --- Patient and Study (PS3.3 C.7.1, C.7.2) ---------------------------------------------------------------------

PATIENT: Final = _module(
    "Patient",
    "C.7.1.1",
    _all("2", "PatientName PatientID PatientBirthDate PatientSex"),
    Attribute("PatientAlternativeCalendar", "1C", when.with_alternative_calendar_dates, not_otherwise=True),
    Attribute("ResponsiblePersonRole", "1C", when.with_responsible_person, not_otherwise=True),
    Attribute("DeidentificationMethod", "1C", when.deidentified_without_code),
    _all("1C", "DeidentificationMethodCodeSequence PatientSpeciesCodeSequence"),
    Attribute("PatientSpeciesDescription", "1C", when.of_breed_without_species_code),
    Attribute("PatientBreedDescription", "2C", when.of_animal_without_breed_code),
    _all(
        "2C",
        "PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson ResponsibleOrganization",
        when.of_animal,
    ),
    _copied("Patient"),
)
CLINICAL_TRIAL_SUBJECT: Final = _module(
    "Clinical Trial Subject",
    "C.7.1.3",
    _all("1", "ClinicalTrialSponsorName ClinicalTrialProtocolID"),
    _all("2", "ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName"),
    Attribute("ClinicalTrialSubjectID", "1C", when.without_reading_id),
    Attribute("ClinicalTrialSubjectReadingID", "1C", when.without_subject_id),
    Attribute("ClinicalTrialProtocolEthicsCommitteeName", "1C", when.with_ethics_approval_number),
    _copied("Clinical Trial Subject"),
)
GENERAL_STUDY: Final = _module(
    "General Study",
    "C.7.2.1",
    _all("1", "StudyInstanceUID"),
    _all("2", "StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber"),
    _copied("General Study"),
)
PATIENT_STUDY: Final = _module(
    "Patient Study", "C.7.2.2", _all("2C", "PatientSexNeutered", when.of_animal), _copied("Patient Study")
)
CLINICAL_TRIAL_STUDY: Final = _module(
    "Clinical Trial Study",
    "C.7.2.3",
    _all("2", "ClinicalTrialTimePointID"),
    Attribute("LongitudinalTemporalEventType", "1C", when.with_temporal_offset, not_otherwise=True),
    _copied("Clinical Trial Study"),
)

# --- Series, Frame of Reference, Equipment (C.7.3 to C.7.5, C.8, C.24) ------------------------------------------

GENERAL_SERIES: Final = _module(
    "General Series",
    "C.7.3.1",
    _all("1", "Modality SeriesInstanceUID"),
    _all("2", "SeriesNumber"),
    Attribute("Laterality", "2C", when.of_paired_part),
    _all("3", "SeriesDate SeriesTime SeriesDescription BodyPartExamined"),
)
CR_SERIES: Final = _module("CR Series", "C.8.1.1", _all("2", "BodyPartExamined ViewPosition"))
ENCAPSULATED_DOCUMENT_SERIES: Final = _module(
    "Encapsulated Document Series",
    "C.24.1",
    _all("1", "Modality SeriesInstanceUID SeriesNumber"),
    _all("3", "SeriesDate SeriesTime SeriesDescription"),
)
FRAME_OF_REFERENCE: Final = _module(
    "Frame of Reference", "C.7.4.1", _all("1", "FrameOfReferenceUID"), _all("2", "PositionReferenceIndicator")
)
GENERAL_EQUIPMENT: Final = _module(
    "General Equipment",
    "C.7.5.1",
    _all("2", "Manufacturer"),
    _all("3", "ManufacturerModelName DeviceSerialNumber SoftwareVersions"),
)
ENHANCED_GENERAL_EQUIPMENT: Final = _module(
    "Enhanced General Equipment",
    "C.7.5.2",
    _all("1", "Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions"),
)
SC_EQUIPMENT: Final = _module("SC Equipment", "C.8.6.1", _all("1", "ConversionType"), _all("3", "Modality"))

# --- Image (C.7.6, C.8) -----------------------------------------------------------------------------------------

GENERAL_IMAGE: Final = _module(
    "General Image",
    "C.7.6.1",
    _all("2", "InstanceNumber"),
    Attribute("PatientOrientation", "2C", when.without_image_orientation),
    _all("2C", "ContentDate ContentTime"),
    _all("3", "ImageType BurnedInAnnotation LossyImageCompression LossyImageCompressionRatio"),
    _all("3", "LossyImageCompressionMethod ImageLaterality ImageComments AcquisitionDate AcquisitionTime"),
    _all("3", "AcquisitionDateTime PresentationLUTShape"),
    Attribute("AnatomicRegionSequence", "3", items=CODE),
    _ICON,
)
GENERAL_REFERENCE: Final = _module(
    "General Reference",
    "C.7.6.4",
    Attribute("ReferencedImageSequence", "3", items=SOURCE_REFERENCE),
    Attribute("ReferencedInstanceSequence", "3", items=SOURCE_REFERENCE),
    Attribute("SourceImageSequence", "3", items=SOURCE_REFERENCE),
    Attribute("SourceInstanceSequence", "3", items=SOURCE_REFERENCE),
    _all("3", "DerivationDescription"),
)
IMAGE_PIXEL: Final = _module(
    "Image Pixel",
    "C.7.6.3",
    _IMAGE_PIXEL,
    Attribute("PixelData", "1C", when.always),
    _all("1C", "PixelAspectRatio"),
    _all("3", "ExtendedOffsetTable"),
    Attribute("ExtendedOffsetTableLengths", "1C", when.with_extended_offset_table),
)
CINE: Final = _module(
    "Cine",
    "C.7.6.5",
    Attribute("FrameTime", "1C", when.with_frame_time),
    Attribute("FrameTimeVector", "1C", when.with_frame_time_vector),
    _all("2C", "MultiplexedAudioChannelsDescriptionCodeSequence"),
    _all("3", "CineRate RecommendedDisplayFrameRate PreferredPlaybackSequencing StartTrim StopTrim FrameDelay"),
    _all("3", "EffectiveDuration ActualFrameDuration"),
)
MULTI_FRAME: Final = _module("Multi-frame", "C.7.6.6", _all("1", "NumberOfFrames FrameIncrementPointer"))
SC_IMAGE: Final = _module(
    "SC Image", "C.8.6.2", _all("3", "DateOfSecondaryCapture TimeOfSecondaryCapture"), _all("1C", "PixelSpacing")
)
SC_MULTI_FRAME_IMAGE: Final = _module(
    "SC Multi-frame Image",
    "C.8.6.3",
    _all("1", "BurnedInAnnotation"),
    Attribute("PresentationLUTShape", "1C", when.in_grey),
    Attribute("RescaleIntercept", "1C", when.in_grey),
    Attribute("RescaleSlope", "1C", when.in_grey),
    Attribute("RescaleType", "1C", when.in_grey),
    Attribute("FrameIncrementPointer", "1C", when.in_several_frames),
)
SC_MULTI_FRAME_VECTOR: Final = _module(
    "SC Multi-frame Vector", "C.8.6.4", Attribute("FrameTimeVector", "1C", when.with_frame_time_vector)
)
US_IMAGE: Final = _module(
    "US Image",
    "C.8.5.6",
    _all("1", "SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit PixelRepresentation"),
    _all("2", "ImageType"),
    Attribute("PlanarConfiguration", "1C", when.in_color),
    Attribute("FrameIncrementPointer", "1C", when.with_number_of_frames),
    Attribute("LossyImageCompression", "1C", when.lossy),
    _all("2C", "NumberOfStages NumberOfViewsInStage"),
)
CR_IMAGE: Final = _module("CR Image", "C.8.1.2", _all("1", "PhotometricInterpretation"))
VL_IMAGE: Final = _module(
    "VL Image",
    "C.8.12.1",
    _all("1", "ImageType PhotometricInterpretation BitsAllocated BitsStored HighBit PixelRepresentation"),
    _all("1", "SamplesPerPixel"),
    _all("2", "LossyImageCompression"),
    Attribute("PlanarConfiguration", "1C", when.in_color),
    _all("1C", "ContentTime"),
    Attribute("ReferencedImageSequence", "1C", when.with_stereo_type, items=SOURCE_REFERENCE),
    Attribute("AnatomicRegionSequence", "1C", when.of_video_of_a_patient, items=CODE),
    Attribute("WindowWidth", "1C", when.with_window_center),
)
ACQUISITION_CONTEXT: Final = _module("Acquisition Context", "C.7.6.14", _all("2", "AcquisitionContextSequence"))
ICC_PROFILE: Final = _module("ICC Profile", "C.11.15", _all("1", "ICCProfile"), _all("3", "ColorSpace"))

# --- Encapsulated documents (C.24, C.35) ------------------------------------------------------------------------

ENCAPSULATED_DOCUMENT: Final = _module(
    "Encapsulated Document",
    "C.24.2",
    _all("1", "InstanceNumber BurnedInAnnotation MIMETypeOfEncapsulatedDocument EncapsulatedDocument"),
    _all("2", "ContentDate ContentTime AcquisitionDateTime DocumentTitle"),
    Attribute("ConceptNameCodeSequence", "2", items=CODE),
    Attribute("SourceInstanceSequence", "1C", when.derived_from_instances, items=SOURCE_REFERENCE),
    Attribute(
        "ReferencedInstanceSequence",
        "3",
        items=(*SOP_REFERENCE, Attribute("RelativeURIReferenceWithinEncapsulatedDocument", "1C")),
    ),
    Attribute("HL7InstanceIdentifier", "1C", when.of_cda),
    _all("1C", "ListOfMIMETypes"),
    _all("3", "ImageLaterality EncapsulatedDocumentLength RecognizableVisualFeatures"),
)
MANUFACTURING_3D_MODEL: Final = _module(
    "Manufacturing 3D Model",
    "C.35.1",
    Attribute("MeasurementUnitsCodeSequence", "1", items=CODE),
    _all("3", "ModelModification ModelMirroring ContentDescription ModelGroupUID"),
    Attribute("ModelUsageCodeSequence", "3", items=CODE),
    _ICON,
    _all("3", "RecommendedDisplayCIELabValue RecommendedPresentationOpacity"),
)

# --- Common (C.12) ----------------------------------------------------------------------------------------------

SOP_COMMON: Final = _module(
    "SOP Common",
    "C.12.1",
    _all("1", "SOPClassUID SOPInstanceUID"),
    Attribute("SpecificCharacterSet", "1C", when.beyond_ascii),
    _all("3", "InstanceCreationDate InstanceCreationTime InstanceNumber"),
)
COMMON_INSTANCE_REFERENCE: Final = _module(
    "Common Instance Reference",
    "C.12.2",
    Attribute(
        "ReferencedSeriesSequence",
        "1C",
        when.with_references,
        items=(
            *_all("1", "SeriesInstanceUID"),
            Attribute("ReferencedInstanceSequence", "1", items=SOP_REFERENCE),
        ),
    ),
    _all("1C", "StudiesContainingOtherReferencedInstancesSequence"),
)
