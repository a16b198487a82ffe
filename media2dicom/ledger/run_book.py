"""Runs and what belongs to one run alone: its rows' numbers, its source studies, what of it a person approved."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from media2dicom.ledger.entering import begin_again, enter_rows
from media2dicom.ledger.records import Entry, Numbers, Run, chunks, now
from media2dicom.ledger.tables import RUN_ROWS, RUNS, SOURCES, of_run
from media2dicom.ledger.transactions import Transactions
from media2dicom.model import SourceStudy


class RunBook(Transactions):
    """The runs. A run that is begun again, with the same ID, is the same run."""

    def begin_run(
        self,
        run_id: str,
        manifest: Path,
        manifest_sha256: str,
        server: str | None,
        entries: Iterable[Entry],
        *,
        approval: bool = False,
        approved_in: str | None = None,
    ) -> None:
        """Record every row, all or none, before any work. A row known from before keeps what was done for it.

        `approval`: nothing of the run is sent but rows that a person approved, in this run before it was begun again
        or in the run `approved_in`.
        """
        with self._write() as connection:
            approvals = sa.select(RUN_ROWS.c.row_key).where(
                RUN_ROWS.c.run_id.in_([run_id, approved_in or run_id]), RUN_ROWS.c.approved
            )
            approved = list(connection.execute(approvals).scalars())
            for table in (RUNS, RUN_ROWS, SOURCES):
                connection.execute(table.delete().where(table.c.run_id == run_id))
            connection.execute(
                RUNS.insert().values(
                    run_id=run_id,
                    manifest=str(manifest),
                    manifest_sha256=manifest_sha256,
                    server=server,
                    started_at=_next_moment(connection),
                    approval=approval,
                )
            )
            enter_rows(connection, run_id, list(entries))
            _mark(connection, run_id, approved, approved=True)

    def begin_rows_again(self, run_id: str, numbers: Numbers | None = None) -> None:
        """Have another try at the run's rows (of that range) that it took and are not done, as a new run would.

        What is STORED or SKIPPED stays; what may be in the PACS becomes UNCERTAIN, the rest CHECKED.
        """
        with self._write() as connection:
            begin_again(connection, run_id, numbers)

    def finish_run(self, run_id: str, results: Path | None) -> None:
        self._set(run_id, finished_at=now(timespec="microseconds"), results=str(results) if results else None)

    def approve(self, run_id: str, row_keys: Collection[str], *, set_aside: Collection[str] = ()) -> None:
        """These rows shall be sent; on those set aside the run does not work."""
        with self._write() as connection:
            _mark(connection, run_id, row_keys, approved=True)
            _mark(connection, run_id, set_aside, taken=False)

    def decline(self, run_id: str) -> None:
        """Nothing of the run shall be sent, whatever was approved before."""
        with self._write() as connection:
            connection.execute(RUN_ROWS.update().where(of_run(run_id, None)).values(approved=False))

    def _set(self, run_id: str, **values: object) -> None:
        with self._write() as connection:
            connection.execute(RUNS.update().where(RUNS.c.run_id == run_id).values(**values))

    def move_manifest(self, old: Path, new: Path, results: tuple[Path, Path] | None = None) -> None:
        """The manifest has another path now: its runs follow. Both as they were given to `begin_run`: absolute.

        `results`: old and new path of its result workbook, when that goes along.
        """
        with self._write() as connection:
            connection.execute(RUNS.update().where(RUNS.c.manifest == str(old)).values(manifest=str(new)))
            if results is not None:
                before, after = map(str, results)
                where = sa.and_(RUNS.c.manifest == str(new), RUNS.c.results == before)
                connection.execute(RUNS.update().where(where).values(results=after))

    def run(self, run_id: str) -> Run | None:
        with self._read() as connection:
            found = connection.execute(RUNS.select().where(RUNS.c.run_id == run_id)).mappings().first()
        return _run(found) if found is not None else None

    def runs(self, manifest: Path | None = None, *, unfinished: bool = False, limit: int | None = None) -> list[Run]:
        """The runs, of one manifest or all, latest first. `unfinished`: only those that have not ended."""
        query = RUNS.select().order_by(RUNS.c.started_at.desc()).limit(limit)
        if manifest is not None:
            query = query.where(RUNS.c.manifest == str(manifest))
        if unfinished:
            query = query.where(RUNS.c.finished_at.is_(None))
        with self._read() as connection:
            return [_run(found) for found in connection.execute(query).mappings()]

    # --- source studies -----------------------------------------------------------------------------------------

    def source(self, run_id: str, study_key: str) -> SourceStudy | None:
        """The study as a run fetched it. Its header may be gone, or in the cache of another machine."""
        query = SOURCES.select().where(SOURCES.c.run_id == run_id, SOURCES.c.study_key == study_key)
        with self._read() as connection:
            found = connection.execute(query).mappings().first()
        if found is None:
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


def _next_moment(connection: Connection) -> str:
    """When a run begins that begins now: later than any before it, also after the clock was set back. What is the last
    run, and which of two has a row in hand, goes by it."""
    moment = now(timespec="microseconds")
    latest = connection.execute(sa.select(sa.func.max(RUNS.c.started_at))).scalar()
    if latest is None or latest < moment:
        return moment
    return (datetime.fromisoformat(latest) + timedelta(microseconds=1)).isoformat(timespec="microseconds")


def _mark(connection: Connection, run_id: str, row_keys: Collection[str], **values: bool) -> None:
    for part in chunks(list(row_keys)):
        where = sa.and_(of_run(run_id, None), RUN_ROWS.c.row_key.in_(part))
        connection.execute(RUN_ROWS.update().where(where).values(**values))


def _run(found: RowMapping) -> Run:
    return Run(
        run_id=found["run_id"],
        manifest=Path(found["manifest"]),
        manifest_sha256=found["manifest_sha256"],
        server=found["server"],
        started_at=found["started_at"],
        finished_at=found["finished_at"],
        results=Path(found["results"]) if found["results"] else None,
        approval=bool(found["approval"]),
    )
