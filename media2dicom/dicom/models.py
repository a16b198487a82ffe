"""Encapsulated STL, OBJ and MTL (PS3.3 A.85): Manufacturing 3D Model C.35.1, Frame of Reference, preview, links."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from media2dicom.dicom.anatomy import known_side
from media2dicom.dicom.building import Build
from media2dicom.dicom.color import rgb_to_cielab_us
from media2dicom.dicom.encapsulated import SOP_CLASS, start_encapsulated, write_encapsulated
from media2dicom.dicom.icc import srgb_input_profile
from media2dicom.dicom.icon import icon_item
from media2dicom.dicom.references import add_referenced_series, code_item, is_image, referenced_sop
from media2dicom.dicom.uids import derived_uid, model_group_uid, sop_instance_uid
from media2dicom.dicom.values import valid_text
from media2dicom.media.payload import MTL, STL, Material, Model
from media2dicom.media.preview import preview
from media2dicom.model import Instance

MODALITY: Final = "M3D"

# CID 7061, by the modality of the images that the model comes from. Mixed Modality (129019) is not in it: one source
# does not tell.
MODEL_TITLES: Final = {
    "CT": ("85040-4", "LN", "CT 3D CAM model"),
    "MR": ("85041-2", "LN", "MR 3D CAM model"),
    "US": ("129018", "DCM", "US 3D CAM model"),
    "XC": ("129020", "DCM", "Photogrammetric Imaging 3D CAM model"),
    "GM": ("129020", "DCM", "Photogrammetric Imaging 3D CAM model"),
    "LS": ("129021", "DCM", "Laser Scanning 3D CAM model"),
    "OSS": ("129021", "DCM", "Laser Scanning 3D CAM model"),
}
UNIT_MEANINGS: Final = {"mm": "mm", "cm": "cm", "m": "m", "um": "micrometer"}  # CID 7063
MODEL_USAGES: Final = {str(code.value): code for code in codes.cid7064.concepts.values()}


def build_model(model: Model, build: Build) -> list[Instance]:
    """Write the model, and each of its material libraries, as instances of one series, Modality M3D.

    Raises OptionRefused, OverUploadLimit, MediaMissing.
    """
    for warning in model.warnings:
        build.warn(warning)
    dataset = _started(build, model.mime_type, model.size_bytes, 0)
    source = build.source
    # Frame of Reference (C.7.4.1): the model lies in its source's space; without one, in that of its series or group.
    dataset.FrameOfReferenceUID = valid_text(source, "FrameOfReferenceUID") or derived_uid(
        "frame-of-reference",
        dataset.SeriesInstanceUID if build.row.options.series_group else dataset.ModelGroupUID,
    )
    dataset.PositionReferenceIndicator = valid_text(source, "PositionReferenceIndicator")
    picture = preview(model)
    if picture is not None:
        dataset.IconImageSequence = Sequence([icon_item(picture, build.row.options.color)])
    if model.materials:
        _refer_to_materials(dataset, model.materials, build)
    instances = [write_encapsulated(build, dataset, model.path, 0)]
    for part, material in enumerate(model.materials, start=1):
        library = _started(build, MTL, material.size_bytes, part)
        instances.append(write_encapsulated(build, library, material.path, part))
    return instances


def _started(build: Build, mime_type: str, size_bytes: int, part: int) -> Dataset:
    """What a model and its material libraries share."""
    options = build.row.options
    own = valid_text(build.source, "Modality") if is_image(build.source) else build.image_modality
    dataset = start_encapsulated(
        build,
        mime_type,
        size_bytes,
        modality=MODALITY,
        part=part,
        title="3D model",
        code=MODEL_TITLES.get(own or ""),
        burned_in=False,
    )
    if (side := known_side(build)) is not None:
        dataset.ImageLaterality = side
    add_referenced_series(build.source, dataset)
    if mime_type != STL:
        dataset.ICCProfile, dataset.ColorSpace = srgb_input_profile(), "SRGB"

    # Manufacturing 3D Model (C.35.1)
    unit = options.units.value
    dataset.MeasurementUnitsCodeSequence = Sequence([code_item(unit, "UCUM", UNIT_MEANINGS[unit])])
    dataset.ModelModification = "YES" if options.modified else "NO"
    dataset.ModelMirroring = "YES" if options.mirrored else "NO"
    if options.model_usage is not None:
        usage = MODEL_USAGES[options.model_usage]
        item = code_item(options.model_usage, usage.scheme_designator, usage.meaning)
        dataset.ModelUsageCodeSequence = Sequence([item])
    dataset.ModelGroupUID = model_group_uid(build.study_instance_uid, build.row)
    if options.color is not None:
        dataset.RecommendedDisplayCIELabValue = rgb_to_cielab_us(options.color)
    if options.opacity is not None:
        dataset.RecommendedPresentationOpacity = options.opacity
    if options.color is not None and options.color_in_description:
        dataset.ContentDescription = "ColorRGB({}, {}, {})".format(*options.color)
    elif options.part_name is not None:
        dataset.ContentDescription = options.part_name
    return dataset


def _refer_to_materials(dataset: Dataset, materials: tuple[Material, ...], build: Build) -> None:
    """Referenced Instance Sequence with the names that the OBJ has for them (C.24.2.4), and C.12.2 for the series."""
    items = []
    for part, material in enumerate(materials, start=1):
        instance = Dataset()
        instance.SOPClassUID = SOP_CLASS[MTL]
        instance.SOPInstanceUID = sop_instance_uid(build.study_instance_uid, build.row, part)
        item = referenced_sop(instance)
        item.RelativeURIReferenceWithinEncapsulatedDocument = material.reference
        items.append(item)
    dataset.ReferencedInstanceSequence = Sequence(items)
    series = Dataset()
    series.ReferencedInstanceSequence = Sequence([_plain(item) for item in items])
    series.SeriesInstanceUID = dataset.SeriesInstanceUID
    dataset.ReferencedSeriesSequence.append(series)


def _plain(item: Dataset) -> Dataset:
    result = Dataset()
    result.ReferencedSOPClassUID = item.ReferencedSOPClassUID
    result.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
    return result
