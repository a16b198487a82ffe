"""What a workbook holds that pandas does not show: error values, formulas without a result, merges, hidden rows.

One streamed pass over the sheet's XML (ECMA-376 Part 1, 18.3), which also measures the sheet and refuses archive
bombs before anything large is laid out in memory. Cell values are read elsewhere (`tables.py`).
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

from openpyxl.reader.excel import ExcelReader
from openpyxl.utils import column_index_from_string, range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

from media2dicom.errors import ManifestUnusable

MAX_CELLS: Final = 20_000_000  # rows x columns of the filled rectangle
_MAX_EXPANDED_BYTES: Final = 1_000_000_000
_MAX_RATIO: Final = 300  # spreadsheet XML shrinks to a tenth, repetitive sheets to a hundredth
_RATIO_COUNTS_FROM: Final = 50_000_000
_MAX_MERGED: Final = 1_000_000
_WORKSHEET: Final = "/worksheet"

_UNREADABLE: Final = (
    InvalidFileException,
    zipfile.BadZipFile,
    expat.ExpatError,
    SyntaxError,  # ElementTree's ParseError
    KeyError,
    ValueError,  # defusedxml's refusals are ValueErrors
    TypeError,
    AttributeError,
    OSError,
    NotImplementedError,
    RuntimeError,
    EOFError,
)


@dataclass
class Traps:
    """Cells are (row number from 1, column index from 0)."""

    errors: set[tuple[int, int]] = field(default_factory=set)  # #REF!, #N/A and the like
    formulas: set[tuple[int, int]] = field(default_factory=set)  # no result is stored if the cell reads empty
    merged: set[tuple[int, int]] = field(default_factory=set)  # covered by a merge that starts elsewhere
    hidden_rows: list[int] = field(default_factory=list)
    rows: int = 0
    columns: int = 0

    @property
    def marked(self) -> set[tuple[int, int]]:
        """Cells that hold something though they may read empty."""
        return self.errors | self.formulas


def scan_workbook(path: Path, choose_sheet: Callable[[list[str]], str]) -> tuple[str, Traps]:
    """The chosen sheet's name and traps. Raises ManifestUnusable: broken, a bomb, no sheet, too large."""
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_bomb(archive)
            parts = _sheet_parts(path)
            if not parts:
                raise ManifestUnusable(
                    "The workbook has no sheet that can be read.",
                    next_step="Save it as an Excel workbook (.xlsx), not as Strict Open XML.",
                )
            sheet = choose_sheet(list(parts))
            return sheet, _Scanner().scan(archive, parts[sheet])
    except _UNREADABLE as error:
        raise ManifestUnusable(
            f"The workbook is damaged ({type(error).__name__}).",
            next_step="Save it again from the spreadsheet program.",
        ) from None


def sheet_names(path: Path) -> list[str]:
    """Of a workbook that was scanned before."""
    return list(_sheet_parts(path))


def _refuse_bomb(archive: zipfile.ZipFile) -> None:
    infos = archive.infolist()
    if any(info.flag_bits & 0x1 for info in infos):
        raise ManifestUnusable("The workbook is encrypted.", next_step="Save it without a password.")
    expanded = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if expanded > _MAX_EXPANDED_BYTES or (expanded > _RATIO_COUNTS_FROM and expanded > _MAX_RATIO * packed):
        raise ManifestUnusable(
            "The workbook unpacks to far more than a manifest needs and is not opened.",
            next_step="Copy the rows into a fresh workbook.",
        )


def _sheet_parts(path: Path) -> dict[str, str]:
    """Worksheet name to its part in the archive, in the workbook's order."""
    reader = ExcelReader(path, read_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl names sheets whose part is missing; they are not listed then
            reader.read_manifest()
            reader.read_workbook()
            sheets = list(reader.parser.find_sheets())
    finally:
        reader.archive.close()
    return {sheet.name: relation.target for sheet, relation in sheets if relation.Type.endswith(_WORKSHEET)}


class _Scanner:
    """SAX over one sheet. Handlers are kept short: a large sheet has millions of elements."""

    def __init__(self) -> None:
        self.traps = Traps()
        self._row = 0
        self._column = -1
        self._type = ""
        self._columns: dict[str, int] = {}
        self._merges: list[str] = []
        self._handlers: dict[str, Callable[[dict[str, str]], None]] = {
            "row": self._on_row,
            "c": self._on_cell,
            "f": self._on_formula,
            "v": self._on_value,
            "is": self._on_value,
            "mergeCell": lambda attributes: self._merges.append(attributes.get("ref", "")),
        }

    def scan(self, archive: zipfile.ZipFile, part: str) -> Traps:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._on_element
        parser.EntityDeclHandler = _refuse_entity
        with archive.open(part) as stream:
            while chunk := stream.read(1 << 20):
                parser.Parse(chunk, False)
        parser.Parse(b"", True)
        for reference in self._merges:
            self._note_merge(reference)
        return self.traps

    def _on_element(self, name: str, attributes: dict[str, str]) -> None:
        handler = self._handlers.get(name) or self._handlers.get(name.rpartition(":")[2])
        if handler:
            handler(attributes)

    def _on_row(self, attributes: dict[str, str]) -> None:
        self._row = int(attributes.get("r", self._row + 1))
        self._column = -1
        if attributes.get("hidden") in ("1", "true"):
            self.traps.hidden_rows.append(self._row)

    def _on_cell(self, attributes: dict[str, str]) -> None:
        self._type = attributes.get("t", "")
        reference = attributes.get("r")
        if reference is None:  # the position may be left out: the next cell
            self._column += 1
            return
        letters = reference.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            column = self._columns[letters] = column_index_from_string(letters) - 1
        self._column = column
        self._row = int(reference[len(letters) :])

    def _on_formula(self, _: dict[str, str]) -> None:
        if self._type != "str":  # "" is a result, too
            self.traps.formulas.add((self._row, self._column))

    def _on_value(self, _: dict[str, str]) -> None:
        traps = self.traps
        if self._type == "e":
            traps.errors.add((self._row, self._column))
        if self._row > traps.rows or self._column >= traps.columns:
            traps.rows = max(traps.rows, self._row)
            traps.columns = max(traps.columns, self._column + 1)
            if traps.rows * traps.columns > MAX_CELLS:
                raise ManifestUnusable(
                    "The sheet is too large: there is a filled cell far outside the table, or there are too many rows.",
                    next_step="Delete what is outside the table, or cut it into several manifests.",
                )

    def _note_merge(self, reference: str) -> None:
        if re.fullmatch(r"[A-Z]+[0-9]+:[A-Z]+[0-9]+", reference) is None:
            return
        left, top, right, bottom = range_boundaries(reference)
        if left is None or top is None or right is None or bottom is None:
            return
        for row in range(top, min(bottom, self.traps.rows) + 1):
            for column in range(left - 1, min(right, self.traps.columns)):
                if (row, column) != (top, left - 1):
                    self.traps.merged.add((row, column))
            if len(self.traps.merged) > _MAX_MERGED:
                raise ManifestUnusable("The sheet has too many merged cells.", next_step="Unmerge all cells.")


def _refuse_entity(*_: object) -> None:
    raise ValueError("entities are not allowed")  # an XML bomb; no spreadsheet program writes them
