"""Runs that a run starts elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime


def test_a_run_that_no_worker_takes_in_time_is_called_off(prefect_server: None) -> None:
    from prefect.client.orchestration import get_client

    from flows.check_manifest import check_manifest
    from flows.children import run_child

    deployment_id = check_manifest.to_deployment("check-manifest").apply()
    try:
        state = run_child(check_manifest, {"manifest": "nobody reads it"}, begin_by=datetime.now(UTC))
    finally:
        with get_client(sync_client=True) as client:
            client.delete_deployment(deployment_id)
    assert state.is_cancelled()
    assert state.message == "No worker took it in time."
