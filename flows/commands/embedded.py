"""A run from the command line. Prefect is set up before it is imported: quiet, private, out of the way.

A running `media2dicom up` with the same settings takes the run (served.py). Else it runs in this process, and a
PREFECT_API_URL in the environment is respected: then that server shows and records the run. Otherwise Prefect starts
a temporary server of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from flows.commands.screens import progress
from flows.commands.served import RunLeft, ServedRun, Wish, usable_up
from flows.hosting.orphans import end_orphans
from flows.hosting.quiet import QUIET
from flows.hosting.remote import running_up
from media2dicom.errors import (
    AssociationRejected,
    ManifestUnusable,
    PacsBusy,
    PacsNotDicom,
    PacsUnreachable,
    TlsFailed,
)
from media2dicom.inbox import read_here
from media2dicom.ledger import LedgerRow
from media2dicom.locks import manifest_lock
from media2dicom.model import Status
from media2dicom.runs import last_run, refuse_results_path
from media2dicom.selection import Selection, refuse_no_match
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench, open_workbench
from media2dicom.summary import Summary, summarise

_DEFAULTS = QUIET | {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # The outcome table says what a person needs; Prefect's own lines stay in its run logs.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "media2dicom",
}


def prepare(settings: Settings) -> None:
    """Set what is not set yet. To be called before the first import of Prefect."""
    if "PREFECT_API_URL" not in os.environ:
        # A server of our own beside that of an `up` with other settings must not work on its database.
        home = settings.data_dir / ("prefect" if running_up(settings) is None else "prefect-beside-up")
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.environ.setdefault("PREFECT_HOME", str(home))
        end_orphans(Path(os.environ["PREFECT_HOME"]))
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)


@contextmanager
def _quick_flows() -> Iterator[None]:
    """No heartbeat thread: it costs every flow a second at its end, and no automation watches this process."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


_NO_ANSWER = {error.code for error in (AssociationRejected, PacsBusy, PacsNotDicom, PacsUnreachable, TlsFailed)}


@dataclass(frozen=True)
class Archived:
    """How a run from the command line ended."""

    rows: list[LedgerRow]
    summary: Summary

    @property
    def no_pacs_answered(self) -> bool:
        """Nothing was stored, and the only thing that kept rows from it was a PACS that could not be reached."""
        tried = [row for row in self.rows if row.status not in {Status.REFUSED, Status.SKIPPED}]
        tried = [row for row in tried if not (row.status == Status.STORED and row.stored_run != self.summary.run_id)]
        return bool(tried) and all(row.outcome.code in _NO_ANSWER for row in tried)


def archive(
    settings: Settings,
    manifest: Path,
    server: str | None,
    results: Path | None,
    retry: Selection | None,
    *,
    console: Console,
) -> Archived:
    """Run the flow archive-manifest, showing progress: on the server of a running `up`, else in this process.

    Raises RunLeft, ManifestUnusable, SelectionUnclear, AlreadyRunning, SettingsError, ResultsNotWritten; how the rows
    ended is in the result.
    """
    if not manifest.is_file():
        raise ManifestUnusable(f"{manifest}: there is no such file.")
    refuse_results_path(manifest, results)  # now, not after hours of work
    if server is not None or not settings.servers:
        settings.server(server)  # before the long start of Prefect
    with manifest_lock(settings, manifest):
        pass
    bench, wish = open_workbench(settings), Wish(manifest, server, results, retry)
    if retry is not None and (earlier := last_run(bench, manifest)) is not None:
        refuse_no_match(bench.ledger, earlier, retry)
    run_id = None
    if (up := usable_up(settings)) is not None:
        run_id = _archive_there(ServedRun(settings, up), bench, wish, console)
    if run_id is None:
        run_id = _archive_here(bench, wish, console)
    run = bench.ledger.run(run_id)
    if run is None:
        raise RuntimeError("the flow ended without a run in the ledger")
    return Archived(bench.ledger.rows(run_id), summarise(bench, run_id, manifest, run.results))


def _archive_there(served: ServedRun, bench: Workbench, wish: Wish, console: Console) -> str | None:
    """On the server of `media2dicom up`. None when no row was begun there: done here, it goes well or says why not."""

    def counts() -> Mapping[Status, int]:
        return bench.ledger.counts(served.run_id) if served.run_id else {}

    if wish.retry is None:  # what is no manifest is told at once, not by a run in the dashboard
        read_here(bench.settings, wish.manifest, hash_media=False)
    with progress(console, f"Archiving {wish.manifest.name}", counts):
        ended = served.wait(console) if served.begin(wish) else ""
    run = bench.ledger.run(served.run_id) if served.run_id else None
    if run is not None and run.finished_at is None:
        raise RunLeft(f"The run did not come to its end ({ended}): {served.link}")
    return run.run_id if run else None


def _archive_here(bench: Workbench, wish: Wish, console: Console) -> str:
    """In this process, on a server of PREFECT_API_URL or a temporary one. Raises what ended the flow, if anything."""
    before = last_run(bench, wish.manifest)

    def counts() -> Mapping[Status, int]:
        now = last_run(bench, wish.manifest)
        started = now is not None and (before is None or now.run_id != before.run_id)
        return bench.ledger.counts(now.run_id) if now is not None and started else {}

    prepare(bench.settings)
    with progress(console, f"Archiving {wish.manifest.name}", counts):
        from flows.archive_manifest import archive_manifest

        with _quick_flows():
            state = archive_manifest(
                wish.manifest, server=wish.server, results=wish.results, retry=wish.retry, return_state=True
            )
    run_id = str(state.state_details.flow_run_id)
    run = bench.ledger.run(run_id)
    if run is None or run.finished_at is None:
        state.result()  # raises what ended the flow
        raise RuntimeError(f"the flow ended as {state.name} without a run in the ledger")
    return run_id
