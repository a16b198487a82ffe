"""A run from the command line on the server of a running `media2dicom up`: begun there, waited for here."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from flows.commands.terminal import say
from flows.hosting.remote import FINAL_STATES, Api, Up, auth_string, running_up, settings_digest
from media2dicom.errors import Media2DicomError
from media2dicom.selection import Selection
from media2dicom.settings import Settings

_POLL_S = 0.5
_QUICK_S = 3


class RunLeft(Media2DicomError):
    """The run was ended before its end, or `media2dicom up` was."""

    code = "run-interrupted"
    transient = True
    default_next_step = "Press Retry in the dashboard, or run the manifest again: nothing is sent twice."


def usable_up(settings: Settings) -> Up | None:
    """The running `up`, when it answers and archives as we would: with the same settings."""
    up = running_up(settings)
    if up is None or up.settings_digest != settings_digest(settings):
        return None
    with Api(up.api_url, auth_string(settings), timeout_s=_QUICK_S) as api:
        return up if api.is_healthy() else None


@dataclass(frozen=True)
class Wish:
    """What a run of archive-manifest is asked for on the command line."""

    manifest: Path
    server: str | None
    results: Path | None
    retry: Selection | None

    def as_parameters(self) -> dict[str, Any]:
        """Of the deployment's flow, which runs in another folder."""
        parameters = {
            "manifest": str(self.manifest.absolute()),
            "server": self.server,
            "results": str(self.results.absolute()) if self.results else None,
            "retry": asdict(self.retry) if self.retry else None,
        }
        return {name: value for name, value in parameters.items() if value is not None}


class ServedRun:
    """A run of the deployment archive-manifest."""

    def __init__(self, settings: Settings, up: Up) -> None:
        self._settings = settings
        self._up = up
        self.run_id: str | None = None  # as soon as it is begun; the ledger's, too

    def begin(self, wish: Wish) -> bool:
        """Begin it; False when the server does not take it."""
        try:
            with Api(self._up.api_url, auth_string(self._settings)) as api:
                self.run_id = str(api.run_deployment("archive-manifest", wish.as_parameters())["id"])
        except httpx.HTTPError:
            return False
        return True

    def wait(self, console: Console) -> str:
        """What its final state says. Raises RunLeft when nobody is left to bring it to an end.

        Ctrl-C ends the waiting, not the run.
        """
        try:
            with Api(self._up.api_url, auth_string(self._settings)) as api:
                return self._wait(api)
        except KeyboardInterrupt:
            say(console, f"The run goes on: {self.link}")
            raise

    def _wait(self, api: Api) -> str:
        while True:
            try:
                state = api.flow_run(str(self.run_id))["state"]
            except httpx.HTTPError as error:
                if running_up(self._settings) is None:
                    raise RunLeft(f"media2dicom up ended while the run was under way: {self.link}") from None
                if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 404:
                    raise RunLeft("The run was deleted in the dashboard.") from None
            else:
                if state["type"] == "PAUSED":
                    raise RunLeft(f"The run waits for an approval: answer it in the dashboard: {self.link}")
                if state["type"] == "CANCELLED":
                    raise RunLeft("The run was cancelled in the dashboard.")
                if state["type"] in FINAL_STATES:
                    return f"{state['name']}: {state['message']}"
            time.sleep(_POLL_S)

    @property
    def link(self) -> str:
        return self._up.run_link(str(self.run_id))


def dashboard_link(settings: Settings, run_id: str | None) -> str | None:
    """Where the running `up` shows the run; the dashboard itself when it does not know it; None without `up`."""
    up = running_up(settings)
    if up is None or run_id is None:
        return up.url if up else None
    try:
        with Api(up.api_url, auth_string(settings), timeout_s=_QUICK_S) as api:
            api.flow_run(run_id)
    except httpx.HTTPError:
        return up.url
    return up.run_link(run_id)
