"""Several machines on one: PostgreSQL, Redis, two Prefect servers, their services, and workers in process groups of
their own, each with settings, state and Prefect home of its own. Inbox and cache are shared.

Every process is a `python -m flows.hosting.cluster ROLE`, as on real machines; what is killed is killed by its own id.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit

from flows.hosting.remote import FINAL_STATES, Api
from media2dicom.ledger import Ledger
from media2dicom.settings import CONFIG_VARIABLE, Settings, load_settings
from tests import peers

AUTH = "operator:a password of the tests"
MACHINE = "TESTS_MACHINE"  # in the environment of every process of a machine: its folder
_READY_WITHIN_S = 120


def processes_with(name: str, value: str) -> dict[int, dict[str, str]]:
    """The processes that have this variable, with all their variables, by process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            pairs = (entry.partition("=") for entry in path.read_bytes().decode(errors="replace").split("\0"))
            variables = {key: text for key, _, text in pairs}
            if variables.get(name) == value:
                found[int(path.parent.name)] = variables
    return found


@dataclass
class Machine:
    """What runs on one machine. `ran`: the flow runs that were seen here, by `look`."""

    name: str
    folder: Path
    environment: dict[str, str] = field(repr=False)
    ran: set[str] = field(default_factory=set)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def settings(self) -> Settings:
        return load_settings(Path(self.environment[CONFIG_VARIABLE]))

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace")[-4000:]

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.hosting.cluster", *arguments],
                env=self.environment | variables,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def do(self, *arguments: str, **variables: str) -> None:
        assert self.start(*arguments, **variables).wait(_READY_WITHIN_S) == 0, self.log

    def look(self) -> set[str]:
        """The flow runs whose process is here now."""
        here = {one.get("PREFECT__FLOW_RUN_ID", "") for one in self.processes().values()} - {""}
        self.ran |= here
        return here

    def processes(self) -> dict[int, dict[str, str]]:
        return processes_with(MACHINE, str(self.folder))

    def kill(self) -> None:
        """The power fails: SIGKILL to everything at once."""
        while here := self.processes():
            for pid in here:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self.started:
                if process.pid in here:
                    process.wait()

    def terminate(self, within_s: float = 90) -> None:
        """SIGTERM to each process that was started here, as a service manager does, and the time that it gives."""
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(within_s)

    def stop(self) -> None:
        """Then whatever is left."""
        self.terminate(20)
        self.kill()


@dataclass
class Cluster:
    """`machines`: the workers' ones. `clients`: of each Prefect server."""

    folder: Path
    center: Machine
    machines: tuple[Machine, ...]
    clients: tuple[Api, ...]
    ledger: Ledger

    def begin(self, manifest: Path) -> str:
        return str(self.clients[0].run_deployment("archive-manifest", {"manifest": str(manifest)})["id"])

    def pending(self, name: str, parameters: Mapping[str, Any]) -> str:
        """A run as a worker leaves it that took it and died."""
        client = self.clients[0]
        deployment = client.get(f"deployments/name/{name}/{name}")
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        state = {"type": "SCHEDULED", "name": "Scheduled", "state_details": {"scheduled_time": tomorrow}}
        wanted = {"parameters": dict(parameters), "state": state}
        run_id = str(client.post(f"deployments/{deployment['id']}/create_flow_run", wanted)["id"])
        taken = client.post(f"flow_runs/{run_id}/set_state", {"state": {"type": "PENDING"}, "force": True})
        assert taken["status"] == "ACCEPT", taken
        return run_id

    def state(self, flow_run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.clients[-1].flow_run(flow_run_id)["state"]
        return found

    def children(self, flow_run_id: str) -> list[dict[str, Any]]:
        """The chunk runs of a run, as Prefect has them."""
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [flow_run_id]}}, "limit": 200}
        found: list[dict[str, Any]] = self.clients[-1].post("flow_runs/filter", wanted)
        return found

    def retry(self, flow_run_id: str) -> None:
        """Press Retry: what the dashboard posts then."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        answer = self.clients[-1].post(f"flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})
        assert answer["status"] == "ACCEPT", answer

    def wait(self, until: Callable[[], object], what: str, within_s: float) -> None:
        """Until that is so, looking meanwhile at which machine does what."""
        end = time.monotonic() + within_s
        while not _is_so(until):
            for machine in self.machines:
                machine.look()
            if time.monotonic() > end:
                logs = "\n".join(f"--- {one.name}\n{one.log}" for one in (self.center, *self.machines))
                pytest.fail(f"not within {within_s:.0f} s: {what}\n{logs}")
            time.sleep(1)

    def wait_for_end(self, flow_run_id: str, within_s: float) -> dict[str, Any]:
        self.wait(lambda: self.state(flow_run_id)["type"] in FINAL_STATES, "the run's end", within_s)
        return self.state(flow_run_id)


def _is_so(until: Callable[[], object]) -> object:
    """A server with much to do may let one question wait for too long: the next one is asked."""
    try:
        return until()
    except httpx.TransportError:
        return False


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis server; its URL."""
    port = peers.free_port()
    command = [peers.binary("redis-server"), "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with peers._process([*command, "--dir", str(folder)], folder) as process:
        import redis as client

        end = time.monotonic() + _READY_WITHIN_S
        with client.Redis(port=port) as connection:
            while True:
                try:
                    connection.ping()
                except client.ConnectionError:
                    if process.poll() is not None or time.monotonic() > end:
                        pytest.fail("Redis did not start")
                    time.sleep(0.05)
                else:
                    break
        yield f"redis://127.0.0.1:{port}/0"


def _machine(folder: Path, values: Mapping[str, Any], **variables: str) -> Machine:
    folder.mkdir()
    (folder / "media2dicom.toml").write_text(
        tomlkit.dumps({"data_dir": "data", "port": peers.free_port(), **values}), encoding="utf-8"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MEDIA2"))}
    environment |= {
        MACHINE: str(folder),
        CONFIG_VARIABLE: str(folder / "media2dicom.toml"),
        "MEDIA2DICOM_DASHBOARD__AUTH": AUTH,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PYTHONUNBUFFERED": "1",
        **variables,
    }
    return Machine(folder.name, folder, environment)


@contextmanager
def running(folder: Path, values: Mapping[str, Any], workers: int = 2, limit: int = 3) -> Iterator[Cluster]:
    """All of it, registered and with its workers polling. `values`: settings that all machines share.

    `limit`: runs at a time on a machine, so that there is work for each.
    """
    with ExitStack() as stack:
        postgresql = stack.enter_context(peers.postgres())
        (folder / "redis").mkdir(parents=True)
        messages = stack.enter_context(redis(folder / "redis"))
        ledger, prefect = postgresql.new_database(), postgresql.new_database()
        shared = {
            "ledger_url": ledger,
            "inbox_dir": str(folder / "inbox"),
            "cache_dir": str(folder / "cache"),
            "nightly": {"cron": "0 0 1 1 *", "timezone": "UTC"},
            **values,
        }
        (folder / "inbox").mkdir()
        center = _machine(
            folder / "center",
            shared,
            PREFECT_SERVER_DATABASE_CONNECTION_URL=prefect.replace("postgresql:", "postgresql+asyncpg:"),
            PREFECT_REDIS_MESSAGING_URL=messages,
        )
        stack.callback(center.stop)
        center.do("migrate")
        ports = [peers.free_port() for _ in range(workers)]
        for port in ports:
            center.start("server", MEDIA2DICOM_DASHBOARD__PORT=str(port))
        center.start("services")
        urls = [f"http://127.0.0.1:{port}/api" for port in ports]
        clients = tuple(stack.enter_context(Api(url, AUTH)) for url in urls)
        machines = tuple(
            _machine(folder / f"machine-{number}", shared, PREFECT_API_URL=url) for number, url in enumerate(urls, 1)
        )
        book = Ledger(ledger)
        stack.callback(book.close)
        cluster = Cluster(folder, center, machines, clients, book)
        cluster.wait(lambda: all(one.is_healthy() for one in clients), "healthy servers", _READY_WITHIN_S)
        machines[0].do("register")
        for machine in machines:
            stack.callback(machine.stop)
            start_worker(machine, limit)
        yield cluster


def start_worker(machine: Machine, limit: int = 3) -> None:
    machine.start("worker", "--name", machine.name, "--limit", str(limit))
