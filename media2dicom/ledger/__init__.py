"""The durable record of rows, instances and attempts (SQLAlchemy: SQLite by default, PostgreSQL by URL).

The ledger is the truth; Prefect shows and steers. Every change is committed before the work that relies on it:
rows before any work, PREPARED after the files are on disk, SENDING before a byte goes out. Holds patient data
(the rows as submitted): its file is readable by its owner alone. How rows move on is decided in `steps/`.
"""

from media2dicom.ledger.book import Ledger
from media2dicom.ledger.claims import Content
from media2dicom.ledger.records import (
    DONE_STATUSES,
    ENDED,
    IN_DOUBT,
    NOT_SENT,
    SETTLED,
    UNDER_WAY,
    Entry,
    InstanceState,
    LedgerInstance,
    LedgerRow,
    Numbers,
    Run,
)

__all__ = [
    "DONE_STATUSES",
    "ENDED",
    "IN_DOUBT",
    "NOT_SENT",
    "SETTLED",
    "UNDER_WAY",
    "Content",
    "Entry",
    "InstanceState",
    "Ledger",
    "LedgerInstance",
    "LedgerRow",
    "Numbers",
    "Run",
]
