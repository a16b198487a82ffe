"""UIDs and file meta: who the object says it is, twice, and whom it refers to (PS3.10 7.1, PS3.3 C.12, PS3.5 9)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from media2dicom.dicom.picture_classes import VIDEO_CLASSES
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES, TRANSFER_SYNTAXES, VIDEO_SYNTAX_UIDS
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import IOD
from media2dicom.validation.written import Written, all_items

_PICTURE_SYNTAXES: Final = frozenset({*NATIVE_SYNTAXES, *(syntax.uid for syntax in TRANSFER_SYNTAXES)})
_FIRST_GROUP: Final = b"\x08\x00"  # every object begins with group 0008
# Frame of Reference UID is the source's; some machines give it the study's.
_UIDS: Final = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "ModelGroupUID")


def check_identity(written: Written, iod: IOD) -> Iterator[Finding]:
    yield from _check_file_meta(written)
    yield from _check_transfer_syntax(written, iod)
    yield from _check_uids(written.header)


def _check_file_meta(written: Written) -> Iterator[Finding]:
    meta = written.header.file_meta
    for keyword, twin in (("MediaStorageSOPClassUID", "SOPClassUID"), ("MediaStorageSOPInstanceUID", "SOPInstanceUID")):
        if str(meta.get(keyword, "")) != written.text(twin):
            yield Finding(keyword, f"differs from {twin}", "PS3.10 7.1")
    if meta.get("FileMetaInformationVersion") != b"\x00\x01":
        yield Finding("FileMetaInformationVersion", "is not that of PS3.10", "PS3.10 7.1")
    if not UID(str(meta.get("ImplementationClassUID", ""))).is_valid:
        yield Finding("ImplementationClassUID", "is missing or not valid", "PS3.10 7.1")
    if len(str(meta.get("ImplementationVersionName", ""))) > 16:
        yield Finding("ImplementationVersionName", "breaks its value representation", "PS3.5 6.2")
    with written.path.open("rb") as file:
        group, element, vr, length, told = struct.unpack("<HH2sHL", file.read(144)[132:])
        file.seek(told, 1)
        if (group, element, vr, length) != (0x0002, 0x0000, b"UL", 4) or file.read(2) != _FIRST_GROUP:
            yield Finding("FileMetaInformationGroupLength", "is missing or wrong", "PS3.10 7.1")
    if written.end != written.size_bytes:
        yield Finding("file", "goes on behind its data set, or ends before", "PS3.10 7")


def _check_transfer_syntax(written: Written, iod: IOD) -> Iterator[Finding]:
    keywords = {attribute.keyword for use in iod.uses for attribute in use.module.attributes}
    if "PixelData" not in keywords:
        allowed = frozenset(NATIVE_SYNTAXES)
    else:
        allowed = _PICTURE_SYNTAXES | (VIDEO_SYNTAX_UIDS if iod.sop_class_uid in VIDEO_CLASSES else frozenset())
    if written.transfer_syntax_uid not in allowed:
        yield Finding("TransferSyntaxUID", "is none that this object is written in", "PS3.5 8.2, 10")


def _check_uids(header: Dataset) -> Iterator[Finding]:
    own = [(keyword, str(header[keyword].value)) for keyword in _UIDS if header.get(keyword)]
    seen: dict[str, str] = {}
    for keyword, uid in own:
        if uid in seen:
            yield Finding(keyword, f"is the same as {seen[uid]}", "PS3.5 9")
        seen.setdefault(uid, keyword)
    instance = str(header.get("SOPInstanceUID", ""))
    for path, _sequence, item in all_items(header):
        if not ("ReferencedSOPInstanceUID" in item or "ReferencedSOPClassUID" in item):
            continue
        if str(item.get("ReferencedSOPInstanceUID", "")) == instance:
            yield Finding(f"{path}.ReferencedSOPInstanceUID", "is the object's own SOPInstanceUID", "PS3.3 10.8")
        if bool(item.get("ReferencedSOPClassUID")) != bool(item.get("ReferencedSOPInstanceUID")):
            yield Finding(path, "is half a reference", "PS3.3 10.8")
