"""A manifest file as a table of cells: .xlsx with pandas and calamine, .csv and .tsv with pandas as text.

A cell keeps its kind (text, number, date) until `cell_text`; what a column means is not known here. Traps that
pandas does not show (error values, formulas without a result, merged cells, hidden rows) come from `traps.py`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd
from openpyxl.utils import get_column_letter

from media2dicom.errors import ManifestUnusable
from media2dicom.manifest.traps import MAX_CELLS, Traps, scan_workbook, sheet_names

DATA_SHEET: Final = "Data"
DEFAULTS_SHEET: Final = "Defaults"
SUFFIXES: Final = (".xlsx", ".csv", ".tsv")
RESULTS_SUFFIX: Final = ".results.xlsx"
_OLE: Final = b"\xd0\xcf\x11\xe0"  # .xls, and .xlsx with a password
_ZIP: Final = b"PK\x03\x04"
_MAX_TEXT_BYTES: Final = 500_000_000
_DELIMITERS: Final = ",;\t"

Cell = str | int | float | bool | dt.date | dt.time | dt.timedelta  # dt.datetime is a dt.date


def is_passing_name(name: str) -> bool:
    """Of a hidden file, or of what a spreadsheet program lays beside a file that is open (~$NAME)."""
    return name.startswith((".", "~$"))


def is_manifest_name(name: str) -> bool:
    """Whether a file of this name in a folder is meant as a manifest, and not as the results of one."""
    lower = name.lower()
    return lower.endswith(SUFFIXES) and not lower.endswith(RESULTS_SUFFIX) and not is_passing_name(name)


@dataclass(frozen=True)
class Table:
    """`rows[0]` is row 1 of the spreadsheet; all rows have `width` cells; an empty cell is ''."""

    sheet: str | None
    rows: list[tuple[Cell, ...]]
    traps: Traps = field(default_factory=Traps)
    notes: tuple[tuple[str, str], ...] = ()  # code, message

    @property
    def width(self) -> int:
        return len(self.rows[0]) if self.rows else 0


def address(row_number: int, column_index: int) -> str:
    """As the spreadsheet shows it; the column counts from 0: (14, 2) is C14."""
    return f"{get_column_letter(column_index + 1)}{row_number}"


def is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def cell_text(cell: Cell) -> str:
    """The cell as trimmed text: integers as digits, floats without noise (15 digits), dates as YYYY-MM-DD."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else f"{cell:.15g}"  # a spreadsheet's number has 15 digits
    if isinstance(cell, dt.datetime):
        return cell.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(cell, dt.date | dt.time):
        return cell.isoformat()
    return str(cell)


def open_table(path: Path) -> Table:
    """Read the sheet named Data, else the first one; or the text file. Raises ManifestUnusable."""
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise ManifestUnusable(f"The manifest cannot be read: {error.strerror}.") from None
    if suffix not in SUFFIXES:
        raise ManifestUnusable(
            "The manifest is neither .xlsx, .csv nor .tsv.", next_step="Save it as an Excel workbook (.xlsx)."
        )
    if head == _OLE:
        raise ManifestUnusable(
            "The manifest is protected by a password, or is an old .xls workbook.",
            next_step="Save it as .xlsx without a password.",
        )
    if not head:
        raise ManifestUnusable("The manifest is an empty file.")
    if (suffix == ".xlsx") != (head == _ZIP):
        raise ManifestUnusable(
            f"The manifest is not what its name says: its content is {'a' if head == _ZIP else 'no'} workbook.",
            next_step="Save it again from the spreadsheet program, as .xlsx or .csv.",
        )
    return _read_sheet(path, choose_sheet) if suffix == ".xlsx" else _read_text(path)


def open_defaults(path: Path) -> Table | None:
    """The sheet named Defaults of a manifest that `open_table` has read; None where there is none."""
    if path.suffix.lower() != ".xlsx":
        return None
    named = _named(DEFAULTS_SHEET, sheet_names(path))
    return None if named is None else _read_sheet(path, lambda _: named)


def choose_sheet(names: list[str]) -> str:
    """The sheet named Data (any case), else the first that is not Defaults."""
    return _named(DATA_SHEET, names) or next((name for name in names if not _named(DEFAULTS_SHEET, [name])), names[0])


def _named(wanted: str, names: Iterable[str]) -> str | None:
    return next((name for name in names if name.strip().casefold() == wanted.casefold()), None)


# --- workbooks --------------------------------------------------------------------------------------------------


def _read_sheet(path: Path, choose: Callable[[list[str]], str]) -> Table:
    # The scan comes first: it measures the sheet before calamine lays it out in memory as a full rectangle.
    sheet, traps = scan_workbook(path, choose)
    try:
        frame = pd.read_excel(
            path, sheet_name=sheet, engine="calamine", header=None, dtype=object, na_filter=False, keep_default_na=False
        )
    except (ValueError, KeyError, OSError, OverflowError, RuntimeError) as error:
        raise ManifestUnusable(f"The workbook cannot be read ({type(error).__name__}).") from None
    except Exception as error:
        if type(error).__module__ != "python_calamine":  # its errors have no common public root
            raise
        raise ManifestUnusable(f"The workbook cannot be read ({type(error).__name__}).") from None
    rows: list[tuple[Cell, ...]] = list(frame.itertuples(index=False, name=None))
    # calamine leaves out what has no value: a line of nothing but #REF! would be lost
    width = max([frame.shape[1], *(column + 1 for _, column in traps.marked)])
    height = max([len(rows), *(row for row, _ in traps.marked)])
    if width > frame.shape[1]:
        rows = [row + ("",) * (width - len(row)) for row in rows]
    rows += [("",) * width] * (height - len(rows))
    return Table(sheet, rows, traps)


# --- text files -------------------------------------------------------------------------------------------------


def _read_text(path: Path) -> Table:
    if path.stat().st_size > _MAX_TEXT_BYTES:
        raise ManifestUnusable("The manifest is larger than 500 MB.", next_step="Cut it into several manifests.")
    text, notes = _decode(path.read_bytes())
    if "\0" in text:
        raise ManifestUnusable("The manifest is not a text file.", next_step="Save it as CSV UTF-8 or as .xlsx.")
    hint = re.match(r'"?sep=(.)"?\r?\n', text)  # Excel's own first line; Excel does not show it
    if hint:
        text = text[hint.end() :]
    delimiter = hint[1] if hint else _delimiter(text)
    try:
        lengths = [len(record) for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)]
        width = max(lengths, default=0)
        if width * len(lengths) > MAX_CELLS:
            raise ManifestUnusable("The manifest has too many cells.", next_step="Cut it into several manifests.")
        frame = pd.read_csv(
            io.StringIO(text, newline=""),
            sep=delimiter,
            header=None,
            names=list(range(max(width, 1))),
            index_col=False,
            dtype=str,
            na_filter=False,
            keep_default_na=False,
            skip_blank_lines=False,  # a blank line is a row of the spreadsheet, too
        )
    except (csv.Error, ValueError) as error:  # pandas' ParserError and EmptyDataError are ValueErrors
        open_quote = "EOF inside string" in str(error)
        cause = "a quotation mark is opened and never closed" if open_quote else "it is no table"
        raise ManifestUnusable(f"The manifest cannot be read as {path.suffix.lower()}: {cause}.") from None
    return Table(None, [tuple(map(_unguarded, row)) for row in frame.itertuples(index=False, name=None)], notes=notes)


def _unguarded(text: str) -> str:
    """`="00123"` is how people keep zeros in a CSV file for Excel; Excel shows 00123."""
    return text[2:-1] if text[:2] == '="' and text[-1] == '"' and '"' not in text[2:-1] else text


def _decode(data: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))  # a byte order mark
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if encoding == "cp1252":
            return text, (("encoding", "The file is not UTF-8; it was read as Windows-1252: look at the umlauts."),)
        return text, ()
    raise ManifestUnusable(
        "The manifest's character encoding is unknown.", next_step="Save it as CSV UTF-8 or as .xlsx."
    )


def _delimiter(text: str) -> str:
    """Comma, semicolon or tab: the one that cuts the first line into most cells."""

    def cells(delimiter: str) -> int:
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))

    try:
        return max(_DELIMITERS, key=cells)
    except csv.Error:
        return _DELIMITERS[0]
