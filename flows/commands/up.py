"""`media2dicom up`: the Prefect server and the serving of the deployments, as two children that are kept alive.

Both hold the other end of a pipe of ours, so that they end with us however we end. What they do is in server.py and
serving.py.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from filelock import Timeout
from rich.console import Console

from flows.commands.terminal import say
from flows.hosting.orphans import UP_VARIABLE, end_orphans, end_processes_of_up
from flows.hosting.quiet import QUIET
from flows.hosting.remote import Api, Up, auth_string, forget_up, read_up, up_lock, write_up
from flows.hosting.schedule import next_night, time_zone
from flows.hosting.server import refuse_open_dashboard, server_environment, url_of
from media2dicom.errors import AlreadyRunning, Media2DicomError, SettingsError
from media2dicom.settings import CONFIG_VARIABLE, Settings, config_path

_HEALTHY_WITHIN_S = 300  # a quarter of a minute on a machine with nothing else to do
_STOP_WITHIN_S = 60  # a run under way has half a minute to end, then Prefect kills it
_LOOK_EVERY_S = 0.5
_TOO_OFTEN = 5  # ends of a child within...
_TOO_OFTEN_S = 300  # ... so many seconds: something is wrong that starting again does not cure


class ServerGone(Media2DicomError):
    """The Prefect server or the serving process does not stay alive."""

    code = "dashboard-failed"
    default_next_step = "See the log; correct what it names and start again."


class Child:
    """A process of ours in a process group of its own, started again when it ends."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path | None) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._environment = dict(environment)
        self._ends: list[float] = []
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        output: IO[bytes] | None = self.log.open("wb") if self.log else None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._command],
                env=self._environment,
                stdin=subprocess.PIPE,  # never written to: it closes when we are gone
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is ours; we tell the children in their order
            )
        finally:
            if output:
                output.close()

    @property
    def ended(self) -> int | None:
        return self._process.poll() if self._process else None

    def start_again(self, console: Console) -> None:
        """Say that it ended, end what it has left, and start it again. Raises ServerGone when it ends too often."""
        now = time.monotonic()
        self._ends = [end for end in self._ends if now - end < _TOO_OFTEN_S] + [now]
        how = _how_it_ended(self.ended)
        self.kill()
        if len(self._ends) >= _TOO_OFTEN:
            where = f" Its log: {self.log}" if self.log else ""
            raise ServerGone(f"{self.name} ended {len(self._ends)} times, at last {how}.{where}")
        say(console, f"{self.name} ended {how}; it is started again.", "yellow")
        self.start()

    def stop(self, within_s: float) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """Whatever is left of its group."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()


def _how_it_ended(code: int | None) -> str:
    return f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"


def run_up(settings: Settings, console: Console) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises SettingsError, AlreadyRunning, ServerGone."""
    api_url = os.environ.get("PREFECT_API_URL")
    if api_url is None:
        refuse_open_dashboard(settings.dashboard)
    next_night(settings.nightly)
    lock = up_lock(settings, wait_s=2)  # others try it for a moment, to see whether we run
    try:
        lock.acquire()
    except Timeout:
        raise _already_running(settings) from None
    try:
        with _stop_event() as stop:
            left = end_processes_of_up(settings.data_dir.resolve())
            if left:
                say(console, f"Ended {left} processes that a killed media2dicom up had left.", "yellow")
            _serve(settings, api_url, stop, console)
    finally:
        forget_up(settings)
        lock.release()


def _already_running(settings: Settings) -> AlreadyRunning:
    up = read_up(settings)
    where = f" at {up.url}, process {up.pid}" if up else ""
    return AlreadyRunning(
        f"media2dicom up already runs for {settings.data_dir}{where}.",
        next_step="Use that one, or end it first (Ctrl-C, or SIGTERM to its process).",
    )


@contextmanager
def _stop_event() -> Iterator[threading.Event]:
    """Set by SIGTERM and Ctrl-C; further ones change nothing."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(settings: Settings, elsewhere: str | None, stop: threading.Event, console: Console) -> None:
    home = settings.data_dir.resolve() / "prefect"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    end_orphans(home)  # temporary servers of killed runs: they would share the database with ours
    settings.inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
    url = url_of(settings.dashboard) if elsewhere is None else elsewhere.removesuffix("/").removesuffix("/api")
    api_url = elsewhere or f"{url}/api"
    auth = auth_string(settings)
    environment = _environment(settings, home, api_url, auth)
    serving = Child("The serving of the deployments", ["flows.hosting.serving", "serve"], environment, None)
    children = [serving]
    if elsewhere is None:
        _refuse_taken_port(settings)
        server_variables = server_environment(settings) | ({"PREFECT_SERVER_API_AUTH_STRING": auth} if auth else {})
        server = Child(
            "The Prefect server", ["flows.hosting.server"], environment | server_variables, home / "server.log"
        )
        serving = Child(serving.name, ["flows.hosting.serving", "serve", "--whole-server"], environment, None)
        children = [server, serving]
    write_up(settings, Up(os.getpid(), url, api_url))
    try:
        with Api(api_url, auth, timeout_s=5) as api:
            if elsewhere is None:
                server.start()
            with console.status("Starting the dashboard ..."):
                _wait_until_healthy(api, children[:-1], stop)
            if not stop.is_set():
                serving.start()
                _show(settings, url, console)
        while not stop.wait(_LOOK_EVERY_S):
            for child in children:
                if child.ended is not None:
                    child.start_again(console)
    finally:
        with console.status("Stopping ..."):
            for child in reversed(children):
                child.stop(_STOP_WITHIN_S)
    console.print("Stopped.")


def _environment(settings: Settings, home: Path, api_url: str, auth: str | None) -> dict[str, str]:
    """What both children and the runs have: quiet, private, at this server. The password travels in it only."""
    found = dict(os.environ) | {
        UP_VARIABLE: str(settings.data_dir.resolve()),
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url,
        **QUIET,
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore"),  # libraries' own, in front of an operator
    }
    found.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")  # each run's log is in the dashboard
    found.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "media2dicom")
    found.setdefault("PREFECT_CLIENT_MAX_RETRIES", "6")  # two minutes: runs outlast a server that is started again
    if config_path().is_file():
        found[CONFIG_VARIABLE] = str(config_path().resolve())
    if auth:
        found["PREFECT_API_AUTH_STRING"] = auth
    return found


def _refuse_taken_port(settings: Settings) -> None:
    host, port = settings.dashboard.host, settings.dashboard.port
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(
            f"dashboard.port: {host} port {port} cannot be used: {error.strerror or 'no such host'}.",
            next_step="End the other program there, or set dashboard.port (dashboard.host) to another one.",
        ) from None


def _wait_until_healthy(api: Api, server: list[Child], stop: threading.Event) -> None:
    end = time.monotonic() + _HEALTHY_WITHIN_S
    while not api.is_healthy() and not stop.is_set():
        for one in server:
            if one.ended is not None:
                raise ServerGone(f"{one.name} did not start: it ended {_how_it_ended(one.ended)}. Its log: {one.log}")
        if time.monotonic() > end:
            raise ServerGone(f"The Prefect server does not answer within {_HEALTHY_WITHIN_S} seconds.")
        stop.wait(0.25)


def _show(settings: Settings, url: str, console: Console) -> None:
    nightly = settings.nightly
    next_time = f"{next_night(nightly):%Y-%m-%d %H:%M}"
    lines = {
        "Dashboard": url,
        "Inbox": str(settings.inbox),
        "Nightly run": f"next {next_time} ({nightly.cron}, {time_zone(nightly)})",
    }
    for what, value in lines.items():
        say(console, f"{what + ':':13}{value}")
