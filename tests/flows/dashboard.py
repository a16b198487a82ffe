"""What the Prefect server holds, as the dashboard shows it: artifacts of a run, everything as text."""

from __future__ import annotations

from typing import Any


def artifacts(part_of_key: str) -> dict[str, dict[str, Any]]:
    """The newest artifact of each key that holds this text, with its flow run under "run"."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client._client.post("/artifacts/latest/filter", json={"sort": "UPDATED_DESC"}).json()
        chosen = {one["key"]: one for one in reversed(found) if part_of_key in (one["key"] or "")}
        for one in chosen.values():
            one["run"] = client._client.get(f"/flow_runs/{one['flow_run_id']}").json()
    return chosen
