"""Flow: archive one manifest. Reads like a table of contents; what each step does is in tasks/ and media2dicom/."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from prefect import Task, allow_failure, flow, runtime
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from media2dicom.model import Batch
from media2dicom.runs import (
    Selection,
    begin_retry,
    begin_run,
    finish_run,
    make_batches,
    manifest_lock,
    refuse_unreachable_servers,
)
from tasks.check import check
from tasks.convert import convert
from tasks.record import record
from tasks.retrieve import retrieve
from tasks.stepping import retry_options, workbench
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
    bench, run_id = workbench(), str(runtime.flow_run.id)
    with manifest_lock(bench.settings, manifest):
        if retry is None:
            begin_run(bench, manifest, server, run_id)
        else:
            begin_retry(bench, manifest, run_id, retry)
        unreachable = refuse_unreachable_servers(bench, run_id)
        _walk(make_batches(bench, run_id, without=unreachable), window=bench.settings.parallel_batches)
        summary = finish_run(bench, run_id, manifest, results)
    return Failed(message=str(summary)) if summary.not_stored else Completed(message=str(summary))


def _walk(batches: list[Batch], window: int) -> None:
    """Each batch through all steps; `window` batches at a time, so that futures do not pile up."""
    under_way: deque[PrefectFuture[Any]] = deque()
    for batch in batches:
        if len(under_way) == window:
            under_way.popleft().wait()
        under_way.append(_submit(batch))
    for future in under_way:
        future.wait()


def _submit(batch: Batch) -> PrefectFuture[Any]:
    """The steps one after the other. A step that gave up on some rows does not keep the others from the next."""
    options = retry_options(workbench().settings.retries)
    futures: list[PrefectFuture[Any]] = []
    for step in STEPS:
        before = [allow_failure(one) for one in futures]
        futures.append(step.with_options(**options).submit(batch, return_state=False, wait_for=before))
    return futures[-1]
