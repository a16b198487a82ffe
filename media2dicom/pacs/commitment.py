"""Storage commitment, push model (PS3.4 J): ask the PACS to answer for instances, and wait for its report."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from media2dicom.errors import PacsError
from media2dicom.model import Instance
from media2dicom.pacs.associations import associate
from media2dicom.pacs.listener import Received, listening, report_handler
from media2dicom.settings import Server, Settings

REQUEST: Final = 1  # action type "request storage commitment" (PS3.4 J.3.2)


@dataclass(frozen=True)
class Commitment:
    """SOP Instance UIDs that the PACS took charge of, and those that it says it cannot. The rest: no report."""

    committed: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


def request(server: Server, settings: Settings, instances: Sequence[Instance]) -> Commitment:
    """Ask, and wait at most timeouts.dimse for the report. Never raises: no report is an empty Commitment."""
    transaction = Dataset()
    transaction.TransactionUID = transaction_uid = generate_uid()
    transaction.ReferencedSOPSequence = [_reference(instance) for instance in instances]
    with suppress(PacsError), listening(server, settings) as listener, listener.expect(transaction_uid) as inbox:
        # A PACS reports on this association, or on a new one to our listener, even before it answered us.
        handlers = [(evt.EVT_N_EVENT_REPORT, report_handler(listener))]
        contexts = [build_context(StorageCommitmentPushModel)]
        asked = {instance.sop_instance_uid for instance in instances}
        with associate(server, settings, contexts, evt_handlers=handlers) as association:
            try:
                status, _ = association.send_n_action(
                    transaction, REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
            except (RuntimeError, ValueError):  # lost, or the class was not accepted
                return Commitment()
            if status.get("Status") == 0x0000:
                return _wait(inbox, asked, settings.timeouts.dimse)
    return Commitment()


def _wait(inbox: queue.Queue[Received], asked: set[str], limit_s: float) -> Commitment:
    committed: set[str] = set()
    failed: set[str] = set()
    end = time.monotonic() + limit_s
    while committed | failed != asked:  # some PACS report in parts
        try:
            report = inbox.get(timeout=max(0.0, end - time.monotonic())).report
        except queue.Empty:
            break
        assert report is not None
        try:
            taken, refused = _uids(report, "ReferencedSOPSequence"), _uids(report, "FailedSOPSequence")
        except Exception:  # noqa: BLE001  # whatever a foreign PACS's bytes make pydicom raise: no report
            break
        committed |= asked & taken
        failed |= asked & refused
    return Commitment(frozenset(committed - failed), frozenset(failed))


def _reference(instance: Instance) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return item


def _uids(report: Dataset, keyword: str) -> set[str]:
    return {str(item.get("ReferencedSOPInstanceUID", "")) for item in report.get(keyword) or ()}
