"""A run of a manifest begins: every row of it, or what an earlier run left of it, goes into the ledger."""

from __future__ import annotations

from pathlib import Path

from media2dicom.errors import ApprovalPending, DuplicateRow, ManifestUnusable
from media2dicom.inbox import read_here
from media2dicom.ledger import Entry, LedgerRow, Run
from media2dicom.manifest.keys import digest, row_key
from media2dicom.manifest.report import Manifest, Problem, RefusedRow, SkippedRow
from media2dicom.media import media_sha256
from media2dicom.model import Outcome, Status
from media2dicom.runs import close_run, last_run, sha256_of
from media2dicom.selection import Selection
from media2dicom.steps.workbench import Workbench


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
    sha256 = sha256_of(manifest)
    found = read_here(settings, manifest)
    if sha256_of(manifest) != sha256:
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
            error = DuplicateRow(f"Row {seen[key]} {DuplicateRow.files}.")
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
        warnings=row.sheet_warnings,
    )


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


def _close_killed_runs(bench: Workbench, manifest: Path, run_id: str) -> None:
    """Runs of this manifest that never ended were killed, as we hold its lock: their headers are patient data."""
    for run in bench.ledger.runs(manifest.resolve(), unfinished=True):
        if run.run_id != run_id:
            close_run(bench, run.run_id, None)


def _warnings_by_row(manifest: Manifest) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for problem in manifest.warnings:
        found.setdefault(problem.row_number, []).append(_as_text(problem))
    return {number: tuple(texts) for number, texts in found.items()}


def _as_text(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}"
