"""A large manifest in parts: some row numbers of a run, worked on by a run of Prefect's own each.

All parts work under the one run of the ledger, at the same time and on whatever machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from media2dicom.errors import ChunkLost, ManifestUnusable
from media2dicom.ledger import Numbers
from media2dicom.locks import exclusive, manifest_lock
from media2dicom.runs import finish_run, forget_sources, last_run, open_rows
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary

_PATIENCE_S = 600  # another part, or the run itself, may be writing the result workbook


def cut(bench: Workbench, run_id: str) -> list[Numbers]:
    """The open rows in parts of `rows_per_run`, by their numbers: first and last, inclusive."""
    numbers = [row.row_number for row in open_rows(bench, run_id)]
    size = bench.settings.rows_per_run
    return [(numbers[start], numbers[start : start + size][-1]) for start in range(0, len(numbers), size)]


@contextmanager
def rows_lock(bench: Workbench, run_id: str, numbers: Numbers) -> Iterator[None]:
    """One at a time on this part of this run: it may be retried by hand. Raises AlreadyRunning."""
    name = f"rows {numbers[0]} to {numbers[1]} of {run_id}"
    with exclusive(bench.settings, name, wait_s=60, taken=f"Another run is at rows {numbers[0]} to {numbers[1]}."):
        yield


@contextmanager
def held_when_over(bench: Workbench, run_id: str) -> Iterator[bool]:
    """A part of a run that is over holds its manifest's lock, as no run does it for it; whether it is so.

    Raises AlreadyRunning when another run is at the manifest.
    """
    run = bench.ledger.run(run_id)
    if run is None or run.finished_at is None:
        yield False
    else:
        with manifest_lock(bench.settings, run.manifest):
            yield True


def begin_rows(bench: Workbench, run_id: str, numbers: Numbers) -> Path:
    """Take up what is left of these rows, as the ledger has them; the manifest they come from."""
    run = bench.ledger.run(run_id)
    if run is None:
        raise ManifestUnusable(
            "The ledger does not know the run these rows belong to.", next_step="Run the manifest again."
        )
    bench.ledger.begin_rows_again(run_id, numbers)
    return run.manifest


def close_lost(bench: Workbench, run_id: str, numbers: Numbers, how: str) -> None:
    """Rows that their part's run did not come to say so."""
    for row in open_rows(bench, run_id, numbers):
        if row.outcome.code is None:
            bench.set_failure(row, ChunkLost(f"The run of rows {numbers[0]} to {numbers[1]} ended as {how}."))


def finish_rows(bench: Workbench, run_id: str, *, held: bool) -> Summary | None:
    """Bring the result workbook of a manifest whose run is over up to date: that of its last run, as the rows are the
    same. None while a run goes on: it writes it itself. `held`: whether we have the manifest's lock."""
    run = bench.ledger.run(run_id)
    if run is None or run.finished_at is None:
        return None
    with nullcontext() if held else manifest_lock(bench.settings, run.manifest, wait_s=_PATIENCE_S):
        run = bench.ledger.run(run_id) or run  # filed elsewhere meanwhile
        forget_sources(bench, run_id)
        last = last_run(bench, run.manifest) or run
        return None if last.finished_at is None else finish_run(bench, last.run_id, last.manifest, last.results)
