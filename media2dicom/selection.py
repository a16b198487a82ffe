"""Which rows a retry takes: all that are left, or those of a status, of causes, of row numbers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from media2dicom.errors import NotApproved, SelectionUnclear, cause_words
from media2dicom.ledger import Ledger, LedgerRow, Run
from media2dicom.model import Status
from media2dicom.steps.record import UNFINISHED


@dataclass(frozen=True)
class Selection:
    """What is not named is no condition. Stored and skipped rows are never taken; what a person declined to send only
    when that cause is named."""

    status: Status | None = None
    causes: tuple[str, ...] = ()  # error codes
    numbers: tuple[tuple[int, int], ...] = ()  # row numbers as the spreadsheet shows them: (first, last), inclusive
    transient: bool = False  # only what may pass when nothing is changed

    def takes(self, row: LedgerRow) -> bool:
        return (
            row.is_left
            and self.status in (None, row.status)
            and (row.outcome.code in self.causes if self.causes else row.outcome.code != NotApproved.code)
            and (not self.numbers or any(first <= row.row_number <= last for first, last in self.numbers))
            and (not self.transient or row.may_pass)
        )


def refuse_no_match(ledger: Ledger, run: Run, selection: Selection) -> bool:
    """Whether a row of the run is taken. Raises SelectionUnclear when rows are left, but none that is asked for."""
    rows = ledger.rows(run.run_id, with_instances=False)
    if any(selection.takes(row) for row in rows):
        return True
    if left := [row for row in rows if Selection().takes(row)]:
        codes = Counter(row.outcome.code or UNFINISHED for row in left)
        causes = ", ".join(f"{count} {cause_words(code)} ({code})" for code, count in codes.most_common())
        raise SelectionUnclear(
            f"No row matches. {run.manifest.name} has {len(left)} left: {causes}.",
            next_step="Name a cause or rows that are left, or nothing to take all of them.",
        )
    return False


def row_numbers(text: str) -> tuple[tuple[int, int], ...]:
    """Row numbers as people write them, "5, 8-12". Raises SelectionUnclear."""
    found = []
    for part in re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text.strip())):
        if not part:
            continue
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise SelectionUnclear(f"{part!r} is no row number and no range of row numbers.")
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(found)
