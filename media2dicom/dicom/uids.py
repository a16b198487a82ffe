"""UIDs that follow from what is filed, so that a rerun, a crash, even a lost ledger makes no duplicate.

`2.25.` + 128 bits of SHA-256 (PS3.5 B.2) over (study, media, options, part). Never random.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Final

from media2dicom.model import Options, Row

# Ours, fixed for good: derived once from the project's name as below.
IMPLEMENTATION_CLASS_UID: Final = "2.25.318910532632243775553442527090502794653"


def derived_uid(*parts: object) -> str:
    """A UID that follows from `parts` (JSON values)."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


_DEFAULTS: Final = tuple((field.name, field.default) for field in sorted(fields(Options), key=lambda one: one.name))


def options_identity(options: Options) -> dict[str, object]:
    """The options that differ from the default, by name: a later version's new option changes no UID."""
    chosen = ((name, getattr(options, name), default) for name, default in _DEFAULTS)
    return {name: value for name, value, default in chosen if value != default}


def sop_instance_uid(study_instance_uid: str, row: Row, part: int) -> str:
    """Of the row's part number `part` (0 for a still, a cine, a model; the frame's index otherwise)."""
    return derived_uid("instance", study_instance_uid, row.media_sha256, options_identity(row.options), part)


def series_instance_uid(study_instance_uid: str, row: Row, modality: str) -> str:
    """One series per row; rows of one `series_group` (and one modality: PS3.3 A.1.2.3) share theirs."""
    if row.options.series_group is not None:
        return derived_uid("series-group", study_instance_uid, row.options.series_group, modality)
    return derived_uid("series", study_instance_uid, row.media_sha256, options_identity(row.options), modality)


def model_group_uid(study_instance_uid: str, row: Row) -> str:
    """Model Group UID (0068,7004): the parts of one assembly share it; a lone model is a group of its own."""
    if row.options.model_group is not None:
        return derived_uid("model-group", study_instance_uid, row.options.model_group)
    return derived_uid("model", study_instance_uid, row.media_sha256, options_identity(row.options))


# Options that change what a viewer sees. Rows that agree in all else but these file the same picture twice.
_DESCRIPTIVE: Final = frozenset(
    {"series_description", "series_number", "series_group", "instance_order", "accession_override", "modality"}
    | {"content_date", "content_time", "burned_in_annotation", "laterality", "body_part", "document_title"}
)
RENDITION_OPTIONS: Final = tuple(field.name for field in fields(Options) if field.name not in _DESCRIPTIVE)


def content_key(study_reference: str, row: Row) -> str:
    """Equal for two rows that would put the same picture into the same study twice."""
    chosen = {k: v for k, v in options_identity(row.options).items() if k in RENDITION_OPTIONS}
    return derived_uid("content", study_reference, row.media_sha256, chosen)
