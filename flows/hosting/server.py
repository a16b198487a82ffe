"""The Prefect server of this machine: how it is set up, and the process that `media2dicom up` starts of it.

Whoever starts it holds the other end of its standard input: when that closes, the server ends, too (commands/up.py).
"""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
import threading
from collections.abc import Callable

from flows.hosting.quiet import QUIET
from media2dicom.errors import SettingsError
from media2dicom.settings import Dashboard, Settings

# Measured: SQLite records 13 to 17 task runs a second without these, 55 to 93 with them.
_BATCHES = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "200",
}
_OWN = QUIET | {
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # Slots of a killed server's runs must come free again: leases in memory die with it, and their slots stay taken.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_open_dashboard(dashboard: Dashboard) -> None:
    """Raise SettingsError for a dashboard that others can reach without a password: it steers what is sent."""
    secret = dashboard.auth.get_secret_value() if dashboard.auth else ""
    if dashboard.auth is not None and not all(secret.partition(":")):
        raise SettingsError('dashboard.auth: give "user:password".')
    if not is_loopback(dashboard.host) and not secret:
        raise SettingsError(
            f"dashboard.host: {dashboard.host} can be reached by others, and dashboard.auth is not set.",
            next_step='Set MEDIA2DICOM_DASHBOARD__AUTH to "user:password", or dashboard.host to 127.0.0.1.',
        )


def url_of(dashboard: Dashboard) -> str:
    """Where this machine opens the dashboard: an address that means all of its own is reached as localhost."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(dashboard.host, dashboard.host)  # noqa: S104 - asked, not bound
    return f"http://[{host}]:{dashboard.port}" if ":" in host else f"http://{host}:{dashboard.port}"


def server_environment(settings: Settings) -> dict[str, str]:
    """The server's own variables; what the administrator has set beside them (a database, batch sizes) holds."""
    dashboard = settings.dashboard
    chosen = {
        "PREFECT_SERVER_API_HOST": dashboard.host,
        "PREFECT_SERVER_API_PORT": str(dashboard.port),
        # The pages are written out at the start, by default among the programs: not ours to write to.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(settings.data_dir.resolve() / "prefect" / "ui"),
        "PREFECT_UI_API_URL": "/api",  # the page asks where it came from, by whatever name that was reached
        # Other pages that the operator has open get no say here.
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url_of(dashboard),
    }
    given = {name: os.environ[name] for name in (_OWN | _BATCHES | chosen) if name in os.environ}
    fixed = {name: chosen[name] for name in ("PREFECT_SERVER_API_HOST", "PREFECT_SERVER_API_PORT")}
    return _OWN | _BATCHES | chosen | given | fixed


def when_parent_ends(then: Callable[[], None]) -> None:
    """Call `then`, in a thread, when the other end of our standard input closes: kill -9 of the parent does it, too."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        then()

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Serve API and dashboard until SIGTERM, or until whoever started us is gone."""
    when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    api = get_current_settings().server.api
    uvicorn.run(
        create_app(final=True),
        host=str(api.host),
        port=api.port,
        timeout_keep_alive=api.keepalive_timeout,
        timeout_graceful_shutdown=5,  # an open dashboard holds its connections for ever
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
