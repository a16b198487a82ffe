"""How a run ended, for people: counts and causes, and what stands in the result columns of a row. No patient data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from media2dicom.ledger import LedgerRow
from media2dicom.model import Status
from media2dicom.steps.workbench import Workbench


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
        done = {Status.STORED, Status.SKIPPED}
        return sum(count for (status, _), count in self.by_cause.items() if status not in done)

    def __str__(self) -> str:
        if not self.not_stored:
            before = f", {self.already_stored} of them by an earlier run" if self.already_stored else ""
            return f"All {self.rows} rows are stored or skipped{before}."
        causes = ", ".join(
            f"{count} {code or status.lower()}"
            for (status, code), count in sorted(self.by_cause.items(), key=lambda item: -item[1])
            if status not in {Status.STORED, Status.SKIPPED}
        )
        before = f" {self.already_stored} were stored by an earlier run." if self.already_stored else ""
        return f"{self.not_stored} of {self.rows} rows are not stored: {causes}.{before}"


def summarise(bench: Workbench, run_id: str, manifest: Path, results: Path | None) -> Summary:
    rows = bench.ledger.rows(run_id, with_instances=False)
    causes = Counter((row.status, row.outcome.code or "") for row in rows)
    before = sum(row.status == Status.STORED and row.stored_run != run_id for row in rows)
    return Summary(run_id, manifest, len(rows), dict(causes), before, results)


_UNDER_WAY = frozenset({Status.CHECKED, Status.IDENTIFIED, Status.PREPARED, Status.SENDING})


def explanation(row: LedgerRow, run_id: str) -> tuple[str, str]:
    """Why the row stands as it does after this run, and what next."""
    message, next_step = row.outcome.message, row.outcome.next_step
    if row.status == Status.STORED and row.stored_run != run_id:
        message = "Stored by an earlier run; nothing was sent."
    if row.status in _UNDER_WAY:  # a run of another sheet has the same row in hand
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
