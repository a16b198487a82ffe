"""All reads and writes of the ledger, each one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from media2dicom.errors import LedgerFailed
from media2dicom.ledger.claims import claim
from media2dicom.ledger.entering import enter_rows
from media2dicom.ledger.records import (
    SETTLED,
    Entry,
    InstanceState,
    LedgerInstance,
    LedgerRow,
    Run,
    chunks,
    instance_values,
    ledger_instance,
    ledger_row,
    now,
    outcome_values,
)
from media2dicom.ledger.tables import ATTEMPTS, INSTANCES, METADATA, ROWS, RUN_ROWS, RUNS, SOURCES, make_engine, writing
from media2dicom.model import Instance, Outcome, SourceStudy, Status


@contextmanager
def _told_as_ours() -> Iterator[None]:
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise LedgerFailed(f"The ledger could not be used ({type(error.orig).__name__}).") from None


class Ledger:
    """All reads and writes. Safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)
        self._writer = writing(self._engine)
        METADATA.create_all(self._writer)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """A transaction that writes: one at a time, the others wait. Raises LedgerFailed."""
        with _told_as_ours(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """A transaction that reads, and waits for nobody. Raises LedgerFailed."""
        with _told_as_ours(), self._engine.connect() as connection:
            yield connection

    # --- runs ---------------------------------------------------------------------------------------------------

    def begin_run(
        self, run_id: str, manifest: Path, manifest_sha256: str, server: str | None, entries: Iterable[Entry]
    ) -> None:
        """Record every row, all or none, before any work. A row known from before keeps what was done for it."""
        with self._write() as connection:
            for table in (RUNS, RUN_ROWS, SOURCES):
                connection.execute(table.delete().where(table.c.run_id == run_id))
            connection.execute(
                RUNS.insert().values(
                    run_id=run_id,
                    manifest=str(manifest),
                    manifest_sha256=manifest_sha256,
                    server=server,
                    started_at=now(timespec="microseconds"),  # tells runs apart
                )
            )
            enter_rows(connection, run_id, list(entries))

    def finish_run(self, run_id: str, results: Path | None) -> None:
        with self._write() as connection:
            connection.execute(
                RUNS.update()
                .where(RUNS.c.run_id == run_id)
                .values(finished_at=now(timespec="microseconds"), results=str(results) if results else None)
            )

    def runs(self, manifest: Path | None = None) -> list[Run]:
        """The runs, of one manifest or all, latest first."""
        query = RUNS.select().order_by(RUNS.c.started_at.desc())
        if manifest is not None:
            query = query.where(RUNS.c.manifest == str(manifest))
        with self._read() as connection:
            return [
                Run(
                    run_id=found["run_id"],
                    manifest=Path(found["manifest"]),
                    manifest_sha256=found["manifest_sha256"],
                    server=found["server"],
                    started_at=found["started_at"],
                    finished_at=found["finished_at"],
                    results=Path(found["results"]) if found["results"] else None,
                )
                for found in connection.execute(query).mappings()
            ]

    # --- rows ---------------------------------------------------------------------------------------------------

    def rows(
        self, run_id: str, row_keys: Collection[str] | None = None, *, with_instances: bool = True
    ) -> list[LedgerRow]:
        """The run's rows in the order of the sheet, all or those of `row_keys`."""
        query = (
            sa.select(ROWS, RUN_ROWS.c.row_number, RUN_ROWS.c.taken)
            .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
            .where(RUN_ROWS.c.run_id == run_id)
        )
        with self._read() as connection:
            if row_keys is None:
                found = [ledger_row(record) for record in connection.execute(query).mappings()]
            else:
                found = [
                    ledger_row(record)
                    for chunk in chunks(list(row_keys))
                    for record in connection.execute(query.where(ROWS.c.row_key.in_(chunk))).mappings()
                ]
            if with_instances:
                instances = self._instances(connection, [row.row_key for row in found])
                found = [replace(row, instances=tuple(instances.get(row.row_key, ()))) for row in found]
        return sorted(found, key=lambda row: row.row_number)

    def _instances(self, connection: Connection, row_keys: list[str]) -> dict[str, list[LedgerInstance]]:
        found: dict[str, list[LedgerInstance]] = {}
        for chunk in chunks(row_keys):
            query = INSTANCES.select().where(INSTANCES.c.row_key.in_(chunk))
            for record in connection.execute(query.order_by(INSTANCES.c.row_key, INSTANCES.c.number)).mappings():
                found.setdefault(record["row_key"], []).append(ledger_instance(record))
        return found

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
        """Add to a row's warnings, each once."""
        with self._write() as connection:
            where = ROWS.c.row_key == row_key
            known = json.loads(connection.execute(sa.select(ROWS.c.warnings).where(where)).scalar_one())
            merged = list(dict.fromkeys([*known, *warnings]))
            if merged != known:
                connection.execute(ROWS.update().where(where).values(warnings=json.dumps(merged)))

    def counts(self, run_id: str) -> dict[Status, int]:
        """Rows by status."""
        query = (
            sa.select(ROWS.c.status, sa.func.count())
            .join(RUN_ROWS, RUN_ROWS.c.row_key == ROWS.c.row_key)
            .where(RUN_ROWS.c.run_id == run_id)
            .group_by(ROWS.c.status)
        )
        with self._read() as connection:
            return {Status(status): count for status, count in connection.execute(query)}

    def unfinished_row_keys(self) -> set[str]:
        """Rows that may still be sent, of any run: their prepared files are needed."""
        done = [str(Status.STORED), str(Status.REFUSED), str(Status.SKIPPED)]
        with self._read() as connection:
            return set(connection.execute(sa.select(ROWS.c.row_key).where(ROWS.c.status.not_in(done))).scalars())

    def claim_content(self, row: LedgerRow, run_id: str, content_key: str) -> str | None:
        """Claim the content for this row; the row ID of the row that files it already, or None when it is ours."""
        with self._write() as connection:
            return claim(connection, row, run_id, content_key)

    # --- source studies -----------------------------------------------------------------------------------------

    def source(self, run_id: str, study_key: str) -> SourceStudy | None:
        query = SOURCES.select().where(SOURCES.c.run_id == run_id, SOURCES.c.study_key == study_key)
        with self._read() as connection:
            found = connection.execute(query).mappings().first()
        if found is None or not Path(found["header_path"]).is_file():
            return None
        return SourceStudy(found["study_instance_uid"], Path(found["header_path"]), found["image_modality"])

    def put_source(self, run_id: str, study_key: str, source: SourceStudy) -> None:
        with self._write() as connection:
            where = sa.and_(SOURCES.c.run_id == run_id, SOURCES.c.study_key == study_key)
            connection.execute(SOURCES.delete().where(where))
            connection.execute(
                SOURCES.insert().values(
                    run_id=run_id,
                    study_key=study_key,
                    study_instance_uid=source.study_instance_uid,
                    header_path=str(source.header_path),
                    image_modality=source.image_modality,
                )
            )

    def forget_sources(self, run_id: str) -> None:
        with self._write() as connection:
            connection.execute(SOURCES.delete().where(SOURCES.c.run_id == run_id))

    # --- instances ----------------------------------------------------------------------------------------------

    def put_prepared(self, row_key: str, instances: Iterable[Instance]) -> None:
        """The row's files are complete on disk: PREPARED. What was sent before keeps its state."""
        with self._write() as connection:
            known = {one.instance.number: one for one in self._instances(connection, [row_key]).get(row_key, [])}
            connection.execute(INSTANCES.delete().where(INSTANCES.c.row_key == row_key))
            values = []
            for instance in instances:
                before = known.get(instance.number)
                if before is not None and before.instance.sop_instance_uid != instance.sop_instance_uid:
                    before = None
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
            # A row that may be in the PACS stays UNCERTAIN, whatever is prepared for it.
            keep = (Status.STORED, Status.UNCERTAIN)
            connection.execute(
                ROWS.update()
                .where(ROWS.c.row_key == row_key, ROWS.c.status.not_in(keep))
                .values(**outcome_values(Outcome(Status.PREPARED)), finished_at=None)
            )

    def replace_instance(self, row_key: str, instance: Instance) -> None:
        """The instance is sent in another encoding than it was prepared in."""
        with self._write() as connection:
            connection.execute(
                INSTANCES.update()
                .where(INSTANCES.c.row_key == row_key, INSTANCES.c.number == instance.number)
                .values(**instance_values(instance))
            )

    def mark_sending(self, row: LedgerRow, run_id: str, content_key: str, numbers: Collection[int]) -> str | None:
        """Committed before a byte goes out. Nothing changes when another row files the content: returns its row ID.

        The claim of files that were prepared a while ago may have gone to a row of another run meanwhile.
        """
        row_key = row.row_key
        with self._write() as connection:
            if (other := claim(connection, row, run_id, content_key)) is not None:
                return other
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
        return None

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
