"""The archive of a 3MF, before its models are read (Open Packaging Conventions; 3MF Core 2)."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final
from urllib.parse import unquote
from xml.etree.ElementTree import iterparse

from media2dicom.errors import MediaUnsupported
from media2dicom.settings import MEGABYTE

_LARGEST_END_BYTES: Final = 56 + 20 + 22 + 65_535  # of an archive: what stands behind its directory
_SEE_ZIP64: Final = 0xFFFF_FFFF
_RELATIONSHIPS: Final = "_rels/.rels"
_LARGEST_RELATIONSHIPS_BYTES: Final = MEGABYTE  # they are held whole
_START_PART: Final = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"
_USUAL_START_PART: Final = "3d/3dmodel.model"
_NOT_UTF_8: Final = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["'](?!utf-8["'])""", re.IGNORECASE)
_CHUNK_BYTES: Final = 1 << 20


def directory_bytes(path: Path) -> int:
    """How long the archive's directory of its parts says that it is (APPNOTE.TXT 4.3.14, 4.3.16); 0 if it is not found.

    Where it says it twice, in the record of ZIP64 too, the larger.
    """
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LARGEST_END_BYTES))
        tail = file.read()
    found = [int.from_bytes(tail[at + 12 : at + 16], "little") for at in _places(tail, b"PK\5\6")]
    found = [size for size in found if size != _SEE_ZIP64]
    found += [int.from_bytes(tail[at + 40 : at + 48], "little") for at in _places(tail, b"PK\6\6")]
    return max(found, default=0)


def _places(text: bytes, mark: bytes) -> Iterator[int]:
    return (found.start() for found in re.finditer(re.escape(mark), text))


def main_part(archive: zipfile.ZipFile) -> str:
    """The name of the part with the build (3MF Core 2.1.1). Raises ValueError, ParseError, MediaUnsupported."""
    names = {name.lower().lstrip("/"): name for name in archive.namelist()}  # they are alike in any case (OPC 6.3.5)
    start = _USUAL_START_PART
    if _RELATIONSHIPS in names:
        if archive.getinfo(names[_RELATIONSHIPS]).file_size > _LARGEST_RELATIONSHIPS_BYTES:
            raise ValueError("too many relationships")
        check_xml(archive, names[_RELATIONSHIPS])
        with archive.open(names[_RELATIONSHIPS]) as file:
            for _, element in iterparse(file):  # noqa: S314 - no entities
                if element.get("Type") == _START_PART:
                    start = unquote(element.get("Target", "")).lower().lstrip("/")
    if start not in names:
        raise ValueError("no model")
    return names[start]


def check_xml(archive: zipfile.ZipFile, part: str) -> None:
    """XML of 3MF is UTF-8 without document type (3MF Core 2.3); read to its end, so that its checksum is checked.

    Raises MediaUnsupported; KeyError, and what zipfile raises, for a part that is not there or is damaged.
    """
    with archive.open(part) as file:
        _check_xml(file)


def _check_xml(file: IO[bytes]) -> None:
    head = file.read(_CHUNK_BYTES)
    rest = b""
    if b"\0" in head or _NOT_UTF_8.search(head[:200]):
        raise MediaUnsupported("The XML of the 3MF file is not in UTF-8.")
    while head:
        if b"<!DOCTYPE" in rest + head or b"<!ENTITY" in rest + head:
            raise MediaUnsupported("The XML of the 3MF file declares a document type or entities.")
        rest, head = head[-16:], file.read(_CHUNK_BYTES)
