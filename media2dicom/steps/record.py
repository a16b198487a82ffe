"""Step 5: every row of the batch ends with an outcome. What no step could finish is said to be unfinished."""

from __future__ import annotations

from media2dicom.ledger import SETTLED
from media2dicom.model import Batch, Outcome, Status
from media2dicom.steps.workbench import Workbench

UNFINISHED = "unfinished"


def record(bench: Workbench, batch: Batch) -> dict[str, int]:
    """Rows of the batch by status, after seeing to it that each has an end state or a reason to be tried again."""
    for row in bench.ledger.rows(batch.run_id, batch.row_keys, with_instances=False):
        if row.status in SETTLED or row.status in {Status.FAILED, Status.UNCERTAIN}:
            continue
        outcome = Outcome(
            Status.UNCERTAIN if row.status == Status.SENDING else Status.FAILED,
            UNFINISHED,
            f"The work on this row ended at {row.status}.",
            "Run the manifest again: what is done is not done twice.",
            transient=True,
        )
        bench.ledger.set_outcome(row.row_key, outcome)
    counts: dict[str, int] = {}
    for row in bench.ledger.rows(batch.run_id, batch.row_keys, with_instances=False):
        counts[row.status] = counts.get(row.status, 0) + 1
    return counts
