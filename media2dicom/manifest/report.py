"""What reading a manifest gives back: rows to file, rows set aside, problems, notes. No reading here.

Every non-blank line of the sheet is in exactly one of `rows`, `refused` and `skipped`.
Problems and notes never hold cell values of the submitter: they may be logged and shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from media2dicom.model import Outcome, Row, Status


class Severity(StrEnum):
    ERROR = "error"  # the row is refused
    WARNING = "warning"  # the row goes on; a person should look


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a row (or, in row 1, with a header)."""

    row_number: int
    cell: str | None  # as the spreadsheet shows it: C14
    column: str | None
    severity: Severity
    code: str
    message: str
    next_step: str

    @property
    def where(self) -> str:
        return f"{self.cell} ({self.column})" if self.cell and self.column else self.cell or f"row {self.row_number}"

    def __str__(self) -> str:
        where = f"Row {self.row_number}" + (f", {self.where}" if self.cell else "")
        return f"{where}: {self.message}. {self.next_step}".replace("..", ".")


@dataclass(frozen=True)
class Note:
    """Something to know about the whole sheet; no row is refused for it."""

    code: str
    message: str
    column: str | None = None


@dataclass(frozen=True)
class RefusedRow:
    """A line that cannot be filed as it stands. `key` is stable, and differs between identical lines."""

    row_number: int
    row_id: str
    media: str = field(repr=False)
    key: str
    problems: tuple[Problem, ...]

    @property
    def outcome(self) -> Outcome:
        """The first error, and how many there are."""
        errors = [problem for problem in self.problems if problem.severity is Severity.ERROR]
        first = errors[0]
        more = f" (and {len(errors) - 1} more in this row)" if len(errors) > 1 else ""
        return Outcome(Status.REFUSED, first.code, f"{first.where}: {first.message}{more}.", first.next_step)


@dataclass(frozen=True)
class SkippedRow:
    """A line that the submitter left out with the column skip. Nothing else of it was checked."""

    row_number: int
    row_id: str
    media: str = field(repr=False)
    key: str

    @property
    def outcome(self) -> Outcome:
        return Outcome(Status.SKIPPED, "skipped", "The column skip says yes.", "Empty the cell to file the row.")


@dataclass(frozen=True)
class Manifest:
    """A manifest as read: nothing was asked of a PACS, no media was decoded."""

    path: Path
    sheet: str | None  # None for text files
    headers: tuple[str, ...]  # as written
    rows: tuple[Row, ...] = field(repr=False)
    refused: tuple[RefusedRow, ...]
    skipped: tuple[SkippedRow, ...]
    problems: tuple[Problem, ...]  # by row; also those of refused rows
    notes: tuple[Note, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.WARNING)

    @property
    def row_count(self) -> int:
        """All non-blank lines below the header."""
        return len(self.rows) + len(self.refused) + len(self.skipped)
