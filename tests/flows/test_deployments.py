"""The deployments of a work pool: one table, told to the server in two ways that say the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.hosting.orphans import processes_of_up
from tests.prefect_server import RunningUp, running

pytestmark = pytest.mark.timeout(900)  # real servers, on machines that do other things, too
FOLDER = Path(__file__).parents[2] / "deployments"


def test_the_file_for_prefect_deploy_says_what_the_table_says() -> None:
    from flows.hosting.serving import DEPLOYMENTS, WORK_POOL

    document = yaml.safe_load((FOLDER / "prefect.yaml").read_text(encoding="utf-8"))
    assert document["pull"] == []  # else Prefect makes up one that only this machine can follow
    found = {one["name"]: one for one in document["deployments"]}
    assert list(found) == [one.name for one in DEPLOYMENTS]
    for one in DEPLOYMENTS:
        there = found[one.name]
        assert there["entrypoint"] == one.entrypoint
        assert there["concurrency_limit"] == one.at_a_time
        assert there["enforce_parameter_schema"] is False
        assert there["work_pool"] == {"name": WORK_POOL}
        assert [schedule["slug"] for schedule in there.get("schedules", [])] == (["nightly"] if one.nightly else [])


def test_a_parent_never_shares_a_limit_with_the_runs_it_waits_for() -> None:
    from flows.hosting.serving import DEPLOYMENTS

    names = [one.name for one in DEPLOYMENTS]
    assert len(names) == len(set(names))
    assert all(one.at_a_time >= 1 and one.flow.name == one.name for one in DEPLOYMENTS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(tmp_path_factory.mktemp("server"), {"nightly": {"timezone": "UTC"}}) as one:
        yield one


def told(server: RunningUp) -> dict[str, dict[str, Any]]:
    """What the server knows of each deployment, without what changes by itself."""
    kept = (
        "entrypoint",
        "work_pool_name",
        "enforce_parameter_schema",
        "pull_steps",
        "parameter_openapi_schema",
        "path",
    )
    found = {}
    for one in server.client.post("deployments/filter", {}):
        limit = one["global_concurrency_limit"]["limit"]
        schedules = [(each["slug"], each["active"], each["schedule"]) for each in one["schedules"]]
        found[one["name"]] = {name: one[name] or None for name in kept} | {"limit": limit, "schedules": schedules}
    return found


def command(server: RunningUp, *arguments: str) -> None:
    environment = server.environment | {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(server.folder / "home")}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_schedule_that_was_paused_stays_so(server: RunningUp) -> None:
    (nightly,) = [one for one in server.client.post("deployments/filter", {}) if one["name"] == "archive-nightly"]
    path = f"deployments/{nightly['id']}/schedules/{nightly['schedules'][0]['id']}"
    server.client.patch(path, {"active": False})
    server.stop()
    server.start()
    assert [active for _, active, _ in told(server)["archive-nightly"]["schedules"]] == [False]
    server.client.patch(path, {"active": True})


@pytest.mark.slow
def test_register_and_prefect_deploy_tell_the_server_the_same(server: RunningUp) -> None:
    served = told(server)
    assert {one["work_pool_name"] for one in served.values()} == {None}
    command(server, "flows.hosting.serving", "register")
    registered = told(server)
    command(server, "flows.hosting.serving", "register")
    assert told(server) == registered
    assert {one["work_pool_name"] for one in registered.values()} == {"media2dicom"}
    assert registered.keys() == served.keys()
    names = [one["name"] for one in server.client.post("automations/filter", {})]
    assert len(names) == len(set(names)) >= 1
    command(server, "prefect", "--no-prompt", "deploy", "--all")
    assert told(server) == registered
    server.stop()
    server.start()  # takes them back from the work pool
    assert told(server) == served


@pytest.mark.slow
def test_with_prefect_api_url_no_server_is_started_and_that_one_is_used(server: RunningUp, tmp_path: Path) -> None:
    with running(tmp_path, PREFECT_API_URL=server.api_url) as second:
        assert second.api_url == server.api_url
        commands = [(Path("/proc") / str(one) / "cmdline").read_bytes() for one in processes_of_up(tmp_path / "data")]
        assert len(commands) == 1
        assert b"flows.hosting.serving" in commands[0]
    assert server.client.is_healthy()
