"""PDF documents: is the file whole, can it be read without a password, what does it carry besides its pages?

The file is stored as it is (PS3.3 A.45.1); nothing of it is repaired or taken out.
"""

from __future__ import annotations

import logging
import os
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
_LARGEST_LOOKED_AT_BYTES: Final = 200 * MEGABYTE  # pypdf reads a file whole where its table of objects is not found
_NOT_LOOKED_AT: Final = (
    "The PDF file is very large and was not looked into: whether it needs a password, is whole, or carries scripts or "
    "files is not known; it is stored as it is."
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
            catalog = reader.root_object
            scripted, carries = _is_scripted(catalog), _carries_files(catalog)
        except (MediaDamaged, MediaUnsupported):
            raise
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - whatever a broken file makes pypdf raise; its text may hold the file's
            raise MediaDamaged("The PDF file is damaged: its pages cannot be found.") from None
    found = []
    if scripted:
        found.append("The PDF file holds JavaScript or starts an action when it is opened; it is stored as it is.")
    if carries:
        found.append("Files are attached to the PDF file; they are stored with it, and not seen on its pages.")
    return tuple(found)


def _check_end(file: BinaryIO) -> None:
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
    if b"%%EOF" not in file.read():
        raise MediaDamaged("The PDF file is cut off: its end mark is missing.")
    file.seek(0)


def _is_scripted(catalog: Any) -> bool:
    names = _resolved(catalog.get("/Names")) or {}
    opening = _resolved(catalog.get("/OpenAction"))
    kind = opening.get("/S") if isinstance(opening, dict) else None
    return "/JavaScript" in names or "/AA" in catalog or kind in ("/JavaScript", "/Launch", "/URI", "/SubmitForm")


def _carries_files(catalog: Any) -> bool:
    names = _resolved(catalog.get("/Names")) or {}
    return "/AF" in catalog or _has_leaf(_resolved(names.get("/EmbeddedFiles")), _DEEPEST)


def _has_leaf(node: Any, levels: int) -> bool:
    """Whether a name tree (ISO 32000-1 7.9.6) holds anything."""
    if not isinstance(node, dict) or not levels:
        return False
    kids = _resolved(node.get("/Kids")) or []
    return bool(_resolved(node.get("/Names"))) or any(_has_leaf(_resolved(kid), levels - 1) for kid in kids[:1000])


def _resolved(value: Any) -> Any:
    return value.get_object() if value is not None and hasattr(value, "get_object") else value
