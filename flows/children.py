"""Runs that a run starts: of a deployment, on whatever workers there are; else in this process.

A run of a deployment can be retried on its own in the dashboard. What outlives its parent is waited for by the next
run of the manifest (`wait_for_stragglers`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled

from media2dicom.errors import Media2DicomError

_POLL_S = 2


class ServerAway(Media2DicomError):
    """Prefect's server did not answer for so long that a child run is lost from sight."""

    code = "prefect-unreachable"
    transient = True
    default_next_step = "Press Retry when the Prefect server is back: what is done is not done twice."


def has_deployment(flow: Flow[..., Any]) -> bool:
    """Whether runs of the flow can be started elsewhere: there is a server, and its deployment is registered."""
    if not PREFECT_API_URL.value():
        return False
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(deployment_name(flow))
        except ObjectNotFound:
            return False
    return True


def deployment_name(flow: Flow[..., Any]) -> str:
    """Each flow has one deployment, of its own name."""
    return f"{flow.name}/{flow.name}"


def run_child(flow: Flow[..., Any], parameters: dict[str, Any], *, begin_by: datetime | None = None) -> State[Any]:
    """Run the flow and wait for its end. A run that no worker has taken by then is called off."""
    if not has_deployment(flow):
        return cast("State[Any]", flow(**parameters, return_state=True))
    # The child is followed from here, so that a server that restarts meanwhile does not end the parent.
    run = run_deployment(deployment_name(flow), parameters=parameters, idempotency_key=str(uuid4()), timeout=0)
    return _ended(cast("FlowRun", run).id, begin_by)


def wait_for_stragglers(parent_run_ids: Iterable[str]) -> None:
    """Wait for child runs that outlived an earlier, killed try of a parent. Those not begun yet are called off."""
    children = FlowRunFilter(
        parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[UUID(one) for one in parent_run_ids]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=list(TERMINAL_STATES))),
    )
    with get_client(sync_client=True) as client:
        while runs := client.read_flow_runs(flow_run_filter=children):  # a page at a time
            for run in runs:
                if run.state is not None and (run.state.is_scheduled() or run.state.is_pending()):
                    _call_off(client, run.id, "Its parent begins again.")
            for run in runs:
                _ended(run.id)


def is_over(flow_run_id: str) -> bool:
    """Whether nobody can answer or cancel the run any more: it has ended, or Prefect has forgotten it."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(flow_run_id)).state
        except ObjectNotFound:
            return True
    return state is not None and state.is_final()


def _call_off(client: SyncPrefectClient, flow_run_id: UUID, why: str) -> None:
    client.set_flow_run_state(flow_run_id, Cancelled(message=why))


def _ended(flow_run_id: UUID, begin_by: datetime | None = None) -> State[Any]:
    """Wait for the run's end. Raises ServerAway when the server is gone for minutes."""
    patience = 150  # polls without an answer: five minutes
    while True:
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(flow_run_id).state
                if state is not None and state.is_scheduled() and begin_by is not None and datetime.now(UTC) > begin_by:
                    _call_off(client, flow_run_id, "No worker took it in time.")
        except Exception as error:  # noqa: BLE001 - whatever the client raises when the server is away
            patience -= 1
            if not patience:
                raise ServerAway(f"A child run is lost from sight ({type(error).__name__}).") from None
        else:
            patience = 150
            if state is not None and state.is_final():
                return state
        time.sleep(_POLL_S)
