"""A run of a manifest that was begun (beginning.py): cut it into batches, finish it (results, summary).

The steps in between are in `steps/`; in which order and how often they run is the flows' and tasks' matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from media2dicom.errors import (
    Media2DicomError,
    ResultsNotWritten,
    WindowEnded,
)
from media2dicom.inbox import complete_filing
from media2dicom.ledger import LedgerRow, Numbers, Run
from media2dicom.manifest.results import write_results
from media2dicom.manifest.tables import RESULTS_SUFFIX
from media2dicom.media import media_sha256
from media2dicom.model import Batch
from media2dicom.pacs.associations import echo
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary, result_columns, summarise

MAX_BATCH_ROWS = 32
VISIBLE_BATCHES = 100  # a small manifest shows every row as a batch of its own


def sha256_of(manifest: Path) -> str:
    """Empty when there is no such file: the reader says so better."""
    return media_sha256(manifest) if manifest.is_file() else ""


def close_run(bench: Workbench, run_id: str, results: Path | None) -> None:
    bench.ledger.finish_run(run_id, results)
    forget_sources(bench, run_id)


def forget_sources(bench: Workbench, run_id: str) -> None:
    """The headers that the run fetched are patient data."""
    bench.ledger.forget_sources(run_id)
    bench.cache.drop_sources(run_id)


def last_run(bench: Workbench, manifest: Path) -> Run | None:
    return next(iter(bench.ledger.runs(manifest.resolve(), limit=1)), None)


def whereabouts(bench: Workbench, run_id: str, manifest: Path) -> Path:
    """Where the manifest lies now: a run that is tried again may have filed it elsewhere at its end.

    What lies under its old name by now is another manifest.
    """
    complete_filing(bench)
    run = bench.ledger.run(run_id)
    return run.manifest if run is not None and run.manifest.is_file() else manifest


def open_rows(bench: Workbench, run_id: str, numbers: Numbers | None = None) -> list[LedgerRow]:
    """The run's rows on which there is work, all or those of some numbers, in the order of the sheet."""
    return [row for row in bench.ledger.rows(run_id, numbers=numbers, with_instances=False) if row.is_open]


def refuse_unreachable_servers(
    bench: Workbench,
    run_id: str,
    ask: Callable[[str], None] | None = None,
    *,
    numbers: Numbers | None = None,
) -> dict[str, Media2DicomError]:
    """C-ECHO every server of the open rows; rows of one that does not answer fail with its reason.

    `ask` does the echo of a server's name its own way, e.g. with retries.
    """
    ask = ask or (lambda name: echo(bench.settings.servers[name], bench.settings))
    rows = open_rows(bench, run_id, numbers)
    unreachable: dict[str, Media2DicomError] = {}
    for name in sorted({row.destination for row in rows}):
        try:
            ask(name)
        except Media2DicomError as error:
            unreachable[name] = error
    for row in rows:
        if row.destination in unreachable:
            bench.set_failure(row, unreachable[row.destination])
    return unreachable


def make_batches(
    bench: Workbench, run_id: str, *, numbers: Numbers | None = None, without: Collection[str] = ()
) -> list[Batch]:
    """The open rows in batches of ceil(rows / 100), at most 32; rows of one server stay together.

    `numbers`: only rows of these. `without`: servers that are not tried in this run, because they did not answer.
    """
    rows = [row for row in open_rows(bench, run_id, numbers) if row.destination not in without]
    rows.sort(key=lambda row: (row.destination, row.row_number))
    total = len(rows) if numbers is None else sum(bench.ledger.counts(run_id).values())  # parts of many are many, too
    size = min(MAX_BATCH_ROWS, -(-total // VISIBLE_BATCHES)) or 1
    batches = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        first, last = part[0].row_number, part[-1].row_number
        label = f"row {first}" if len(part) == 1 else f"rows {first}-{last}"
        batches.append(Batch(run_id, tuple(row.row_key for row in part), label))
    return batches


def close_window(bench: Workbench, run_id: str, numbers: Numbers | None = None) -> None:
    """The time for the run is over: rows that were not begun say so, and are taken up by the next run."""
    for row in open_rows(bench, run_id, numbers):
        if row.outcome.code is None:
            bench.set_failure(row, WindowEnded("The time of the run was over before this row was begun."))


# --- the end ----------------------------------------------------------------------------------------------------


def default_results_path(manifest: Path) -> Path:
    return manifest.with_name(manifest.stem + RESULTS_SUFFIX)


def refuse_results_path(manifest: Path, results: Path | None) -> None:
    """Raise ResultsNotWritten when the result workbook could not be written there: before the work, not after it."""
    path = results or default_results_path(manifest)
    reason = None
    if path.resolve() == manifest.resolve():
        reason = "it is the manifest itself"
    elif path.is_dir():
        reason = "it is a folder"
    elif not path.parent.is_dir():
        reason = "its folder is not there"
    elif not os.access(path.parent, os.W_OK):
        reason = "its folder cannot be written to"
    if reason is not None:
        raise ResultsNotWritten(
            f"The result workbook cannot be {path}: {reason}.", next_step="Name another file with --results."
        )


def finish_run(bench: Workbench, run_id: str, manifest: Path, results: Path | None) -> Summary:
    """Write the result workbook and close the run. Raises ResultsNotWritten; the outcomes are in the ledger anyway."""
    rows = bench.ledger.rows(run_id)
    path = results or default_results_path(manifest)
    run = bench.ledger.run(run_id)
    if run is None:
        raise ValueError(f"the ledger does not know the run {run_id}")
    written = None
    try:
        if sha256_of(manifest) != run.manifest_sha256:  # outcomes would stand beside other rows
            raise ResultsNotWritten(
                f"{manifest.name} was changed while it was archived; its outcomes are not written beside other rows.",
                next_step="Run the changed manifest: what is stored is left alone, and every row gets its outcome.",
            )
        write_results(manifest, path, {row.row_number: result_columns(row, run_id) for row in rows})
        written = path
    finally:
        close_run(bench, run_id, written)
    return summarise(bench, run_id, manifest, path)
