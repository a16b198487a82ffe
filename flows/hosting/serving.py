"""The table of deployments, and what the Prefect server is told of them: forms, schedule, limits, crash detection.

`python -m flows.hosting.serving serve` registers and runs them on this machine: the child of `up`.
`python -m flows.hosting.serving register` registers them for a work pool at PREFECT_API_URL, whose workers run them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import typer
from prefect import Flow
from prefect._internal.versioning import VersionType  # Prefect shows it nowhere else
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import State
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists
from prefect.runner import Runner
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from flows import forms
from flows.hosting.automations import CRASHED_NEXT, HEARTBEAT_S, install_automations
from flows.hosting.remote import read_up, settings_digest, write_up
from flows.hosting.schedule import time_zone
from flows.hosting.server import when_parent_ends
from media2dicom import __version__
from media2dicom.errors import Media2DicomError
from media2dicom.settings import Settings, load_settings
from tasks.slots import create_limits

WORK_POOL: Final = "media2dicom"
_POLL_S: Final = 2  # for runs to start
_LOOK_S: Final = 3  # at inbox and settings, whose names are choices in the forms


@dataclass(frozen=True)
class Deployed:
    """A deployment, named as its flow. `module`: below flows/, its flow has the same name.

    `at_a_time`: runs under way; more wait. A parent that waits for its children never shares a limit with them.
    """

    module: str
    at_a_time: int
    nightly: bool = False

    @property
    def flow(self) -> Flow[..., Any]:
        found: Flow[..., Any] = getattr(importlib.import_module(f"flows.{self.module}"), self.module)
        return found

    @property
    def entrypoint(self) -> str:
        return f"flows.{self.module}.{self.module}"  # a file's path would load the module a second time

    @property
    def name(self) -> str:
        return self.module.replace("_", "-")


DEPLOYMENTS: Final = (
    Deployed("archive_manifest", at_a_time=4),
    Deployed("archive_rows", at_a_time=8),
    Deployed("archive_nightly", at_a_time=1, nightly=True),
    Deployed("retry_failed_sends", at_a_time=4),
    Deployed("check_manifest", at_a_time=4),
)


# --- what the server is told ------------------------------------------------------------------------------------


def as_deployments(settings: Settings, *, work_pool: str | None = None) -> list[RunnerDeployment]:
    """The table as Prefect has it. The forms' choices are made now, from settings and inbox."""
    found = []
    for one in DEPLOYMENTS:
        nightly = settings.nightly
        cron = CronSchedule(cron=nightly.cron, timezone=time_zone(nightly))
        # With a slug, and without saying whether it is active: an operator's pause is left alone.
        schedules = [DeploymentScheduleCreate(schedule=cron, slug="nightly")] if one.nightly else None
        deployment = RunnerDeployment.from_flow(
            one.flow,
            name=one.name,
            description=(one.flow.description or "").partition("\nArgs:")[0].strip(),  # each field has its own help
            schedules=schedules,
            concurrency_limit=one.at_a_time,
            enforce_parameter_schema=False,  # its choices are help, not a rule; the flow judges what it gets
            version=__version__,
            version_type=VersionType.SIMPLE,  # the default one asks git
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        deployment.work_pool_name = work_pool  # None is told, too: it takes a deployment back from a work pool
        found.append(deployment)
    return found


def fingerprint(settings: Settings) -> str:
    """Changes when the forms' choices may have: the settings, the inbox, the latest runs."""
    return hashlib.sha256(json.dumps([settings_digest(settings), *forms.stamp(settings)]).encode()).hexdigest()


async def close_dead_runs(client: PrefectClient, deployment_ids: Sequence[Any]) -> int:
    """Mark Crashed what is said to run although no process of an earlier `up` is left; how many."""
    under_way = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
    where = FlowRunFilter.model_validate(
        {"state": under_way, "deployment_id": {"any_": [str(one) for one in deployment_ids]}}
    )
    runs = await client.read_flow_runs(flow_run_filter=where)
    for run in runs:
        gone: State[Any] = Crashed(message=f"media2dicom up was ended while it ran. {CRASHED_NEXT}")
        await client.set_flow_run_state(run.id, gone, force=True)
    return len(runs)


# --- on a work pool ---------------------------------------------------------------------------------------------


async def register(settings: Settings) -> None:
    """All deployments for the work pool, which is made when it is missing, limits and automations."""
    async with get_client() as client:
        pool = WorkPoolCreate(name=WORK_POOL, type="process", description="Machines that archive media.")
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(pool)
        for deployment in as_deployments(settings, work_pool=WORK_POOL):
            await deployment.aapply()
        await asyncio.to_thread(create_limits, settings)
        await install_automations(client)


# --- on this machine --------------------------------------------------------------------------------------------


class Serving:
    """Registers the deployments, again when settings or inbox change, and runs them until it is told to stop."""

    def __init__(self, settings: Settings, *, whole_server: bool) -> None:
        self.settings = settings
        self._whole_server = whole_server
        # No limit over all: runs that wait for their chunks would keep them from starting.
        self._runner = Runner(
            name="media2dicom",
            query_seconds=_POLL_S,
            heartbeat_seconds=HEARTBEAT_S,
            limit=None,
            pause_on_shutdown=False,
        )
        self._told: dict[str, str] = {}
        self._stop = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        await self._register()
        if self._whole_server:
            async with get_client() as client:
                await close_dead_runs(client, list(self._runner._deployment_registry.get_deployment_ids()))
        running = asyncio.create_task(self._runner.start())
        while not self._runner.started and not running.done():
            await asyncio.sleep(0.05)
        for number in (signal.SIGTERM, signal.SIGINT):  # after the runner has set its own
            loop.add_signal_handler(number, self._stop.set)
        self._say()
        watching = asyncio.create_task(self._watch())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({running, watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (watching, stopped):
            task.cancel()
        if not running.done():
            await self._runner.astop()
        await asyncio.wait({running})
        if not self._stop.is_set():
            await asyncio.gather(running, return_exceptions=False)

    async def _register(self) -> None:
        """Tell the server what has changed since it was last told."""
        async with get_client() as client:
            for deployment in as_deployments(self.settings):
                text = deployment.model_dump_json() + deployment._parameter_openapi_schema.model_dump_json()
                if self._told.get(deployment.name) == text:
                    continue
                if deployment.name in self._told:
                    await deployment.aapply()
                else:
                    await self._runner.aadd_deployment(deployment)
                self._told[deployment.name] = text
            await asyncio.to_thread(create_limits, self.settings)
            await install_automations(client)

    def _say(self) -> None:
        """From now on other commands use us."""
        up = read_up(self.settings)
        if up is not None:
            write_up(self.settings, replace(up, settings_digest=settings_digest(self.settings)))

    async def _watch(self) -> None:
        seen, last_problem = fingerprint(self.settings), ""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                settings = load_settings()
                now = fingerprint(settings)
                if now != seen:
                    self.settings = settings
                    await self._register()
                    self._say()
                    seen = now
                problem = ""
            except Media2DicomError as error:
                problem = error.message
            except Exception as error:  # noqa: BLE001 - a server that restarts, a folder that is away: runs go on
                problem = type(error).__name__
            if problem and problem != last_problem:
                typer.echo(f"The forms stay as they are for now: {problem}")
            last_problem = problem


def _end_our_group() -> None:
    """Whoever started us was killed: nothing of it stays behind. The next `up` marks the runs, Retry completes them."""
    os.killpg(0, signal.SIGKILL)


def main(arguments: Sequence[str] | None = None) -> None:
    """serve: until SIGTERM, or until whoever started us is gone. register: once."""
    parser = argparse.ArgumentParser(prog="python -m flows.hosting.serving", description=__doc__)
    parser.add_argument("what", choices=["serve", "register"])
    parser.add_argument("--whole-server", action="store_true", help="Nobody else runs these deployments.")
    chosen = parser.parse_args(arguments)
    os.umask(0o077)
    try:
        settings = load_settings()
    except Media2DicomError as error:
        sys.exit(f"{error.message} {error.next_step}")
    if chosen.what == "register":
        asyncio.run(register(settings))
        return
    when_parent_ends(_end_our_group)
    asyncio.run(Serving(settings, whole_server=chosen.whole_server).run())


if __name__ == "__main__":
    main()
