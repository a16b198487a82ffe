"""Flow: archive one manifest."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from pydantic.json_schema import SkipJsonSchema

from flows.archiving import Order, archive
from flows.forms import ManifestChoice, ServerChoice, resolve_manifest
from flows.walking import state_of
from media2dicom.beginning import begin_retry, begin_run
from media2dicom.selection import Selection
from media2dicom.steps.workbench import Workbench


def _run_name() -> str:
    return f"archive {Path(str(runtime.flow_run.parameters['manifest'])).name}"


@flow(
    name="archive-manifest",
    flow_run_name=_run_name,
    persist_result=False,
)
def archive_manifest(
    manifest: ManifestChoice,
    server: ServerChoice = None,
    approval: bool = False,
    results: SkipJsonSchema[Path | None] = None,  # set by programs: not in the form
    retry: SkipJsonSchema[Selection | None] = None,
    until: SkipJsonSchema[datetime | None] = None,
) -> State[Any]:
    """Archive a manifest: every row into the ledger, into the PACS, and an outcome on every row.

    Run again, it sends nothing twice: what is stored is left alone.

    Args:
        manifest: The spreadsheet: one that lies in the inbox, or the path of another.
        server: The PACS for rows that name none; empty: the default one.
        approval: Prepare everything, then ask before the first file is sent.
        results: Where the result workbook goes; empty: beside the manifest.
        retry: Only what the last run of this manifest left; empty: the whole manifest.
        until: Nothing is begun after this moment; the nightly run sets it.
    """
    if runtime.flow_run.run_count > 1:
        until = None  # a Retry is a person's wish, and the night is over

    def begin(bench: Workbench, path: Path, run_id: str) -> None:
        if retry is None:
            begin_run(bench, path, server, run_id, approval=approval)
        else:
            begin_retry(bench, path, run_id, retry)

    return state_of(lambda: archive(Order(resolve_manifest(manifest), results, until), begin))
