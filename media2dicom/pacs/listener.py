"""Our own SCP on settings.port: the target of C-MOVE and of storage commitment reports.

One listener for all threads of a process, there while at least one of them waits. It takes only what is waited
for: an instance or a report that nobody asked for is refused.
"""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    StorageCommitmentPushModel,
    Verification,
)

from media2dicom.errors import RetrieveFailed
from media2dicom.pacs.syntaxes import RECEIVABLE, STORAGE_CLASSES
from media2dicom.pacs.transport import name_implementation, start_server
from media2dicom.settings import Server, Settings

MAX_ASSOCIATIONS: Final = 64
SUCCESS: Final = 0x0000
REFUSED: Final = 0x0124  # not authorized (PS3.7 C.5.12): nobody waits for the instance
UNREADABLE_REPORT: Final = 0x0110  # processing failure
UNKNOWN_REPORT: Final = 0x0112  # no such object instance: nobody waits for the report


@dataclass(frozen=True)
class Received:
    """What came for a waiter: a stored instance (Part 10 bytes), or a commitment report."""

    part10: BytesIO | None = None
    report: Dataset | None = None


@dataclass
class Listener:
    """A running SCP and who waits for what: SOP Instance UID or Transaction UID to queues."""

    ae: AE
    waiters: dict[str, list[queue.Queue[Received]]] = field(default_factory=lambda: defaultdict(list))
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def expect(self, uid: str) -> Iterator[queue.Queue[Received]]:
        """A queue on which everything with that UID arrives while the block runs."""
        inbox: queue.Queue[Received] = queue.Queue()
        with self.lock:
            self.waiters[uid].append(inbox)
        try:
            yield inbox
        finally:
            with self.lock:
                self.waiters[uid].remove(inbox)
                if not self.waiters[uid]:
                    del self.waiters[uid]

    def deliver(self, uid: str, received: Received) -> bool:
        """Hand over to whoever waits; False when nobody does."""
        with self.lock:
            inboxes = list(self.waiters.get(uid, ()))
        for inbox in inboxes:
            inbox.put(received)
        return bool(inboxes)

    def expects(self, uid: str) -> bool:
        with self.lock:
            return uid in self.waiters


_listeners: dict[tuple[str, int, str], Listener] = {}
_listeners_lock = threading.Lock()


@contextmanager
def listening(server: Server, settings: Settings) -> Iterator[Listener]:
    """The process's listener on settings.port. Raises RetrieveFailed when the port cannot be had."""
    address = "::" if ":" in server.host else "0.0.0.0"  # noqa: S104  # the PACS calls from another machine
    key = (address, settings.port, settings.ae_title)
    with _listeners_lock:
        listener = _listeners.get(key)
        if listener is None:
            listener = _listeners[key] = _start(address, settings)
        listener.users += 1
    try:
        yield listener
    finally:
        with _listeners_lock:
            listener.users -= 1
            if not listener.users:
                del _listeners[key]
                listener.ae.shutdown()


def report_handler(listener: Listener) -> Any:
    """A handler of N-EVENT-REPORT (PS3.4 J.3.3), also for our own association: PACS send it on either."""

    def on_event_report(event: Any) -> tuple[int, None]:  # pynetdicom's Event sets its attributes dynamically
        try:
            report = event.event_information
            uid = str(report.TransactionUID)
        except (AttributeError, ValueError):
            return UNREADABLE_REPORT, None
        return (SUCCESS if listener.deliver(uid, Received(report=report)) else UNKNOWN_REPORT), None

    return on_event_report


def _start(address: str, settings: Settings) -> Listener:
    ae = AE(settings.ae_title)
    name_implementation(ae)
    ae.require_called_aet = True
    ae.acse_timeout = settings.timeouts.acse
    ae.dimse_timeout = settings.timeouts.dimse
    ae.network_timeout = settings.timeouts.dimse
    ae.maximum_associations = MAX_ASSOCIATIONS
    ae.add_supported_context(Verification)
    # Reports come on an association that the PACS requests while staying the SCP (PS3.4 J.3.3).
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    for sop_class_uid in STORAGE_CLASSES:
        ae.add_supported_context(sop_class_uid, list(RECEIVABLE))
    listener = Listener(ae)

    def on_store(event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if not listener.expects(uid):
            return REFUSED
        listener.deliver(uid, Received(part10=BytesIO(event.encoded_dataset())))
        return SUCCESS

    handlers: list[Any] = [
        (evt.EVT_C_STORE, on_store),
        (evt.EVT_C_ECHO, lambda _event: SUCCESS),
        (evt.EVT_N_EVENT_REPORT, report_handler(listener)),
    ]
    try:
        start_server(ae, (address, settings.port), handlers)
    except OSError as error:
        raise RetrieveFailed(
            f"Our own port {settings.port} cannot be listened on ({error.strerror}).",
            next_step="Free the port, or set another one (port) and tell the PACS; then retry.",
        ) from None
    return listener
