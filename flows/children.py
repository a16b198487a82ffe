"""Runs that a run starts: of a deployment, on whatever workers there are; else in this process.

A run of a deployment can be retried on its own in the dashboard. What is killed with its parent is found again by
the parent's Retry (`wait_for_stragglers`).
"""

from __future__ import annotations

import time
from typing import Any, cast
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, State
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


def run_child(flow: Flow[..., Any], parameters: dict[str, Any], *, key: str | None = None) -> State[Any]:
    """Run the flow and wait for its end. `key`: a run that was started with it before is waited for, not doubled."""
    if not has_deployment(flow):
        return cast("State[Any]", flow(**parameters, return_state=True))
    # The child is followed from here, so that a server that restarts meanwhile does not end the parent.
    run = run_deployment(deployment_name(flow), parameters=parameters, idempotency_key=key, timeout=0)
    return _ended(cast("FlowRun", run).id)


def wait_for_stragglers(parent_run_id: str) -> None:
    """Wait for child runs that outlived an earlier, killed try of their parent. Those not begun yet are called off."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[UUID(parent_run_id)]),
            )
        )
        waiting = [run for run in runs if run.state is not None and not run.state.is_final()]
        for run in waiting:
            if run.state is not None and (run.state.is_scheduled() or run.state.is_pending()):
                _call_off(client, run)
    for run in waiting:
        _ended(run.id)


def _call_off(client: SyncPrefectClient, run: FlowRun) -> None:
    client.set_flow_run_state(run.id, Cancelled(message="Its parent begins again."))


def _ended(flow_run_id: UUID) -> State[Any]:
    """Wait for the run's end. Raises ServerAway when the server is gone for minutes."""
    patience = 150  # polls without an answer: five minutes
    while True:
        try:
            with get_client(sync_client=True) as client:
                state = client.read_flow_run(flow_run_id).state
        except Exception as error:  # noqa: BLE001 - whatever the client raises when the server is away
            patience -= 1
            if not patience:
                raise ServerAway(f"A child run is lost from sight ({type(error).__name__}).") from None
        else:
            patience = 150
            if state is not None and state.is_final():
                return state
        time.sleep(_POLL_S)
