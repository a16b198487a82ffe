"""Flow: some rows of a large manifest, in a run of their own that can be retried on its own. And who starts them.

Chunks work under their parent's run in the ledger. When the parent has ended, a retried chunk brings the manifest's
result workbook up to date.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.children import has_deployment, run_child, wait_for_stragglers
from flows.dashboard.reporting import Report
from flows.walking import ARCHIVE, PREPARE, Steps, final_state, opened, state_of, walk
from media2dicom.chunks import begin_rows, close_lost, cut, finish_rows, held_when_over, rows_lock
from media2dicom.inbox import file_away
from media2dicom.ledger import Numbers
from media2dicom.runs import close_window
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import summarise


def _run_name() -> str:
    rows = runtime.flow_run.parameters
    return f"archive rows {rows['first_row']}-{rows['last_row']}"


@flow(name="archive-rows", flow_run_name=_run_name, persist_result=False)
def archive_rows(
    run_id: str, first_row: int, last_row: int, prepare_only: bool = False, until: datetime | None = None
) -> State[Any]:
    """Archive some rows of a large manifest. Runs of archive-manifest start it; Retry takes up what it left.

    Args:
        run_id: The run of archive-manifest that these rows belong to.
        first_row: The first row, as the spreadsheet counts.
        last_row: The last row.
        prepare_only: Prepare and check, send nothing: the run waits for an approval.
        until: Nothing is begun after this moment.
    """
    if runtime.flow_run.run_count > 1:
        until = None  # a Retry is a person's wish, and the night is over
    return state_of(lambda: _archive(run_id, (first_row, last_row), prepare_only, until))


def _archive(run_id: str, numbers: Numbers, prepare_only: bool, until: datetime | None) -> State[Any]:
    with opened(run_id) as bench, rows_lock(bench, run_id, numbers), held_when_over(bench, run_id) as held:
        manifest = begin_rows(bench, run_id, numbers)
        report = Report(bench, run_id, manifest, numbers)
        report.begin()
        with report.live():
            walk(bench, run_id, numbers, steps=PREPARE if prepare_only else ARCHIVE, until=until)
        if prepare_only:
            return Completed(message=f"Rows {numbers[0]} to {numbers[1]} are prepared.")
        summary = summarise(bench, run_id, manifest, None, numbers)
        report.end(summary)
        if (whole := finish_rows(bench, run_id, held=held)) is not None:
            file_away(bench, whole.manifest, whole)
    return final_state(summary)


def work(bench: Workbench, run_id: str, *, steps: Steps = ARCHIVE, until: datetime | None = None) -> None:
    """All open rows of the run through the steps: in this run, or, when they are many, in runs of `archive-rows`."""
    chunks = cut(bench, run_id)
    if len(chunks) < 2 or not has_deployment(archive_rows):
        walk(bench, run_id, steps=steps, until=until)
        return

    def is_late() -> bool:
        return until is not None and datetime.now(UTC) >= until

    def start(numbers: Numbers) -> None:
        if not is_late():
            state = _run_chunk(run_id, numbers, prepare_only=steps is PREPARE, until=until)
            if not state.is_completed() and not is_late():
                close_lost(bench, run_id, numbers, str(state.name))

    with ThreadPoolExecutor(bench.settings.parallel_runs, thread_name_prefix="chunk") as runs:
        for one in [runs.submit(copy_context().run, start, numbers) for numbers in chunks]:
            one.result()
    if is_late():
        close_window(bench, run_id)


def _run_chunk(run_id: str, numbers: Numbers, *, prepare_only: bool, until: datetime | None) -> State[Any]:
    """Start a run for these rows and wait for its end; how its rows ended is in the ledger."""
    first, last = numbers
    parameters: dict[str, Any] = {"run_id": run_id, "first_row": first, "last_row": last, "prepare_only": prepare_only}
    if until is not None:
        parameters["until"] = until.isoformat()
    state = run_child(archive_rows, parameters, begin_by=until)
    if state.is_crashed():  # its worker died: another one goes on where it was
        state = run_child(archive_rows, parameters, begin_by=until)
    return state


def wait_for_earlier_parts(bench: Workbench, manifest: Path, run_id: str) -> None:
    """Parts of a killed run of the manifest, this one or another, may still be at work somewhere: one at a time."""
    if has_deployment(archive_rows):
        killed = (run.run_id for run in bench.ledger.runs(manifest.resolve(), unfinished=True))
        wait_for_stragglers({run_id, *killed})
