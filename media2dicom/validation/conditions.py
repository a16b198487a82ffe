"""When a conditional module or attribute is required (PS3.3), as far as the data set itself can tell.

Each is a predicate over the data set; its docstring is the condition in words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pydicom.dataset import Dataset

from media2dicom.dicom.body_parts import body_part_of

Condition = Callable[[Dataset], bool]

FRAME_TIME: Final = 0x00181063
FRAME_TIME_VECTOR: Final = 0x00181065
_STRAIN: Final = ("StrainDescription", "StrainNomenclature", "StrainCodeSequence", "StrainStockSequence")


def words(condition: Condition) -> str:
    """The condition as people read it."""
    return (condition.__doc__ or "").strip().rstrip(".")


def points_to(dataset: Dataset, tag: int) -> bool:
    """Whether Frame Increment Pointer names the tag."""
    pointer = dataset.get("FrameIncrementPointer")
    return tag in ([pointer] if isinstance(pointer, int) else list(pointer or ()))


def in_color(dataset: Dataset) -> bool:
    """Samples per Pixel is greater than 1."""
    return int(dataset.get("SamplesPerPixel") or 1) > 1


def in_grey(dataset: Dataset) -> bool:
    """Photometric Interpretation is MONOCHROME2 and Bits Stored is greater than 1."""
    return dataset.get("PhotometricInterpretation") == "MONOCHROME2" and int(dataset.get("BitsStored") or 0) > 1


def in_palette(dataset: Dataset) -> bool:
    """Photometric Interpretation is PALETTE COLOR."""
    return str(dataset.get("PhotometricInterpretation")) == "PALETTE COLOR"


def in_several_frames(dataset: Dataset) -> bool:
    """Number of Frames is greater than 1."""
    return int(dataset.get("NumberOfFrames") or 1) > 1


def with_number_of_frames(dataset: Dataset) -> bool:
    """Number of Frames is present."""
    return "NumberOfFrames" in dataset


def with_frame_time(dataset: Dataset) -> bool:
    """Frame Increment Pointer is Frame Time."""
    return points_to(dataset, FRAME_TIME)


def with_frame_time_vector(dataset: Dataset) -> bool:
    """Frame Increment Pointer is Frame Time Vector."""
    return points_to(dataset, FRAME_TIME_VECTOR)


def with_frame_times(dataset: Dataset) -> bool:
    """Frame Increment Pointer is Frame Time or Frame Time Vector."""
    return with_frame_time(dataset) or with_frame_time_vector(dataset)


def without_image_orientation(dataset: Dataset) -> bool:
    """Image Orientation (Patient) and Image Position (Patient) are not there."""
    return "ImageOrientationPatient" not in dataset or "ImagePositionPatient" not in dataset


def of_paired_part(dataset: Dataset) -> bool:
    """The body part is paired, or not named by a defined term, and Image Laterality is not there."""
    part = body_part_of(str(dataset.get("BodyPartExamined") or ""))
    return not dataset.get("ImageLaterality") and (part is None or part.paired)


def lossy(dataset: Dataset) -> bool:
    """Lossy compression has been performed."""
    return bool(dataset.get("LossyImageCompressionRatio")) or bool(dataset.get("LossyImageCompressionMethod"))


def of_video_of_a_patient(dataset: Dataset) -> bool:
    """Number of Frames is present and Specimen Description Sequence is absent."""
    return with_number_of_frames(dataset) and "SpecimenDescriptionSequence" not in dataset


def with_window_center(dataset: Dataset) -> bool:
    """Window Center is present."""
    return "WindowCenter" in dataset


def with_references(dataset: Dataset) -> bool:
    """Other instances are referenced."""
    return any(
        keyword in dataset for keyword in ("SourceInstanceSequence", "ReferencedImageSequence", "SourceImageSequence")
    )


def with_alternative_calendar_dates(dataset: Dataset) -> bool:
    """A birth or death date in an alternative calendar is present."""
    return "PatientBirthDateInAlternativeCalendar" in dataset or "PatientDeathDateInAlternativeCalendar" in dataset


def with_responsible_person(dataset: Dataset) -> bool:
    """Responsible Person has a value."""
    return bool(dataset.get("ResponsiblePerson"))


def of_animal(dataset: Dataset) -> bool:
    """The patient is an animal: a species is given."""
    return bool(dataset.get("PatientSpeciesDescription") or dataset.get("PatientSpeciesCodeSequence"))


def of_animal_without_breed_code(dataset: Dataset) -> bool:
    """The patient is an animal and Patient Breed Code Sequence is empty."""
    return of_animal(dataset) and not dataset.get("PatientBreedCodeSequence")


def of_breed_without_species_code(dataset: Dataset) -> bool:
    """A breed or strain is present, and no Patient Species Code Sequence."""
    keywords = ("PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence", *_STRAIN)
    return not dataset.get("PatientSpeciesCodeSequence") and any(keyword in dataset for keyword in keywords)


def deidentified_without_code(dataset: Dataset) -> bool:
    """Patient Identity Removed is YES and no method code is there."""
    return dataset.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethodCodeSequence" not in dataset


def without_reading_id(dataset: Dataset) -> bool:
    """Clinical Trial Subject Reading ID is absent."""
    return "ClinicalTrialSubjectReadingID" not in dataset


def without_subject_id(dataset: Dataset) -> bool:
    """Clinical Trial Subject ID is absent."""
    return "ClinicalTrialSubjectID" not in dataset


def with_ethics_approval_number(dataset: Dataset) -> bool:
    """Clinical Trial Protocol Ethics Committee Approval Number is present."""
    return "ClinicalTrialProtocolEthicsCommitteeApprovalNumber" in dataset


def with_temporal_offset(dataset: Dataset) -> bool:
    """Longitudinal Temporal Offset from Event is present."""
    return "LongitudinalTemporalOffsetFromEvent" in dataset


def beyond_ascii(dataset: Dataset) -> bool:
    """An expanded or replacement character set is used."""
    return True  # the project always writes UTF-8, and says so


def of_cda(dataset: Dataset) -> bool:
    """The document is a CDA document."""
    return str(dataset.get("SOPClassUID", "")) == "1.2.840.10008.5.1.4.1.1.104.2"


def derived_from_instances(dataset: Dataset) -> bool:
    """The document is derived from DICOM instances: a 3D model always is, of its study's images."""
    return str(dataset.get("Modality", "")) == "M3D"


def always(dataset: Dataset) -> bool:
    """Always, as the project writes it."""
    return True


def with_stereo_type(dataset: Dataset) -> bool:
    """Image Type has a third value STEREO L or STEREO R."""
    image_type = dataset.get("ImageType")
    return not isinstance(image_type, str) and "STEREO" in "".join((image_type or [])[2:3])


def with_extended_offset_table(dataset: Dataset) -> bool:
    """Extended Offset Table is present."""
    return "ExtendedOffsetTable" in dataset
