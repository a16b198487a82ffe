"""Who may send what: which row files a given content, which run has a row in hand, what a person approved.

A duplicate is seen across rows, manifests and the names of one PACS. A row that was edited without a change to what it
files is another row of the same objects: it takes over, with what is known of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from media2dicom.errors import DuplicateRow, ObjectsUnderWay
from media2dicom.ledger.entering import MAYBE_THERE, SENT_BEFORE, add_warnings
from media2dicom.ledger.records import chunks, outcome_values
from media2dicom.ledger.tables import CLAIMS, INSTANCES, ROWS, RUN_ROWS, RUNS
from media2dicom.model import Status

UidOf = Callable[[int], str | None]  # the SOP Instance UID of a row's part


@dataclass(frozen=True)
class Content:
    """What a row files where; of rows with the same, one sends it."""

    key: str  # dicom.uids.content_key
    places: tuple[str, ...]  # all that the PACS is called
    # Whether a run of the manifest is at work: a killed one is not.
    is_at_work: Callable[[Path], bool] = field(default=lambda _manifest: True, compare=False)


def claim(connection: Connection, row_key: str, run_id: str, content: Content, *, take_over: bool) -> None:
    """Claim the content for the row, whose instances are known. Raises DuplicateRow when another row has it.

    `take_over`: from a row of the same objects; then the PACS has to be asked for them before they are sent. Raises
    ObjectsUnderWay when that has to wait.
    """
    where = _of(content)
    holders = list(connection.execute(sa.select(CLAIMS.c.row_key).where(where)).scalars())
    if len(holders) == len(content.places) and set(holders) == {row_key}:
        return
    parts = sa.select(INSTANCES.c.number, INSTANCES.c.sop_instance_uid).where(INSTANCES.c.row_key == row_key)
    uids = {found.number: found.sop_instance_uid for found in connection.execute(parts)}
    others = sorted(set(holders) - {row_key})
    for other in others:
        if (error := _refusal(connection, other, run_id, uids.get, content, take_over=take_over)) is not None:
            raise error
    connection.execute(CLAIMS.delete().where(where))
    connection.execute(
        CLAIMS.insert(),
        [{"destination": place, "content_key": content.key, "row_key": row_key} for place in content.places],
    )
    for other in others:
        _inherit(connection, row_key, other)


def duplicate(connection: Connection, row_key: str, content: Content, uid_of: UidOf) -> DuplicateRow | None:
    """Why a run that begins now would refuse the row; None when it would not."""
    for other in connection.execute(sa.select(CLAIMS.c.row_key).distinct().where(_of(content))).scalars():
        error = None if other == row_key else _refusal(connection, other, None, uid_of, content, take_over=True)
        if isinstance(error, DuplicateRow):
            return error
    return None


def _of(content: Content) -> sa.ColumnElement[bool]:
    return sa.and_(CLAIMS.c.destination.in_(content.places), CLAIMS.c.content_key == content.key)


def _refusal(
    connection: Connection, other: str, run_id: str | None, uid_of: UidOf, content: Content, *, take_over: bool
) -> DuplicateRow | ObjectsUnderWay | None:
    """Why the row `other` keeps its claim: this very run works on it, or something of it may be in the PACS.

    Not when it is the same objects, unless they are on their way at this moment.
    """
    of_other = INSTANCES.c.row_key == other
    there = connection.execute(INSTANCES.select().where(of_other, INSTANCES.c.status.in_(MAYBE_THERE))).all()
    status = connection.execute(sa.select(ROWS.c.status).where(ROWS.c.row_key == other)).scalar()
    here = connection.execute(
        sa.select(RUN_ROWS).where(RUN_ROWS.c.run_id == run_id, RUN_ROWS.c.row_key == other)
    ).first()
    if here is not None and (there or (here.taken and status not in (Status.REFUSED, Status.SKIPPED))):
        return DuplicateRow(f"Row {here.row_number} {DuplicateRow.files}.")
    if not there:
        return None
    same = all(uid_of(one.number) == one.sop_instance_uid for one in there)
    on_its_way = any(one.status == Status.SENDING for one in there) and _is_in_hand(connection, other, content)
    if same and take_over and not on_its_way:
        return None
    what = f"{_place_of(connection, other)} {DuplicateRow.files}"
    if same:
        return ObjectsUnderWay(f"{what}, and another run sends it.")
    if status == Status.STORED:
        return DuplicateRow(
            f"{what}, and is stored.",
            next_step="Remove this row, or give it the cells back with which it was stored.",
        )
    return DuplicateRow(
        f"{what}, and was sent in part or without an answer.",
        next_step="Give this row the cells back with which it was sent and run it again: the PACS is asked first.",
    )


def _is_in_hand(connection: Connection, row_key: str, content: Content) -> bool:
    """Whether a run that is at work took the row."""
    runs = sa.select(RUNS.c.manifest).join(RUN_ROWS, RUN_ROWS.c.run_id == RUNS.c.run_id)
    unfinished = runs.where(RUN_ROWS.c.row_key == row_key, RUN_ROWS.c.taken, RUNS.c.finished_at.is_(None))
    return any(content.is_at_work(Path(manifest)) for manifest in connection.execute(unfinished).scalars())


def _place_of(connection: Connection, row_key: str) -> str:
    """Where people find the row: its number, and the manifest that had it last. Its row_id may hold a name."""
    lists = sa.select(RUN_ROWS.c.row_number, RUNS.c.manifest).join(RUNS, RUNS.c.run_id == RUN_ROWS.c.run_id)
    latest = lists.where(RUN_ROWS.c.row_key == row_key).order_by(RUNS.c.started_at.desc()).limit(1)
    found = connection.execute(latest).first()
    if found is None:
        return "A row of an earlier run"
    return f"Row {found.row_number} of {PurePath(found.manifest).name}, as last run,"  # which may be this very sheet


def _inherit(connection: Connection, row_key: str, other: str) -> None:
    """What of these objects may be in the PACS is asked for before it is sent, whichever row sent it. What was warned
    of them holds, too."""
    sent = sa.select(INSTANCES.c.sop_instance_uid).where(
        INSTANCES.c.row_key == other, INSTANCES.c.status.in_(MAYBE_THERE)
    )
    mine = sa.and_(INSTANCES.c.row_key == row_key, INSTANCES.c.status.not_in(MAYBE_THERE))
    doubtful = INSTANCES.update().where(mine, INSTANCES.c.sop_instance_uid.in_(sent)).values(status=Status.UNCERTAIN)
    if connection.execute(doubtful).rowcount:
        in_doubt = ROWS.update().where(ROWS.c.row_key == row_key, ROWS.c.status != Status.STORED)
        connection.execute(in_doubt.values(**outcome_values(SENT_BEFORE), finished_at=None))
        told = sa.select(ROWS.c.warnings).where(ROWS.c.row_key == other)
        add_warnings(connection, row_key, json.loads(connection.execute(told).scalar_one()))


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
