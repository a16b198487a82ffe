"""Which SOP Class pictures become: by the policy that the row chooses, the source's class and the pixels.

`KINDS` and `NATIVE_KINDS` are the whole of it; what each kind's modules hold is `images.py`'s. A policy that cannot
conform for a source or a picture is refused with the reason; nothing becomes Secondary Capture in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    VideoEndoscopicImageStorage,
    VideoPhotographicImageStorage,
    VLEndoscopicImageStorage,
    VLPhotographicImageStorage,
)

from media2dicom.dicom.building import Build
from media2dicom.dicom.references import is_image
from media2dicom.errors import OptionRefused
from media2dicom.model import SopClassPolicy

_DEFAULT: Final = "Leave sop_class_policy empty (secondary-capture)."


class Family(Enum):
    """IODs that have the same modules beside those that all images have."""

    SECONDARY_CAPTURE = auto()  # SC Equipment (PS3.3 C.8.6.1)
    ULTRASOUND = auto()  # US Image (C.8.5.6)
    COMPUTED_RADIOGRAPHY = auto()  # CR Series (C.8.1.1), CR Image (C.8.1.2)
    VISIBLE_LIGHT = auto()  # Acquisition Context (C.7.6.14), VL Image (C.8.12.1)


@dataclass(frozen=True)
class Kind:
    """The classes that one kind of object has for a single picture, a colour cine and a grey cine, and its limits."""

    family: Family
    single: str
    color_cine: str | None
    grey_cine: str | None
    modality: str | None = None  # the only one that the IOD allows; None: any
    color: bool = True
    max_bits_stored: int = 16  # of grey

    @property
    def video(self) -> str | None:
        """The class of a video kept as one stream: of the families that know YBR_PARTIAL_420 (C.8.6.3, C.8.12.1)."""
        return self.color_cine if self.family in (Family.SECONDARY_CAPTURE, Family.VISIBLE_LIGHT) else None


SECONDARY_CAPTURE: Final = Kind(
    Family.SECONDARY_CAPTURE,
    single=str(SecondaryCaptureImageStorage),
    color_cine=str(MultiFrameTrueColorSecondaryCaptureImageStorage),
    grey_cine=str(MultiFrameGrayscaleByteSecondaryCaptureImageStorage),
)
ULTRASOUND: Final = Kind(
    Family.ULTRASOUND,
    single=str(UltrasoundImageStorage),
    color_cine=str(UltrasoundMultiFrameImageStorage),
    grey_cine=str(UltrasoundMultiFrameImageStorage),
    modality="US",
    max_bits_stored=8,  # C.8.5.6.1.14
)
COMPUTED_RADIOGRAPHY: Final = Kind(
    Family.COMPUTED_RADIOGRAPHY,
    single=str(ComputedRadiographyImageStorage),
    color_cine=None,
    grey_cine=None,
    modality="CR",
    color=False,  # C.8.1.2: MONOCHROME1, MONOCHROME2
)
PHOTOGRAPH: Final = Kind(
    Family.VISIBLE_LIGHT,
    single=str(VLPhotographicImageStorage),
    color_cine=str(VideoPhotographicImageStorage),
    grey_cine=str(VideoPhotographicImageStorage),
    modality="XC",
    max_bits_stored=8,  # C.8.12.1.1.2
)
ENDOSCOPY: Final = Kind(
    Family.VISIBLE_LIGHT,
    single=str(VLEndoscopicImageStorage),
    color_cine=str(VideoEndoscopicImageStorage),
    grey_cine=str(VideoEndoscopicImageStorage),
    modality="ES",
    max_bits_stored=8,
)

# Policies whose kind does not depend on the source.
KINDS: Final = {SopClassPolicy.SECONDARY_CAPTURE: SECONDARY_CAPTURE, SopClassPolicy.VISIBLE_LIGHT: PHOTOGRAPH}

# Policy native: the source classes that a derived picture can conform to. All others demand what only an acquisition
# has (CT, MR, DX, MG, XA, RF, NM, the enhanced classes), or hold no pictures.
NATIVE_KINDS: Final = {
    **{str(uid): SECONDARY_CAPTURE for uid in (SecondaryCaptureImageStorage, SECONDARY_CAPTURE.color_cine)},
    str(MultiFrameGrayscaleByteSecondaryCaptureImageStorage): SECONDARY_CAPTURE,
    str(UltrasoundImageStorage): ULTRASOUND,
    str(UltrasoundMultiFrameImageStorage): ULTRASOUND,
    "1.2.840.10008.5.1.4.1.1.6": ULTRASOUND,  # retired (PS3.6 Annex A): its successor is written
    "1.2.840.10008.5.1.4.1.1.3": ULTRASOUND,  # retired
    str(ComputedRadiographyImageStorage): COMPUTED_RADIOGRAPHY,
    str(VLPhotographicImageStorage): PHOTOGRAPH,
    str(VideoPhotographicImageStorage): PHOTOGRAPH,
    str(VLEndoscopicImageStorage): ENDOSCOPY,
    str(VideoEndoscopicImageStorage): ENDOSCOPY,
}

PICTURE_KINDS: Final[tuple[Kind, ...]] = tuple(dict.fromkeys((*KINDS.values(), *NATIVE_KINDS.values())))
VIDEO_CLASSES: Final = frozenset(kind.video for kind in PICTURE_KINDS if kind.video is not None)


def kind_of(build: Build) -> Kind:
    """The kind that the row's policy asks for. Raises OptionRefused: none for this source, or for this modality."""
    policy = build.row.options.sop_class_policy
    kind = KINDS[policy] if policy in KINDS else _native_kind(build)
    asked = build.asked_modality
    if asked is not None and kind.modality not in (None, asked):
        raise OptionRefused(
            f"sop_class_policy {policy} is for Modality {kind.modality} here; the row's modality is another.",
            next_step=f"Clear modality or write {kind.modality}; or leave sop_class_policy empty.",
        )
    if policy is SopClassPolicy.NATIVE and asked is None and kind.modality not in (None, build.modality):
        raise OptionRefused(
            f"sop_class_policy native: the source's class is for Modality {kind.modality}; it has another.",
            next_step=_DEFAULT,
        )
    return kind


def _native_kind(build: Build) -> Kind:
    sop_class_uid = str(build.source.get("SOPClassUID", ""))
    kind = NATIVE_KINDS.get(sop_class_uid)
    if kind is None:
        name = UID(sop_class_uid).name if UID(sop_class_uid).name != sop_class_uid else "a private class"
        reason = "it demands what only an acquisition has" if is_image(build.source) else "its instances are no images"
        raise OptionRefused(
            f"sop_class_policy native: a picture cannot conform to the class of the source ({name}): {reason}.",
            next_step=f"{_DEFAULT[:-1]}, or write visible-light for a photograph.",
        )
    return kind


def modality_for(kind: Kind, build: Build) -> str:
    """Modality of the series: the IOD's own, else the row's, else the source's."""
    return kind.modality or build.modality


def sop_class_of(kind: Kind, *, multi_frame: bool, color: bool, bits_stored: int) -> str:
    """The class for a picture or a cine. Raises OptionRefused when the kind has none for such pixels."""
    found = (kind.color_cine if color else kind.grey_cine) if multi_frame else kind.single
    if found is None or (color and not kind.color):
        raise OptionRefused(
            f"{UID(kind.single).name} holds single grey pictures; this is {'a cine' if multi_frame else 'in colour'}.",
            next_step=_DEFAULT,
        )
    if bits_stored > kind.max_bits_stored:
        raise OptionRefused(
            f"{UID(found).name} holds {kind.max_bits_stored}-bit pixels; the picture has {bits_stored} bits.",
            next_step=_DEFAULT,
        )
    return found
