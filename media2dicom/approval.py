"""What a person is asked before anything is sent: what is ready, what is not, what was warned of. No patient data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from media2dicom.errors import NotApproved, cause_words
from media2dicom.ledger import DONE_STATUSES
from media2dicom.limits import megabytes
from media2dicom.runs import open_rows
from media2dicom.steps.workbench import Workbench


@dataclass(frozen=True)
class Readiness:
    """How a run stands before its first send."""

    rows: int
    ready: int
    instances: int
    size_bytes: int
    servers: tuple[str, ...]
    not_ready: tuple[tuple[str, int], ...]  # cause in words, rows
    already_stored: int
    warnings: tuple[tuple[int, str], ...]  # row number, text
    ready_keys: frozenset[str]
    undecided: bool  # some of what is ready was not approved before

    def as_markdown(self, most: int = 20) -> str:
        """`most`: of the warnings, the first so many are shown."""
        where = ", ".join(self.servers) or "no server"
        lines = [
            f"**{self.ready} of {_rows(self.rows)} {'is' if self.ready == 1 else 'are'} ready** for {where}: "
            f"{self.instances} DICOM objects, {megabytes(self.size_bytes)}. Nothing has been sent yet.\n",
        ]
        if self.already_stored:
            lines.append(f"- {_rows(self.already_stored)} stored or skipped already")
        lines += [f"- {_rows(count)} will **not** be sent: {cause}" for cause, count in self.not_ready]
        if self.warnings:
            lines.append(f"\nWarnings: {len(self.warnings)}\n")
            lines += [f"- row {number}: {text}" for number, text in self.warnings[:most]]
            if len(self.warnings) > most:
                lines.append(f"- and {len(self.warnings) - most} more, in the table of the run")
        return "\n".join(lines)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def readiness(bench: Workbench, run_id: str) -> Readiness:
    """Count what `retrieve`, `convert` and `check` came to."""
    rows = bench.ledger.rows(run_id)
    ready = [row for row in rows if row.is_open and row.checked_run == run_id and row.instances]
    ready_keys = frozenset(row.row_key for row in ready)
    done = [row for row in rows if row.status in DONE_STATUSES]
    done_keys = {row.row_key for row in done}
    causes = Counter(
        cause_words(row.outcome.code or str(row.status).lower())
        for row in rows
        if row.row_key not in ready_keys and row.row_key not in done_keys
    )
    return Readiness(
        rows=len(rows),
        ready=len(ready),
        instances=sum(len(row.instances) for row in ready),
        size_bytes=sum(one.instance.size_bytes for row in ready for one in row.instances),
        servers=tuple(sorted({row.destination for row in ready})),
        not_ready=tuple(causes.most_common()),
        already_stored=len(done),
        warnings=tuple((row.row_number, text) for row in ready for text in row.warnings),
        ready_keys=ready_keys,
        undecided=not all(row.approved for row in ready),
    )


def approve(bench: Workbench, run_id: str, ready_keys: frozenset[str]) -> None:
    """What was ready, and nothing else, is sent: what was shown as not to be sent stays as it is."""
    others = [row.row_key for row in open_rows(bench, run_id) if row.row_key not in ready_keys]
    bench.ledger.approve(run_id, ready_keys, set_aside=others)


def decline(bench: Workbench, run_id: str) -> None:
    """Nothing of the run is sent: its open rows end so."""
    bench.ledger.decline(run_id)
    for row in open_rows(bench, run_id):
        bench.set_failure(row, NotApproved("The sending of this manifest was not approved; nothing was sent."))
