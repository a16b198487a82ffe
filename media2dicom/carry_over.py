"""What earlier runs left: rows that may pass when they are tried again, and runs that were killed.

Only the newest run of a manifest counts. Taking it up is the nightly run's matter (flows/archive_nightly.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from media2dicom.beginning import is_undecided
from media2dicom.inbox import ATTENTION, file_away, place_in
from media2dicom.ledger import Run
from media2dicom.locks import exclusive, is_under_way, manifest_lock
from media2dicom.media import media_sha256
from media2dicom.runs import last_run
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import summarise


class Standing(StrEnum):
    """How a manifest stands by its newest run."""

    OVER = "is over: nothing of it can be taken up"
    KILLED = "was never finished"
    LEFT = "left rows that may be stored when they are tried again"
    UNDER_WAY = "is being archived by another run"
    WAITING = "waits for an approval"
    GONE = "is no longer there, and not all of its rows are stored"
    CHANGED = "was changed since a run that left some of its rows: run it again"


@contextmanager
def claimed(settings: Settings, manifest: Path) -> Iterator[None]:
    """Of several nightly runs at one time, on whatever machines, one has the manifest. Raises AlreadyRunning.

    It falls with its process. The run of the manifest itself takes `manifest_lock`.
    """
    place = place_in(settings, manifest)
    name = str(manifest.resolve()) if place is None else f"{place[0]}/{place[1]}"
    with exclusive(settings, f"inbox/{name}", taken=f"{manifest.name} is taken by another nightly run."):
        yield


def newest_runs(bench: Workbench, days: int) -> list[Run]:
    """The newest run of each manifest, if it is not older than that; the oldest first."""
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat()  # as the ledger writes it
    newest: dict[Path, Run] = {}
    for run in bench.ledger.runs():
        newest.setdefault(run.manifest, run)
    return sorted((run for run in newest.values() if run.started_at >= since), key=lambda run: run.started_at)


def standing_of(bench: Workbench, run: Run) -> Standing:
    """How the manifest of its newest run stands. To be asked by who has claimed it."""
    if run.finished_at is None:
        if is_under_way(bench.settings, run.manifest):
            return Standing.UNDER_WAY
    elif not any(row.may_pass for row in bench.ledger.rows(run.run_id, with_instances=False)):
        return Standing.OVER
    if is_undecided(bench, run):
        return Standing.WAITING
    if not run.manifest.is_file():
        return Standing.GONE
    if media_sha256(run.manifest) != run.manifest_sha256:
        return Standing.CHANGED
    return Standing.KILLED if run.finished_at is None else Standing.LEFT


def server_of(bench: Workbench, manifest: Path, server: str | None) -> str | None:
    """The server for a run of the manifest: the one of an earlier run, so that not a part of it goes elsewhere."""
    run = last_run(bench, manifest)
    same = run is not None and run.manifest_sha256 == media_sha256(manifest)
    return run.server if run is not None and same and run.server else server


def file_if_stored(bench: Workbench, run: Run) -> None:
    """A manifest that waits in attention/ while all of its rows are stored by now goes to done/."""
    place = place_in(bench.settings, run.manifest)
    if place is None or place[0] != ATTENTION or not run.manifest.is_file():
        return
    with manifest_lock(bench.settings, run.manifest):
        file_away(bench, run.manifest, summarise(bench, run.run_id, run.manifest, run.results))
