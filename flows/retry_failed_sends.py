"""Flow: send again what a manifest's run left, all of it or chosen causes and rows, from the prepared files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from prefect import flow, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from flows.archiving import Order, archive
from flows.forms import CauseChoice, FailedManifestChoice, FormText, resolve_manifest
from flows.walking import opened, state_of
from media2dicom.beginning import begin_retry
from media2dicom.errors import ManifestUnusable, SelectionUnclear
from media2dicom.ledger import Run
from media2dicom.runs import last_run
from media2dicom.selection import Selection, refuse_no_match, row_numbers
from media2dicom.steps.workbench import Workbench

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _run_name() -> str:
    asked = runtime.flow_run.parameters
    return f"retry {Path(str(asked.get('manifest') or '')).name or 'a run'}"


@flow(name="retry-failed-sends", flow_run_name=_run_name, persist_result=False)
def retry_failed_sends(
    manifest: FailedManifestChoice = "", run: FormText = "", causes: tuple[CauseChoice, ...] = (), rows: FormText = ""
) -> State[Any]:
    """Send again what was left: a manifest's rows that are not stored, from the files that are prepared already.

    Nothing is sent twice: the PACS is asked first. Give a manifest or a run. Where the spreadsheet itself was
    corrected, run archive-manifest instead.

    Args:
        manifest: The spreadsheet with rows left, as its last run left them.
        run: Or a run of archive-manifest: its page's address, or its ID.
        causes: Only rows that failed for these causes; none: all causes.
        rows: Only these rows, as the spreadsheet counts, such as "5, 8-12"; empty: all rows.
    """
    return state_of(lambda: _retry(manifest.strip(), run.strip(), causes, rows))


def _retry(manifest: str, run: str, causes: tuple[str, ...], rows: str) -> State[Any]:
    run_id = str(runtime.flow_run.id)
    selection = Selection(causes=tuple(causes), numbers=row_numbers(rows))
    with opened(run_id) as bench:
        own = bench.ledger.run(run_id)  # there when this run is tried again
        earlier, numbers = (own, ()) if own else _earlier_run(bench, manifest, run)
        selection = replace(selection, numbers=selection.numbers or numbers)
        if own is None and not refuse_no_match(bench.ledger, earlier, selection):
            return Completed(message=f"{earlier.manifest.name} has no rows left that could be sent again.")
    order = Order(earlier.manifest, verb="retry")
    return archive(order, lambda bench, path, run_id: begin_retry(bench, path, run_id, selection, earlier))


def _earlier_run(bench: Workbench, manifest: str, run: str) -> tuple[Run, tuple[tuple[int, int], ...]]:
    """The run to take up, and of which row numbers when it was a part of a large manifest's."""
    if bool(manifest) == bool(run):
        raise SelectionUnclear(
            "Give a manifest or a run, not both." if run else "Neither a manifest nor a run was named.",
            next_step="Choose a manifest with rows left, or paste the address of a run's page.",
        )
    if manifest:
        path = resolve_manifest(manifest, bench.settings)
        if (last := last_run(bench, path)) is None:
            raise ManifestUnusable(
                f"The ledger knows no run of {path.name} to take up.", next_step="Run it with archive-manifest."
            )
        return last, ()
    found = _UUID.findall(run)
    run_id = found[0].lower() if found else run
    numbers: tuple[tuple[int, int], ...] = ()
    if found and bench.ledger.run(run_id) is None:
        run_id, numbers = _parent_of(run_id)
    if (known := bench.ledger.run(run_id)) is None:
        raise SelectionUnclear(
            "The ledger knows no such run.", next_step="Paste the address of the page of a run of archive-manifest."
        )
    return known, numbers


def _parent_of(flow_run_id: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The run that a part of a large manifest belongs to, and its row numbers; the run itself when it is no part."""
    with get_client(sync_client=True) as client:
        try:
            asked = client.read_flow_run(UUID(flow_run_id)).parameters
        except ObjectNotFound:
            return flow_run_id, ()
    if not {"run_id", "first_row", "last_row"} <= set(asked):
        return flow_run_id, ()
    return str(asked["run_id"]), ((int(asked["first_row"]), int(asked["last_row"])),)
