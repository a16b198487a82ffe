"""The real thing for tests of the dashboard: `media2dicom up` as a process, with a data_dir and a port of its own.

Started once per session (it takes a quarter of a minute). Its settings file names the PACS servers of PACS_NAMES, on
ports at which nobody answers until a test starts the embedded PACS there: `with up.pacs("first") as peer`.
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
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit

from flows.hosting.remote import FINAL_STATES, Api, Up, running_up
from media2dicom.pacs.demo import DemoPacs
from media2dicom.settings import CONFIG_VARIABLE, Settings, load_settings
from tests import peers

PACS_NAMES = ("first", "second")
READY_WITHIN_S = 240
RUN_WITHIN_S = 200


@dataclass
class RunningUp:
    """A `media2dicom up`. Parameters and states are as in Prefect's REST API."""

    folder: Path
    settings_path: Path
    environment: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] = field(init=False, repr=False)
    record: Up = field(init=False)
    client: Api = field(init=False, repr=False)
    _clients: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def url(self) -> str:
        return self.record.url

    @property
    def api_url(self) -> str:
        return self.record.api_url

    @property
    def settings(self) -> Settings:
        return load_settings(self.settings_path)

    @property
    def output(self) -> str:
        """What it has shown so far."""
        return (self.folder / "up.txt").read_text(encoding="utf-8")

    # --- runs ---

    def run_deployment(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Begin a run, as the form does; the flow run."""
        return self.client.run_deployment(name, {key: _plain(value) for key, value in parameters.items()})

    def wait(
        self, flow_run_id: str, until: Callable[[Mapping[str, Any]], bool] | None = None, within_s: float = RUN_WITHIN_S
    ) -> dict[str, Any]:
        """The state at its end, or as soon as it is as `until` wants it: type, name, message."""
        wanted = until or (lambda state: state["type"] in FINAL_STATES)
        end = time.monotonic() + within_s
        state: dict[str, Any] = {"name": "not known", "message": ""}
        while True:
            with suppress(httpx.TransportError):  # a busy machine: asked again
                state = self.client.flow_run(flow_run_id)["state"]
                if wanted(state):
                    return state
            if time.monotonic() > end:
                pytest.fail(f"after {within_s:.0f} s the run is {state['name']}: {state['message']}\n{self.output}")
            time.sleep(0.25)

    def wait_for(self, path: str, within_s: float = RUN_WITHIN_S) -> Any:
        """What the API has at `path`, as soon as it has it: Prefect saves a form after the state that needs it."""
        end = time.monotonic() + within_s
        while True:
            try:
                return self.client.get(path)
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND or time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def asked(self, flow_run_id: str) -> dict[str, Any]:
        """Waits until the run asks; what the dashboard shows when Resume is pressed: description and schema."""
        state = self.wait(flow_run_id, lambda state: state["type"] == "PAUSED" or state["type"] in FINAL_STATES)
        assert state["name"] == "Suspended", state
        keys = state["state_details"]["run_input_keyset"]
        inputs = f"flow_runs/{flow_run_id}/input"
        return {name: self.wait_for(f"{inputs}/{keys[name]}") for name in ("schema", "description")}

    def answer(self, flow_run_id: str, decision: str) -> None:
        self.asked(flow_run_id)
        self.client.post(f"flow_runs/{flow_run_id}/resume", {"run_input": {"decision": decision}})

    def retry(self, flow_run_id: str) -> None:
        """Press Retry: what the dashboard posts then."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        answer = self.client.post(f"flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})
        assert answer["status"] == "ACCEPT", answer

    # --- the PACS servers that its settings name ---

    @contextmanager
    def pacs(self, name: str = PACS_NAMES[0], kind: type[DemoPacs] = DemoPacs, **options: Any) -> Iterator[peers.Peer]:
        """The embedded PACS where the settings say that this server is; what it holds stays for the next time."""
        settings = self.settings
        server, folder = settings.servers[name], self.folder / f"pacs-{name}"
        ours = {peers.OUR_AE_TITLE: ("127.0.0.1", settings.port)}
        with kind(folder, server.port, server.ae_title, destinations=ours, **options):
            yield peers.Peer(name, server.port, server.ae_title, settings.port, server.host)

    # --- processes ---

    def start(self) -> None:
        with (self.folder / "up.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.cli", "up", "--config", str(self.settings_path)],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        settings, end = self.settings, time.monotonic() + READY_WITHIN_S
        while (found := running_up(settings)) is None or found.pid != self.process.pid:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                pytest.fail(f"media2dicom up did not get ready:\n{self.output}")
            time.sleep(0.1)
        self.record = found
        auth = self.environment.get("MEDIA2DICOM_DASHBOARD__AUTH")
        self.client = self._clients.enter_context(Api(found.api_url, auth))

    def stop(self) -> int:
        """SIGTERM, as a service manager ends it; its exit code."""
        self._clients.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        return code

    def run_command(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """A command of the command line with the same settings (and `variables`), as a process."""
        command = [sys.executable, "-m", "flows.cli", *(str(one) for one in arguments)]
        return subprocess.run(
            [*command, "--config", str(self.settings_path)],
            env=self.environment | variables,
            capture_output=True,
            check=False,
        )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def prepare_up(folder: Path, values: Mapping[str, Any] | None = None, **variables: str) -> RunningUp:
    """A settings file below `folder` for an `up` that is not started yet. `values`: more of the settings."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "cache_dir": "cache",
        "data_dir": "data",
        "port": peers.free_port(),
        "default_server": PACS_NAMES[0],
        "retries": {"attempts": 1, "delay_s": 0.1},
        "timeouts": {"connect": 5, "stall": 5},
        "nightly": {"cron": "0 0 1 1 *", "timezone": "UTC", "quiet_s": 0},
        "dashboard": {"port": peers.free_port()},
        "servers": {
            name: {"host": "127.0.0.1", "port": peers.free_port(), "ae_title": "DEMOPACS"} for name in PACS_NAMES
        },
        **(values or {}),
    }
    path = folder / "media2dicom.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MEDIA2"))}
    environment |= {"COLUMNS": "200", CONFIG_VARIABLE: str(path), **variables}
    return RunningUp(folder, path, environment)


@contextmanager
def running(folder: Path, values: Mapping[str, Any] | None = None, **variables: str) -> Iterator[RunningUp]:
    """An `up` of its own, for tests that end it, kill it or need other settings."""
    up = prepare_up(folder, values, **variables)
    try:
        up.start()
        yield up
    finally:
        up.stop()


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """The session's `media2dicom up`: shared, so leave it running, and name manifests by tmp_path."""
    with running(tmp_path_factory.mktemp("up")) as one:
        yield one
