"""Associations: C-ECHO with every PACS, and every way to fail named."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import build_context, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, Verification

from media2dicom.dicom.part10 import IMPLEMENTATION_VERSION_NAME
from media2dicom.dicom.uids import IMPLEMENTATION_CLASS_UID
from media2dicom.errors import (
    AssociationRejected,
    NoPresentationContext,
    PacsBusy,
    PacsError,
    PacsNotDicom,
    PacsUnreachable,
    TlsFailed,
    is_transient,
)
from media2dicom.pacs import associations
from media2dicom.pacs.associations import associate, echo
from media2dicom.settings import Server, Settings, Timeouts, Tls
from tests import peers

QUICK = Settings(timeouts=Timeouts(connect=1, acse=1, dimse=1, stall=1))  # for peers that never answer
USUAL = Settings()  # for those that do, which may take them a while on a busy machine


def test_echo_is_answered_by_every_pacs(pacs: peers.Peer, settings: Settings) -> None:
    echo(pacs.server(), settings)


def test_echo_over_an_association_lost_in_between_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    established = associations.open_association

    def lost(*arguments: Any, **options: Any) -> Association:
        association = established(*arguments, **options)
        association.abort()
        return association

    monkeypatch.setattr(associations, "open_association", lost)
    with peers.scp() as peer, pytest.raises(PacsUnreachable, match="lost before the C-ECHO"):
        echo(peer.server(), USUAL)


def test_association_is_over_after_the_block(pacs: peers.Peer, settings: Settings) -> None:
    with associate(pacs.server(), settings, [build_context(Verification)]) as association:
        assert association.is_established
    assert association.is_released
    with (
        pytest.raises(KeyError),
        associate(pacs.server(), settings, [build_context(Verification)]) as association,
    ):
        raise KeyError
    assert association.is_aborted


def test_associations_name_our_implementation_and_not_the_librarys(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def keep(event: Any) -> None:
        requestor = event.assoc.requestor
        asked.append((requestor.implementation_class_uid, requestor.implementation_version_name))

    with peers.scp(handlers=[(evt.EVT_REQUESTED, keep)]) as peer:
        echo(peer.server(), USUAL)
    with (
        peers.demo_pacs(tmp_path / "pacs") as pacs,
        associate(pacs.server(), USUAL, [build_context(Verification)]) as association,
    ):
        acceptor = association.acceptor
        answered = (acceptor.implementation_class_uid, acceptor.implementation_version_name)
    assert [answered] == asked == [(IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME)]


def test_host_may_be_a_name(tmp_path: Path) -> None:
    with peers.demo_pacs(tmp_path) as demo:
        echo(demo.server(host="localhost"), USUAL)


def test_host_may_be_an_ipv6_address(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with peers.demo_pacs(tmp_path, host="::1") as demo:
        echo(demo.server(), USUAL)


def test_closed_port_is_refused() -> None:
    with pytest.raises(PacsUnreachable, match="connection refused") as caught:
        echo(Server(host="127.0.0.1", port=peers.free_port(), ae_title="PACS"), USUAL)
    assert is_transient(caught.value)


def test_unknown_host_name_is_said() -> None:
    with pytest.raises(PacsUnreachable, match="cannot be resolved"):
        echo(Server(host="no-such-host.invalid", port=104, ae_title="PACS"), USUAL)


def test_black_hole_ends_within_the_connect_timeout() -> None:
    # A full backlog: the kernel drops further connection requests, as a firewall does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        begin = time.monotonic()
        try:
            with pytest.raises(PacsUnreachable, match=r"timed out|does not answer"):
                echo(Server(host="127.0.0.1", port=port, ae_title="PACS"), QUICK)
        finally:
            for filler in fillers:
                filler.close()
        assert time.monotonic() - begin < 5


def test_silent_server_is_said_to_be_silent() -> None:
    over = threading.Event()
    with peers.tcp(lambda _connection: over.wait(20) and None) as silent:
        with pytest.raises(PacsUnreachable, match="accepts connections but does not answer"):
            echo(silent.server(), QUICK)
        over.set()


def test_answer_after_the_time_limit_is_no_answer_and_may_be_tried_again() -> None:
    rejection = bytes.fromhex("03000000000400010107")  # PS3.8 9.3.4
    late = threading.Event()

    def slow(connection: socket.socket) -> None:
        connection.sendall(rejection[:3])
        late.wait(QUICK.timeouts.acse + 0.5)
        connection.sendall(rejection[3:])

    with peers.tcp(slow) as peer, pytest.raises(PacsUnreachable, match="does not answer within 1 s") as caught:
        echo(peer.server(), QUICK)
    assert is_transient(caught.value)


def test_http_server_is_not_dicom() -> None:
    with (
        peers.tcp(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as http,
        pytest.raises(PacsNotDicom, match="not in DICOM") as caught,
    ):
        echo(http.server(), USUAL)
    assert not is_transient(caught.value)


def test_server_that_hangs_up_is_not_dicom() -> None:
    with (
        peers.tcp(lambda connection: connection.recv(1 << 16) and None) as rude,
        pytest.raises(PacsNotDicom, match="closes it"),
    ):
        echo(rude.server(), USUAL)


def test_wrong_called_ae_title_is_rejected_with_the_reason(tmp_path: Path) -> None:
    for start in (peers.demo_pacs, peers.orthanc):
        with (
            start(tmp_path / start.__name__) as peer,
            pytest.raises(AssociationRejected, match="called AE title not recognized") as caught,
        ):
            echo(peer.server(ae_title="WRONG"), USUAL)
        assert not is_transient(caught.value)


def test_rejection_is_told_however_fast_it_comes(tmp_path: Path) -> None:
    over: list[str] = []

    def wait_for_the_end(event: evt.Event) -> None:  # between the request and the look whether there is a connection
        end = time.monotonic() + 10
        while not (event.assoc.dul.socket.course.first_bytes and event.assoc.dul.state_machine.current_state == "Sta1"):
            assert time.monotonic() < end
            time.sleep(0.005)
        over.append(event.assoc.dul.state_machine.current_state)

    with (
        peers.demo_pacs(tmp_path) as peer,
        pytest.raises(AssociationRejected, match="called AE title not recognized"),
        associate(
            peer.server(ae_title="WRONG"),
            USUAL,
            [build_context(Verification)],
            evt_handlers=[(evt.EVT_REQUESTED, wait_for_the_end)],
        ),
    ):
        pass
    assert over == ["Sta1"]


def test_too_many_associations_is_busy() -> None:
    with (
        peers.scp(maximum_associations=1) as full,
        associate(full.server(), USUAL, [build_context(Verification)]),
        pytest.raises(PacsBusy, match="too many associations") as caught,
    ):
        echo(full.server(), USUAL)
    assert is_transient(caught.value)


def test_no_accepted_context_is_said() -> None:
    with (
        peers.scp(classes=["1.2.840.10008.5.1.4.1.1.4"]) as other,
        pytest.raises(NoPresentationContext),
        associate(other.server(), USUAL, [build_context(CTImageStorage)]),
    ):
        pass


# --- TLS ----------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str, *, subject: str = "localhost", days: int = 2, begin: str | None = None) -> Tls:
    """A self-signed certificate and its key, as the settings name them."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    san = f"subjectAltName=DNS:{subject}" + (",IP:127.0.0.1" if subject == "localhost" else "")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(cert), "-subj", f"/CN={subject}", "-addext", san]
    subprocess.run([*command, "-days", str(days)], check=True, capture_output=True, env={**os.environ})
    return Tls(ca_file=cert, cert_file=cert, key_file=key)


def server_context(own: Tls, client_authority: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    assert own.cert_file is not None
    context.load_cert_chain(own.cert_file, own.key_file)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_echo_over_tls_with_client_certificates(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "theirs"), certificate(tmp_path, "ours", subject="client")
    with peers.scp(tls=server_context(theirs, ours.cert_file)) as peer:
        echo(peer.server(tls=ours.model_copy(update={"ca_file": theirs.ca_file})), USUAL)
        with pytest.raises(TlsFailed, match="client certificate"):
            echo(peer.server(tls=Tls(ca_file=theirs.ca_file)), USUAL)


def test_untrusted_certificate_is_named(tmp_path: Path) -> None:
    theirs, other = certificate(tmp_path, "theirs"), certificate(tmp_path, "other", subject="other")
    with (
        peers.scp(tls=server_context(theirs)) as peer,
        pytest.raises(TlsFailed, match=r"self-signed|unknown authority") as caught,
    ):
        echo(peer.server(tls=Tls(ca_file=other.ca_file)), USUAL)
    assert not is_transient(caught.value)


def test_certificate_for_another_host_is_named(tmp_path: Path) -> None:
    theirs = certificate(tmp_path, "theirs", subject="elsewhere.example")
    with peers.scp(tls=server_context(theirs)) as peer:
        with pytest.raises(TlsFailed, match=r"another (host name|IP address)"):
            echo(peer.server(tls=Tls(ca_file=theirs.ca_file)), USUAL)
        echo(peer.server(tls=Tls(ca_file=theirs.ca_file, verify_host=False)), USUAL)


def test_tls_to_a_plain_pacs_is_named(tmp_path: Path) -> None:
    own = certificate(tmp_path, "own")
    with peers.orthanc(tmp_path / "orthanc") as plain, pytest.raises(TlsFailed):
        echo(plain.server(tls=Tls(ca_file=own.ca_file)), USUAL)


def test_plain_to_a_tls_pacs_is_an_error_that_names_it(tmp_path: Path) -> None:
    own = certificate(tmp_path, "own")
    with peers.scp(tls=server_context(own)) as peer, pytest.raises((TlsFailed, PacsNotDicom)):
        echo(peer.server(), USUAL)


def test_missing_certificate_file_is_named(tmp_path: Path) -> None:
    server = Server(host="127.0.0.1", port=104, ae_title="PACS", tls=Tls(ca_file=tmp_path / "absent.pem"))
    with pytest.raises(TlsFailed, match=r"absent\.pem"):
        echo(server, USUAL)


def test_no_fault_shows_as_anything_but_a_pacs_error() -> None:
    garbage = [b"\x02\x00\x00\x00\x00\x04", b"\x03\x00\x00\x00\x00\x04\x00", b"\x07", b"\x16\x03\x01", bytes(64)]
    for reply in garbage:
        with (
            peers.tcp(lambda connection, reply=reply: connection.sendall(reply)) as peer,  # type: ignore[misc]
            pytest.raises(PacsError),
        ):
            echo(peer.server(), QUICK)
