"""Who may send what: which row files a given content, which run has a row in hand, what a person approved.

A duplicate is seen across rows and manifests.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from media2dicom.ledger.entering import MAYBE_THERE
from media2dicom.ledger.records import LedgerRow, chunks
from media2dicom.ledger.tables import CLAIMS, INSTANCES, ROWS, RUN_ROWS, RUNS
from media2dicom.model import Status


def claim(connection: Connection, row: LedgerRow, run_id: str, content_key: str) -> str | None:
    """Claim the content for `row`; the row ID of the row that files it already, or None when it is ours."""
    where = sa.and_(CLAIMS.c.destination == row.destination, CLAIMS.c.content_key == content_key)
    holder = connection.execute(sa.select(CLAIMS.c.row_key).where(where)).scalar()
    if holder == row.row_key:
        return None
    if holder is not None and _holds(connection, holder, run_id):
        return str(connection.execute(sa.select(ROWS.c.row_id).where(ROWS.c.row_key == holder)).scalar_one())
    connection.execute(CLAIMS.delete().where(where))
    connection.execute(
        CLAIMS.insert().values(destination=row.destination, content_key=content_key, row_key=row.row_key)
    )
    return None


def _holds(connection: Connection, row_key: str, run_id: str) -> bool:
    """A claim counts when something of its row may be in the PACS, or when this very run is working on it."""
    maybe = sa.select(sa.func.count()).where(INSTANCES.c.row_key == row_key, INSTANCES.c.status.in_(MAYBE_THERE))
    if connection.execute(maybe).scalar():
        return True
    working = (
        sa.select(ROWS.c.status)
        .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
        .where(RUN_ROWS.c.run_id == run_id, RUN_ROWS.c.taken, ROWS.c.row_key == row_key)
    )
    status = connection.execute(working).scalar()
    return status is not None and status not in (Status.REFUSED, Status.SKIPPED)


def taken_over(connection: Connection, run_id: str, row_keys: Collection[str]) -> set[str]:
    """Which of the rows a run that began later has taken, and has not finished with."""
    began = sa.select(RUNS.c.started_at).where(RUNS.c.run_id == run_id).scalar_subquery()
    later = (
        sa.select(RUN_ROWS.c.row_key)
        .join(RUNS, RUNS.c.run_id == RUN_ROWS.c.run_id)
        .where(RUN_ROWS.c.taken, RUNS.c.finished_at.is_(None), RUNS.c.started_at > began)
    )
    return {
        key
        for part in chunks(list(row_keys))
        for key in connection.execute(later.where(RUN_ROWS.c.row_key.in_(part))).scalars()
    }


def may_be_sent(connection: Connection, run_id: str, row_key: str) -> bool:
    """Whether the run needs no approval, or the row has it."""
    asked = (
        sa.select(RUNS.c.approval, RUN_ROWS.c.approved)
        .join(RUN_ROWS, RUN_ROWS.c.run_id == RUNS.c.run_id)
        .where(RUNS.c.run_id == run_id, RUN_ROWS.c.row_key == row_key)
    )
    found = connection.execute(asked).first()
    return found is None or not found.approval or bool(found.approved)
