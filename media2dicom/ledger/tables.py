"""The ledger's tables and its engine. What is read and written is in `book.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

METADATA = sa.MetaData()

RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("manifest", sa.Text, nullable=False, index=True),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
    sa.Column("server", sa.Text),
    sa.Column("started_at", sa.String(32), nullable=False),
    sa.Column("finished_at", sa.String(32)),
    sa.Column("results", sa.Text),
)
ROWS = sa.Table(
    "rows",
    METADATA,
    sa.Column("row_key", sa.String(64), primary_key=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("row_id", sa.Text, nullable=False),
    sa.Column("media", sa.Text, nullable=False),
    sa.Column("row", sa.Text),  # Row as JSON; null when it could not be read
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("code", sa.String(64)),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("next_step", sa.Text, nullable=False, default=""),
    sa.Column("transient", sa.Boolean, nullable=False, default=False),
    sa.Column("warnings", sa.Text, nullable=False, default="[]"),
    sa.Column("study_key", sa.String(64)),
    sa.Column("identified_run", sa.String(64)),  # the run that last confirmed the patient
    sa.Column("prepared_run", sa.String(64)),  # the run that last saw to the prepared files
    sa.Column("checked_run", sa.String(64)),  # the run that last checked the prepared files
    sa.Column("stored_run", sa.String(64)),  # the run that saw it stored
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("finished_at", sa.String(32)),
)
RUN_ROWS = sa.Table(
    "run_rows",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("row_number", sa.Integer, primary_key=True),
    sa.Column("row_key", sa.String(64), nullable=False, index=True),
    sa.Column("taken", sa.Boolean, nullable=False),  # the run works on it; False: it only shows how it stands
    sa.UniqueConstraint("run_id", "row_key"),
)
SOURCES = sa.Table(
    "sources",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("study_key", sa.String(64), primary_key=True),
    sa.Column("study_instance_uid", sa.String(64), nullable=False),
    sa.Column("header_path", sa.Text, nullable=False),
    sa.Column("image_modality", sa.String(16)),
)
INSTANCES = sa.Table(
    "instances",
    METADATA,
    sa.Column("row_key", sa.String(64), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sop_instance_uid", sa.String(64), nullable=False, index=True),
    sa.Column("sop_class_uid", sa.String(64), nullable=False),
    sa.Column("series_instance_uid", sa.String(64), nullable=False),
    sa.Column("study_instance_uid", sa.String(64), nullable=False),
    sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("store_status", sa.Integer),
    sa.Column("verified", sa.String(16), nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
)
ATTEMPTS = sa.Table(
    "attempts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("row_key", sa.String(64), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("store_status", sa.Integer),
    sa.Column("code", sa.String(64)),
)
CLAIMS = sa.Table(  # which row files a given content into a given study: a duplicate is seen across manifests
    "claims",
    METADATA,
    sa.Column("destination", sa.String(255), primary_key=True),
    sa.Column("content_key", sa.String(64), primary_key=True),
    sa.Column("row_key", sa.String(64), nullable=False),
)


_WRITING: Final = "media2dicom_writing"  # the execution option that tells writers from readers
# How a transaction begins, to read and to write. The lock's number is ours, and arbitrary.
_BEGIN: Final = {"sqlite": ("BEGIN", "BEGIN IMMEDIATE"), "postgresql": (None, "SELECT pg_advisory_xact_lock(7061001)")}


def make_engine(url: str) -> Engine:
    """The ledger's engine. A new SQLite file and its folder are their owner's alone."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite(parsed)
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    to_read, to_write = _BEGIN.get(engine.dialect.name, (None, None))

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
