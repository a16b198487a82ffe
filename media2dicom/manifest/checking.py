"""One line of the sheet to a Row, with every problem of the line. What holds between rows is `crossing.py`'s."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from media2dicom.errors import CellRefused, MediaChanged, RowRefused, ServerUnknown
from media2dicom.manifest.cells import refuse_trap
from media2dicom.manifest.columns import COLUMN, COLUMNS, MANDATORY_COLUMNS, STUDY_COLUMNS, Column, Kind
from media2dicom.manifest.fitting import foreign_columns, foreign_defaults
from media2dicom.manifest.headers import Header
from media2dicom.manifest.keys import derived_row_id
from media2dicom.manifest.paths import MediaFile, MediaFinder
from media2dicom.manifest.report import Problem, Severity
from media2dicom.manifest.tables import Cell, Table, address, cell_text, is_number
from media2dicom.manifest.values import ValueRefused
from media2dicom.media import media_type_of
from media2dicom.model import Options, Row

_EXACT_BELOW: Final = 10**15  # a spreadsheet's number has 15 digits
_OPTION_NAMES: Final = frozenset(option.name for option in fields(Options))
_READ_COLUMNS: Final = tuple(column for column in COLUMNS if column.kind is not Kind.SYSTEM)


@dataclass
class Line:
    """A non-blank line of the sheet on its way to a Row. `row` is None when the line has an error."""

    row_number: int
    texts: dict[str, str]  # known columns, non-empty cells
    problems: list[Problem] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)  # Any: each column's parser has its own type
    row: Row | None = None

    @property
    def refused(self) -> bool:
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    @property
    def skip(self) -> bool:
        return self.values.get("skip") is True


class LineChecker:
    """Checks lines of one table."""

    def __init__(
        self,
        table: Table,
        header: Header,
        finder: MediaFinder,
        known_servers: Collection[str] | None,
        defaults: Mapping[str, Any],
    ) -> None:
        self._table = table
        self._header = header
        self._finder = finder
        self._known_servers = known_servers
        self._defaults = defaults  # parsed; of columns whose cell is empty
        self._columns = [(column, header.index[column.name]) for column in _READ_COLUMNS if column.name in header.index]
        self.unused: dict[tuple[str, str], list[int]] = {}  # (column, media type): rows whose cell says nothing
        self._last_header = max(place for place, text in enumerate(header.texts) if text)

    def check(self, row_number: int) -> Line:
        """Parse every cell, find the media, and build the Row when nothing is wrong."""
        cells = self._table.rows[row_number - 1]
        texts = {column.name: text for column, place in self._columns if (text := cell_text(cells[place]))}
        line = Line(row_number, texts)
        if "skip" in self._header.index:
            self._read_cell(line, COLUMN["skip"], self._header.index["skip"], cells)
            if line.skip:
                return line
        for column, place in self._columns:
            if column.name != "skip":
                self._read_cell(line, column, place, cells)
        line.values |= {name: value for name, value in self._defaults.items() if name not in line.texts}
        self._check_presence(line)
        self._check_shape(line, cells)
        self._check_span(line)
        self._check_destination(line)
        media = self._find_media(line)
        if media is not None:
            self._leave_out_foreign(line, media)
        if not line.refused:
            line.row = _build_row(line, media)
        return line

    def refuse(self, line: Line, column: str | None, error: RowRefused | ServerUnknown) -> None:
        """Put an error on the line; with it the line is no Row any more."""
        self._note(line, column, Severity.ERROR, error.code, error.message, error.next_step)
        line.row = None

    def warn(self, line: Line, column: str, code: str, message: str, next_step: str) -> None:
        self._note(line, column, Severity.WARNING, code, message, next_step)

    def _note(
        self, line: Line, column: str | None, severity: Severity, code: str, message: str, next_step: str
    ) -> None:
        place = self._header.index.get(column) if column else None
        cell = None if place is None else address(line.row_number, place)
        line.problems.append(Problem(line.row_number, cell, column, severity, code, message, next_step))

    # --- one cell ---

    def _read_cell(self, line: Line, column: Column, place: int, cells: tuple[Cell, ...]) -> None:
        text = line.texts.get(column.name, "")
        try:
            refuse_trap(self._table.traps, text, (line.row_number, place))
            if not text:
                return
            if column.identifier:
                self._guard_identifier(line, column.name, cells[place])
            line.values[column.name] = column.parse(text)
        except ValueRefused as refusal:
            severity = Severity.ERROR if column.used else Severity.WARNING
            self._note(line, column.name, severity, CellRefused.code, refusal.cause, refusal.remedy)

    def _guard_identifier(self, line: Line, column: str, cell: Cell) -> None:
        if isinstance(cell, str):
            return
        remedy = "Format the column as text and enter the ID again."
        if not is_number(cell):
            raise ValueRefused("the cell is a date, a time or a truth value, not an ID", remedy)
        if abs(cell) >= _EXACT_BELOW:  # type: ignore[operator,arg-type]  # is_number has seen to it
            raise ValueRefused("the cell is a number of more than 15 digits: digits were lost", remedy)
        self.warn(line, column, "number-cell", "the cell is a number: leading zeros may be lost", remedy)

    # --- the whole line ---

    def _check_presence(self, line: Line) -> None:
        blamed = {problem.column for problem in line.problems}
        for name in MANDATORY_COLUMNS:
            if name not in line.texts and name not in blamed:
                self.refuse(line, name, CellRefused("the cell is empty", next_step=f"Fill in {name}."))
        if not any(name in line.texts or name in blamed for name in STUDY_COLUMNS):
            name = next(name for name in STUDY_COLUMNS if name in self._header.index)
            remedy = f"Fill in {' or '.join(STUDY_COLUMNS)}."
            self.refuse(line, name, CellRefused("the row names no study", next_step=remedy))

    def _check_shape(self, line: Line, cells: tuple[Cell, ...]) -> None:
        if self._table.sheet is not None:  # only text files can slip or swallow
            return
        if any(cell_text(cell) for cell in cells[self._last_header + 1 :]):
            remedy = "Put values that hold the delimiter into quotation marks."
            self.refuse(line, None, CellRefused("the row has more cells than the header", next_step=remedy))
        if any("\n" in cell and _holds_rows(cell, self._last_header) for cell in cells if isinstance(cell, str)):
            remedy = "Close the quotation mark, or save the sheet as .xlsx."
            self.refuse(
                line, None, CellRefused("a quotation mark has swallowed the rows that follow", next_step=remedy)
            )

    def _check_span(self, line: Line) -> None:
        end_s = line.values.get("end_s")
        if end_s is not None and end_s <= line.values.get("start_s", 0):
            self.refuse(line, "end_s", CellRefused("end_s is not after start_s", next_step="Write a later end_s."))

    def _check_destination(self, line: Line) -> None:
        name = line.values.get("destination")
        if name is not None and self._known_servers is not None and name not in self._known_servers:
            known = ", ".join(sorted(self._known_servers)) or "none is configured"
            self.refuse(line, "destination", ServerUnknown(f"there is no server of this name (known: {known})"))

    def _leave_out_foreign(self, line: Line, media: MediaFile) -> None:
        try:
            media_type = media_type_of(media.path)
        except RowRefused:  # told when the file is opened
            return
        for name in sorted(foreign_columns(media_type) & line.values.keys()):
            del line.values[name]
            if name in line.texts:
                self.unused.setdefault((name, media_type.name), []).append(line.row_number)
        for name in foreign_defaults(media_type) - line.texts.keys():
            line.values.pop(name, None)

    def _find_media(self, line: Line) -> MediaFile | None:
        if "media" not in line.values:
            return None
        try:
            media = self._finder.find(line.values["media"])
            expected = line.values.get("media_sha256")
            if expected is not None and media.sha256 is not None and media.sha256 != expected:
                column = "media_sha256"
                self.refuse(line, column, MediaChanged("the file is not the one whose SHA-256 the row gives"))
        except RowRefused as error:
            self.refuse(line, "media", error)
            return None
        return media


def _holds_rows(cell: str, last_header: int) -> bool:
    """Whether a line inside the cell has as many delimiters as a row of the sheet."""
    return any(max(part.count(sign) for sign in ",;\t") >= max(last_header, 1) for part in cell.split("\n"))


def _build_row(line: Line, media: MediaFile | None) -> Row:
    if media is None:
        raise ValueError("a line without media is refused")
    values = line.values
    row = Row(
        row_number=line.row_number,
        row_id="",
        media=values["media"],
        media_path=media.path,
        media_sha256=media.content_sha256,
        media_bytes=media.size_bytes,
        study_instance_uid=values.get("study_instance_uid"),
        accession_number=values.get("accession_number"),
        patient_id=values["patient_id"],
        patient_birth_date=values.get("patient_birth_date"),
        patient_name=values.get("patient_name"),
        destination=values.get("destination"),
        options=Options(**{name: value for name, value in values.items() if name in _OPTION_NAMES}),
    )
    return with_row_id(row, values.get("row_id"))


def with_row_id(row: Row, explicit: str | None) -> Row:
    """The row with the submitter's row_id, or one made from the content."""
    return replace(row, row_id=explicit or derived_row_id(row))
