"""What every task shares: the run's workbench, and how rows that may yet succeed become a retry."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.exceptions import FailedRun
from prefect.tasks import exponential_backoff

from media2dicom.errors import Media2DicomError, is_transient, sealed
from media2dicom.model import Batch
from media2dicom.settings import Retries, load_settings
from media2dicom.steps.workbench import Workbench, open_workbench
from tasks.slots import server_slots

_BENCHES: dict[str, Workbench] = {}
_GUARD = threading.Lock()


class _OneLine(logging.Filter):
    """Our own errors say what and where; the traceback that Prefect adds to a run's log says nothing to an operator."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Media2DicomError):
            record.exc_info = None
        return not isinstance(error, FailedRun)  # a run that ended as Failed has said so: it is no surprise


for _name in ("prefect.flow_runs", "prefect.task_runs"):
    logging.getLogger(_name).addFilter(_OneLine())


class RowsLeft(Media2DicomError):
    """Rows of the batch failed in a way that may pass; their reasons are in the ledger."""

    code = "rows-left"
    transient = True
    default_next_step = "Retry: the rows that are done are left alone."


def workbench(run_id: str) -> Workbench:
    """The run's workbench: one per process and run, so that settings stay the same while it lasts."""
    with _GUARD:
        if run_id not in _BENCHES:
            settings = load_settings()
            _BENCHES[run_id] = open_workbench(settings, server_slots(settings))
        return _BENCHES[run_id]


def close_workbench(run_id: str) -> None:
    """The run is over in this process."""
    with _GUARD:
        if (bench := _BENCHES.pop(run_id, None)) is not None:
            bench.ledger.close()


def run_step(step: Callable[[Workbench, Batch], int], batch: Batch) -> None:
    """Do the step; raise RowsLeft when trying again may help. Permanent failures end in the ledger, not here.

    What Prefect gets to see of an error is ours: no text of a library, which may hold patient data.
    """
    with sealed(f"The work on {batch.label}"):
        left = step(workbench(batch.run_id), batch)
    if left:
        raise RowsLeft(f"{left} of {len(batch.row_keys)} rows ({batch.label}) are left for another try.")


def _may_pass(_task: Any, _run: Any, state: Any) -> bool:
    """Prefect's question after a failed try: only what is transient is tried again."""
    try:
        state.result()
    except Exception as error:  # noqa: BLE001 - the state's own exception, whatever it is
        return is_transient(error)
    return False


def task_options(name: str, label: str = "{batch.label}") -> dict[str, Any]:
    """Options of every step's task. Nothing is cached or persisted: the ledger knows what is done."""
    return {
        "name": name,
        "task_run_name": f"{name} {label}",
        "cache_policy": NO_CACHE,
        "persist_result": False,
        "retry_condition_fn": _may_pass,
        "retry_jitter_factor": 0.5,
    }


def retry_options(retries: Retries) -> dict[str, Any]:
    """How often and how slowly, from the settings: doubling from `delay_s`."""
    delays = exponential_backoff(retries.delay_s)(retries.attempts) if retries.attempts else None
    return {"retries": retries.attempts, "retry_delay_seconds": delays}
