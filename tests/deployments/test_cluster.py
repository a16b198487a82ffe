"""The roles of several machines' processes: what is demanded, and whose word holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.hosting import cluster
from flows.hosting.automations import HEARTBEAT_S
from flows.hosting.serving import WORK_POOL
from media2dicom.errors import SettingsError
from media2dicom.settings import CONFIG_VARIABLE, ENV_PREFIX, load_settings

PASSWORD = "operator:of the tests"
POSTGRESQL = "postgresql+asyncpg://somebody@database/prefect"
REDIS = "redis://messages:6379/0"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith((ENV_PREFIX, "PREFECT_")):
            monkeypatch.delenv(name)
    (tmp_path / "media2dicom.toml").touch()
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "media2dicom.toml"))


def test_a_server_that_others_reach_demands_a_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIA2DICOM_DASHBOARD__HOST", "0.0.0.0")
    with pytest.raises(SystemExit) as ended:
        cluster.main(["server"])
    assert ended.value.code == 3
    assert "MEDIA2DICOM_DASHBOARD__AUTH" in capsys.readouterr().err


def test_redis_without_postgresql_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_REDIS_MESSAGING_URL", REDIS)
    with pytest.raises(SettingsError, match="PostgreSQL"):
        cluster.environment_of("server", load_settings())


@pytest.mark.parametrize("role", ["register", "worker"])
def test_without_a_server_there_is_nothing_to_work_for(role: str) -> None:
    with pytest.raises(SettingsError, match="PREFECT_API_URL"):
        cluster.environment_of(role, load_settings())


def test_one_server_does_all_and_several_leave_the_services_to_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--no-services" not in cluster.command_of("server")
    monkeypatch.setenv("PREFECT_REDIS_MESSAGING_URL", REDIS)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", POSTGRESQL)
    assert "--no-services" in cluster.command_of("server")
    found = cluster.environment_of("server", load_settings())
    assert found["PREFECT_SERVER_DOCKET_URL"] == found["PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL"] == REDIS
    assert found["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == "prefect_redis.lease_storage"


def test_what_the_administrator_has_set_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_REDIS_MESSAGING_URL", REDIS)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", POSTGRESQL)
    given = {"PREFECT_SERVER_DOCKET_URL": "redis://another:6379/1", "PREFECT_SERVER_ANALYTICS_ENABLED": "true"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert given.items() <= cluster.environment_of("services", load_settings()).items()


def test_the_password_goes_to_servers_and_clients_but_into_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA2DICOM_DASHBOARD__AUTH", PASSWORD)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert cluster.environment_of("server", load_settings())["PREFECT_SERVER_API_AUTH_STRING"] == PASSWORD
    assert cluster.environment_of("worker", load_settings())["PREFECT_API_AUTH_STRING"] == PASSWORD
    for role in cluster.ROLES:
        assert not any("of the tests" in part for part in cluster.command_of(role))


def test_runs_of_a_worker_give_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    found = cluster.environment_of("worker", load_settings())
    assert found["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == str(HEARTBEAT_S)
    command = cluster.command_of("worker", ["--name", "one"])
    assert command[command.index("--pool") + 1] == WORK_POOL
    assert command[-2:] == ["--name", "one"]
