"""Step 5: every row of the batch ends with an outcome. What no step could finish is said to be unfinished."""

from __future__ import annotations

from media2dicom.ledger import IN_DOUBT, SETTLED
from media2dicom.model import Batch, Outcome, Status
from media2dicom.steps.workbench import Workbench

UNFINISHED = "unfinished"


def record(bench: Workbench, batch: Batch) -> None:
    """See to it that each row of the batch has an end state, or a reason to be tried again."""
    others = bench.ledger.taken_over(batch.run_id, batch.row_keys)  # whose end is another run's to say
    for row in bench.ledger.rows(batch.run_id, batch.row_keys, with_instances=False):
        if row.row_key in others:
            continue
        told = row.status == Status.FAILED or (row.status == Status.UNCERTAIN and row.outcome.code is not None)
        if told or row.status in SETTLED:
            continue
        in_doubt = row.status in IN_DOUBT
        before = "The PACS may have it. " if in_doubt else ""
        outcome = Outcome(
            Status.UNCERTAIN if in_doubt else Status.FAILED,
            UNFINISHED,
            f"{before}The work on this row ended at {row.status}.",
            "Run the manifest again: what is done is not done twice.",
            transient=True,
        )
        bench.ledger.set_outcome(row.row_key, outcome)
