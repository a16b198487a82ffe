"""The objects that the project writes (PS3.3 A): which modules each has, with usage, and the values it is held to.

`IODS` finds an object by its SOP Class UID. A module of usage U or C is held to its types where the data set has
any attribute that is that module's alone, or where its condition says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from media2dicom.validation import conditions as when
from media2dicom.validation import modules
from media2dicom.validation.conditions import Condition
from media2dicom.validation.definitions import Module


@dataclass(frozen=True)
class ModuleUse:
    """A module within an object: M mandatory, C conditional, U user option."""

    module: Module
    usage: str
    required: Condition | None = None  # of usage C, as far as the data set tells


@dataclass(frozen=True)
class IOD:
    """One Information Object Definition as the project writes it."""

    name: str
    section: str  # of PS3.3
    sop_class_uid: str
    uses: tuple[ModuleUse, ...]
    enumerated: Mapping[str, frozenset[str]] = field(default_factory=dict)  # keyword -> allowed values, as text


def _uses(usage: str, *some: Module) -> tuple[ModuleUse, ...]:
    return tuple(ModuleUse(module, usage) for module in some)


def _values(**allowed: str) -> dict[str, frozenset[str]]:
    return {keyword: frozenset(values.split()) for keyword, values in allowed.items()}


_IDENTITY: Final = (
    *_uses("M", modules.PATIENT),
    *_uses("U", modules.CLINICAL_TRIAL_SUBJECT),
    *_uses("M", modules.GENERAL_STUDY),
    *_uses("U", modules.PATIENT_STUDY, modules.CLINICAL_TRIAL_STUDY),
)
_IMAGE_SERIES: Final = (*_IDENTITY, *_uses("M", modules.GENERAL_SERIES))
_IMAGE: Final = (
    *_uses("M", modules.GENERAL_IMAGE),
    *_uses("U", modules.GENERAL_REFERENCE),
    *_uses("M", modules.IMAGE_PIXEL),
)
_COLOR: Final = _uses("U", modules.ICC_PROFILE)
_OF_MATERIALS: Final = (ModuleUse(modules.ICC_PROFILE, "U", when.always),)  # the colours of OBJ and MTL
_END: Final = (*_uses("M", modules.SOP_COMMON), *_uses("U", modules.COMMON_INSTANCE_REFERENCE))
_SC_SERIES: Final = (*_IMAGE_SERIES, *_uses("U", modules.GENERAL_EQUIPMENT), *_uses("M", modules.SC_EQUIPMENT))
_SC_MULTI_FRAME: Final = (
    *_SC_SERIES,
    ModuleUse(modules.FRAME_OF_REFERENCE, "C"),
    *_IMAGE,
    ModuleUse(modules.CINE, "C", when.with_frame_times),
    *_uses("M", modules.MULTI_FRAME),
    *_uses("U", modules.SC_IMAGE),
    *_uses("M", modules.SC_MULTI_FRAME_IMAGE),
    ModuleUse(modules.SC_MULTI_FRAME_VECTOR, "C", when.in_several_frames),
)
_DOCUMENT_SERIES: Final = (*_IDENTITY, *_uses("M", modules.ENCAPSULATED_DOCUMENT_SERIES))
_MODEL: Final = (
    *_uses("M", modules.GENERAL_EQUIPMENT, modules.ENHANCED_GENERAL_EQUIPMENT),
    *_uses("M", modules.ENCAPSULATED_DOCUMENT, modules.MANUFACTURING_3D_MODEL),
    *_uses("M", modules.SOP_COMMON),
    ModuleUse(modules.COMMON_INSTANCE_REFERENCE, "C", when.with_references),
)
_DOCUMENT: Final = (
    *_DOCUMENT_SERIES,
    *_uses("M", modules.GENERAL_EQUIPMENT, modules.SC_EQUIPMENT),
    *_uses("M", modules.ENCAPSULATED_DOCUMENT, modules.SOP_COMMON),
)
_US: Final = (*_IMAGE_SERIES, *_uses("U", modules.FRAME_OF_REFERENCE), *_uses("M", modules.GENERAL_EQUIPMENT), *_IMAGE)
_VL: Final = (*_IMAGE_SERIES, *_uses("M", modules.GENERAL_EQUIPMENT), *_IMAGE)
_VL_IMAGE: Final = _uses("M", modules.ACQUISITION_CONTEXT, modules.VL_IMAGE)

_COLORS: Final = "RGB YBR_FULL_422"
_COLORS_OF_VIDEO: Final = f"{_COLORS} YBR_PARTIAL_420"
_EIGHT: Final = {"BitsAllocated": "8", "BitsStored": "8", "HighBit": "7", "PixelRepresentation": "0"}

# Enumerated values that every object is held to where it has the attribute (PS3.3 C.7, C.8, C.24, C.35).
ENUMERATED: Final = _values(
    ImageType="DERIVED\\SECONDARY",  # C.7.6.1.1.2
    PatientSex="M F O",
    BurnedInAnnotation="YES NO",
    LossyImageCompression="00 01",
    ImageLaterality="R L U B",
    Laterality="R L",
    PixelRepresentation="0",  # of photos, screens and films: never signed
    PlanarConfiguration="0",
    ConversionType="DV DI DF WSD SD SI DRW SYN",
    PresentationLUTShape="IDENTITY",
    ModelModification="YES NO",
    ModelMirroring="YES NO",
)

_TABLE: Final = (
    IOD(
        "Secondary Capture Image",
        "A.8.1",
        "1.2.840.10008.5.1.4.1.1.7",
        (*_SC_SERIES, *_IMAGE, *_uses("M", modules.SC_IMAGE), *_COLOR, *_END),
    ),
    IOD(
        "Multi-frame Grayscale Byte Secondary Capture Image",
        "A.8.3",
        "1.2.840.10008.5.1.4.1.1.7.2",
        (*_SC_MULTI_FRAME, *_END),
        _values(
            SamplesPerPixel="1",
            PhotometricInterpretation="MONOCHROME2",
            RescaleIntercept="0",
            RescaleSlope="1",
            RescaleType="US",
            **_EIGHT,
        ),
    ),
    IOD(
        "Multi-frame True Color Secondary Capture Image",
        "A.8.5",
        "1.2.840.10008.5.1.4.1.1.7.4",
        (*_SC_MULTI_FRAME, *_END),
        _values(SamplesPerPixel="3", PhotometricInterpretation=_COLORS_OF_VIDEO, PlanarConfiguration="0", **_EIGHT),
    ),
    IOD(
        "Computed Radiography Image",
        "A.2",
        "1.2.840.10008.5.1.4.1.1.1",
        (
            *(*_IMAGE_SERIES, *_uses("M", modules.CR_SERIES, modules.GENERAL_EQUIPMENT)),
            *(*_IMAGE, *_uses("M", modules.CR_IMAGE), *_END),
        ),
        _values(SamplesPerPixel="1", PhotometricInterpretation="MONOCHROME1 MONOCHROME2"),
    ),
    IOD(
        "Ultrasound Image",
        "A.6",
        "1.2.840.10008.5.1.4.1.1.6.1",
        (*_US, *_uses("M", modules.US_IMAGE), *_COLOR, *_END),
        _values(PhotometricInterpretation=f"MONOCHROME2 {_COLORS}", **_EIGHT),
    ),
    IOD(
        "Ultrasound Multi-frame Image",
        "A.7",
        "1.2.840.10008.5.1.4.1.1.3.1",
        (*_US, *_uses("M", modules.CINE, modules.MULTI_FRAME, modules.US_IMAGE), *_END),
        _values(PhotometricInterpretation=f"MONOCHROME2 {_COLORS}", **_EIGHT),
    ),
    IOD(
        "VL Photographic Image",
        "A.32.4",
        "1.2.840.10008.5.1.4.1.1.77.1.4",
        (*_VL, *_VL_IMAGE, *_COLOR, *_END),
        _values(Modality="XC", PhotometricInterpretation=f"MONOCHROME2 {_COLORS}", **_EIGHT),
    ),
    IOD(
        "Video Photographic Image",
        "A.32.7",
        "1.2.840.10008.5.1.4.1.1.77.1.4.1",
        (*_VL, *_uses("M", modules.CINE, modules.MULTI_FRAME), *_VL_IMAGE, *_END),
        _values(Modality="XC", PhotometricInterpretation=f"MONOCHROME2 {_COLORS_OF_VIDEO}", **_EIGHT),
    ),
    IOD(
        "VL Endoscopic Image",
        "A.32.1",
        "1.2.840.10008.5.1.4.1.1.77.1.1",
        (*_VL, *_VL_IMAGE, *_COLOR, *_END),
        _values(Modality="ES", PhotometricInterpretation=f"MONOCHROME2 {_COLORS}", **_EIGHT),
    ),
    IOD(
        "Video Endoscopic Image",
        "A.32.5",
        "1.2.840.10008.5.1.4.1.1.77.1.1.1",
        (*_VL, *_uses("M", modules.CINE, modules.MULTI_FRAME), *_VL_IMAGE, *_END),
        _values(Modality="ES", PhotometricInterpretation=f"MONOCHROME2 {_COLORS_OF_VIDEO}", **_EIGHT),
    ),
    IOD("Encapsulated PDF", "A.45.1", "1.2.840.10008.5.1.4.1.1.104.1", _DOCUMENT),
    IOD("Encapsulated CDA", "A.45.2", "1.2.840.10008.5.1.4.1.1.104.2", _DOCUMENT),
    IOD(
        "Encapsulated STL",
        "A.85.1",
        "1.2.840.10008.5.1.4.1.1.104.3",
        (*_DOCUMENT_SERIES, *_uses("M", modules.FRAME_OF_REFERENCE), *_MODEL),
        _values(Modality="M3D"),
    ),
    IOD(
        "Encapsulated OBJ",
        "A.85.2",
        "1.2.840.10008.5.1.4.1.1.104.4",
        (*_DOCUMENT_SERIES, *_uses("M", modules.FRAME_OF_REFERENCE), *_MODEL, *_OF_MATERIALS),
        _values(Modality="M3D"),
    ),
    IOD(
        "Encapsulated MTL",
        "A.85.3",
        "1.2.840.10008.5.1.4.1.1.104.5",
        (*_DOCUMENT_SERIES, *_MODEL, *_OF_MATERIALS),
        _values(Modality="M3D"),
    ),
)
IODS: Final = {iod.sop_class_uid: iod for iod in _TABLE}
