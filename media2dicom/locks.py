"""Locks by name that fall with their process: one run of a manifest at a time, on whatever machine.

With a ledger in SQLite the lock is a file of this machine; with PostgreSQL the database holds it for all machines
that share the ledger. How many may be at a PACS at a time is in `slots.py`.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg
import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.engine import Connection

from media2dicom.errors import AlreadyRunning, sealed
from media2dicom.ledger.engine import database_url, make_engine
from media2dicom.ledger.transactions import told_as_ours
from media2dicom.settings import Settings

_LOGGER = logging.getLogger("media2dicom")
POLL_S: Final = 0.05
_LOOK_AFTER_S: Final = 15  # how often the connection that holds a lock is looked after


@contextmanager
def exclusive(settings: Settings, name: str, wait_s: float = 0, *, taken: str | None = None) -> Iterator[None]:
    """Nobody else has the lock of that name meanwhile. Raises AlreadyRunning when somebody has it for `wait_s`.

    Not re-entrant: whoever has it does not get it again. Raises LedgerFailed, CacheFailed when it cannot be had.
    `taken`: the message of AlreadyRunning.
    """
    in_database = database_url(settings.ledger_location).get_backend_name() == "postgresql"
    lock = _AdvisoryLock(settings, name) if in_database else _LockFile(settings, name)
    try:
        if not lock.take(wait_s):
            raise AlreadyRunning(taken or f"{name} is under way already.")
        yield
    finally:
        lock.close()


@contextmanager
def manifest_lock(settings: Settings, manifest: Path, wait_s: float = 0) -> Iterator[None]:
    """One run of a manifest at a time; the lock falls with its process. Raises AlreadyRunning."""
    taken = f"{manifest.name} is being archived by another run."
    with exclusive(settings, f"manifest {manifest.resolve()}", wait_s, taken=taken):
        yield


def is_under_way(settings: Settings, manifest: Path) -> bool:
    """Whether some process is at the manifest: a killed one has let go of its lock."""
    try:
        with manifest_lock(settings, manifest):
            return False
    except AlreadyRunning:
        return True


def lock_path(settings: Settings, name: str) -> Path:
    """The lock file of that name on this machine. Files stay: a lock whose file is removed is two locks."""
    folder = settings.data_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.lock"


class _LockFile:
    """A lock file of this machine."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._path = lock_path(settings, name)
        self._lock = FileLock(self._path, thread_local=False)

    def take(self, wait_s: float) -> bool:
        with sealed("Locking"), suppress(Timeout):
            self._lock.acquire(timeout=wait_s, poll_interval=POLL_S)
        return self._lock.is_locked

    def close(self) -> None:
        self._lock.release()


class _AdvisoryLock:
    """A lock of PostgreSQL's, held by a connection of its own.

    The database forgets it when the connection breaks, as when the server is started again under a long run. So the
    connection is looked after, and a lock that was lost is taken again.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        # Two numbers are a space of their own; the ledger's writers use the other one (PostgreSQL, 9.28.10).
        self._keys = struct.unpack(">ii", hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8])
        self._engine = make_engine(settings.ledger_location)
        self._connection: Connection | None = None
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._look_after, name="media2dicom-lock", daemon=True)

    def take(self, wait_s: float) -> bool:
        """Whether it could be had within that time. Raises LedgerFailed."""
        with told_as_ours():
            taken = self._take(wait_s)
        if taken:
            self._keeper.start()
        return taken

    def close(self) -> None:
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join()
        with suppress(sa.exc.DBAPIError):  # the connection is gone, and the lock with it
            self._ask("SELECT pg_advisory_unlock(%s, %s)", self._keys)  # at once; the closing alone takes a moment
        self._disconnect()

    def _take(self, wait_s: float = 0) -> bool:
        self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if self._ask("SELECT pg_try_advisory_lock(%s, %s)", self._keys):
            return True
        if wait_s <= 0:
            return False
        self._ask("SELECT set_config('lock_timeout', %s, false)", (f"{max(1, round(wait_s * 1000))}ms",))
        try:
            self._ask("SELECT pg_advisory_lock(%s, %s)", self._keys)
        except sa.exc.DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.LockNotAvailable):
                return False
            raise
        return True

    def _ask(self, statement: str, values: tuple[object, ...] = ()) -> object:
        if self._connection is None:
            return None
        return self._connection.exec_driver_sql(statement, values or None).scalar()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # closed, not kept for another use
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def _look_after(self) -> None:
        while not self._over.wait(_LOOK_AFTER_S):
            try:
                if self._connection is not None:
                    self._ask("SELECT 1")
                    continue
            except sa.exc.DBAPIError:
                self._disconnect()
            with suppress(sa.exc.DBAPIError):  # the server is still away: the next look
                if not self._take():
                    _LOGGER.warning("A lock was lost with its connection, and another process has it now.")
                    self._disconnect()
