"""What every image instance says but its pixels and times: identity, series, equipment, anatomy, references.

And the modules that are a kind's own (`picture_classes.py`).
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from media2dicom.dicom.anatomy import add_anatomy, known_body_part
from media2dicom.dicom.attributes import add_equipment
from media2dicom.dicom.building import Build, start_dataset
from media2dicom.dicom.modalities import modality_of
from media2dicom.dicom.picture_classes import Family, Kind, kind_of, modality_for, sop_class_of
from media2dicom.dicom.references import (
    ANATOMIC_IMAGE,
    add_referenced_series,
    add_source_instance,
    code_item,
    is_image,
    referenced_sop,
)
from media2dicom.dicom.values import valid_text
from media2dicom.errors import OptionRefused


def picture_class(build: Build, *, multi_frame: bool, color: bool, bits_stored: int) -> str:
    """The SOP Class of a picture or a cine of the row. Raises OptionRefused when its policy has none."""
    kind = kind_of(build)
    refuse_cine_without_region(kind, build, multi_frame=multi_frame)
    return sop_class_of(kind, multi_frame=multi_frame, color=color, bits_stored=bits_stored)


def refuse_cine_without_region(kind: Kind, build: Build, *, multi_frame: bool = True) -> None:
    """VL Image asks for the anatomic region of a multi-frame image (PS3.3 C.8.12.1, type 1C)."""
    if multi_frame and kind.family is Family.VISIBLE_LIGHT:
        part = known_body_part(build)
        if part is None or not part.sct_code:
            raise OptionRefused(
                "A cine of visible light has to name the body part, and neither the row nor its source does.",
                next_step="Fill in body_part, e.g. HAND.",
            )


def start_image(
    build: Build, kind: Kind, sop_class_uid: str, part: int, *, from_video: bool, multi_frame: bool = False
) -> Dataset:
    """All that an image says but its pixels and times: identity, series, equipment, anatomy, the kind's own modules."""
    options = build.row.options
    dataset = start_dataset(build, sop_class_uid=sop_class_uid, modality=modality_for(kind, build), part=part)
    add_equipment(dataset, device_serial_number=build.device_serial_number)
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = ""  # type 2C, unknown
    add_anatomy(dataset, build)
    if options.burned_in_annotation is not None:
        dataset.BurnedInAnnotation = "YES" if options.burned_in_annotation else "NO"
    elif multi_frame:
        # Type 1 in SC Multi-frame Image; what a video shows is not known, so the value that makes a reader careful.
        dataset.BurnedInAnnotation = "YES"
    _warn_of_modality(build, kind)
    _add_family_modules(dataset, build, kind, from_video=from_video)
    _add_source_references(dataset, build.source)
    return dataset


def _add_family_modules(dataset: Dataset, build: Build, kind: Kind, *, from_video: bool) -> None:
    match kind.family:
        case Family.SECONDARY_CAPTURE:
            dataset.ConversionType = "DV" if from_video else "WSD"  # C.8.6.1: digitized video, workstation
            dataset.DateOfSecondaryCapture = f"{build.now:%Y%m%d}"
            dataset.TimeOfSecondaryCapture = f"{build.now:%H%M%S}"
        case Family.COMPUTED_RADIOGRAPHY:
            dataset.ViewPosition = ""  # type 2
            if "BodyPartExamined" not in dataset:
                dataset.BodyPartExamined = ""  # type 2 here
        case Family.VISIBLE_LIGHT:
            dataset.AcquisitionContextSequence = Sequence()  # type 2
        case Family.ULTRASOUND:
            pass  # US Image asks for nothing that a derived picture has beyond the Image Pixel module


def _add_source_references(dataset: Dataset, source: Dataset) -> None:
    if is_image(source):
        reference = referenced_sop(source)
        reference.PurposeOfReferenceCodeSequence = Sequence([code_item(*ANATOMIC_IMAGE)])
        dataset.ReferencedImageSequence = Sequence([reference])
    else:
        add_source_instance(source, dataset)
    add_referenced_series(source, dataset)


def _warn_of_modality(build: Build, kind: Kind) -> None:
    told = build.row.options.modality or kind.modality
    if told is None and is_image(build.source) and modality_of(valid_text(build.source, "Modality")) is None:
        build.warn("Modality of the source is no defined term (PS3.3 C.7.3.1.1.1): OT is written.")
