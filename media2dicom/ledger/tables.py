"""The ledger's tables. How they are reached is in `engine.py`, what is read and written in the books."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

from media2dicom.ledger.records import Numbers

METADATA = sa.MetaData()


class Text(sa.types.TypeDecorator[str]):
    """Text of any length. What PostgreSQL cannot hold is shown instead: NUL as its picture, half a surrogate escaped.

    A cell, a message of a PACS or the name of a file may hold either; they must not end a run.
    """

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        if value is None:
            return None
        text = str(value).replace("\0", "\N{SYMBOL FOR NULL}")  # str: a Status is written as its value
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("run_id", Text, primary_key=True),
    sa.Column("manifest", Text, nullable=False),
    sa.Column("manifest_sha256", Text, nullable=False),
    sa.Column("server", Text),
    sa.Column("started_at", Text, nullable=False),
    sa.Column("finished_at", Text),
    sa.Column("results", Text),
    sa.Column("approval", sa.Boolean),  # nothing of it is sent but what a person approved
    # A path may be longer than PostgreSQL's ordinary index takes.
    sa.Index("ix_runs_manifest", "manifest", postgresql_using="hash"),
)
ROWS = sa.Table(
    "rows",
    METADATA,
    sa.Column("row_key", Text, primary_key=True),
    sa.Column("destination", Text, nullable=False),
    sa.Column("row_id", Text, nullable=False),
    sa.Column("media", Text, nullable=False),
    sa.Column("row", Text),  # Row as JSON; null when it could not be read
    sa.Column("status", Text, nullable=False),
    sa.Column("code", Text),
    sa.Column("message", Text, nullable=False, default=""),
    sa.Column("next_step", Text, nullable=False, default=""),
    sa.Column("transient", sa.Boolean, nullable=False, default=False),
    sa.Column("warnings", Text, nullable=False, default="[]"),
    sa.Column("study_key", Text),
    sa.Column("identified_run", Text),  # the run that last confirmed the patient
    sa.Column("prepared_run", Text),  # the run that last saw to the prepared files
    sa.Column("checked_run", Text),  # the run that last checked the prepared files
    sa.Column("stored_run", Text),  # the run that saw it stored
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("finished_at", Text),
)
RUN_ROWS = sa.Table(
    "run_rows",
    METADATA,
    sa.Column("run_id", Text, primary_key=True),
    sa.Column("row_number", sa.Integer, primary_key=True),
    sa.Column("row_key", Text, nullable=False, index=True),
    sa.Column("taken", sa.Boolean, nullable=False),  # the run works on it; False: it only shows how it stands
    sa.Column("approved", sa.Boolean),  # a person saw it ready in this run, and said that it shall be sent
    sa.Column("sheet_warnings", Text),  # of the sheet as this run read it; those of its media and of the PACS are ROWS'
    sa.UniqueConstraint("run_id", "row_key"),
)
SOURCES = sa.Table(
    "sources",
    METADATA,
    sa.Column("run_id", Text, primary_key=True),
    sa.Column("study_key", Text, primary_key=True),
    sa.Column("study_instance_uid", Text, nullable=False),
    sa.Column("header_path", Text, nullable=False),
    sa.Column("image_modality", Text),
)
INSTANCES = sa.Table(
    "instances",
    METADATA,
    sa.Column("row_key", Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("sop_instance_uid", Text, nullable=False, index=True),
    sa.Column("sop_class_uid", Text, nullable=False),
    sa.Column("series_instance_uid", Text, nullable=False),
    sa.Column("study_instance_uid", Text, nullable=False),
    sa.Column("transfer_syntax_uid", Text, nullable=False),
    sa.Column("path", Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("status", Text, nullable=False),
    sa.Column("store_status", sa.Integer),
    sa.Column("verified", Text, nullable=False, default=""),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
)
ATTEMPTS = sa.Table(
    "attempts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run_id", Text, nullable=False),
    sa.Column("row_key", Text, nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("at", Text, nullable=False),
    sa.Column("store_status", sa.Integer),
    sa.Column("code", Text),
)
CLAIMS = sa.Table(  # which row files a given content into a given study: a duplicate is seen across manifests
    "claims",
    METADATA,
    sa.Column("destination", Text, primary_key=True),
    sa.Column("content_key", Text, primary_key=True),
    sa.Column("row_key", Text, nullable=False),
)


def make_tables(connection: Connection) -> None:
    """Make what is missing: tables, and columns that came later. Inside the writers' lock."""
    METADATA.create_all(connection)
    inspector = sa.inspect(connection)
    for table in (RUNS, RUN_ROWS):
        there = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                connection.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def of_run(run_id: str, numbers: Numbers | None) -> sa.ColumnElement[bool]:
    """Which of RUN_ROWS are the run's, or the run's in that range of row numbers."""
    of_it = RUN_ROWS.c.run_id == run_id
    return of_it if numbers is None else sa.and_(of_it, RUN_ROWS.c.row_number.between(*numbers))
