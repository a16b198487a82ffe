"""Encapsulated documents: length, MIME type, the payload's own beginning; colour and opacity of a 3D model."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from pydicom.uid import UID

from media2dicom.validation.codes import is_model
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import IOD
from media2dicom.validation.written import ENCAPSULATED_DOCUMENT, UNDEFINED_LENGTH, Written

_DOCUMENT: Final = "PS3.3 C.24.2"
_MODEL: Final = "PS3.3 C.35.1"
_HEAD_BYTES: Final = 1 << 16
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
MIME_TYPES: Final = {  # PS3.3 A.45, A.85
    "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf",
    "1.2.840.10008.5.1.4.1.1.104.2": "text/XML",
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}


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
        if not (UID(root).is_valid or _UUID.fullmatch(root)):
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
        case "model/stl":  # binary: 80 bytes, a count, 50 bytes a triangle
            return len(head) >= 84 and length == 84 + 50 * int(struct.unpack("<I", head[80:84])[0])
        case "application/pdf":
            return b"%PDF-" in head[:1024]
        case "text/XML":
            return b"ClinicalDocument" in head.replace(b"\0", b"")  # UTF-16 too
        case "model/obj" | "model/mtl":
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
