"""Clinical documents: HL7 CDA Release 2 in XML. Who is the patient, what is the document's own identifier and code?

The file is stored as it is (PS3.3 A.45.2); whether its patient is the row's is `media2dicom.identity`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media.payload import CDA, Document, MediaPlan, NamedPatient, Payload, document_plan
from media2dicom.model import Options
from media2dicom.settings import MEGABYTE, Settings

_LARGEST_BYTES: Final = 16 * MEGABYTE  # the document is parsed whole, in some twenty times its size of memory
_HL7: Final = "{urn:hl7-org:v3}"
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MIME: Final = re.compile(r"[a-z]+/[\w.+-]+", re.ASCII | re.IGNORECASE)
_SCHEMES: Final = {"2.16.840.1.113883.6.1": "LN", "2.16.840.1.113883.6.96": "SCT"}  # PS3.16 table 8-1
_LARGEST_ST: Final = 1024
_SH, _LO, _LARGEST_UI = 16, 64, 64


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Raises MediaDamaged, MediaUnsupported, MediaTooLarge."""
    size_bytes = path.stat().st_size
    root = _root(path, size_bytes)
    _document(root, path, size_bytes)
    return document_plan(size_bytes, _warnings(root))


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """As `plan`."""
    size_bytes = path.stat().st_size
    return _document(_root(path, size_bytes), path, size_bytes)


def _root(path: Path, size_bytes: int) -> Element:
    if size_bytes > _LARGEST_BYTES:
        raise MediaTooLarge(
            f"The XML document is larger than {_LARGEST_BYTES // MEGABYTE} MB.",
            next_step="Leave out what is embedded in it, or store it as PDF.",
        )
    try:
        root = defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except DefusedXmlException:
        raise MediaUnsupported(
            "The XML document declares a document type or entities, which a clinical document does not.",
            next_step="Export it again without them.",
        ) from None
    except (ParseError, ValueError, LookupError):  # the last two: an encoding that is not what it says
        raise MediaDamaged("The XML document is not well-formed: it is cut off or damaged.") from None
    if root is None or root.tag != f"{_HL7}ClinicalDocument":
        raise MediaUnsupported("The XML file is no HL7 clinical document (CDA Release 2).")
    return root


def _document(root: Element, path: Path, size_bytes: int) -> Document:
    return Document(
        path,
        size_bytes,
        CDA,
        patient=_patient(root),
        instance_identifier=_instance_identifier(root),
        code=_code(root),
        parts=_parts(root),
    )


def _instance_identifier(root: Element) -> str:
    """(0040,E001): the root as UID or UUID, a caret and the extension, if any (PS3.3 C.24.2)."""
    found = root.find(f"{_HL7}id")
    authority, extension = ("", "") if found is None else (_said(found, "root"), _said(found, "extension"))
    if not is_identifier_root(authority):
        raise MediaDamaged("The clinical document has no valid identifier of its own (element id).")
    identifier = f"{authority}^{extension}" if extension else authority
    if len(identifier) > _LARGEST_ST or not identifier.isprintable():
        raise MediaDamaged("The clinical document's own identifier (element id) is too long or not printable.")
    return identifier


def is_identifier_root(text: str) -> bool:
    """Whether an HL7 Instance Identifier may begin so: a UID or UUID (PS3.3 C.24.2)."""
    is_uid = _OID.fullmatch(text) is not None and len(text) <= _LARGEST_UI
    return is_uid or _UUID.fullmatch(text) is not None


def _code(root: Element) -> tuple[str, str, str] | None:
    """The document's type, where DICOM knows its coding scheme and it says what it means."""
    found = root.find(f"{_HL7}code")
    if found is None:
        return None
    value, meaning = _said(found, "code"), _said(found, "displayName")
    scheme = _SCHEMES.get(_said(found, "codeSystem"))
    fits = value and len(value) <= _SH and meaning and len(meaning) <= _LO and (value + meaning).isprintable()
    return (value, scheme, meaning) if scheme and fits and "\\" not in value + meaning else None


def _patient(root: Element) -> NamedPatient:
    targets = root.findall(f"{_HL7}recordTarget")
    if len(targets) > 1:
        raise MediaUnsupported(
            "The clinical document is about several patients.", next_step="Export one document per patient."
        )
    role = targets[0].find(f"{_HL7}patientRole") if targets else None
    if role is None:
        return NamedPatient((), None, ())
    ids = tuple(
        (_said(found, "root"), _said(found, "extension"))
        for found in role.findall(f"{_HL7}id")
        if _said(found, "extension")
    )
    birth = role.find(f"{_HL7}patient/{_HL7}birthTime")
    day = "" if birth is None else _said(birth, "value")[:8]
    names = (" ".join(" ".join(found.itertext()).split()) for found in role.findall(f"{_HL7}patient/{_HL7}name"))
    return NamedPatient(ids, day if re.fullmatch(r"\d{8}", day, re.ASCII) else None, tuple(n for n in names if n))


def _parts(root: Element) -> tuple[str, ...]:
    """MIME types of what is embedded (0042,0014), each once."""
    found = (_said(element, "mediaType") for element in _embedded(root) if _said(element, "representation") == "B64")
    return tuple(dict.fromkeys(mime for mime in found if _MIME.fullmatch(mime) and mime.lower() != CDA.lower()))


def _embedded(root: Element) -> Iterator[Element]:
    for element in root.iter():
        if isinstance(element.tag, str) and "mediaType" in element.attrib:
            yield element


def _warnings(root: Element) -> tuple[str, ...]:
    if any(element.find(f"{_HL7}reference") is not None for element in _embedded(root)):
        return ("The clinical document refers to files that are not in it; they are not stored with it.",)
    return ()


def _said(element: Element, attribute: str) -> str:
    return element.get(attribute, "").strip()
