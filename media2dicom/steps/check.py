"""Step 3: what would be sent is complete, the row's own, and within the limits. Else no byte of it is sent."""

from __future__ import annotations

from functools import partial

from media2dicom.ledger import LedgerRow
from media2dicom.limits import refuse_over_limit, size_warning
from media2dicom.model import Batch, Status
from media2dicom.steps.prepared import refuse_unfit
from media2dicom.steps.workbench import Workbench


def check(bench: Workbench, batch: Batch) -> int:
    """Check the batch's prepared files; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if batch.run_id == row.identified_run == row.prepared_run]
    return sum(
        bench.guarded(row, "Checking the files of", partial(_check_row, bench, batch.run_id, row))
        for row in rows
        if row.instances and row.checked_run != batch.run_id
    )


def _check_row(bench: Workbench, run_id: str, row: LedgerRow) -> None:
    for one in row.instances:
        refuse_over_limit(one.instance.size_bytes, row.media)
        if one.status != Status.STORED:
            refuse_unfit(row, one.instance)
    largest = max(one.instance.size_bytes for one in row.instances)
    if (warning := size_warning(largest, bench.settings.upload_size_warning_mb)) is not None:
        bench.ledger.add_warnings(row.row_key, [warning])
    bench.ledger.set_outcome(row.row_key, row.outcome, checked_run=run_id)
