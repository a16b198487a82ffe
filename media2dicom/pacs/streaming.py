"""C-STORE of a file in pieces: memory stays flat whatever the file's size.

pynetdicom 3.0 puts every piece of a message on an unbounded queue before the first is sent. Here the pieces of the
data set go straight to the socket; with TLS, which must not be written while another thread reads, they go over
the queue, which is kept short. Judging the answer is not here (store.py).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from media2dicom.pacs.transport import Transport

_BLOCK_BYTES: Final = 1 << 20
MAX_PDV_BYTES: Final = 1 << 20  # for a peer that sets no limit (maximum length 0, PS3.8 D.1)
_PDU_HEADER: Final = struct.Struct(">BBIIBB")  # P-DATA-TF and PDV item headers (PS3.8 9.3.5, E.2)
_P_DATA_TF: Final = 0x04
_LAST_FRAGMENT: Final = 0x02
_QUEUED_PIECES: Final = 64
_READY: Final = "Sta6"  # association established (PS3.8 9.2.1)


class SendInterrupted(ConnectionError):
    """The connection ended, or the peer stopped reading, in mid send."""


def stream_files(association: Association) -> None:
    """Make `association.send_c_store(path)` stream."""
    plain = association.dimse.send_msg

    def send_msg(primitive: Any, context_id: int) -> None:  # any DIMSE primitive; they have no public base
        path = primitive._dataset_path if isinstance(primitive, C_STORE) else None
        if not isinstance(path, tuple):  # no data set from a file
            plain(primitive, context_id)
            return
        primitive._dataset_path = None
        _send(association, _command(association, primitive, context_id), path[0], path[1], context_id)

    association.dimse.send_msg = send_msg  # type: ignore[method-assign]


def _command(association: Association, request: C_STORE, context_id: int) -> list[P_DATA]:
    """The command set alone, saying that a data set follows (PS3.7 9.3.1.1)."""
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 0x0001  # any value but 0101H: a data set is present (PS3.7 E.1)
    message.data_set = None
    return list(message.encode_msg(context_id, association.dimse.maximum_pdu_size))


def _send(association: Association, command: list[P_DATA], path: Path, offset: int, context_id: int) -> None:
    limit = association.dimse.maximum_pdu_size or MAX_PDV_BYTES
    piece_bytes = min(limit, MAX_PDV_BYTES) - 6  # item length, context ID, control header
    transport = cast(Transport, association.dul.socket)
    if transport.tls_context is not None:
        for pdata in command:
            association.dul.send_pdu(pdata)
        for pieces, last in _blocks(path, offset, piece_bytes):
            _queue(association, pieces, last, context_id)
        return
    # The command goes the same way as the data: the queue is empty before its last item is on the socket.
    _write(transport, [memoryview(P_DATA_TF(pdata).encode()) for pdata in command])
    for pieces, last in _blocks(path, offset, piece_bytes):
        _write(transport, _framed(pieces, last, context_id))


def _blocks(path: Path, offset: int, piece_bytes: int) -> Iterator[tuple[list[memoryview], bool]]:
    """The file from `offset` in blocks of whole pieces, each with whether it is the last."""
    block = bytearray(max(1, _BLOCK_BYTES // piece_bytes) * piece_bytes)
    with path.open("rb", buffering=0) as file:
        remaining = os.fstat(file.fileno()).st_size - offset
        file.seek(offset)
        while remaining > 0:
            whole = memoryview(block)[: min(len(block), remaining)]
            filled = 0
            while filled < len(whole):
                read = file.readinto(whole[filled:])
                if not read:
                    raise SendInterrupted("the prepared file became shorter while it was sent")
                filled += read
            remaining -= filled
            yield [whole[start : start + piece_bytes] for start in range(0, filled, piece_bytes)], remaining == 0


def _framed(pieces: list[memoryview], last: bool, context_id: int) -> list[memoryview]:
    """Each piece with the headers of a P-DATA-TF PDU of one PDV before it."""
    framed = []
    for index, piece in enumerate(pieces):
        control = _LAST_FRAGMENT if last and index == len(pieces) - 1 else 0
        header = _PDU_HEADER.pack(_P_DATA_TF, 0, len(piece) + 6, len(piece) + 2, context_id, control)
        framed += [memoryview(header), piece]
    return framed


def _write(transport: Transport, buffers: list[memoryview]) -> None:
    sock = transport.socket
    if sock is None:
        raise SendInterrupted("the connection is closed")
    try:
        _send_all(sock, buffers)
    except OSError as error:
        transport.course.failure = transport.course.failure or error
        transport.event_queue.put("Evt17")
        raise SendInterrupted("the connection ended or the peer stopped reading") from None


def _send_all(sock: socket.socket, buffers: list[memoryview]) -> None:
    most = os.sysconf("SC_IOV_MAX") if "SC_IOV_MAX" in os.sysconf_names else 16
    first = 0
    while first < len(buffers):
        sent = sock.sendmsg(buffers[first : first + most])
        while first < len(buffers) and sent >= len(buffers[first]):
            sent -= len(buffers[first])
            first += 1
        if sent:
            buffers[first] = buffers[first][sent:]


def _queue(association: Association, pieces: list[memoryview], last: bool, context_id: int) -> None:
    for index, piece in enumerate(pieces):
        control = _LAST_FRAGMENT if last and index == len(pieces) - 1 else 0
        pdata = P_DATA()
        pdata.presentation_data_value_list.append((context_id, bytes([control]) + bytes(piece)))
        association.dul.send_pdu(pdata)
        _wait_for_queue(association, _QUEUED_PIECES)


def _wait_for_queue(association: Association, most: int) -> None:
    """Wait until at most `most` pieces wait to be sent. How long one may take is the socket's limit."""
    dul = association.dul
    while dul.to_provider_queue.qsize() > most:
        if dul.state_machine.current_state != _READY or not dul.is_alive():
            raise SendInterrupted("the connection ended")
        time.sleep(0.0002)
    if dul.state_machine.current_state != _READY or not dul.is_alive():
        raise SendInterrupted("the connection ended")
