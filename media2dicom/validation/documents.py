"""Encapsulated documents: length, MIME type, the payload's own beginning; colour and opacity of a 3D model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from media2dicom.dicom.encapsulated import SOP_CLASS
from media2dicom.dicom.part10 import ENCAPSULATED_DOCUMENT, UNDEFINED_LENGTH
from media2dicom.media import payload, signatures
from media2dicom.media.cda import is_identifier_root
from media2dicom.validation.codes import is_model
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import IOD
from media2dicom.validation.written import Written

_DOCUMENT: Final = "PS3.3 C.24.2"
_MODEL: Final = "PS3.3 C.35.1"
_HEAD_BYTES: Final = 1 << 16
MIME_TYPES: Final = {sop_class_uid: mime_type for mime_type, sop_class_uid in SOP_CLASS.items()}


def check_document(written: Written, iod: IOD) -> Iterator[Finding]:
    """All that concerns an encapsulated document; nothing for an object without one."""
    bulk = written.bulk
    if bulk is None or bulk.tag != ENCAPSULATED_DOCUMENT:
        return
    if bulk.length == UNDEFINED_LENGTH or bulk.length % 2 or bulk.vr not in ("OB", ""):
        yield Finding("EncapsulatedDocument", "is not of VR OB and even length", _DOCUMENT)
        return
    if bulk.offset + bulk.length > written.size_bytes:
        yield Finding("EncapsulatedDocument", "is longer than its file", _DOCUMENT)
        return
    length = document_length(written)
    if length is None:
        yield Finding("EncapsulatedDocumentLength", "is not the length without padding", _DOCUMENT)
        length = bulk.length
    if written.text("MIMETypeOfEncapsulatedDocument") != MIME_TYPES.get(written.sop_class_uid):
        yield Finding("MIMETypeOfEncapsulatedDocument", "is not that of the storage class", _DOCUMENT)
    with written.path.open("rb") as file:
        file.seek(bulk.offset)
        head = file.read(min(_HEAD_BYTES, bulk.length))
    if not _is_payload(written.sop_class_uid, head, length):
        yield Finding("EncapsulatedDocument", "does not hold what its MIME type says", _DOCUMENT)
    if "HL7InstanceIdentifier" in written.header:
        root = written.text("HL7InstanceIdentifier").partition("^")[0]
        if not is_identifier_root(root):
            yield Finding("HL7InstanceIdentifier", "does not begin with a UID or UUID", "PS3.3 C.24.2")
    if is_model(iod):
        yield from _check_model(written)


def document_length(written: Written) -> int | None:
    """The document's bytes without the padding; None when what is told cannot be."""
    told, held = written.number("EncapsulatedDocumentLength"), written.bulk.length if written.bulk else 0
    if "EncapsulatedDocumentLength" not in written.header or held - told not in (0, 1):
        return None
    return told if held == told + told % 2 else None


def _is_payload(sop_class_uid: str, head: bytes, length: int) -> bool:
    match MIME_TYPES.get(sop_class_uid):
        case payload.STL:
            return signatures.is_binary_stl(head, length)
        case payload.PDF:
            return signatures.is_pdf(head, length)
        case payload.CDA:
            return signatures.is_cda(head, length)
        case payload.OBJ | payload.MTL:
            return b"\0" not in head[: length if length < len(head) else len(head)]
        case _:
            return False


def _check_model(written: Written) -> Iterator[Finding]:
    opacity = written.header.get("RecommendedPresentationOpacity")
    if opacity is not None and not 0 <= float(opacity) <= 1:
        yield Finding("RecommendedPresentationOpacity", "is not between 0 and 1", _MODEL)
    color = written.header.get("RecommendedDisplayCIELabValue")
    if color is not None and not (len(color) == 3 and all(0 <= int(part) <= 0xFFFF for part in color)):
        yield Finding("RecommendedDisplayCIELabValue", "is no PCS value of three parts", "PS3.3 C.10.7.1.1")
