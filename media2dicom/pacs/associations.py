"""Associations that we request, and every way they fail told apart. C-ECHO. Retries are the caller's (tasks/)."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import from a table

from media2dicom.errors import (
    AssociationRejected,
    NoPresentationContext,
    PacsBusy,
    PacsError,
    PacsNotDicom,
    PacsUnreachable,
    RowRefused,
    TlsFailed,
)
from media2dicom.pacs.transport import Requestor, Transport, close_socket
from media2dicom.settings import Server, Settings

MAX_CONTEXTS: Final = 128  # presentation context IDs are the odd numbers 1 to 255 (PS3.8 9.3.2.2)

MINIMUM_TLS: Final = ssl.TLSVersion.TLSv1_2  # PS3.15 B.9 (BCP 195)

_A_ABORT: Final = 0x07  # PDU type (PS3.8 9.3.8)
_TLS_ALERT: Final = 0x15  # record type (RFC 8446 5.1)

# (source, reason) of an A-ASSOCIATE-RJ (PS3.8 9.3.4)
REJECTIONS: Final = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given (ACSE)",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded: too many associations",
}
TRANSIENT: Final = 2  # result "rejected-transient" (PS3.8 9.3.4)
PRESENTATION_LAYER: Final = 3  # source "service-provider (presentation related function)"


@contextmanager
def associate(
    server: Server,
    settings: Settings,
    contexts: Sequence[PresentationContext],
    *,
    ext_neg: Sequence[Any] | None = None,  # pynetdicom's negotiation items have no common base
    evt_handlers: Sequence[Any] | None = None,  # pynetdicom's (event, handler[, args]) tuples
) -> Iterator[Association]:
    """An established association; released on leaving, aborted when leaving by an error.

    Raises PacsUnreachable, PacsNotDicom, TlsFailed, AssociationRejected, PacsBusy, NoPresentationContext.
    """
    association = open_association(server, settings, contexts, ext_neg=ext_neg, evt_handlers=evt_handlers)
    try:
        yield association
    except RowRefused:  # a finding about a row, not about the association
        close_association(association)
        raise
    except BaseException:
        close_association(association, abort=True)
        raise
    else:
        close_association(association)


def open_association(
    server: Server,
    settings: Settings,
    contexts: Sequence[PresentationContext],
    *,
    ext_neg: Sequence[Any] | None = None,
    evt_handlers: Sequence[Any] | None = None,
) -> Association:
    """As `associate`, for callers whose association outlives a block; end it with `close_association`."""
    timeouts = settings.timeouts
    tls = tls_context(server)
    entity = Requestor(settings.ae_title, server, timeouts, tls)
    entity.connection_timeout = timeouts.connect
    entity.acse_timeout = timeouts.acse
    entity.dimse_timeout = timeouts.dimse
    entity.network_timeout = max(timeouts.dimse, timeouts.store_floor)  # idle between two messages
    try:
        association = entity.associate(
            "0.0.0.0",  # noqa: S104  # not bound: Transport.connect resolves the host and tries each address
            server.port,
            contexts=list(contexts),
            ae_title=server.ae_title,
            ext_neg=list(ext_neg or ()),
            evt_handlers=list(evt_handlers or ()),
        )
    except OSError as error:
        raise PacsUnreachable(f"{place(server)}: no socket could be made ({error.strerror}).") from None
    if not association.is_established:
        assert entity.transport is not None
        close_socket(entity.transport)
        raise _fault(server, association, entity.transport, timeouts.acse)
    return association


def close_association(association: Association, *, abort: bool = False) -> None:
    """Release or abort, unless it is over already."""
    if association.is_established:
        if abort:
            association.abort()
        else:
            association.release()
    close_socket(association.dul.socket)


def echo(server: Server, settings: Settings) -> None:
    """C-ECHO (PS3.4 A). Raises what `associate` raises, and PacsUnreachable when the echo is not answered."""
    with associate(server, settings, [build_context(Verification)]) as association:
        try:
            answer = association.send_c_echo()
        except (RuntimeError, ValueError):  # lost in the moment of sending
            raise PacsUnreachable(
                f"{place(server)} accepts the association, but it was lost before the C-ECHO."
            ) from None
        if "Status" not in answer:
            raise PacsUnreachable(f"{place(server)} accepts the association but does not answer the C-ECHO.")
        if answer.Status != 0x0000:
            raise PacsError(f"{place(server)} answers the C-ECHO with status 0x{answer.Status:04X}.")


def place(server: Server) -> str:
    """How messages name a server: AE title, host and port."""
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{server.ae_title} at {host}:{server.port}"


def tls_context(server: Server) -> ssl.SSLContext | None:
    """The TLS context of a server, None without TLS. Raises TlsFailed when a certificate file is unusable."""
    tls = server.tls
    if tls is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=tls.ca_file)
        context.minimum_version = MINIMUM_TLS
        context.check_hostname = tls.verify_host
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = ", ".join(str(path) for path in (tls.ca_file, tls.cert_file, tls.key_file) if path)
        reason = getattr(error, "strerror", None) or "not readable as PEM"
        raise TlsFailed(f"{place(server)}: the TLS files ({files}) cannot be used: {reason}.") from None
    return context


def _fault(server: Server, association: Association, transport: Transport, acse_s: float) -> PacsError:
    """Name why an association was not established."""
    where, course = place(server), transport.course
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return _rejection(where, answer.result, answer.result_source, answer.diagnostic)
    if answer is not None and answer.result == 0:
        return NoPresentationContext(f"{where} accepts none of the proposed presentation contexts.")
    if not course.connected or isinstance(course.failure, ssl.SSLError):
        return _connection_fault(where, server, course.failure)
    if course.opened and not course.answered:
        return PacsUnreachable(f"{where} accepts connections but does not answer within {acse_s:g} s.")
    first = course.first_bytes
    if first[:1] == bytes([_TLS_ALERT]) and server.tls is None:
        return TlsFailed(f"{where} wants TLS; the server's settings have none.")
    if first[:1] == bytes([_A_ABORT]):
        return PacsUnreachable(f"{where} aborted the association request.")
    if first:
        return PacsNotDicom(f"{where} answers, but not in DICOM.")
    if server.tls is not None and isinstance(course.failure, ConnectionError):
        return _connection_fault(where, server, ssl.SSLEOFError())
    if course.closed_by_peer or isinstance(course.failure, ConnectionError):
        return PacsNotDicom(f"{where} accepts the connection and closes it without a DICOM answer.")
    if server.tls is not None and isinstance(course.failure, TimeoutError):
        return TlsFailed(f"{where} accepts connections but does not answer the TLS handshake.")
    return PacsUnreachable(f"{where} accepts connections but does not answer within {acse_s:g} s.")


def _rejection(where: str, result: int | None, source: int | None, reason: int | None) -> PacsError:
    words = REJECTIONS.get((source or 0, reason or 0), "reason not in the standard")
    kind = "transient" if result == TRANSIENT else "permanent"
    text = f"{where} rejected the association: {words} ({kind}, result {result}, source {source}, reason {reason})."
    # Some PACS call congestion permanent; the presentation layer's reasons are about the moment all the same.
    return PacsBusy(text) if result == TRANSIENT or source == PRESENTATION_LAYER else AssociationRejected(text)


def _connection_fault(where: str, server: Server, failure: OSError | None) -> PacsError:
    match failure:
        case ssl.SSLError():
            own = server.tls is not None and server.tls.cert_file is not None
            return TlsFailed(f"{where}: {_tls_cause(failure, own_certificate=own)}.")
        case socket.gaierror():
            return PacsUnreachable(f"{where}: the host name {server.host!r} cannot be resolved.")
        case TimeoutError():
            return PacsUnreachable(f"{where}: the connection timed out; nothing answers at that address.")
        case ConnectionRefusedError():
            return PacsUnreachable(f"{where}: connection refused; nothing listens on port {server.port}.")
        case OSError():
            return PacsUnreachable(f"{where}: cannot connect ({failure.strerror or type(failure).__name__}).")
        case _:
            return PacsUnreachable(f"{where}: cannot connect.")


# X509_V_ERR_... of OpenSSL's x509_vfy.h
_VERIFY_CAUSES: Final = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed and not among the trusted ones (ca_file)",
    19: "its certificate comes from an unknown authority (ca_file)",
    20: "its certificate comes from an unknown authority (ca_file)",
    21: "its certificate comes from an unknown authority (ca_file)",
    62: "its certificate is for another host name",
    64: "its certificate is for another IP address",
}
_REASON_CAUSES: Final = {
    "WRONG_VERSION_NUMBER": "the port does not speak TLS",
    "RECORD_LAYER_FAILURE": "the port does not speak TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a client certificate (cert_file, key_file)",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it refuses the TLS handshake; it may want a client certificate (cert_file)",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it refuses our client certificate (cert_file)",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it refuses our client certificate (cert_file)",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our client certificate has expired (cert_file)",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of our client certificate (cert_file)",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it speaks another version of TLS only",
    "UNSUPPORTED_PROTOCOL": "it speaks an outdated version of TLS only",
}


def _tls_cause(error: ssl.SSLError, *, own_certificate: bool) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CAUSES.get(error.verify_code, f"its certificate is refused: {error.verify_message}")
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        advice = "it may not accept our certificate" if own_certificate else "it may want a client certificate"
        return f"it closes the connection during the TLS handshake; {advice} (cert_file, key_file)"
    return _REASON_CAUSES.get(error.reason or "", f"the TLS handshake failed ({error.reason or 'no reason'})")
