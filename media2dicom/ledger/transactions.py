"""How the ledger is opened, and its two kinds of transaction. What is read and written is in the books."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from media2dicom.errors import LedgerFailed
from media2dicom.ledger.engine import make_engine, reading, writing
from media2dicom.ledger.tables import make_tables


@contextmanager
def told_as_ours() -> Iterator[None]:
    """Errors of the database as LedgerFailed: their texts may quote what was written, and name users and hosts."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise LedgerFailed(f"The ledger could not be used ({type(error.orig).__name__}).") from None
    except sa.exc.TimeoutError:
        raise LedgerFailed("The ledger could not be used (all connections of this process are busy).") from None


class Transactions:
    """The database of the ledger. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open it, and make what tables are missing. Raises LedgerFailed, SettingsError (no such kind of database)."""
        self._engine = make_engine(url)
        self._reader, self._writer = reading(self._engine), writing(self._engine)
        self._writers = threading.Lock()  # threads queue here, so that a process has one connection that waits
        try:
            with self._write() as connection:
                make_tables(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction that writes: one at a time, the others wait. Raises LedgerFailed."""
        with self._writers, told_as_ours(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """A transaction that reads one state of things, and waits for nobody. Raises LedgerFailed."""
        with told_as_ours(), self._reader.connect() as connection:
            yield connection
