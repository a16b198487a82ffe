"""Keys of rows: what makes two rows the same row, on every run, wherever the sheet puts them.

UIDs of what is filed are `media2dicom.dicom.uids`'s.
"""

from __future__ import annotations

import hashlib
import json

from media2dicom.dicom.uids import RENDITION_OPTIONS, options_identity
from media2dicom.model import Row


def digest(*parts: object) -> str:
    """Hex SHA-256 over the canonical JSON of `parts`."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def study_reference(row: Row) -> tuple[str, str]:
    """How the row names its study: by UID when it has one, else by accession number."""
    if row.study_instance_uid is not None:
        return ("study_instance_uid", row.study_instance_uid)
    return ("accession_number", row.accession_number or "")


def media_identity(row: Row) -> str:
    """Equal for two rows of one file: its hash, else its path, else the cell's text."""
    return row.media_sha256 or str(row.media_path or row.media)


def rendition(row: Row) -> tuple[object, ...]:
    """Equal for two rows that would put the same picture into the same study of the same patient twice."""
    chosen = tuple(getattr(row.options, name) for name in RENDITION_OPTIONS)
    return (media_identity(row), study_reference(row), row.patient_id, row.destination, chosen)


def _content(row: Row, destination: str) -> list[object]:
    return [
        destination,
        row.study_instance_uid,
        row.accession_number,
        row.patient_id,
        row.patient_birth_date,
        row.patient_name,
        row.media_sha256 or row.media,
        options_identity(row.options),
    ]


def derived_row_id(row: Row) -> str:
    """The name of a row whose `row_id` cell is empty."""
    return "r-" + digest("row", _content(row, row.destination or ""))[:16]


def row_key(row: Row, destination: str) -> str:
    """The ledger's key of a row sent to `destination` (a server's name): 64 hex digits.

    Row number and row order are not in it: sheets get sorted. A `row_id` of the submitter is, a derived one is not.
    """
    explicit = None if row.row_id == derived_row_id(row) else row.row_id
    return digest("row", _content(row, destination), explicit)
