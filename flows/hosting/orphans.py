"""Processes that a killed run or a killed `media2dicom up` left behind: kill -9 leaves them no chance to be ended.

Linux; elsewhere there is nothing to look through.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

UP_VARIABLE: Final = "UP_OF_MEDIA2DICOM"  # the data_dir; every process of an `up` has it, and it is no setting
_PROCESSES = Path("/proc")
_SERVER = b"prefect.server.api.server"
_END_WITHIN_S = 10


def _with_variable(name: str, value: Path) -> Iterator[Path]:
    wanted = f"{name}={value}".encode()
    for folder in _PROCESSES.glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile, or another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield folder


# --- of a run without `up` --------------------------------------------------------------------------------------


def temporary_servers(prefect_home: Path) -> Iterator[tuple[int, int]]:
    """(process, parent) of each temporary Prefect server that was started with this PREFECT_HOME."""
    for folder in _with_variable("PREFECT_HOME", prefect_home):
        with suppress(OSError):
            if _SERVER in (folder / "cmdline").read_bytes():
                yield int(folder.name), _parent(folder)


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def end_orphans(prefect_home: Path) -> None:
    """End the servers whose parent is no Python any more: init, or whatever takes in orphans."""
    for process, parent in temporary_servers(prefect_home):
        with suppress(OSError):
            name = (_PROCESSES / str(parent) / "comm").read_text()
            if not name.startswith(("python", "media2dicom", "prefect", "pytest", "uv")):
                os.kill(process, signal.SIGTERM)


# --- of `up` ----------------------------------------------------------------------------------------------------


def processes_of_up(data_dir: Path) -> list[int]:
    """The processes that an `up` of this data_dir has started, itself not among them."""
    ours = {os.getpid(), os.getppid()}
    return [int(folder.name) for folder in _with_variable(UP_VARIABLE, data_dir) if int(folder.name) not in ours]


def end_processes_of_up(data_dir: Path) -> int:
    """Kill what a killed `up` has left, for the caller holds its lock; how many. A killed run is completed by Retry."""
    found = processes_of_up(data_dir)
    for process in found:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    end = time.monotonic() + _END_WITHIN_S
    while not all(map(_is_over, found)) and time.monotonic() < end:
        time.sleep(0.02)
    return len(found)


def _is_over(process: int) -> bool:
    """Gone, or a zombie without threads: only then its files and ports are closed."""
    folder = _PROCESSES / str(process)
    try:
        stat, threads = (folder / "stat").read_text(), list((folder / "task").iterdir())
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in {"Z", "X"} and len(threads) <= 1
