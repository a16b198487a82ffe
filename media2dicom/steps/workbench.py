"""What every step works with: settings, ledger, cache. Opened once per process."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

from filelock import FileLock

from media2dicom.cache import Cache, atomic_write
from media2dicom.dicom.uids import content_key
from media2dicom.errors import Media2DicomError, RowRefused, UploadConflict, sealed
from media2dicom.ledger import IN_DOUBT, Content, Ledger, LedgerRow
from media2dicom.locks import is_under_way, lock_path
from media2dicom.model import Batch, Outcome, Row, Status
from media2dicom.settings import Settings
from media2dicom.slots import ServerSlots, Slots, names_of_place

LOGGER = logging.getLogger("media2dicom")


class Locks:
    """A lock per name: rows of one study, in whatever thread, fetch its header once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def __getitem__(self, key: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(key, threading.Lock())


@dataclass(frozen=True)
class Workbench:
    settings: Settings
    ledger: Ledger
    cache: Cache
    server_slots: Slots
    locks: Locks = field(default_factory=Locks)

    @cached_property
    def installation_id(self) -> str:
        """Device Serial Number (0018,1000): a random name of this installation, made once."""
        path = self.settings.data_dir / "installation-id"
        with FileLock(lock_path(self.settings, "installation-id")):
            if not path.is_file():
                with atomic_write(path) as file:
                    file.write(uuid.uuid4().hex[:16].encode())
        return path.read_text(encoding="ascii").strip()

    def open_rows(self, batch: Batch) -> list[LedgerRow]:
        """The batch's rows on which work may still succeed."""
        return [row for row in self.ledger.rows(batch.run_id, batch.row_keys) if row.is_open]

    def set_failure(self, row: LedgerRow, error: Media2DicomError) -> int:
        """Record why the row did not get as far as being sent; 1 when that may pass, else 0."""
        status = status_of(error, in_doubt=row.status in IN_DOUBT)
        before = "Sent before without an answer, so the PACS may have it. " if status == Status.UNCERTAIN else ""
        return self.end_row(row, status, error, before + error.message)

    def guarded(self, row: LedgerRow, doing: str, work: Callable[[], None]) -> int:
        """Do a step's work on a row. Whatever it raises is the row's failure and no other row's; 1 when that may pass.

        `doing`: begins the message of an error that is not of this project, "Converting".
        """
        try:
            with sealed(f"{doing} row {row.row_number}"):
                work()
        except Media2DicomError as error:
            return self.set_failure(row, error)
        return 0

    def end_row(self, row: LedgerRow, status: Status, error: Media2DicomError, message: str) -> int:
        """Record how the row ended for now; 1 when that may pass, else 0."""
        outcome = Outcome(status, error.code, message, error.next_step, error.transient)
        self.ledger.set_outcome(row.row_key, outcome)
        LOGGER.info("Row %d: %s (%s)", row.row_number, status, error.code)
        return int(error.transient)


def submitted(row: LedgerRow) -> Row:
    """What the submitter wrote in an open row."""
    if row.row is None:
        raise ValueError("an open row was read from its manifest")
    return row.row


def status_of(error: Media2DicomError, *, in_doubt: bool, partly_stored: bool = False) -> Status:
    """The status of a row that ends with this error.

    In doubt, because an earlier send may have arrived, it stays so whatever fails now. REFUSED says that nothing of
    the row was sent.
    """
    if isinstance(error, UploadConflict):
        return Status.CONFLICT
    if in_doubt:
        return Status.UNCERTAIN
    return Status.REFUSED if isinstance(error, RowRefused) and not partly_stored else Status.FAILED


def content_of(settings: Settings, destination: str, study_instance_uid: str, row: Row) -> Content:
    """What the row files, as the ledger's claims know it."""
    places = names_of_place(settings, destination)
    return Content(content_key(study_instance_uid, row), places, partial(is_under_way, settings))


def open_workbench(settings: Settings, server_slots: Slots | None = None) -> Workbench:
    """`server_slots`: instead of those that the processes of this machine share. Raises LedgerFailed, SettingsError."""
    ledger, cache = Ledger(settings.ledger_location), Cache(settings.cache_dir)
    return Workbench(settings, ledger, cache, server_slots or ServerSlots(settings))
