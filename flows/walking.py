"""Batches of rows through the steps: retrieve, convert, check, store, record. What each does is in tasks/."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect import Task, allow_failure
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed

from media2dicom.errors import Media2DicomError, sealed
from media2dicom.ledger import Numbers
from media2dicom.model import Batch
from media2dicom.runs import close_window, make_batches, refuse_unreachable_servers
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary
from tasks.check import check
from tasks.convert import convert
from tasks.echo import echo
from tasks.record import record
from tasks.retrieve import retrieve
from tasks.stepping import close_workbench, retry_options, workbench
from tasks.store import store

Steps = Sequence[Task[[Batch], Any]]
PREPARE: Steps = (retrieve, convert, check)
ARCHIVE: Steps = (*PREPARE, store, record)


@contextmanager
def opened(run_id: str) -> Iterator[Workbench]:
    """The run's workbench, for as long as this process works on the run."""
    try:
        with sealed("The run"):
            yield workbench(run_id)
    finally:
        close_workbench(run_id)


def walk(
    bench: Workbench,
    run_id: str,
    numbers: Numbers | None = None,
    *,
    steps: Steps = ARCHIVE,
    until: datetime | None = None,
) -> None:
    """The open rows, all or those of some numbers, through the steps in this run."""
    ask = echo.with_options(retry_delay_seconds=bench.settings.retries.delay_s)
    unreachable = refuse_unreachable_servers(bench, run_id, lambda name: ask(run_id, name), numbers=numbers)
    batches = make_batches(bench, run_id, numbers=numbers, without=unreachable)
    _walk(batches, steps, retry_options(bench.settings.retries), window=bench.settings.parallel_batches, until=until)
    if until is not None and datetime.now(UTC) >= until:
        close_window(bench, run_id, numbers)


def _walk(batches: list[Batch], steps: Steps, options: dict[str, Any], *, window: int, until: datetime | None) -> None:
    """Each batch through all steps; `window` batches at a time, so that futures do not pile up."""
    under_way: deque[PrefectFuture[Any]] = deque()
    for batch in batches:
        if len(under_way) == window:
            under_way.popleft().wait()
        if until is not None and datetime.now(UTC) >= until:
            break
        under_way.append(_submit(batch, steps, options))
    for future in under_way:
        future.wait()


def _submit(batch: Batch, steps: Steps, options: dict[str, Any]) -> PrefectFuture[Any]:
    """The steps one after the other. A step that gave up on some rows does not keep the others from the next."""
    futures: list[PrefectFuture[Any]] = []
    for step in steps:
        before = [allow_failure(one) for one in futures]
        futures.append(step.with_options(**options).submit(batch, return_state=False, wait_for=before))
    return futures[-1]


def state_of(work: Callable[[], State[Any]]) -> State[Any]:
    """How `work` ended. What ended it before its time is the run's message, with what to do next.

    Raised, it would be shown as a crash, and Prefect would write it to disk. Who calls the flow gets it as the
    state's result.
    """
    try:
        return work()
    except Media2DicomError as error:
        return Failed(message=f"{error.message} {error.next_step}", data=error)


def final_state(summary: Summary) -> State[Any]:
    return Failed(message=str(summary)) if summary.not_stored else Completed(message=str(summary))
