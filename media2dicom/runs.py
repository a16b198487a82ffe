"""A run of a manifest: begin it (every row into the ledger), cut it into batches, finish it (results, summary).

The steps in between are in `steps/`; in which order and how often they run is the flows' and tasks' matter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from media2dicom.errors import (
    ApprovalPending,
    DuplicateRow,
    ManifestUnusable,
    Media2DicomError,
    ResultsNotWritten,
    WindowEnded,
)
from media2dicom.inbox import complete_filing, home_of
from media2dicom.ledger import Entry, LedgerRow, Numbers, Run
from media2dicom.locks import exclusive
from media2dicom.manifest.keys import digest, row_key
from media2dicom.manifest.reading import read_manifest
from media2dicom.manifest.report import Manifest, Problem, RefusedRow, SkippedRow
from media2dicom.manifest.results import write_results
from media2dicom.media import media_sha256
from media2dicom.model import Batch, Outcome, Status
from media2dicom.pacs.associations import echo
from media2dicom.selection import Selection
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary, result_columns, summarise

MAX_BATCH_ROWS = 32
VISIBLE_BATCHES = 100  # a small manifest shows every row as a batch of its own


@contextmanager
def manifest_lock(settings: Settings, manifest: Path, wait_s: float = 0) -> Iterator[None]:
    """One run of a manifest at a time; the lock falls with its process. Raises AlreadyRunning."""
    taken = f"{manifest.name} is being archived by another run."
    with exclusive(settings, f"manifest {manifest.resolve()}", wait_s, taken=taken):
        yield


def begin_run(
    bench: Workbench, manifest: Path, server_name: str | None, run_id: str, *, approval: bool = False
) -> Manifest:
    """Read the manifest and put every row of it into the ledger, before any work.

    `approval`: nothing is sent but rows that a person approved. Raises ManifestUnusable, ServerUnknown when a row has
    no destination and there is no server to take, and ApprovalPending.
    """
    settings = bench.settings
    if not approval:
        _refuse_pending(bench, manifest, run_id)
    sha256 = _sha256_of(manifest)
    roots = (*settings.media_roots, home_of(settings, manifest))
    found = read_manifest(
        manifest,
        media_roots=roots,
        known_servers=settings.servers,
        sop_class_policy=settings.sop_class_policy,
    )
    if _sha256_of(manifest) != sha256:
        raise ManifestUnusable(f"{manifest.name} was written to while it was read.")
    if server_name is not None or any(row.destination is None for row in found.rows):
        server_name, _ = settings.server(server_name)
    warnings = _warnings_by_row(found)
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    for row in found.rows:
        destination = row.destination or server_name or ""
        key = row_key(row, destination)
        outcome = Outcome(Status.CHECKED)
        if key in seen:  # seen only now that the run's server is known: one row names it, the other leaves it open
            error = DuplicateRow(f"Row {seen[key]} files the same media into the same study in the same way.")
            outcome = Outcome(Status.REFUSED, error.code, error.message, error.next_step)
        entries.append(
            Entry(
                row_key=digest("repeated", key, row.row_number) if key in seen else key,
                row_number=row.row_number,
                destination=destination,
                row_id=row.row_id,
                media=row.media,
                row=None if key in seen else row,
                outcome=outcome,
                warnings=warnings.get(row.row_number, ()),
            )
        )
        seen.setdefault(key, row.row_number)
    known = _readable_before(bench, run_id, sha256)
    set_aside: list[RefusedRow | SkippedRow] = [*found.refused, *found.skipped]
    entries += [
        known.get(one.row_number) or Entry(one.key, one.row_number, "", one.row_id, one.media, None, one.outcome)
        for one in set_aside
    ]
    _close_killed_runs(bench, manifest, run_id)
    bench.ledger.begin_run(run_id, manifest.resolve(), sha256, server_name, entries, approval=approval)
    return found


def is_undecided(bench: Workbench, run: Run) -> bool:
    """Whether a person has to be asked before what is left of the run is sent."""
    return run.approval and any(
        row.may_pass and not row.approved for row in bench.ledger.rows(run.run_id, with_instances=False)
    )


def _refuse_pending(bench: Workbench, manifest: Path, run_id: str) -> None:
    """What waits to be approved is not sent by another run meanwhile. Raises ApprovalPending."""
    for run in bench.ledger.runs(manifest.resolve(), unfinished=True):
        if run.run_id != run_id and is_undecided(bench, run):
            raise ApprovalPending(f"{manifest.name} waits for an approval: nothing of it is sent before.")


def _readable_before(bench: Workbench, run_id: str, sha256: str) -> dict[int, Entry]:
    """Rows that an earlier try of this very run could read: their media may be gone, their prepared files are not."""
    run = bench.ledger.run(run_id)
    if run is None or run.manifest_sha256 != sha256:
        return {}
    return {
        row.row_number: _taken_up(row, taken=True)
        for row in bench.ledger.rows(run_id, with_instances=False)
        if row.row is not None
    }


def _taken_up(row: LedgerRow, *, taken: bool) -> Entry:
    """A row of an earlier try, as the ledger has it."""
    return Entry(
        row_key=row.row_key,
        row_number=row.row_number,
        destination=row.destination,
        row_id=row.row_id,
        media=row.media,
        row=row.row,
        outcome=Outcome(Status.CHECKED) if taken else None,
        warnings=row.warnings,
    )


def _sha256_of(manifest: Path) -> str:
    """Empty when there is no such file: the reader says so better."""
    return media_sha256(manifest) if manifest.is_file() else ""


def _close_killed_runs(bench: Workbench, manifest: Path, run_id: str) -> None:
    """Runs of this manifest that never ended were killed, as we hold its lock: their headers are patient data."""
    for run in bench.ledger.runs(manifest.resolve(), unfinished=True):
        if run.run_id != run_id:
            _close_run(bench, run.run_id, None)


def _close_run(bench: Workbench, run_id: str, results: Path | None) -> None:
    bench.ledger.finish_run(run_id, results)
    forget_sources(bench, run_id)


def forget_sources(bench: Workbench, run_id: str) -> None:
    """The headers that the run fetched are patient data."""
    bench.ledger.forget_sources(run_id)
    bench.cache.drop_sources(run_id)


def begin_retry(
    bench: Workbench, manifest: Path, run_id: str, selection: Selection, earlier: Run | None = None
) -> None:
    """Take up what an earlier run left (default: the manifest's last), as the ledger has it: the media may be gone.

    Tried again under the same run_id, it goes on with the rows that it had taken, whatever keeps them by now. Where
    the earlier run needed an approval, this one does, too. Raises ManifestUnusable when there is no run to take up, or
    the sheet has changed since: its rows are others; ApprovalPending.
    """
    _refuse_pending(bench, manifest, run_id)
    own = bench.ledger.run(run_id)
    last = own or earlier or last_run(bench, manifest)
    advice = "Run it: what is stored is left alone (media2dicom run)."
    if last is None:
        raise ManifestUnusable(f"The ledger knows no run of {manifest.name} to take up.", next_step=advice)
    if not manifest.is_file() or media_sha256(manifest) != last.manifest_sha256:
        raise ManifestUnusable(f"{manifest.name} is not as it was when it was last run.", next_step=advice)
    entries = [
        _taken_up(row, taken=(row.taken and row.is_left) if own else selection.takes(row))
        for row in bench.ledger.rows(last.run_id, with_instances=False)
    ]
    _close_killed_runs(bench, manifest, run_id)
    bench.ledger.begin_run(
        run_id,
        manifest.resolve(),
        last.manifest_sha256,
        last.server,
        entries,
        approval=last.approval,
        approved_in=last.run_id,
    )


def last_run(bench: Workbench, manifest: Path) -> Run | None:
    return next(iter(bench.ledger.runs(manifest.resolve(), limit=1)), None)


def _warnings_by_row(manifest: Manifest) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for problem in manifest.warnings:
        found.setdefault(problem.row_number, []).append(_as_text(problem))
    return {number: tuple(texts) for number, texts in found.items()}


def _as_text(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}"


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
    return manifest.with_name(f"{manifest.stem}.results.xlsx")


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
        if _sha256_of(manifest) != run.manifest_sha256:  # outcomes would stand beside other rows
            raise ResultsNotWritten(
                f"{manifest.name} was changed while it was archived; its outcomes are not written beside other rows.",
                next_step="Run the changed manifest: what is stored is left alone, and every row gets its outcome.",
            )
        write_results(manifest, path, {row.row_number: result_columns(row, run_id) for row in rows})
        written = path
    finally:
        _close_run(bench, run_id, written)
    return summarise(bench, run_id, manifest, path)
