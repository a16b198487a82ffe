"""The storage classes that the program writes, and the transfer syntaxes of each: from the builders' own tables."""

from __future__ import annotations

from typing import Final

from media2dicom.dicom.encapsulated import SOP_CLASS
from media2dicom.dicom.picture_classes import PICTURE_KINDS, VIDEO_CLASSES
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES, TRANSFER_SYNTAXES, VIDEO_SYNTAXES
from media2dicom.validation.iods import IOD, IODS

_PICTURES: Final = dict.fromkeys(
    uid for kind in PICTURE_KINDS for uid in (kind.single, kind.grey_cine, kind.color_cine) if uid is not None
)
DOCUMENT_CLASSES: Final = tuple(sorted(SOP_CLASS.values()))

WRITTEN: Final[tuple[IOD, ...]] = tuple(IODS[uid] for uid in (*_PICTURES, *DOCUMENT_CLASSES))


def is_document(sop_class_uid: str) -> bool:
    return sop_class_uid in DOCUMENT_CLASSES


def syntaxes_of(sop_class_uid: str) -> tuple[str, ...]:
    """What an instance of the class may be written in; without what a PACS that refuses it is sent instead."""
    if is_document(sop_class_uid):
        return NATIVE_SYNTAXES[:1]
    pictures = tuple(syntax.uid for syntax in TRANSFER_SYNTAXES)
    videos = tuple(syntax.uid for syntax in VIDEO_SYNTAXES)
    return (*pictures, *videos) if sop_class_uid in VIDEO_CLASSES else pictures
