"""Which rows a retry takes: all that are left, or those of a status, of causes, of row numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from media2dicom.errors import NotApproved, SelectionUnclear
from media2dicom.ledger import LedgerRow
from media2dicom.model import Status


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
