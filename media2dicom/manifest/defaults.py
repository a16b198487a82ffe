"""The sheet Defaults of a workbook: values for all rows, which a row's own cell overrides.

Two columns: a column's name and its value; a header above them is passed over. What is wrong here refuses the whole
manifest, as no row could be known to be right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from media2dicom.errors import ManifestUnusable
from media2dicom.manifest.cells import refuse_trap
from media2dicom.manifest.columns import COLUMN, DEFAULTABLE, header_name
from media2dicom.manifest.tables import DEFAULTS_SHEET, address, cell_text, open_defaults
from media2dicom.manifest.values import ValueRefused

_HEADERS: Final = ("column", "column_name", "name")


def read_defaults(path: Path) -> dict[str, Any]:
    """Column to parsed value. Raises ManifestUnusable: every cause on a line of its own, with its cell."""
    table = open_defaults(path)
    if table is None:
        return {}
    values: dict[str, Any] = {}
    causes: list[str] = []

    def refuse(row_number: int, place: int, cause: str, remedy: str) -> None:
        causes.append(f"{DEFAULTS_SHEET}!{address(row_number, place)}: {cause}. {remedy}")

    for row_number, cells in enumerate(table.rows, start=1):
        texts = [cell_text(cell) for cell in cells] + ["", ""]
        name = header_name(texts[0])
        try:
            for place in (0, 1):
                refuse_trap(table.traps, texts[place], (row_number, place))
        except ValueRefused as refusal:
            refuse(row_number, place, refusal.cause, refusal.remedy)
            continue
        if not any(texts) or (row_number == 1 and name in _HEADERS):
            continue
        if name not in DEFAULTABLE:
            reason = "cannot be the same for all rows" if name in COLUMN else "is no column of a manifest"
            refuse(row_number, 0, f"what is named here {reason}", f"Known here are {', '.join(DEFAULTABLE)}.")
        elif name in values:
            refuse(row_number, 0, "the column is named twice", "Keep one line.")
        elif texts[1]:
            try:
                values[name] = COLUMN[name].parse(texts[1])
            except ValueRefused as refusal:
                refuse(row_number, 1, refusal.cause, refusal.remedy)
    if causes:
        raise ManifestUnusable("\n".join(causes))
    return values
