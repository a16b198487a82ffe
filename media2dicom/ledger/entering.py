"""Rows of a manifest on their way into the ledger, in bulk: twenty thousand take a second or two.

What a row that is known from an earlier run keeps, and what it forgets, is decided here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from media2dicom.ledger.records import DONE_STATUSES, ROW_JSON, Entry, Numbers, now, outcome_values
from media2dicom.ledger.tables import INSTANCES, ROWS, RUN_ROWS, of_run
from media2dicom.model import Outcome, Status

# An instance in one of these states is, or may be, in the PACS.
MAYBE_THERE: Final = (Status.SENDING, Status.UNCERTAIN, Status.STORED, Status.CONFLICT)
SENT_BEFORE: Final = Outcome(Status.UNCERTAIN, message="Sent before; the PACS is asked first.")
# Who the patient is and what is prepared is looked at again, whatever an earlier try found.
_FORGOTTEN: Final = {"study_key": None, "identified_run": None, "prepared_run": None, "checked_run": None}
_SOMETHING_MAYBE_THERE: Final = sa.exists().where(
    INSTANCES.c.row_key == ROWS.c.row_key, INSTANCES.c.status.in_(MAYBE_THERE)
)


def enter_rows(connection: Connection, run_id: str, entries: Sequence[Entry]) -> None:
    """Write the entries as the rows of the run. Each key may come once in a run."""
    numbers = [
        {
            "run_id": run_id,
            "row_number": entry.row_number,
            "row_key": entry.row_key,
            "taken": entry.outcome is not None,
            "sheet_warnings": json.dumps(entry.warnings),
        }
        for entry in entries
    ]
    _execute(connection, RUN_ROWS.insert(), numbers)
    known = _known(connection, run_id)
    changes = _Changes()
    for entry in entries:
        changes.add(entry, known.get(entry.row_key))
    changes.write(connection)


def begin_again(connection: Connection, run_id: str, numbers: Numbers | None) -> None:
    """Rows that the run took and that are not done stand at the beginning again."""
    taken = sa.select(RUN_ROWS.c.row_key).where(of_run(run_id, numbers), RUN_ROWS.c.taken)
    again = ROWS.update().where(ROWS.c.row_key.in_(taken), ROWS.c.row.is_not(None), ROWS.c.status.not_in(DONE_STATUSES))
    sent_before = sa.or_(_SOMETHING_MAYBE_THERE, ROWS.c.status.in_(MAYBE_THERE))
    for condition, outcome in ((sa.not_(sent_before), Outcome(Status.CHECKED)), (sent_before, SENT_BEFORE)):
        connection.execute(again.where(condition).values(**outcome_values(outcome), **_FORGOTTEN, finished_at=None))


def _known(connection: Connection, run_id: str) -> dict[str, tuple[Status, bool]]:
    """Rows of the run that are known: their status, and whether something of them may be in the PACS."""
    query = (
        sa.select(ROWS.c.row_key, ROWS.c.status, _SOMETHING_MAYBE_THERE)
        .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
        .where(of_run(run_id, None))
    )
    return {key: (Status(status), bool(there)) for key, status, there in connection.execute(query)}


@dataclass
class _Changes:
    """Rows to be written, by the columns that change: one statement for each list."""

    new: list[dict[str, Any]] = field(default_factory=list)
    begun_again: list[dict[str, Any]] = field(default_factory=list)
    stored: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: Entry, known: tuple[Status, bool] | None) -> None:
        if entry.outcome is None:
            return
        submitted = {
            "destination": entry.destination,
            "row_id": entry.row_id,
            "media": entry.media,
            "row": ROW_JSON.dump_json(entry.row).decode() if entry.row is not None else None,
        }
        if known is not None and known[0] == Status.STORED:  # never reverts
            self.stored.append({"known_key": entry.row_key, **submitted})
            return
        outcome = entry.outcome
        if known is not None and outcome.status == Status.CHECKED and (known[1] or known[0] in MAYBE_THERE):
            outcome = SENT_BEFORE
        values = {
            **submitted,
            **outcome_values(outcome),
            **_FORGOTTEN,
            "finished_at": None if outcome.status in {Status.CHECKED, Status.UNCERTAIN} else now(),
        }
        if known is None:
            self.new.append({"row_key": entry.row_key, "attempts": 0, **values})
        else:
            self.begun_again.append({"known_key": entry.row_key, **values})

    def write(self, connection: Connection) -> None:
        update = ROWS.update().where(ROWS.c.row_key == sa.bindparam("known_key"))
        _execute(connection, ROWS.insert(), self.new)
        _execute(connection, update, self.begun_again)
        _execute(connection, update, self.stored)


def add_warnings(connection: Connection, row_key: str, warnings: Iterable[str]) -> None:
    """Add to the warnings of a row's media and of the PACS, each once. They stay, whoever begins the row again."""
    where = ROWS.c.row_key == row_key
    known = json.loads(connection.execute(sa.select(ROWS.c.warnings).where(where)).scalar_one())
    merged = list(dict.fromkeys([*known, *warnings]))
    if merged != known:
        connection.execute(ROWS.update().where(where).values(warnings=json.dumps(merged)))


def _execute(connection: Connection, statement: sa.Executable, values: Iterable[dict[str, Any]]) -> None:
    if values := list(values):
        connection.execute(statement, values)
