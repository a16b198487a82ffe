"""The modules of PS3.3 that the project writes: attributes with their types, as far as they concern it.

Types 1 and 2 are complete, 1C and 2C are those that can arise here, 3 are those that the project writes. Which
object takes which module is in `iods.py`.
"""

from __future__ import annotations

from typing import Final

from media2dicom.validation import conditions as when
from media2dicom.validation.definitions import Attribute, copied, module, typed

# --- macros -----------------------------------------------------------------------------------------------------

CODE: Final = (*typed("1", "CodeMeaning"), *typed("1C", "CodeValue CodingSchemeDesignator LongCodeValue URNCodeValue"))
SOP_REFERENCE: Final = typed("1", "ReferencedSOPClassUID ReferencedSOPInstanceUID")
PURPOSE: Final = Attribute("PurposeOfReferenceCodeSequence", "1", items=CODE)
SOURCE_REFERENCE: Final = (*SOP_REFERENCE, PURPOSE)
_IMAGE_PIXEL: Final = (
    *typed(
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

PATIENT: Final = module(
    "Patient",
    "C.7.1.1",
    typed("2", "PatientName PatientID PatientBirthDate PatientSex"),
    Attribute("PatientAlternativeCalendar", "1C", when.with_alternative_calendar_dates, not_otherwise=True),
    Attribute("ResponsiblePersonRole", "1C", when.with_responsible_person, not_otherwise=True),
    Attribute("DeidentificationMethod", "1C", when.deidentified_without_code),
    typed("1C", "DeidentificationMethodCodeSequence PatientSpeciesCodeSequence"),
    Attribute("PatientSpeciesDescription", "1C", when.of_breed_without_species_code),
    Attribute("PatientBreedDescription", "2C", when.of_animal_without_breed_code),
    typed(
        "2C",
        "PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson ResponsibleOrganization",
        when.of_animal,
    ),
    copied("Patient"),
)
CLINICAL_TRIAL_SUBJECT: Final = module(
    "Clinical Trial Subject",
    "C.7.1.3",
    typed("1", "ClinicalTrialSponsorName ClinicalTrialProtocolID"),
    typed("2", "ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName"),
    Attribute("ClinicalTrialSubjectID", "1C", when.without_reading_id),
    Attribute("ClinicalTrialSubjectReadingID", "1C", when.without_subject_id),
    Attribute("ClinicalTrialProtocolEthicsCommitteeName", "1C", when.with_ethics_approval_number),
    copied("Clinical Trial Subject"),
)
GENERAL_STUDY: Final = module(
    "General Study",
    "C.7.2.1",
    typed("1", "StudyInstanceUID"),
    typed("2", "StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber"),
    copied("General Study"),
)
PATIENT_STUDY: Final = module(
    "Patient Study", "C.7.2.2", typed("2C", "PatientSexNeutered", when.of_animal), copied("Patient Study")
)
CLINICAL_TRIAL_STUDY: Final = module(
    "Clinical Trial Study",
    "C.7.2.3",
    typed("2", "ClinicalTrialTimePointID"),
    Attribute("LongitudinalTemporalEventType", "1C", when.with_temporal_offset, not_otherwise=True),
    copied("Clinical Trial Study"),
)

# --- Series, Frame of Reference, Equipment (C.7.3 to C.7.5, C.8, C.24) ------------------------------------------

GENERAL_SERIES: Final = module(
    "General Series",
    "C.7.3.1",
    typed("1", "Modality SeriesInstanceUID"),
    typed("2", "SeriesNumber"),
    Attribute("Laterality", "2C", when.of_paired_part),
    typed("3", "SeriesDate SeriesTime SeriesDescription BodyPartExamined"),
)
CR_SERIES: Final = module("CR Series", "C.8.1.1", typed("2", "BodyPartExamined ViewPosition"))
ENCAPSULATED_DOCUMENT_SERIES: Final = module(
    "Encapsulated Document Series",
    "C.24.1",
    typed("1", "Modality SeriesInstanceUID SeriesNumber"),
    typed("3", "SeriesDate SeriesTime SeriesDescription"),
)
FRAME_OF_REFERENCE: Final = module(
    "Frame of Reference", "C.7.4.1", typed("1", "FrameOfReferenceUID"), typed("2", "PositionReferenceIndicator")
)
GENERAL_EQUIPMENT: Final = module(
    "General Equipment",
    "C.7.5.1",
    typed("2", "Manufacturer"),
    typed("3", "ManufacturerModelName DeviceSerialNumber SoftwareVersions"),
)
ENHANCED_GENERAL_EQUIPMENT: Final = module(
    "Enhanced General Equipment",
    "C.7.5.2",
    typed("1", "Manufacturer ManufacturerModelName DeviceSerialNumber SoftwareVersions"),
)
SC_EQUIPMENT: Final = module("SC Equipment", "C.8.6.1", typed("1", "ConversionType"), typed("3", "Modality"))

# --- Image (C.7.6, C.8) -----------------------------------------------------------------------------------------

GENERAL_IMAGE: Final = module(
    "General Image",
    "C.7.6.1",
    typed("2", "InstanceNumber"),
    Attribute("PatientOrientation", "2C", when.without_image_orientation),
    typed("2C", "ContentDate ContentTime"),
    typed("3", "ImageType BurnedInAnnotation LossyImageCompression LossyImageCompressionRatio"),
    typed("3", "LossyImageCompressionMethod ImageLaterality ImageComments AcquisitionDate AcquisitionTime"),
    typed("3", "AcquisitionDateTime PresentationLUTShape"),
    Attribute("AnatomicRegionSequence", "3", items=CODE),
    _ICON,
)
GENERAL_REFERENCE: Final = module(
    "General Reference",
    "C.7.6.4",
    Attribute("ReferencedImageSequence", "3", items=SOURCE_REFERENCE),
    Attribute("ReferencedInstanceSequence", "3", items=SOURCE_REFERENCE),
    Attribute("SourceImageSequence", "3", items=SOURCE_REFERENCE),
    Attribute("SourceInstanceSequence", "3", items=SOURCE_REFERENCE),
    typed("3", "DerivationDescription"),
)
IMAGE_PIXEL: Final = module(
    "Image Pixel",
    "C.7.6.3",
    _IMAGE_PIXEL,
    Attribute("PixelData", "1C", when.always),
    typed("1C", "PixelAspectRatio"),
    typed("3", "ExtendedOffsetTable"),
    Attribute("ExtendedOffsetTableLengths", "1C", when.with_extended_offset_table),
)
CINE: Final = module(
    "Cine",
    "C.7.6.5",
    Attribute("FrameTime", "1C", when.with_frame_time),
    Attribute("FrameTimeVector", "1C", when.with_frame_time_vector),
    typed("2C", "MultiplexedAudioChannelsDescriptionCodeSequence"),
    typed("3", "CineRate RecommendedDisplayFrameRate PreferredPlaybackSequencing StartTrim StopTrim FrameDelay"),
    typed("3", "EffectiveDuration ActualFrameDuration"),
)
MULTI_FRAME: Final = module("Multi-frame", "C.7.6.6", typed("1", "NumberOfFrames FrameIncrementPointer"))
SC_IMAGE: Final = module(
    "SC Image", "C.8.6.2", typed("3", "DateOfSecondaryCapture TimeOfSecondaryCapture"), typed("1C", "PixelSpacing")
)
SC_MULTI_FRAME_IMAGE: Final = module(
    "SC Multi-frame Image",
    "C.8.6.3",
    typed("1", "BurnedInAnnotation"),
    Attribute("PresentationLUTShape", "1C", when.in_grey),
    Attribute("RescaleIntercept", "1C", when.in_grey),
    Attribute("RescaleSlope", "1C", when.in_grey),
    Attribute("RescaleType", "1C", when.in_grey),
    Attribute("FrameIncrementPointer", "1C", when.in_several_frames),
)
SC_MULTI_FRAME_VECTOR: Final = module(
    "SC Multi-frame Vector", "C.8.6.4", Attribute("FrameTimeVector", "1C", when.with_frame_time_vector)
)
US_IMAGE: Final = module(
    "US Image",
    "C.8.5.6",
    typed("1", "SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit PixelRepresentation"),
    typed("2", "ImageType"),
    Attribute("PlanarConfiguration", "1C", when.in_color),
    Attribute("FrameIncrementPointer", "1C", when.with_number_of_frames),
    Attribute("LossyImageCompression", "1C", when.lossy),
    typed("2C", "NumberOfStages NumberOfViewsInStage"),
)
CR_IMAGE: Final = module("CR Image", "C.8.1.2", typed("1", "PhotometricInterpretation"))
VL_IMAGE: Final = module(
    "VL Image",
    "C.8.12.1",
    typed("1", "ImageType PhotometricInterpretation BitsAllocated BitsStored HighBit PixelRepresentation"),
    typed("1", "SamplesPerPixel"),
    typed("2", "LossyImageCompression"),
    Attribute("PlanarConfiguration", "1C", when.in_color),
    typed("1C", "ContentTime"),
    Attribute("ReferencedImageSequence", "1C", when.with_stereo_type, items=SOURCE_REFERENCE),
    Attribute("AnatomicRegionSequence", "1C", when.of_video_of_a_patient, items=CODE),
    Attribute("WindowWidth", "1C", when.with_window_center),
)
ACQUISITION_CONTEXT: Final = module("Acquisition Context", "C.7.6.14", typed("2", "AcquisitionContextSequence"))
ICC_PROFILE: Final = module("ICC Profile", "C.11.15", typed("1", "ICCProfile"), typed("3", "ColorSpace"))

# --- Encapsulated documents (C.24, C.35) ------------------------------------------------------------------------

ENCAPSULATED_DOCUMENT: Final = module(
    "Encapsulated Document",
    "C.24.2",
    typed("1", "InstanceNumber BurnedInAnnotation MIMETypeOfEncapsulatedDocument EncapsulatedDocument"),
    typed("2", "ContentDate ContentTime AcquisitionDateTime DocumentTitle"),
    Attribute("ConceptNameCodeSequence", "2", items=CODE),
    Attribute("SourceInstanceSequence", "1C", when.derived_from_instances, items=SOURCE_REFERENCE),
    Attribute(
        "ReferencedInstanceSequence",
        "3",
        items=(*SOP_REFERENCE, Attribute("RelativeURIReferenceWithinEncapsulatedDocument", "1C")),
    ),
    Attribute("HL7InstanceIdentifier", "1C", when.of_cda),
    typed("1C", "ListOfMIMETypes"),
    typed("3", "ImageLaterality EncapsulatedDocumentLength RecognizableVisualFeatures"),
)
MANUFACTURING_3D_MODEL: Final = module(
    "Manufacturing 3D Model",
    "C.35.1",
    Attribute("MeasurementUnitsCodeSequence", "1", items=CODE),
    typed("3", "ModelModification ModelMirroring ContentDescription ModelGroupUID"),
    Attribute("ModelUsageCodeSequence", "3", items=CODE),
    _ICON,
    typed("3", "RecommendedDisplayCIELabValue RecommendedPresentationOpacity"),
)

# --- Common (C.12) ----------------------------------------------------------------------------------------------

SOP_COMMON: Final = module(
    "SOP Common",
    "C.12.1",
    typed("1", "SOPClassUID SOPInstanceUID"),
    Attribute("SpecificCharacterSet", "1C", when.beyond_ascii),
    typed("3", "InstanceCreationDate InstanceCreationTime InstanceNumber"),
)
COMMON_INSTANCE_REFERENCE: Final = module(
    "Common Instance Reference",
    "C.12.2",
    Attribute(
        "ReferencedSeriesSequence",
        "1C",
        when.with_references,
        items=(
            *typed("1", "SeriesInstanceUID"),
            Attribute("ReferencedInstanceSequence", "1", items=SOP_REFERENCE),
        ),
    ),
    typed("1C", "StudiesContainingOtherReferencedInstancesSequence"),
)
