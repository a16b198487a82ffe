"""The result workbook: the submitter's own sheet with an outcome on every row, and a summary.

What the outcomes are is the ledger's; here they are only written, as text that no spreadsheet program runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from openpyxl import Workbook, load_workbook
from openpyxl.cell import Cell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, MergedCell
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from media2dicom.errors import ResultsNotWritten
from media2dicom.manifest.columns import SYSTEM_COLUMNS, header_name
from media2dicom.manifest.tables import DATA_SHEET, Table, cell_text, choose_sheet, open_table
from media2dicom.model import Status

SUMMARY_SHEET: Final = "Summary"
_STATUS_HEADERS: Final = ("status", "rows")
_CELL_LIMIT: Final = 32_767  # characters in a cell (Excel specifications and limits)
_FORMULA_SIGNS: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet program may take for a formula
_WIDTHS: Final = {"status": 13, "message": 60, "next_step": 50, "finished_at": 22}
_UID_WIDTH: Final = 40
_WIDTH: Final = 14

# Fill and font: dark on light, apart in brightness too. The word is there for whoever sees no colour.
_COLORS: Final = {
    Status.STORED: ("C6EFCE", "00420A"),
    Status.FAILED: ("F8B4B4", "5F0000"),
    Status.REFUSED: ("FFD9A8", "5C3000"),
    Status.CONFLICT: ("D9B3FF", "2E0057"),
    Status.UNCERTAIN: ("FFF3A3", "4D4000"),
    Status.SKIPPED: ("E3E3E3", "333333"),
}
_ON_ITS_WAY: Final = ("D6E9FF", "002B57")


def write_results(manifest_path: Path, out_path: Path, outcomes: Mapping[int, Mapping[str, object]]) -> None:
    """Write the manifest with the system's columns filled, atomically.

    outcomes: row number (the header is row 1) to values by system column name, and `code` for the summary's causes.
    None is an empty cell, a bool yes or no, a list or tuple its items with spaces between.
    An .xlsx manifest keeps its sheets, styles and formulas; a text manifest becomes a workbook of text cells.
    Columns of an earlier result are emptied and used again. Raises ResultsNotWritten, ManifestUnusable.
    """
    if out_path.resolve() == manifest_path.resolve():
        raise ResultsNotWritten(
            "The result would overwrite the manifest.", next_step="Give another name for the result workbook."
        )
    table = open_table(manifest_path)
    workbook, sheet = _workbook_of(manifest_path, table)
    places = _place_columns(sheet, table)
    _fill(sheet, places, outcomes, last_row=len(table.rows))
    _dress(sheet, places, last_row=max([len(table.rows), *outcomes]))
    _summarise(workbook, outcomes)
    _save(workbook, manifest_path, out_path)


# --- the workbook to write into -----------------------------------------------------------------------------------


def _workbook_of(manifest_path: Path, table: Table) -> tuple[Workbook, Worksheet]:
    if table.sheet is not None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # openpyxl names what it cannot keep, e.g. slicers
                workbook = load_workbook(manifest_path, rich_text=True)
            names = [sheet.title for sheet in workbook.worksheets]
            return workbook, workbook[choose_sheet(names)]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, SyntaxError):
            pass  # calamine reads more than openpyxl does: the rows come back as text, without their styles
    workbook = Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = DATA_SHEET
    for row_number, cells in enumerate(table.rows, start=1):
        for column, cell in enumerate(cells, start=1):
            if cell != "":
                written = _free_cell(sheet, row_number, column)
                _put(written, cell if isinstance(cell, str) else cell_text(cell))
                written.number_format = "@"  # stays text when somebody edits it
    return workbook, sheet


def _place_columns(sheet: Worksheet, table: Table) -> dict[str, int]:
    """Column number of each system column: where an earlier result has it, else to the right of everything."""
    headers = [header_name(cell_text(cell)) for cell in table.rows[0]] if table.rows else []
    places = {name: headers.index(name) + 1 for name in SYSTEM_COLUMNS if name in headers}
    right = table.width
    for name in SYSTEM_COLUMNS:
        if name not in places:
            right += 1
            places[name] = right
            _put(_free_cell(sheet, 1, right), name)
    return places


def _free_cell(sheet: Worksheet, row: int, column: int) -> Cell:
    cell = sheet.cell(row, column)
    if isinstance(cell, MergedCell):
        merged = next(area for area in sheet.merged_cells.ranges if cell.coordinate in area)
        sheet.unmerge_cells(str(merged))
        cell = sheet.cell(row, column)
    if isinstance(cell, MergedCell):
        raise ResultsNotWritten(f"The cell {cell.coordinate} cannot be written.")
    return cell


# --- what is written ----------------------------------------------------------------------------------------------


def _fill(
    sheet: Worksheet, places: Mapping[str, int], outcomes: Mapping[int, Mapping[str, object]], *, last_row: int
) -> None:
    for row_number in sorted(set(outcomes) | set(range(2, last_row + 1))):
        outcome = outcomes.get(row_number, {})
        for name, column in places.items():
            value = _shown(name, outcome.get(name))
            # a row without an outcome is emptied, too: a STORED of an earlier result would be a lie
            if value is not None or (row_number, column) in sheet._cells:
                cell = _free_cell(sheet, row_number, column)
                _put(cell, value)
                if name == "status":
                    _color(cell, value)


def _shown(name: str, value: object) -> str | int | float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    if isinstance(value, list | tuple):
        return _joined([str(item) for item in value])
    if name == "sop_instance_uids" and len(str(value)) > _CELL_LIMIT:
        return _joined(str(value).replace(",", " ").split())
    return str(value)


def _joined(items: list[str]) -> str:
    """All items, or as many as a cell holds and how many more there are."""
    text = " ".join(items)
    if len(text) <= _CELL_LIMIT:
        return text
    kept, length = 0, 0
    while length + len(items[kept]) + 1 < _CELL_LIMIT - 50:
        length += len(items[kept]) + 1
        kept += 1
    return f"{' '.join(items[:kept])} and {len(items) - kept} more"


def _put(cell: Cell, value: str | int | float | None) -> None:
    """Write a value; text stays text, whatever it starts with."""
    if not isinstance(value, str):
        cell.value = value
        return
    text = ILLEGAL_CHARACTERS_RE.sub("", value)
    if len(text) > _CELL_LIMIT:
        text = text[: _CELL_LIMIT - 1] + "…"
    cell.value = text
    cell.data_type = "s"  # openpyxl takes a leading "=" for a formula, "#N/A" for an error
    if text.startswith(_FORMULA_SIGNS):
        cell.quotePrefix = True


def _color(cell: Cell, status: object) -> None:
    if status is None or status == "":
        cell.fill, cell.font = PatternFill(), Font()
        return
    fill, font = _COLORS.get(Status(str(status)), _ON_ITS_WAY) if str(status) in set(Status) else _ON_ITS_WAY
    cell.fill = PatternFill("solid", start_color=fill)
    cell.font = Font(bold=True, color=font)


def _dress(sheet: Worksheet, places: Mapping[str, int], *, last_row: int) -> None:
    for name, column in places.items():
        _free_cell(sheet, 1, column).font = Font(bold=True)
        width = _UID_WIDTH if "uid" in name else _WIDTHS.get(name, _WIDTH)
        sheet.column_dimensions[get_column_letter(column)].width = width
    if sheet.freeze_panes is None:
        sheet.freeze_panes = "A2"
    # Excel calls a workbook damaged when a sheet's filter overlaps a table, which has a filter of its own
    if not sheet.tables:
        sheet.auto_filter.ref = f"A1:{get_column_letter(max(places.values()))}{max(last_row, 1)}"


def _summarise(workbook: Workbook, outcomes: Mapping[int, Mapping[str, object]]) -> None:
    for earlier in workbook.worksheets:
        if earlier.title.startswith(SUMMARY_SHEET) and _headers_of(earlier) == _STATUS_HEADERS:
            workbook.remove(earlier)  # of a result that was submitted again
    sheet = workbook.create_sheet(_free_title(workbook.sheetnames))
    statuses = Counter(str(outcome.get("status") or "") for outcome in outcomes.values())
    causes = Counter(
        (str(outcome.get("status") or ""), str(outcome.get("code") or "")) for outcome in outcomes.values()
    )
    _table(sheet, _STATUS_HEADERS, [(status, count) for status, count in _by_status(statuses)])
    failed = [(*key, count) for key, count in sorted(causes.items(), key=lambda item: -item[1]) if key[1]]
    _table(sheet, ("status", "cause", "rows"), failed)
    for column, width in zip("ABC", (16, 30, 10), strict=True):
        sheet.column_dimensions[column].width = width


def _headers_of(sheet: Worksheet) -> tuple[object, ...]:
    return tuple(cell.value for cell in next(sheet.iter_rows(max_row=1, max_col=len(_STATUS_HEADERS))))


def _by_status(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    order = [str(status) for status in Status]
    return sorted(counts.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def _table(sheet: Worksheet, headers: tuple[str, ...], rows: Iterable[tuple[str | int, ...]]) -> None:
    top = sheet.max_row + 2 if sheet._cells else 1
    for row_number, values in enumerate([headers, *rows], start=top):
        for column, value in enumerate(values, start=1):
            cell = _free_cell(sheet, row_number, column)
            _put(cell, value)
            if row_number == top:
                cell.font = Font(bold=True)
            elif column == 1:
                _color(cell, value)


def _free_title(taken: Iterable[str]) -> str:
    """Summary, or Summary 2, ...: sheet names are compared without case."""
    used = {title.casefold() for title in taken}
    number = 1
    title = SUMMARY_SHEET
    while title.casefold() in used:
        number += 1
        title = f"{SUMMARY_SHEET} {number}"
    return title


# --- the file -----------------------------------------------------------------------------------------------------


def _save(workbook: Workbook, manifest_path: Path, out_path: Path) -> None:
    """Under a temporary name in the same folder, then renamed: a reader sees the old file or the new one."""
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out_path.stem}.", suffix=".tmp", dir=out_path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            workbook.save(file)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(manifest_path, temporary)  # whoever may read the manifest may read its result
        temporary.replace(out_path)
    except OSError as error:
        raise ResultsNotWritten(f"{out_path.name} cannot be written: {error.strerror or error}.") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
