"""Flow: archive one manifest. Reads like a table of contents; what each step does is in tasks/ and media2dicom/."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from prefect import Task, allow_failure, flow, runtime
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from media2dicom.errors import sealed
from media2dicom.model import Batch
from media2dicom.runs import (
    begin_retry,
    begin_run,
    finish_run,
    make_batches,
    manifest_lock,
    refuse_unreachable_servers,
)
from media2dicom.selection import Selection
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary
from tasks.check import check
from tasks.convert import convert
from tasks.echo import echo
from tasks.record import record
from tasks.retrieve import retrieve
from tasks.stepping import close_workbench, retry_options, workbench
from tasks.store import store

STEPS: tuple[Task[[Batch], Any], ...] = (retrieve, convert, check, store, record)


def _run_name() -> str:
    return f"archive {Path(runtime.flow_run.parameters['manifest']).name}"


@flow(
    name="archive-manifest",
    flow_run_name=_run_name,
    persist_result=False,
)
def archive_manifest(
    manifest: Path, server: str | None = None, results: Path | None = None, retry: Selection | None = None
) -> State[Any]:
    """Archive a manifest: every row into the ledger, into the PACS, and an outcome on every row.

    Run again, it sends nothing twice. With `retry` it takes up what the last run left, from the prepared files.
    """
    run_id = str(runtime.flow_run.id)
    try:
        with sealed("The run"):
            summary = _archive(workbench(run_id), run_id, manifest, server, results, retry)
    finally:
        close_workbench(run_id)
    return Failed(message=str(summary)) if summary.not_stored else Completed(message=str(summary))


def _archive(
    bench: Workbench, run_id: str, manifest: Path, server: str | None, results: Path | None, retry: Selection | None
) -> Summary:
    with manifest_lock(bench.settings, manifest):
        if retry is None:
            begin_run(bench, manifest, server, run_id)
        else:
            begin_retry(bench, manifest, run_id, retry)
        ask = echo.with_options(retry_delay_seconds=bench.settings.retries.delay_s)
        unreachable = refuse_unreachable_servers(bench, run_id, lambda name: ask(run_id, name))
        batches = make_batches(bench, run_id, without=unreachable)
        _walk(batches, retry_options(bench.settings.retries), window=bench.settings.parallel_batches)
        return finish_run(bench, run_id, manifest, results)


def _walk(batches: list[Batch], options: dict[str, Any], *, window: int) -> None:
    """Each batch through all steps; `window` batches at a time, so that futures do not pile up."""
    under_way: deque[PrefectFuture[Any]] = deque()
    for batch in batches:
        if len(under_way) == window:
            under_way.popleft().wait()
        under_way.append(_submit(batch, options))
    for future in under_way:
        future.wait()


def _submit(batch: Batch, options: dict[str, Any]) -> PrefectFuture[Any]:
    """The steps one after the other. A step that gave up on some rows does not keep the others from the next."""
    futures: list[PrefectFuture[Any]] = []
    for step in STEPS:
        before = [allow_failure(one) for one in futures]
        futures.append(step.with_options(**options).submit(batch, return_state=False, wait_for=before))
    return futures[-1]
