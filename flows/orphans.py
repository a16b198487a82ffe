"""Temporary Prefect servers whose run was killed: kill -9 leaves them no chance, so the next run ends them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")  # Linux; elsewhere there is nothing to look through
_SERVER = b"prefect.server.api.server"


def temporary_servers(prefect_home: Path) -> Iterator[tuple[int, int]]:
    """(process, parent) of each Prefect server that was started with this PREFECT_HOME."""
    wanted = f"PREFECT_HOME={prefect_home}".encode()
    for folder in _PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if _SERVER not in (folder / "cmdline").read_bytes():
                continue
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                yield int(folder.name), int(parent)


def end_orphans(prefect_home: Path) -> None:
    """End the servers whose parent is no Python any more: init, or whatever takes in orphans."""
    for process, parent in temporary_servers(prefect_home):
        with suppress(OSError):
            name = (_PROCESSES / str(parent) / "comm").read_text()
            if not name.startswith(("python", "media2dicom", "prefect", "pytest", "uv")):
                os.kill(process, signal.SIGTERM)
