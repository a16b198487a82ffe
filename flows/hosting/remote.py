"""What `media2dicom up` leaves for other commands: where it runs, with which settings; and a client of its server.

Plain HTTP: Prefect itself takes seconds to import. How runs are begun and waited for is in commands/served.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import httpx
from filelock import FileLock, Timeout

from media2dicom.cache import atomic_write
from media2dicom.settings import Settings

FINAL_STATES: Final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class Up:
    """A `media2dicom up`. `settings_digest` is None until it serves; changed settings are taken up in some seconds."""

    pid: int
    url: str
    api_url: str
    settings_digest: str | None = None

    def run_link(self, flow_run_id: str) -> str:
        return f"{self.url}/runs/flow-run/{flow_run_id}"


def settings_digest(settings: Settings) -> str:
    """Two processes with the same digest archive in the same way, into the same ledger."""
    values = settings.model_dump(mode="json", exclude={"dashboard"})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def up_lock(settings: Settings, *, wait_s: float = 0) -> FileLock:
    """Held by the `media2dicom up` of this data_dir, and by none of its children: it falls with the process."""
    folder = settings.data_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return FileLock(folder / "up.lock", timeout=wait_s)


def _record(settings: Settings) -> Path:
    return settings.data_dir / "up.json"


def write_up(settings: Settings, up: Up) -> None:
    with atomic_write(_record(settings)) as file:
        file.write(json.dumps(asdict(up)).encode())


def forget_up(settings: Settings) -> None:
    _record(settings).unlink(missing_ok=True)


def read_up(settings: Settings) -> Up | None:
    """The record as it stands; of a killed `up`, too."""
    try:
        values = json.loads(_record(settings).read_text(encoding="utf-8"))
        return Up(**{field.name: values[field.name] for field in fields(Up)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_up(settings: Settings) -> Up | None:
    """The `up` of this data_dir, when it runs and serves."""
    up = read_up(settings)
    if up is None or up.settings_digest is None:
        return None
    try:
        with up_lock(settings):
            return None  # nobody holds it: the record is of a killed one
    except Timeout:
        return up


def auth_string(settings: Settings) -> str | None:
    """ "user:password" for the API, from our settings or Prefect's own variable."""
    auth = settings.dashboard.auth
    return auth.get_secret_value() if auth else os.environ.get("PREFECT_API_AUTH_STRING")


class Api:
    """Prefect's REST API, as much of it as commands and tests need. Raises httpx.HTTPError."""

    def __init__(self, api_url: str, auth: str | None = None, *, timeout_s: float = 30) -> None:
        user, _, password = (auth or "").partition(":")
        self._http = httpx.Client(
            base_url=api_url.rstrip("/") + "/",
            auth=(user, password) if auth else None,
            timeout=timeout_s,
            # A busy server closes kept connections under our hands, and then nobody knows whether it took the request.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._csrf: dict[str, str] | None = None

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_healthy(self) -> bool:
        try:
            return self._http.get("health").status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> Any:
        return self._ask(lambda: self._http.get(path)).raise_for_status().json()

    def post(self, path: str, values: Mapping[str, Any]) -> Any:
        """POST as JSON; the answer as JSON, None when it is empty."""
        return self._change("POST", path, values)

    def patch(self, path: str, values: Mapping[str, Any]) -> Any:
        return self._change("PATCH", path, values)

    def _change(self, method: str, path: str, values: Mapping[str, Any]) -> Any:
        if self._csrf is None:
            self._csrf = self._csrf_headers()
        answer = self._ask(lambda: self._http.request(method, path, json=dict(values), headers=self._csrf))
        if answer.status_code == 403:  # the token's hour is over
            self._csrf = self._csrf_headers()
            answer = self._ask(lambda: self._http.request(method, path, json=dict(values), headers=self._csrf))
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _ask(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Ask again when the server is busy: 503 says that its SQLite was locked, and nothing was changed."""
        for wait_s in (0.1, 0.5, 1, 2, 4):
            answer = ask()
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            time.sleep(wait_s)
        return ask()

    def _csrf_headers(self) -> dict[str, str]:
        client = str(uuid.uuid4())
        answer = self._ask(lambda: self._http.get("csrf-token", params={"client": client}))
        if answer.status_code in {404, 422}:  # the server does not ask for any
            return {}
        return {
            "Prefect-Csrf-Token": str(answer.raise_for_status().json()["token"]),
            "Prefect-Csrf-Client": client,
        }

    def run_deployment(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a run of the deployment archive-manifest/archive-manifest, for `name` archive-manifest."""
        deployment = self.get(f"deployments/name/{name}/{name}")
        begun: dict[str, Any] = self.post(
            f"deployments/{deployment['id']}/create_flow_run",
            {
                "parameters": dict(parameters),
                "state": {"type": "SCHEDULED", "name": "Scheduled"},
                "idempotency_key": str(uuid.uuid4()),  # asked again (`_ask`), it is one run
            },
        )
        return begun

    def flow_run(self, flow_run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"flow_runs/{flow_run_id}")
        return found
