"""The ledger's tables and its engine. What is read and written is in `book.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def make_engine(url: str) -> Engine:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(parsed.database).touch(mode=0o600)
    engine = sa.create_engine(parsed, connect_args={"timeout": 60})

    @sa.event.listens_for(engine, "connect")
    def _durable(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=60000"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # two writers wait for each other instead of failing

    return engine
