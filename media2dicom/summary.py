"""How a run ended, for people: counts and causes, and what stands in the result columns of a row. No patient data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from media2dicom.errors import cause_words
from media2dicom.ledger import DONE_STATUSES, UNDER_WAY, LedgerRow, Numbers
from media2dicom.model import Status
from media2dicom.steps.workbench import Workbench

# Where every row that is not stored ended in the same way; else some failed, and that is what counts.
_ALONE: Final = {
    Status.REFUSED: "were refused",
    Status.UNCERTAIN: "are uncertain",
    Status.CONFLICT: "are in conflict",
}


@dataclass(frozen=True)
class Summary:
    """How a run ended. No patient data."""

    run_id: str
    manifest: Path
    rows: int
    by_cause: Mapping[tuple[Status, str], int]  # (status, error code or "") -> rows
    already_stored: int  # stored by an earlier run: nothing was sent for them
    results: Path | None

    @property
    def not_stored(self) -> int:
        return sum(count for (status, _), count in self.by_cause.items() if status not in DONE_STATUSES)

    @property
    def skipped(self) -> int:
        return sum(count for (status, _), count in self.by_cause.items() if status is Status.SKIPPED)

    @property
    def causes(self) -> list[tuple[Status, str, int]]:
        """(status, code, rows) of what is not stored, most frequent first."""
        left = [(*key, count) for key, count in self.by_cause.items() if key[0] not in DONE_STATUSES]
        return sorted(left, key=lambda one: (-one[2], one[1], one[0]))

    def __str__(self) -> str:
        """One line: "3 of 212 rows failed: 2 PACS out of resources, 1 study not found." """
        if not self.rows:
            return "There are no rows."
        before = self.already_stored
        if self.not_stored:
            causes = Counter[str]()
            for status, code, count in self.causes:
                causes[_words(status, code)] += count
            listed = ", ".join(f"{count} {words}" for words, count in causes.most_common())
            earlier = f" {before} {_were(before)} stored by an earlier run." if before else ""
            if self.rows == 1:
                return f"The only row {self._verdict}: {listed.removeprefix('1 ')}."
            return f"{self.not_stored} of {self.rows} rows {self._verdict}: {listed}.{earlier}"
        stored = self.rows - self.skipped
        if not stored:
            return f"All {self.rows} rows are skipped, as the manifest says."
        earlier = f", {before} of them by an earlier run" if before else ""
        if self.skipped:
            skipped = f" {self.skipped} {_were(self.skipped)} skipped, as the manifest says."
            return f"{stored} of {self.rows} rows are stored{earlier}.{skipped}"
        return f"All {self.rows} rows are stored{earlier}." if self.rows > 1 else f"The only row is stored{earlier}."

    @property
    def _verdict(self) -> str:
        """What is true of all rows that are not stored."""
        statuses = {status for status, _, _ in self.causes}
        words = "failed" if Status.FAILED in statuses else "are not stored"
        if len(statuses) == 1:
            words = _ALONE.get(next(iter(statuses)), words)
        return words if self.not_stored > 1 else words.replace("were ", "was ").replace("are ", "is ")


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _words(status: Status, code: str) -> str:
    if code:
        return cause_words(code)
    return "not begun" if status is Status.CHECKED else "not finished" if status in UNDER_WAY else status.lower()


def summarise(
    bench: Workbench, run_id: str, manifest: Path, results: Path | None, numbers: Numbers | None = None
) -> Summary:
    """How the run stands, or the rows of some numbers."""
    rows = bench.ledger.rows(run_id, numbers=numbers, with_instances=False)
    causes = Counter((row.status, row.outcome.code or "") for row in rows)
    before = sum(row.status == Status.STORED and row.stored_run != run_id for row in rows)
    return Summary(run_id, manifest, len(rows), dict(causes), before, results)


def explanation(row: LedgerRow, run_id: str) -> tuple[str, str]:
    """Why the row stands as it does after this run, and what next."""
    message, next_step = row.outcome.message, row.outcome.next_step
    if row.status == Status.STORED and row.stored_run != run_id:
        message = "Stored by an earlier run; nothing was sent."
    if row.status in UNDER_WAY:  # a run of another sheet has the same row in hand
        message = message or "Another run is at work on this row."
        next_step = next_step or "Run the manifest again when the other run has ended."
    return message, next_step


def result_columns(row: LedgerRow, run_id: str) -> dict[str, object]:
    """The system's columns of the result workbook for one row."""
    instances = row.instances
    message, next_step = explanation(row, run_id)
    warnings = " ".join(f"Warning: {warning}" for warning in row.warnings)
    statuses = sorted({one.store_status for one in instances if one.store_status is not None})
    verified = {one.verified for one in instances} if row.status == Status.STORED else set()
    return {
        "status": str(row.status),
        "code": row.outcome.code,
        "message": " ".join(part for part in (message, warnings) if part),
        "next_step": next_step,
        "series_instance_uid": " ".join(dict.fromkeys(one.instance.series_instance_uid for one in instances)),
        "sop_instance_uids": [one.instance.sop_instance_uid for one in instances],
        "instances": len(instances),
        "dicom_bytes": sum(one.instance.size_bytes for one in instances),
        "attempts": row.attempts,
        "store_status": " ".join(f"0x{status:04X}" for status in statuses),
        "verified": ("no" if "" in verified else " ".join(sorted(verified))) if verified else "no",
        "finished_at": row.finished_at,
    }
