"""The ledger's rows and their instances: what is prepared, what was sent, how each stands. Each call is a transaction.

Runs are in `run_book.py`; how a transaction is begun is in `transactions.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from media2dicom.errors import DuplicateRow, NotApproved, TakenOver, UploadConflict
from media2dicom.ledger.claims import Content, UidOf, claim, duplicate, may_be_sent, taken_over
from media2dicom.ledger.entering import MAYBE_THERE, add_warnings
from media2dicom.ledger.records import (
    SETTLED,
    InstanceState,
    LedgerInstance,
    LedgerRow,
    Numbers,
    chunks,
    instance_values,
    ledger_instance,
    ledger_row,
    now,
    outcome_values,
)
from media2dicom.ledger.run_book import RunBook
from media2dicom.ledger.tables import ATTEMPTS, INSTANCES, ROWS, RUN_ROWS, of_run
from media2dicom.model import Instance, Outcome, Status

_OF_RUN: Final = (RUN_ROWS.c.row_number, RUN_ROWS.c.taken, RUN_ROWS.c.approved, RUN_ROWS.c.sheet_warnings)


class Ledger(RunBook):
    """All reads and writes. Safe to use from several threads and processes."""

    # --- rows ---------------------------------------------------------------------------------------------------

    def rows(
        self,
        run_id: str,
        row_keys: Collection[str] | None = None,
        *,
        numbers: Numbers | None = None,
        with_instances: bool = True,
    ) -> list[LedgerRow]:
        """The run's rows in the order of the sheet, all or those of `row_keys` and of the range `numbers`."""
        query = (
            sa.select(ROWS, *_OF_RUN)
            .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
            .where(of_run(run_id, numbers))
        )
        # Joined, not looked up by their keys: for all rows of a large run that takes PostgreSQL many times as long.
        of_these = INSTANCES.select().join(RUN_ROWS, RUN_ROWS.c.row_key == INSTANCES.c.row_key)
        of_these = of_these.where(of_run(run_id, numbers))
        parts = [sa.true()] if row_keys is None else [RUN_ROWS.c.row_key.in_(chunk) for chunk in chunks(list(row_keys))]
        found: list[LedgerRow] = []
        instances: dict[str, list[LedgerInstance]] = {}
        with self._read() as connection:
            for part in parts:
                found += [ledger_row(record) for record in connection.execute(query.where(part)).mappings()]
                if with_instances:
                    instances.update(_by_row(connection, of_these.where(part)))
        found = [replace(row, instances=tuple(instances.get(row.row_key, ()))) for row in found]
        return sorted(found, key=lambda row: row.row_number)

    def set_outcome(self, row_key: str, outcome: Outcome, **columns: object) -> None:
        """Move one row. `columns`: study_key, identified_, prepared_, checked_, stored_run. STORED never reverts."""
        ended = outcome.status in SETTLED or outcome.status == Status.FAILED
        with self._write() as connection:
            connection.execute(
                ROWS.update()
                .where(ROWS.c.row_key == row_key, ROWS.c.status != Status.STORED)
                .values(**outcome_values(outcome), **columns, finished_at=now() if ended else None)
            )

    def add_warnings(self, row_key: str, warnings: Iterable[str]) -> None:
        """Add to the warnings of a row's media and of the PACS, each once."""
        with self._write() as connection:
            add_warnings(connection, row_key, warnings)

    def counts(self, run_id: str, numbers: Numbers | None = None) -> dict[Status, int]:
        """The run's rows (of that range) by status."""
        query = (
            sa.select(ROWS.c.status, sa.func.count())
            .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
            .where(of_run(run_id, numbers))
            .group_by(ROWS.c.status)
        )
        with self._read() as connection:
            return {Status(status): count for status, count in connection.execute(query)}

    def causes(self, run_id: str) -> dict[tuple[Status, str], int]:
        """The run's rows by status and error code; "" where there is none."""
        query = (
            sa.select(ROWS.c.status, ROWS.c.code, sa.func.count())
            .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
            .where(of_run(run_id, None))
            .group_by(ROWS.c.status, ROWS.c.code)
        )
        with self._read() as connection:
            return {(Status(status), code or ""): count for status, code, count in connection.execute(query)}

    def taken_over(self, run_id: str, row_keys: Collection[str]) -> set[str]:
        """Which of the rows a later run has in hand."""
        with self._read() as connection:
            return taken_over(connection, run_id, row_keys)

    def unfinished_row_keys(self) -> set[str]:
        """Rows that may still be sent, of any run: their prepared files are needed."""
        done = [str(Status.STORED), str(Status.REFUSED), str(Status.SKIPPED)]
        with self._read() as connection:
            return set(connection.execute(sa.select(ROWS.c.row_key).where(ROWS.c.status.not_in(done))).scalars())

    def stored(self, row_keys: Iterable[str]) -> int:
        """How many of the rows are STORED."""
        count = sa.select(sa.func.count()).where(ROWS.c.status == Status.STORED)
        with self._read() as connection:
            parts = chunks(list(row_keys))
            return sum(connection.execute(count.where(ROWS.c.row_key.in_(part))).scalar_one() for part in parts)

    def duplicate(self, row_key: str, content: Content, uid_of: UidOf) -> DuplicateRow | None:
        """Why a run that begins now would refuse a row as a duplicate of an earlier run's; None when it would not."""
        with self._read() as connection:
            return duplicate(connection, row_key, content, uid_of)

    # --- instances ----------------------------------------------------------------------------------------------

    def put_prepared(
        self,
        row_key: str,
        run_id: str,
        content: Content,
        instances: Sequence[Instance] | None = None,
        warnings: Iterable[str] = (),
    ) -> None:
        """The row's files are complete on disk, and no other row files the content: PREPARED.

        `instances`: None when they are those of an earlier run. What was sent before keeps its state, also what
        another row sent of the same objects. Raises UploadConflict when the row sent something before that it would
        not send today, DuplicateRow when another row files the content, ObjectsUnderWay when it does so at this
        moment; then all is as before.
        """
        with self._write() as connection:
            if instances is not None:
                _replace_instances(connection, row_key, instances)
            add_warnings(connection, row_key, warnings)
            claim(connection, row_key, run_id, content, take_over=True)
            mine = ROWS.c.row_key == row_key
            # A row that may be in the PACS stays UNCERTAIN, whatever is prepared for it.
            keep = (Status.STORED, Status.UNCERTAIN)
            prepared = outcome_values(Outcome(Status.PREPARED))
            connection.execute(
                ROWS.update().where(mine, ROWS.c.status.not_in(keep)).values(**prepared, finished_at=None)
            )
            connection.execute(ROWS.update().where(mine).values(prepared_run=run_id))

    def replace_instance(self, row_key: str, instance: Instance) -> None:
        """The instance is sent in another encoding than it was prepared in."""
        with self._write() as connection:
            connection.execute(
                INSTANCES.update()
                .where(INSTANCES.c.row_key == row_key, INSTANCES.c.number == instance.number)
                .values(**instance_values(instance))
            )

    def mark_sending(self, row_key: str, run_id: str, content: Content, numbers: Collection[int]) -> None:
        """Committed before a byte goes out. Nothing changes when it raises.

        Raises TakenOver when another run has the row in hand, NotApproved when nobody approved that it is sent, and
        DuplicateRow or ObjectsUnderWay: the claim of files that were prepared a while ago may have gone to another row.
        """
        with self._write() as connection:
            if row_key in taken_over(connection, run_id, [row_key]):
                raise TakenOver("Another run has this row in hand.")
            if not may_be_sent(connection, run_id, row_key):
                raise NotApproved("Nobody has approved that this row is sent; nothing was sent.")
            claim(connection, row_key, run_id, content, take_over=False)
            where = sa.and_(INSTANCES.c.row_key == row_key, INSTANCES.c.status != Status.STORED)
            for chunk in chunks(list(numbers)):
                connection.execute(
                    INSTANCES.update().where(where, INSTANCES.c.number.in_(chunk)).values(status=Status.SENDING)
                )
            connection.execute(
                ROWS.update()
                .where(ROWS.c.row_key == row_key, ROWS.c.status != Status.STORED)
                .values(**outcome_values(Outcome(Status.SENDING)), attempts=ROWS.c.attempts + 1, finished_at=None)
            )

    def record_attempt(
        self, run_id: str, row_key: str, number: int, store_status: int | None, code: str | None
    ) -> None:
        """Count one C-STORE, and keep what it came to for good."""
        with self._write() as connection:
            connection.execute(
                INSTANCES.update()
                .where(INSTANCES.c.row_key == row_key, INSTANCES.c.number == number)
                .values(attempts=INSTANCES.c.attempts + 1)
            )
            connection.execute(
                ATTEMPTS.insert().values(
                    run_id=run_id, row_key=row_key, number=number, at=now(), store_status=store_status, code=code
                )
            )

    def set_instances(self, row_key: str, changes: Mapping[int, InstanceState]) -> None:
        """Move instances, by their number within the row. STORED never reverts."""
        if not changes:
            return
        with self._write() as connection:
            connection.execute(
                INSTANCES.update().where(
                    INSTANCES.c.row_key == row_key,
                    INSTANCES.c.number == sa.bindparam("of_number"),
                    INSTANCES.c.status != Status.STORED,
                ),
                [
                    {
                        "of_number": number,
                        "status": state.status,
                        "store_status": state.store_status,
                        "verified": state.verified,
                    }
                    for number, state in changes.items()
                ],
            )


def _replace_instances(connection: Connection, row_key: str, instances: Sequence[Instance]) -> None:
    before_of = _by_row(connection, INSTANCES.select().where(INSTANCES.c.row_key == row_key))
    known = {one.instance.sop_instance_uid: one for one in before_of.get(row_key, [])}
    _refuse_left_behind(known.values(), instances)
    connection.execute(INSTANCES.delete().where(INSTANCES.c.row_key == row_key))
    values = []
    for instance in instances:
        before = known.get(instance.sop_instance_uid)
        values.append(
            {
                "row_key": row_key,
                **instance_values(instance),
                "status": before.status if before else Status.PREPARED,
                "store_status": before.store_status if before else None,
                "verified": before.verified if before else "",
                "attempts": before.attempts if before else 0,
            }
        )
    connection.execute(INSTANCES.insert(), values)


def _refuse_left_behind(before: Iterable[LedgerInstance], instances: Collection[Instance]) -> None:
    """What may be in the PACS is not forgotten: nobody would know of it any more."""
    uids = {one.sop_instance_uid for one in instances}
    if all(one.instance.sop_instance_uid in uids for one in before if one.status in MAYBE_THERE):
        return
    studies = {one.study_instance_uid for one in instances}
    if all(one.instance.study_instance_uid in studies for one in before):
        raise UploadConflict("The PACS may have objects of this row that would not be made of it today.")
    raise UploadConflict(
        "The PACS may have objects of this row in another study than the one that the row names today.",
        next_step="Have the PACS administrator look at the former study; name the right one by study_instance_uid.",
    )


def _by_row(connection: Connection, query: sa.Select[Any]) -> dict[str, list[LedgerInstance]]:
    """Row key -> its instances, in the order of their numbers."""
    found: dict[str, list[LedgerInstance]] = {}
    for record in connection.execute(query.order_by(INSTANCES.c.row_key, INSTANCES.c.number)).mappings():
        found.setdefault(record["row_key"], []).append(ledger_instance(record))
    return found
