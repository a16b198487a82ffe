"""Encapsulated STL (PS3.3 A.85.1): Encapsulated Document C.24.2, Manufacturing 3D Model C.35.1, no pixel data."""

from __future__ import annotations

from typing import Final

from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.uid import EncapsulatedSTLStorage, ExplicitVRLittleEndian

from media2dicom.dicom.attributes import add_equipment
from media2dicom.dicom.building import Build, as_instance, start_dataset
from media2dicom.dicom.color import rgb_to_cielab_us
from media2dicom.dicom.part10 import document_bulk, write_part10
from media2dicom.dicom.references import add_referenced_series, add_source_instance, code_item
from media2dicom.dicom.uids import derived_uid, model_group_uid
from media2dicom.dicom.values import valid_text
from media2dicom.errors import OptionRefused
from media2dicom.limits import refuse_over_limit
from media2dicom.media.payload import Model
from media2dicom.model import Instance

STL_MIME_TYPE: Final = "model/stl"

# CID 7061, by the source's modality
_MODEL_TITLES: Final = {
    "CT": ("85040-4", "LN", "CT 3D CAM model"),
    "MR": ("85041-2", "LN", "MR 3D CAM model"),
    "US": ("129018", "DCM", "US 3D CAM model"),
}
_UNIT_MEANINGS: Final = {"mm": "mm", "cm": "cm", "m": "m", "um": "micrometer"}  # CID 7063
_MODEL_USAGES: Final = {str(code.value): code for code in codes.cid7064.concepts.values()}


def build_encapsulated_stl(model: Model, build: Build) -> Instance:
    """Write one Encapsulated STL instance, Modality M3D, Explicit VR Little Endian.

    Raises OptionRefused for a transfer syntax that is for pixels, OverUploadLimit before anything is written.
    """
    options = build.row.options
    if options.transfer_syntax not in (None, str(ExplicitVRLittleEndian)):
        raise OptionRefused(
            "A 3D model is stored in Explicit VR Little Endian; the row asks for a transfer syntax for pixels.",
            next_step="Clear the row's transfer_syntax.",
        )
    refuse_over_limit(model.size_bytes, build.row.media)

    dataset = start_dataset(build, sop_class_uid=str(EncapsulatedSTLStorage), modality="M3D", part=0)
    source = build.source
    add_equipment(dataset, device_serial_number=build.device_serial_number)

    # Frame of Reference (C.7.4.1): the model lies in its source's space; without one, in that of its series or group.
    dataset.ModelGroupUID = model_group_uid(build.study_instance_uid, build.row)
    dataset.FrameOfReferenceUID = valid_text(source, "FrameOfReferenceUID") or derived_uid(
        "frame-of-reference", dataset.SeriesInstanceUID if options.series_group else dataset.ModelGroupUID
    )
    dataset.PositionReferenceIndicator = valid_text(source, "PositionReferenceIndicator")

    # Encapsulated Document (C.24.2)
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES" if options.burned_in_annotation else "NO"
    add_source_instance(source, dataset)
    add_referenced_series(source, dataset)
    dataset.DocumentTitle = options.part_name or options.series_description or "3D model"
    title = _MODEL_TITLES.get(valid_text(source, "Modality"))
    dataset.ConceptNameCodeSequence = Sequence([code_item(*title)] if title else [])
    dataset.MIMETypeOfEncapsulatedDocument = STL_MIME_TYPE
    dataset.EncapsulatedDocumentLength = model.size_bytes

    # Manufacturing 3D Model (C.35.1)
    unit = options.units.value
    dataset.MeasurementUnitsCodeSequence = Sequence([code_item(unit, "UCUM", _UNIT_MEANINGS[unit])])
    dataset.ModelModification = "YES" if options.modified else "NO"
    dataset.ModelMirroring = "YES" if options.mirrored else "NO"
    if options.model_usage is not None:
        usage = _MODEL_USAGES[options.model_usage]
        item = code_item(options.model_usage, usage.scheme_designator, usage.meaning)
        dataset.ModelUsageCodeSequence = Sequence([item])
    if options.color is not None:
        dataset.RecommendedDisplayCIELabValue = rgb_to_cielab_us(options.color)
    if options.opacity is not None:
        dataset.RecommendedPresentationOpacity = options.opacity
    if options.color is not None and options.color_in_description:
        dataset.ContentDescription = "ColorRGB({}, {}, {})".format(*options.color)
    elif options.part_name is not None:
        dataset.ContentDescription = options.part_name

    path = build.instance_path(0)
    syntax = str(ExplicitVRLittleEndian)
    bulk = document_bulk(int(Tag("EncapsulatedDocument")), model.path, model.size_bytes)
    size_bytes = write_part10(path, dataset, syntax, bulk)
    return as_instance(dataset, syntax, path, size_bytes, 0)
