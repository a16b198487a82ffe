"""What the ledger gives back, and how it is written down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter
from sqlalchemy.engine import RowMapping

from media2dicom.model import Instance, Outcome, Row, Status

ROW_JSON: Final = TypeAdapter(Row)
Numbers = tuple[int, int]  # a range of row numbers of the sheet: first and last, both inclusive
DONE_STATUSES: Final = frozenset({Status.STORED, Status.SKIPPED})  # nothing is left to do
SETTLED: Final = DONE_STATUSES | {Status.REFUSED, Status.CONFLICT}  # nothing can be done as things are
NOT_SENT: Final = frozenset({Status.CHECKED, Status.IDENTIFIED, Status.PREPARED})
ENDED: Final = SETTLED | {Status.FAILED}  # for this run; an UNCERTAIN row may still be settled by it
UNDER_WAY: Final = NOT_SENT | {Status.SENDING}
IN_DOUBT: Final = frozenset({Status.SENDING, Status.UNCERTAIN})  # the PACS may have it: it is asked first

Key = TypeVar("Key", str, int)
_CHUNK: Final = 500  # keys per statement: SQLite binds a limited number of values


@dataclass(frozen=True)
class InstanceState:
    """How an instance stands with the PACS."""

    status: Status
    store_status: int | None = None  # of the C-STORE; None: no answer
    verified: str = ""  # find, commitment


@dataclass(frozen=True)
class LedgerInstance:
    """An instance and how it stands with the PACS."""

    instance: Instance
    status: Status  # PREPARED, SENDING, UNCERTAIN, STORED, FAILED, CONFLICT
    store_status: int | None
    verified: str  # "", find, commitment
    attempts: int


@dataclass(frozen=True)
class LedgerRow:
    """A row of a run as the ledger knows it."""

    row_key: str
    row_number: int
    destination: str
    row_id: str
    media: str
    row: Row | None
    outcome: Outcome
    warnings: tuple[str, ...]  # all: of the sheet, its media and the PACS
    sheet_warnings: tuple[str, ...]
    study_key: str | None
    identified_run: str | None
    prepared_run: str | None
    checked_run: str | None
    stored_run: str | None
    attempts: int
    finished_at: str | None
    taken: bool  # whether the run works on it, or only shows it (a retry takes some rows)
    approved: bool = False  # in this run, by a person
    instances: tuple[LedgerInstance, ...] = ()

    @property
    def status(self) -> Status:
        return self.outcome.status

    @property
    def is_open(self) -> bool:
        """Whether work on this row may still succeed in this run."""
        return self.taken and self.may_pass

    @property
    def is_left(self) -> bool:
        """Whether a person may have it tried again."""
        return self.row is not None and self.status not in DONE_STATUSES

    @property
    def may_pass(self) -> bool:
        """Whether the row may be stored when it is tried again with nothing changed, in whatever run."""
        settled = self.row is None or self.status in SETTLED
        return not settled and (self.status != Status.FAILED or self.outcome.transient)


@dataclass(frozen=True)
class Entry:
    """One row of a manifest as it enters the ledger."""

    row_key: str
    row_number: int
    destination: str
    row_id: str
    media: str
    row: Row | None
    outcome: Outcome | None  # CHECKED, REFUSED or SKIPPED; None: a known row stays as it is
    warnings: tuple[str, ...] = ()  # of the sheet


@dataclass(frozen=True)
class Run:
    run_id: str
    manifest: Path
    manifest_sha256: str
    server: str | None
    started_at: str
    finished_at: str | None
    results: Path | None
    approval: bool = False  # nothing of it is sent but rows that a person approved


def outcome_values(outcome: Outcome) -> dict[str, object]:
    return {
        "status": outcome.status,
        "code": outcome.code,
        "message": outcome.message,
        "next_step": outcome.next_step,
        "transient": outcome.transient,
    }


def instance_values(instance: Instance) -> dict[str, object]:
    return {
        "number": instance.number,
        "sop_instance_uid": instance.sop_instance_uid,
        "sop_class_uid": instance.sop_class_uid,
        "series_instance_uid": instance.series_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "path": str(instance.path),
        "size_bytes": instance.size_bytes,
    }


def ledger_row(found: RowMapping) -> LedgerRow:
    sheet_warnings = json.loads(found["sheet_warnings"] or "[]")
    return LedgerRow(
        row_key=found["row_key"],
        row_number=found["row_number"],
        destination=found["destination"],
        row_id=found["row_id"],
        media=found["media"],
        row=ROW_JSON.validate_json(found["row"]) if found["row"] else None,
        outcome=Outcome(
            Status(found["status"]), found["code"], found["message"], found["next_step"], bool(found["transient"])
        ),
        warnings=tuple(dict.fromkeys([*sheet_warnings, *json.loads(found["warnings"])])),
        sheet_warnings=tuple(sheet_warnings),
        study_key=found["study_key"],
        identified_run=found["identified_run"],
        prepared_run=found["prepared_run"],
        checked_run=found["checked_run"],
        stored_run=found["stored_run"],
        attempts=found["attempts"],
        finished_at=found["finished_at"],
        taken=bool(found["taken"]),
        approved=bool(found["approved"]),
    )


def ledger_instance(found: RowMapping) -> LedgerInstance:
    return LedgerInstance(
        instance=Instance(
            sop_instance_uid=found["sop_instance_uid"],
            sop_class_uid=found["sop_class_uid"],
            series_instance_uid=found["series_instance_uid"],
            study_instance_uid=found["study_instance_uid"],
            transfer_syntax_uid=found["transfer_syntax_uid"],
            path=Path(found["path"]),
            size_bytes=found["size_bytes"],
            number=found["number"],
        ),
        status=Status(found["status"]),
        store_status=found["store_status"],
        verified=found["verified"],
        attempts=found["attempts"],
    )


def now(timespec: str = "seconds") -> str:
    """The moment as the ledger writes it: ISO 8601, UTC, so that text sorts as time does."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def chunks(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    """`keys` in parts that fit one statement."""
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]
