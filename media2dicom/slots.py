"""How many may be at one PACS at a time, on this machine: threads and processes share the slots of a place.

A place is a host and a port; two server names of one place are one PACS. Slots fall with their process. What several
machines may do together is limited above, by the scheduler (tasks/), under the same slot names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from filelock import FileLock, Timeout

from media2dicom.errors import sealed
from media2dicom.locks import POLL_S, lock_path
from media2dicom.settings import Server, Settings


class Slots(Protocol):
    """`with slots["server name"]:` waits for a slot of that server's place and has it meanwhile."""

    def __getitem__(self, name: str) -> AbstractContextManager[object]: ...


def slot_names(settings: Settings) -> dict[str, str]:
    """Server name -> name of the slots of its place: "pacs-" and the place's alphabetically first server name."""
    first: dict[tuple[str, int], str] = {}
    for name in sorted(settings.servers):
        first.setdefault(_place(settings.servers[name]), name)
    return {name: f"pacs-{first[_place(server)]}" for name, server in settings.servers.items()}


def names_of_place(settings: Settings, name: str) -> tuple[str, ...]:
    """All that the PACS of this server name is called: its place, and each server name of that place."""
    place = _place(settings.servers[name])
    return (f"{place[0]}:{place[1]}", *(one for one, server in settings.servers.items() if _place(server) == place))


def slot_limits(settings: Settings) -> dict[str, int]:
    """Name of slots -> how many there are: the smallest max_associations of the place's servers."""
    limits: dict[str, int] = {}
    for name, slots in slot_names(settings).items():
        allowed = settings.servers[name].max_associations
        limits[slots] = min(allowed, limits.get(slots, allowed))
    return limits


class ServerSlots:
    """The slots of all servers, as lock files in data_dir."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        limits, names = slot_limits(settings), slot_names(settings)
        self._limits = {name: limits[slots] for name, slots in names.items()}

    def __getitem__(self, name: str) -> AbstractContextManager[None]:
        return self._slot(_place(self._settings.servers[name]), self._limits[name])

    @contextmanager
    def _slot(self, place: tuple[str, int], limit: int) -> Iterator[None]:
        with sealed("Locking"):
            held = self._take(place, limit)
        try:
            yield
        finally:
            held.release()

    def _take(self, place: tuple[str, int], limit: int) -> FileLock:
        # Who comes back at once does not overtake: only who has the turn looks for a free slot.
        with self._lock(place, "turn").acquire(poll_interval=POLL_S):
            while True:
                for number in range(limit):
                    slot = self._lock(place, number)
                    try:
                        slot.acquire(blocking=False)
                    except Timeout:
                        continue
                    return slot
                time.sleep(POLL_S)

    def _lock(self, place: tuple[str, int], which: object) -> FileLock:
        return FileLock(lock_path(self._settings, f"slot {place} {which}"), thread_local=False)


def _place(server: Server) -> tuple[str, int]:
    return server.host.lower(), server.port
