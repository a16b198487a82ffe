"""What every step works with: settings, ledger, cache. Opened once per process."""

from __future__ import annotations

import logging
import threading
import uuid
from dataclasses import dataclass, field
from functools import cached_property

from media2dicom.cache import Cache, atomic_write
from media2dicom.errors import Media2DicomError, PacsError
from media2dicom.ledger import Ledger, LedgerRow
from media2dicom.model import Batch, Outcome, Status
from media2dicom.settings import Server, Settings

LOGGER = logging.getLogger("media2dicom")


class StudyLocks:
    """A lock per study, so that rows of one study, in whatever thread, fetch its header once."""

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
    study_locks: StudyLocks = field(default_factory=StudyLocks)

    @cached_property
    def installation_id(self) -> str:
        """Device Serial Number (0018,1000): a random name of this installation, made once."""
        path = self.settings.data_dir / "installation-id"
        if not path.is_file():
            with atomic_write(path) as file:
                file.write(uuid.uuid4().hex[:16].encode())
        return path.read_text(encoding="ascii").strip()

    def server(self, row: LedgerRow) -> Server:
        return self.settings.server(row.destination)[1]

    def open_rows(self, batch: Batch) -> list[LedgerRow]:
        """The batch's rows on which work may still succeed."""
        return [row for row in self.ledger.rows(batch.run_id, batch.row_keys) if row.is_open]

    def set_failure(
        self, row: LedgerRow, error: Media2DicomError, *, status: Status | None = None, progress: str = ""
    ) -> int:
        """Record why the row did not get on; 1 when that may pass, else 0."""
        if status is None:
            local = isinstance(error, PacsError) or error.transient
            status = Status.FAILED if local else Status.REFUSED
        self.ledger.set_outcome(
            row.row_key, Outcome(status, error.code, progress + error.message, error.next_step, error.transient)
        )
        LOGGER.info("Row %d: %s (%s)", row.row_number, status, error.code)
        return int(error.transient)


def open_workbench(settings: Settings) -> Workbench:
    return Workbench(settings, Ledger(settings.ledger_location), Cache(settings.cache_dir))
