"""Our side's sockets: pynetdicom's, with what they lack.

Time limits that hold in mid transfer, every address of a host name, no 40 ms stall per message, the reason of a
failure kept instead of only logged. Uses private names of pynetdicom 3.0 (pinned in pyproject, tested).
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import struct
import sys
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.transport import AddressInformation, AssociationSocket, RequestHandler, ThreadedAssociationServer

from media2dicom.dicom.part10 import IMPLEMENTATION_VERSION_NAME
from media2dicom.dicom.uids import IMPLEMENTATION_CLASS_UID
from media2dicom.settings import Server, Timeouts

_RECEIVE_BYTES = 1 << 18
_STOP_POLL_S = 0.02


@dataclass
class Course:
    """How a connection went, for naming its fault: what failed, what was received first, who closed.

    `answered` says that whoever asked for the association was told something before the time limit: what came
    later (a slow PACS, read while the connection is being ended) says nothing about what the peer is.
    """

    connected: bool = False
    opened: bool = False  # the TLS handshake, too
    answered: bool = False
    failure: OSError | None = None
    first_bytes: bytes = b""
    closed_by_peer: bool = field(default=False)


class Transport(AssociationSocket):
    """The socket of one association that we request. Blocking operations end by `timeouts` or by an error."""

    def __init__(self, assoc: Association, server: Server, timeouts: Timeouts, tls: ssl.SSLContext | None) -> None:
        self.server = server
        self.timeouts = timeouts
        self.tls_context = tls
        self.course = Course()
        super().__init__(assoc, address=AddressInformation("", 0))
        assoc.bind(evt.EVT_ACSE_RECV, self._note_answer)

    def _note_answer(self, _event: evt.Event) -> None:
        self.course.answered = True

    @property
    def _is_connected(self) -> bool:
        """pynetdicom's negotiation, in the thread of who asks, looks at it before it waits for the answer.

        By then a fast peer may have rejected the association and closed: the answer is in the queue all the same.
        """
        answer_waits = self.course.opened and not self.course.answered
        return self._is_open or (answer_waits and threading.current_thread() is not self.assoc.dul)

    @_is_connected.setter
    def _is_connected(self, value: bool) -> None:
        self._is_open = value

    def _create_socket(self, address: AddressInformation) -> Any:
        return None  # made in connect(), in the family of the address that answers

    def connect(self, primitive: Any) -> None:
        """Connect to the first address of the host that answers; complete the TLS handshake."""
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection((self.server.host, self.server.port), timeout=self.timeouts.connect)
            self.course.connected = True
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls_context is not None:
                sock = self.tls_context.wrap_socket(sock, server_hostname=self.server.host)
            sock.settimeout(None)
            _limit_stalls(sock, self.timeouts.stall)
            self.assoc.requestor.address_info = AddressInformation.from_tuple(sock.getsockname())
        except OSError as error:
            self.course.failure = error
            if sock is not None:
                sock.close()
            primitive.result = "Evt17"
        else:
            self.socket = sock
            self._is_open = self.course.opened = True
            evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": primitive.address_info.as_tuple})
            primitive.result = "Evt2"
        finally:
            self.provider_queue.put(primitive)
            self._ready.set()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, or less when the peer closed. Raises OSError."""
        sock = self.socket
        if sock is None:
            raise ConnectionError("the socket is closed")
        received = bytearray()
        try:
            while len(received) < nr_bytes:
                piece = sock.recv(min(nr_bytes - len(received), _RECEIVE_BYTES))
                if not piece:
                    self.course.closed_by_peer = True
                    break
                received += piece
                _acknowledge_at_once(sock)
        except OSError as error:
            self.course.failure = self.course.failure or error
            raise
        finally:
            if not self.course.first_bytes:
                self.course.first_bytes = bytes(received[:16])
        return received

    def send(self, bytestream: bytes) -> None:
        """Send all, or put Evt17 (transport connection closed, PS3.8 9.2.3)."""
        sock = self.socket
        try:
            if sock is None:
                raise ConnectionError("the socket is closed")
            view = memoryview(bytestream)
            while view:
                view = view[sock.send(view) :]
            evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})
        except OSError as error:
            self.course.failure = self.course.failure or self._alert() or error
            self.event_queue.put("Evt17")

    def _alert(self) -> ssl.SSLError | None:
        """The TLS alert behind a failed write, e.g. that a client certificate is wanted (known late in TLS 1.3)."""
        if not isinstance(self.socket, ssl.SSLSocket):
            return None
        try:
            self.socket.settimeout(1)
            self.socket.recv(1)
        except ssl.SSLEOFError:
            return None
        except ssl.SSLError as alert:
            return alert
        except OSError:
            return None
        return None

    def _shutdown_socket(self) -> None:
        close_socket(self)


def keep_answers(association: Association) -> None:
    """Let no answer be lost between pynetdicom's two threads.

    Its reactor thread may take a message from the queue just after a `send_...` call paused it, and drops what is
    no request: measured, 1 C-FIND answer in some 100 under load, so that a study looks absent. Here the reactor
    gets N-EVENT-REPORT requests only; everything else waits for whoever asked.
    """
    dimse = association.dimse
    take = dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        if not block:
            message = dimse.peek_msg()[1]
            if not isinstance(message, N_EVENT_REPORT) or message.MessageIDBeingRespondedTo is not None:
                return None, None
        return take(block)

    dimse.get_msg = get_msg  # type: ignore[method-assign]


def ignore_late_aborts(association: Association) -> None:
    """An abort that we ask for while the peer's close is awaited (Sta13) comes to nothing: the end is under way.

    pynetdicom's state table has no such row (PS3.8 Table 9-10 leaves it to the implementation), and its reactor
    thread would die of it.
    """
    machine = association.dul.state_machine
    do_action = machine.do_action

    def careful(event: str) -> None:
        if event == "Evt15" and machine.current_state == "Sta13":
            return
        do_action(event)

    machine.do_action = careful  # type: ignore[method-assign]


def name_implementation(ae: AE) -> None:
    """Implementation Class UID and Version Name in association negotiation (PS3.7 D.3.3.2): ours, not the library's."""
    ae.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME


class SafeAE(AE):
    """An application entity whose requested associations lose no answers."""

    def __init__(self, ae_title: str) -> None:
        super().__init__(ae_title)
        name_implementation(self)

    def _create_socket(self, assoc: Association, address: Any, tls_args: Any) -> AssociationSocket:
        keep_answers(assoc)
        ignore_late_aborts(assoc)
        return super()._create_socket(assoc, address, tls_args)


class Requestor(AE):
    """Our application entity as association requestor, with `Transport` beneath."""

    def __init__(self, ae_title: str, server: Server, timeouts: Timeouts, tls: ssl.SSLContext | None) -> None:
        super().__init__(ae_title)
        name_implementation(self)
        self._server, self._timeouts, self._tls = server, timeouts, tls
        self.transport: Transport | None = None

    def _create_socket(self, assoc: Association, address: object, tls_args: object) -> Transport:
        keep_answers(assoc)
        ignore_late_aborts(assoc)
        self.transport = Transport(assoc, self._server, self._timeouts, self._tls)
        return self.transport


class _Acceptor(RequestHandler):
    """Accepts an association on a socket without the 40 ms stall, and closed for certain."""

    def _create_association(self) -> Association:
        accepted = self.request
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = super()._create_association()
        ignore_late_aborts(association)
        wrapped = association.dul.socket
        assert wrapped is not None
        wrapped._shutdown_socket = functools.partial(close_socket, wrapped)  # type: ignore[method-assign]
        if isinstance(self.server, _Server):
            self.server.accepted.add(wrapped)
        return association


class _Server(ThreadedAssociationServer):
    """Closes what it accepted when it stops, also connections that never became an association."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # handed on as they are
        self.accepted: weakref.WeakSet[AssociationSocket] = weakref.WeakSet()
        super().__init__(*arguments, **options)

    def shutdown(self) -> None:
        super().shutdown()
        for wrapped in list(self.accepted):
            close_socket(wrapped)


def start_server(
    ae: AE, address: tuple[str, int], handlers: Sequence[Any], tls: ssl.SSLContext | None = None
) -> ThreadedAssociationServer:
    """As `ae.start_server(block=False)`, which takes up to half a second to stop. Raises OSError."""
    server = ae.make_server(
        address,
        ssl_context=tls,
        evt_handlers=list(handlers),
        server_class=_Server,
        request_handler=_Acceptor,
    )
    assert isinstance(server, _Server)
    threading.Thread(target=server.serve_forever, args=(_STOP_POLL_S,), daemon=True).start()
    ae._servers.append(server)
    return server


def close_socket(wrapped: AssociationSocket | None) -> None:
    """Close for certain. pynetdicom leaves a socket open when its shutdown fails or its thread died of garbage."""
    sock = None if wrapped is None else wrapped.socket  # once: the other thread takes it away at any moment
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        sock.close()


def _limit_stalls(sock: socket.socket, stall_s: float) -> None:
    """End a send to a peer that stopped reading: pynetdicom's own timeouts do not reach it."""
    if sys.platform != "win32":  # Windows wants milliseconds in another layout
        seconds = int(stall_s)
        limit = struct.pack("ll", seconds, int((stall_s - seconds) * 1_000_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(stall_s * 1000)))


def _acknowledge_at_once(sock: socket.socket) -> None:
    """Peers with Nagle on write a response in two pieces; the second waits 40 ms for a delayed acknowledgement.

    The kernel clears the option by itself, so it is set again after each read (tcp(7)).
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
