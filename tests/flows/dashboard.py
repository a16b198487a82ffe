"""What the Prefect server holds, as the dashboard shows it: artifacts of a run, everything as text."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import sqlalchemy as sa


def artifacts(part_of_key: str) -> dict[str, dict[str, Any]]:
    """The newest artifact of each key that holds this text, with its flow run under "run"."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client._client.post("/artifacts/latest/filter", json={"sort": "UPDATED_DESC"}).json()
        chosen = {one["key"]: one for one in reversed(found) if part_of_key in (one["key"] or "")}
        for one in chosen.values():
            one["run"] = client._client.get(f"/flow_runs/{one['flow_run_id']}").json()
    return chosen


def everything() -> list[str]:
    """Every value in the database of the harness: runs, states, parameters, logs, events, artifacts."""
    from prefect.settings import get_current_settings

    url = get_current_settings().server.database.connection_url
    assert url is not None
    path = sa.make_url(url.get_secret_value()).database
    found: list[str] = []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            found += ["\n".join(map(str, row)) for row in database.execute(f'SELECT * FROM "{table}"')]
    return found
