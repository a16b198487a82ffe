"""What all archiving flows share: one run of a manifest, from its first row to its result workbook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State

from flows.approval import ask_approval
from flows.archive_rows import wait_for_earlier_parts, work
from flows.dashboard.reporting import Report
from flows.walking import PREPARE, final_state, opened
from media2dicom.beginning import is_undecided
from media2dicom.inbox import file_away
from media2dicom.locks import manifest_lock
from media2dicom.runs import finish_run, whereabouts
from media2dicom.steps.workbench import Workbench
from tasks.slots import create_limits


@dataclass(frozen=True)
class Order:
    """What a run was asked for."""

    manifest: Path
    results: Path | None = None
    until: datetime | None = None  # nothing is begun after this moment
    verb: str = "archive"  # in the run's name


def archive(order: Order, begin: Callable[[Workbench, Path, str], object]) -> State[Any]:
    """One manifest: `begin` enters its rows. Where the run needs an approval, it asks before anything is sent."""
    run_id = str(runtime.flow_run.id)
    with opened(run_id) as bench:
        create_limits(bench.settings)
        manifest = whereabouts(bench, run_id, order.manifest)
        with manifest_lock(bench.settings, manifest):
            wait_for_earlier_parts(bench, manifest, run_id)
            begin(bench, manifest, run_id)
            report = Report(bench, run_id, manifest, verb=order.verb)
            report.begin()
            with report.live():
                if _may_send(bench, run_id, order.until, report):
                    work(bench, run_id, until=order.until)
            summary = finish_run(bench, run_id, manifest, order.results)
            summary = file_away(bench, manifest, summary)
            report.end(summary)
    return final_state(summary)


def _may_send(bench: Workbench, run_id: str, until: datetime | None, report: Report) -> bool:
    """At once, or after everything was prepared and a person was asked."""
    run = bench.ledger.run(run_id)
    if run is None or not is_undecided(bench, run):
        return True
    work(bench, run_id, steps=PREPARE, until=until)
    report.before_approval()
    return ask_approval(bench, run_id)
