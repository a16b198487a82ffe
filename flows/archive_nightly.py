"""Flow: the nightly run. What earlier runs left, then the inbox, then a summary for the morning.

The run is Completed when all is well. It is Completed under the name "Needs attention" when every manifest had its
turn and some need a person: those with failed rows have Failed runs of their own, which are the ones to retry. It is
Failed when a fault kept a manifest from its turn: then a Retry of the night itself helps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.archive_manifest import archive_manifest
from flows.children import is_over, run_child
from flows.dashboard.artifacts import put_markdown
from flows.dashboard.nightly_report import Night, Turn
from flows.dashboard.notifying import notify
from flows.forms import ServerChoice
from flows.walking import opened, state_of
from media2dicom.arrivals import Arrival, Inbox, arrival
from media2dicom.beginning import is_undecided
from media2dicom.carry_over import Standing, claimed, file_if_stored, newest_runs, server_of, standing_of
from media2dicom.errors import AlreadyRunning, Media2DicomError, sealed
from media2dicom.inbox import complete_filing, place_in
from media2dicom.ledger import Run
from media2dicom.locks import is_under_way
from media2dicom.runs import last_run
from media2dicom.selection import Selection
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import summarise

SUMMARY_KEY = "nightly-summary"
_UNFILED = "All its rows are stored, but it could not be moved to done/: see to the rights of the inbox."
_NOT_DECIDED = "Its approval was never given, and its run has ended: press Retry on that run, or archive it again."
_NOT_OURS = frozenset({Standing.WAITING, Standing.UNDER_WAY})


def _run_name() -> str:
    return f"night of {datetime.now():%Y-%m-%d}"


@flow(name="archive-nightly", flow_run_name=_run_name, persist_result=False)
def archive_nightly(
    server: ServerChoice = None, window_hours: float | None = None, carry_over: bool = True
) -> State[Any]:
    """Archive every manifest in the inbox, and take up what earlier runs left. Each manifest is a run of its own.

    Args:
        server: The PACS for rows that name none; empty: the default one.
        window_hours: Nothing is begun later than this after the start; empty: as in the settings.
        carry_over: First take up killed runs and rows that failed in a way that may have passed.
    """
    return state_of(lambda: _night(server, window_hours, carry_over=carry_over))


def _night(server: str | None, window_hours: float | None, *, carry_over: bool) -> State[Any]:
    with opened(str(runtime.flow_run.id)) as bench:
        nightly = bench.settings.nightly
        hours = nightly.window_hours if window_hours is None else window_hours
        work = _Work(bench, server, until=_start() + timedelta(hours=hours))
        with work.told(bench.settings.inbox):
            complete_filing(bench)
            for run in newest_runs(bench, nightly.carry_over_days) if carry_over else ():
                work.take_up(run)
            for one in work.arrivals():
                work.take(one)
            work.tell_gone()
        return _say(bench, work.night)


def _start() -> datetime:
    """When the night was meant to begin. A Retry in the morning begins when it is pressed."""
    return datetime.now(UTC) if runtime.flow_run.run_count > 1 else runtime.flow_run.scheduled_start_time


class _Work:
    """The manifests of one night, one after the other."""

    def __init__(self, bench: Workbench, server: str | None, *, until: datetime) -> None:
        self.bench, self.server, self.until = bench, server, until
        self.night = Night(bench.settings.inbox)
        self._inbox = Inbox(bench.settings)
        self._tried: set[Arrival] = set()  # as they were then: a new file of an old name has its turn
        self._gone: list[Run] = []

    # --- what earlier runs left ---------------------------------------------------------------------------------

    def take_up(self, run: Run) -> None:
        with self.told(run.manifest), claimed(self.bench.settings, run.manifest):
            if not self._is_newest(run):
                return  # another night was at it meanwhile
            standing = standing_of(self.bench, run)
            if standing is Standing.OVER:
                file_if_stored(self.bench, run)
            elif standing is Standing.GONE:
                self._gone.append(run)
            elif self._lies_in_inbox(run.manifest) and standing in {*_NOT_OURS, Standing.CHANGED}:
                pass  # it has its turn there
            elif standing is Standing.WAITING:
                self._tell_waiting(run)
            elif standing is Standing.UNDER_WAY:
                self.night.elsewhere.append((run.manifest, str(standing)))
            elif standing is Standing.CHANGED:
                self.night.told.append((run.manifest, f"It {standing}."))
            elif self._is_late:
                self._tried.add(arrival(run.manifest))
                self.night.left.append(run.manifest)
            else:
                selection = Selection(transient=True) if standing is Standing.LEFT else None
                self._archive(run.manifest, run.server, selection)

    def tell_gone(self) -> None:
        """Manifests that are not where they were, unless their rows were stored this night by another one."""
        for run in self._gone:
            with self.told(run.manifest), claimed(self.bench.settings, run.manifest):
                if standing_of(self.bench, run) is Standing.GONE:
                    self.night.told.append((run.manifest, f"It {Standing.GONE}."))

    def _is_newest(self, run: Run) -> bool:
        newest = last_run(self.bench, run.manifest)
        return newest is not None and newest.run_id == run.run_id

    def _lies_in_inbox(self, manifest: Path) -> bool:
        place = place_in(self.bench.settings, manifest)
        return place is not None and place[0] == "" and manifest.is_file()

    # --- the inbox ----------------------------------------------------------------------------------------------

    def arrivals(self) -> Iterator[Arrival]:
        """What is ready, the oldest first; what gets ready meanwhile, too. What is being written is waited for once."""
        waited = False
        while True:
            look = self._inbox.look()
            fresh = [one for one in look.ready if one not in self._tried]
            yield from fresh
            if not fresh:
                if waited or not look.settling or self._is_late:
                    break
                time.sleep(self.bench.settings.nightly.quiet_s)
                waited = True
        advice = "Read the note beside it."
        self.night.told += [(path, advice) for path in look.noted]

    def take(self, one: Arrival) -> None:
        self._tried.add(one)
        if self._is_late:
            self.night.left.append(one.path)
            return
        with self.told(one.path), claimed(self.bench.settings, one.path):
            if not one.is_still_there:
                return
            run = last_run(self.bench, one.path)
            if is_under_way(self.bench.settings, one.path):
                self.night.elsewhere.append((one.path, str(Standing.UNDER_WAY)))
            elif run is not None and is_undecided(self.bench, run):
                self._tell_waiting(run)
            else:
                self._archive(one.path, server_of(self.bench, one.path, self.server), None)

    def _tell_waiting(self, run: Run) -> None:
        """Nothing that a person is to decide on is sent by the night."""
        if is_over(run.run_id):
            self.night.told.append((run.manifest, _NOT_DECIDED))
        else:
            self.night.elsewhere.append((run.manifest, str(Standing.WAITING)))

    # --- one manifest -------------------------------------------------------------------------------------------

    @property
    def _is_late(self) -> bool:
        return datetime.now(UTC) >= self.until

    @contextmanager
    def told(self, path: Path) -> Iterator[None]:
        """Whatever goes wrong in the block goes into the summary, and what comes after the block has its turn."""
        try:
            with sealed("The night"):
                yield
        except AlreadyRunning as error:
            self.night.elsewhere.append((path, error.message))
        except Media2DicomError as error:
            self.night.turns.append(Turn(path, trouble=f"{error.message} {error.next_step}"))

    def _archive(self, manifest: Path, server: str | None, selection: Selection | None) -> None:
        """A run of its own, and how it ended."""
        if manifest.is_file():
            self._tried.add(arrival(manifest))
        parameters = {
            "manifest": str(manifest),
            "server": server,
            "retry": asdict(selection) if selection else None,
            "until": self.until,
        }
        state = run_child(archive_manifest, parameters, begin_by=self.until)
        reason = state.message or f"Its run ended as {state.name}."
        run_id = str(state.state_details.flow_run_id)
        run = self.bench.ledger.run(run_id)
        if run is not None and run.finished_at is not None:
            summary = summarise(self.bench, run_id, run.manifest, run.results)
            well = summary.not_stored or (state.is_completed() and not self._lies_in_inbox(run.manifest))
            trouble = _UNFILED if state.is_completed() else reason
            self.night.turns.append(Turn(run.manifest, summary, "" if well else trouble))
        elif run is None and is_under_way(self.bench.settings, manifest):
            self.night.elsewhere.append((manifest, str(Standing.UNDER_WAY)))
        else:
            self.night.turns.append(Turn(manifest, trouble=reason))


def _say(bench: Workbench, night: Night) -> State[Any]:
    """The summary to whoever wants it, and the state of the night."""
    headline = night.headline()
    night.warnings += notify(bench.settings.nightly.notify, f"Media2DICOM: {headline}", night.counts())
    for warning in night.warnings:
        get_run_logger().warning(warning)
    put_markdown(SUMMARY_KEY, night.as_markdown(), "The morning summary")
    if night.broken:
        return Failed(message=headline)
    if night.needing or night.told:
        return Completed(name="Needs attention", message=headline)
    return Completed(message=headline)
