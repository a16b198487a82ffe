"""PDF documents: is the file whole, can it be read without a password, what does it carry besides its pages?

The file is stored as it is (PS3.3 A.45.1); nothing of it is repaired or taken out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import pypdf

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.limits import refuse_over_limit
from media2dicom.media.payload import PDF, Document, MediaPlan, Payload, document_plan
from media2dicom.model import Options
from media2dicom.settings import MEGABYTE, Settings

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of the file's objects, which may hold patient data

_TAIL_BYTES: Final = 2048  # readers look for the end mark in the last kilobyte (ISO 32000-1 Annex H.3)
_DEEPEST: Final = 32  # levels of a name tree
_MOST_LOOKED_AT: Final = 20_000  # pages, annotations, form fields, bookmarks and actions
_LEADS_ON: Final = (
    "/OpenAction",
    "/Pages",
    "/Kids",
    "/Annots",
    "/AcroForm",
    "/Fields",
    "/Outlines",
    "/First",
    "/A",
    "/Next",
)
_ACTING: Final = ("/JavaScript", "/Launch", "/SubmitForm", "/ImportData")  # other kinds of action show something
_LARGEST_LOOKED_AT_BYTES: Final = 200 * MEGABYTE  # pypdf reads a file whole where its table of objects is not found
_NOT_LOOKED_AT: Final = (
    "The PDF file is very large and was not looked into: whether it needs a password, is whole, or carries scripts or "
    "files is not known; it is stored as it is."
)
_NOT_ALL_LOOKED_AT: Final = (
    "The PDF file is very long or partly damaged: whether all of it is free of scripts and attached files is not "
    "known; it is stored as it is."
)


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Raises MediaDamaged, MediaUnsupported (a password is needed), OverUploadLimit."""
    size_bytes = path.stat().st_size
    refuse_over_limit(size_bytes, "The document")
    return document_plan(size_bytes, _warnings_of(path))


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """As `plan`."""
    size_bytes = path.stat().st_size
    refuse_over_limit(size_bytes, "The document")
    _warnings_of(path)
    return Document(path, size_bytes, PDF)


def _warnings_of(path: Path) -> tuple[str, ...]:
    """What a person should know of the file. Raises MediaDamaged, MediaUnsupported."""
    with path.open("rb") as file:
        _check_end(file)
        if path.stat().st_size > _LARGEST_LOOKED_AT_BYTES:
            return (_NOT_LOOKED_AT,)
        try:
            reader = pypdf.PdfReader(file)
            if reader.is_encrypted and not reader.decrypt(""):
                raise MediaUnsupported(
                    "The PDF file cannot be opened without a password.", next_step="Save it without a password."
                )
            if not len(reader.pages):
                raise MediaDamaged("The PDF file has no page.")
            reader.pages[-1].mediabox  # noqa: B018 - the last page can be found
        except (MediaDamaged, MediaUnsupported):
            raise
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - whatever a broken file makes pypdf raise; its text may hold the file's
            raise MediaDamaged("The PDF file is damaged: its pages cannot be found.") from None
        try:
            return tuple(_found(reader.root_object))
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - the same: what is broken need not be a page
            return (_NOT_ALL_LOOKED_AT,)


def _check_end(file: BinaryIO) -> None:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
    if b"%%EOF" not in file.read():
        raise MediaDamaged("The PDF file is cut off: its end mark is missing.")
    file.seek(0)


def _found(catalog: Any) -> Iterator[str]:
    """Warnings of what the file holds besides its pages' looks (ISO 32000-1 7.11.4, 12.6)."""
    names = _resolved(catalog.get("/Names")) or {}
    objects = list(islice(_objects(catalog), _MOST_LOOKED_AT))
    acting = "/JavaScript" in names or any("/AA" in one or one.get("/S") in _ACTING for one in objects)
    opening = islice(_objects(catalog.get("/OpenAction")), _MOST_LOOKED_AT)
    if acting or any(one.get("/S") == "/URI" for one in opening):
        yield "The PDF file holds JavaScript or starts an action when it is opened; it is stored as it is."
    attached = "/AF" in catalog or _has_leaf(_resolved(names.get("/EmbeddedFiles")), _DEEPEST)
    if attached or any(one.get("/Subtype") == "/FileAttachment" for one in objects):
        yield "Files are attached to the PDF file; they are stored with it, and not seen on its pages."
    if len(objects) == _MOST_LOOKED_AT:
        yield _NOT_ALL_LOOKED_AT


def _objects(start: Any) -> Iterator[Any]:
    """The dictionaries that `start` leads to, each once where it is an object of its own."""
    left, seen = [start], set()
    while left:
        reference = left.pop()
        if isinstance(reference, pypdf.generic.IndirectObject):
            if reference.idnum in seen:
                continue
            seen.add(reference.idnum)
        one = _resolved(reference)
        if isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            yield one
            left += [value for key, value in one.items() if key in _LEADS_ON]


def _has_leaf(node: Any, levels: int) -> bool:
    """Whether a name tree (ISO 32000-1 7.9.6) holds anything."""
    if not isinstance(node, dict) or not levels:
        return False
    kids = _resolved(node.get("/Kids")) or []
    return bool(_resolved(node.get("/Names"))) or any(_has_leaf(_resolved(kid), levels - 1) for kid in kids[:1000])


def _resolved(value: Any) -> Any:
    return value.get_object() if value is not None and hasattr(value, "get_object") else value
