"""How the ledger's database is reached: SQLite by default, PostgreSQL by its URL. The tables are in `tables.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from media2dicom.errors import SettingsError

_WRITING: Final = "media2dicom_writing"  # the execution option that tells writers from readers
# How a transaction begins, to read and to write. The lock's number is ours, and arbitrary.
_BEGIN: Final = {"sqlite": ("BEGIN", "BEGIN IMMEDIATE"), "postgresql": (None, "SELECT pg_advisory_xact_lock(7061001)")}
# A connection whose other end is gone is noticed after a minute, not after the two hours of the operating system:
# by us with these, by the server with its own.
_POSTGRESQL_ARGS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # ms
    "application_name": "media2dicom",
}
_POSTGRESQL_SETTINGS: Final = {
    "lock_timeout": "'60s'",  # a writer waits as long as with SQLite
    "idle_in_transaction_session_timeout": "'60s'",  # a writer that stands still is put out
    "tcp_keepalives_idle": 30,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
}


def database_url(url: str) -> sa.URL:
    """The URL as SQLAlchemy takes it. Raises SettingsError, which never quotes it: it may hold a password."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise SettingsError("ledger_url: this is not a database URL such as postgresql://user@host/name.") from None
    backend = parsed.get_backend_name()
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise SettingsError(f"ledger_url: the ledger is kept in SQLite or PostgreSQL, not in {backend}.")
    return parsed


def make_engine(url: str) -> Engine:
    """The ledger's engine. A new SQLite file and its folder are their owner's alone. Raises SettingsError."""
    parsed = database_url(url)
    engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed)
    to_read, to_write = _BEGIN[engine.dialect.name]

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Two writers wait for each other instead of failing; readers wait for nobody.
        statement = to_write if connection.get_execution_options().get(_WRITING) else to_read
        if statement is not None:
            connection.exec_driver_sql(statement)

    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(**{_WRITING: True})


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that read: all their statements see one state, as they do in SQLite."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _sqlite(url: sa.URL) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(url.database).touch(mode=0o600)
    # Parameters are rows, so patient data: no error text may hold them.
    engine = sa.create_engine(url, connect_args={"timeout": 60}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by `_begin`, not by the driver
        for pragma in ("busy_timeout=60000", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgresql(url: sa.URL) -> Engine:
    engine = sa.create_engine(
        url,
        connect_args={key: value for key, value in _POSTGRESQL_ARGS.items() if key not in url.query},
        # Whatever the server's default: what a writer reads must be newer than the lock that it waited for.
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,  # a server that was started again is not met as an error
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _patience(connection: Any, _record: Any) -> None:
        connection.execute("; ".join(f"SET {name} = {value}" for name, value in _POSTGRESQL_SETTINGS.items()))
        connection.commit()

    return engine
