"""The processes of several machines that archive together, each `python -m flows.hosting.cluster ROLE`: which Prefect
command it is, and with which variables. What an administrator starts, in which order, is in deployments/README.md.

An address that can be reached by others demands `dashboard.auth`, as with `media2dicom up`; the password travels in
the environment only. Redis (PREFECT_REDIS_MESSAGING_URL) is what several server processes share their messages by;
without it there is one server process, which does all.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from flows.hosting.quiet import QUIET
from flows.hosting.remote import auth_string
from flows.hosting.server import refuse_open_dashboard, server_environment
from media2dicom.errors import Media2DicomError, SettingsError
from media2dicom.settings import Settings, load_settings

ROLES: Final = {
    "migrate": "bring Prefect's database up to date, and end",
    "server": "API and dashboard; further arguments are those of `prefect server start`, such as --workers 2",
    "services": "what runs beside several server processes, once: the schedules, the recording, the automations",
    "register": "tell the server of the deployments, the limits and the automations, and end",
    "worker": "run flows on this machine; further arguments are those of `prefect worker start`, such as --name",
}
_SERVERS: Final = {"migrate", "server", "services"}
_REDIS: Final = "PREFECT_REDIS_MESSAGING_URL"
_DATABASES: Final = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
_THROUGH_REDIS: Final = {
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
}
_PREPARED: Final = {  # the database, by `migrate`: servers that do it at the same moment fail
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}
_SAME_REDIS: Final = ("PREFECT_SERVER_DOCKET_URL", "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL")
_WORKER: Final = ("--type", "process", "--no-create-pool-if-not-found", "--install-policy", "never")
_ON_MACHINES: Final = QUIET | {
    "PREFECT_LOGGING_EXTRA_LOGGERS": "media2dicom",  # the log of each run is in the dashboard
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",  # libraries' own, in a service's log
}


def command_of(role: str, further: Sequence[str] = ()) -> list[str]:
    """The command that plays the role."""
    from flows.hosting.serving import WORK_POOL

    commands = {
        "migrate": ["flows.hosting.prefect_database"],
        "server": ["prefect", "server", "start", *(["--no-services"] if os.environ.get(_REDIS) else [])],
        "services": ["prefect", "server", "services", "start"],
        "register": ["flows.hosting.serving", "register"],
        # No limit over all runs: those that wait for their chunks would keep them from starting.
        "worker": ["prefect", "worker", "start", "--pool", WORK_POOL, *_WORKER],
    }
    return [sys.executable, "-m", *commands[role], *further]


def environment_of(role: str, settings: Settings) -> dict[str, str]:
    """Its variables. What the administrator has set holds. Raises SettingsError for what is missing."""
    given, auth = dict(os.environ), auth_string(settings)
    if role in _SERVERS:
        refuse_open_dashboard(settings.dashboard)
        shared = {name: value for name, value in _shared(given).items() if name not in given}
        password = {"PREFECT_SERVER_API_AUTH_STRING": auth} if auth else {}
        return given | server_environment(settings) | shared | password
    if not given.get("PREFECT_API_URL"):
        raise SettingsError(
            "environment: PREFECT_API_URL is not set.",
            next_step="Set it to the Prefect server's address, such as http://prefect.example.org:4200/api.",
        )
    from flows.hosting.automations import HEARTBEAT_S

    chosen = _ON_MACHINES | {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}
    return chosen | given | ({"PREFECT_API_AUTH_STRING": auth} if auth else {})


def _shared(given: Mapping[str, str]) -> dict[str, str]:
    """Several server processes: messages, leases and background work are in Redis, the rest is in one database."""
    if not given.get(_REDIS):
        return {}
    if not any(given.get(name, "").startswith("postgresql") for name in _DATABASES):
        raise SettingsError(
            f"environment: several server processes need PostgreSQL; {_DATABASES[0]} does not name one.",
            next_step=f"Set it to postgresql+asyncpg://user:password@host/prefect, or take {_REDIS} away.",
        )
    return _THROUGH_REDIS | _PREPARED | dict.fromkeys(_SAME_REDIS, given[_REDIS])


def main(arguments: Sequence[str] | None = None) -> None:
    """Become the Prefect command of the role: signals and exit code are its own."""
    roles = "; ".join(f"{role}: {what}" for role, what in ROLES.items())
    parser = argparse.ArgumentParser(prog="python -m flows.hosting.cluster", epilog=roles, allow_abbrev=False)
    parser.add_argument("role", choices=list(ROLES))
    chosen, further = parser.parse_known_args(arguments)
    try:
        environment = environment_of(chosen.role, load_settings())
    except Media2DicomError as error:
        parser.exit(3, f"{error.message} {error.next_step}\n")
    os.umask(0o077)  # what Prefect and the runs write is nobody else's
    command = command_of(chosen.role, further)
    os.execve(command[0], command, environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
