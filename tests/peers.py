"""The one home of what the tests talk to: Orthanc, DCMTK's dcmqrscp, the embedded PACS, odd SCPs, PostgreSQL.

Every peer is started on a free port, waited for by asking it something, and stopped by its own process id.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, build_context, evt
from pynetdicom.sop_class import Verification

from media2dicom.errors import PacsError
from media2dicom.pacs.associations import associate, echo
from media2dicom.pacs.demo import DemoPacs
from media2dicom.pacs.syntaxes import COMPRESSED, UNCOMPRESSED
from media2dicom.pacs.transport import start_server
from media2dicom.settings import Server, Settings

PEER_MISSING = "peer missing"
_PEERS = "orthanc dcmtk libgdcm-tools postgresql redis-server systemd chromium chromium-driver"
HOW_TO_GET_PEERS = f"apt-get install {_PEERS}"
OUR_AE_TITLE = "MEDIA2DICOM"
_READY_WITHIN_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def binary(name: str) -> str:
    """The path of an installed program. Without it the test is skipped on a laptop and fails in CI."""
    postgresql = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    beside = os.pathsep.join(["/usr/sbin", "/usr/local/sbin", *postgresql])
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        reason = f"{PEER_MISSING}: {name} ({HOW_TO_GET_PEERS})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass(frozen=True)
class Peer:
    """A running PACS. `our_port`: where it reaches us for C-MOVE and storage commitment."""

    name: str
    port: int
    ae_title: str
    our_port: int
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def server(self, **overrides: Any) -> Server:
        return Server(**{"host": self.host, "port": self.port, "ae_title": self.ae_title, **overrides})

    def settings(self, folder: Path, **overrides: Any) -> Settings:
        values = {
            "port": self.our_port,
            "servers": {"pacs": self.server()},
            "cache_dir": folder / "cache",
            "data_dir": folder / "data",
        }
        return Settings(**{**values, **overrides})

    def load(self, sources: Sequence[Path | Dataset]) -> list[Dataset]:
        """C-STORE files or data sets into the PACS, as they are; every one must be accepted."""
        datasets = [source if isinstance(source, Dataset) else dcmread(source) for source in sources]
        pairs = {(str(one.SOPClassUID), str(one.file_meta.TransferSyntaxUID)) for one in datasets}
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(pairs)]
        settings = Settings(ae_title="LOADER", port=self.our_port)
        with associate(self.server(), settings, contexts) as association:
            for one in datasets:
                status = association.send_c_store(one)
                assert status.Status == 0x0000, f"{self.name} answers 0x{status.Status:04X} to a test file"
        return datasets


@contextmanager
def demo_pacs(folder: Path, **options: Any) -> Iterator[Peer]:
    """The embedded PACS."""
    our_port = free_port()
    with DemoPacs(folder, destinations={OUR_AE_TITLE: ("127.0.0.1", our_port)}, **options) as running:
        yield Peer("demo", running.port, running.ae_title, our_port, running.host)


@contextmanager
def orthanc(folder: Path, **configuration: Any) -> Iterator[Peer]:
    """Orthanc, with further keys of its configuration."""
    program = binary("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    port, our_port = free_port(), free_port()
    values = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpServerEnabled": False,
        "DicomServerEnabled": True,
        "DicomAet": "ORTHANC",
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "SynchronousCMove": True,
        "DicomModalities": {"us": {"AET": OUR_AE_TITLE, "Host": "127.0.0.1", "Port": our_port}},
        **configuration,
    }
    (folder / "orthanc.json").write_text(json.dumps(values), encoding="utf-8")
    with _process([program, str(folder / "orthanc.json")], folder) as process:
        yield _ready(Peer("orthanc", port, "ORTHANC", our_port, process=process))


@contextmanager
def dcmqrscp(folder: Path) -> Iterator[Peer]:
    """DCMTK's dcmqrscp."""
    program = binary("dcmqrscp")
    storage = folder / "storage"
    storage.mkdir(parents=True)
    port, our_port = free_port(), free_port()
    (folder / "dcmqrscp.cfg").write_text(
        f"""NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
us = ({OUR_AE_TITLE}, 127.0.0.1, {our_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMQRSCP {storage} RW (500, 1024mb) ANY
AETable END
""",
        encoding="utf-8",
    )
    with _process([program, "-c", str(folder / "dcmqrscp.cfg")], folder) as process:
        yield _ready(Peer("dcmqrscp", port, "DCMQRSCP", our_port, process=process))


PACS: dict[str, Callable[..., Any]] = {"demo": demo_pacs, "orthanc": orthanc, "dcmqrscp": dcmqrscp}


@contextmanager
def scp(
    on_store: Callable[[Any], int] | int = 0x0000,
    *,
    classes: Sequence[str] | None = None,
    syntaxes: Sequence[str] = (*UNCOMPRESSED, *COMPRESSED),
    handlers: Sequence[Any] = (),
    maximum_associations: int = 10,
    maximum_pdu_bytes: int = 16382,
    host: str = "127.0.0.1",
    tls: Any = None,
) -> Iterator[Peer]:
    """A Storage SCP that answers each C-STORE with a status, or with what a function makes of the event."""
    ae = AE("SCP")
    ae.maximum_associations = maximum_associations
    ae.maximum_pdu_size = maximum_pdu_bytes
    ae.add_supported_context(Verification)
    for sop_class in classes or [str(context.abstract_syntax) for context in AllStoragePresentationContexts]:
        ae.add_supported_context(sop_class, list(syntaxes))
    answer = on_store if callable(on_store) else lambda _event: on_store
    all_handlers = [(evt.EVT_C_STORE, answer), (evt.EVT_C_ECHO, lambda _event: 0x0000), *handlers]
    listener = start_server(ae, (host, 0), all_handlers, tls)
    try:
        yield Peer("scp", listener.server_address[1], "SCP", free_port(), host)
    finally:
        ae.shutdown()


@contextmanager
def tcp(serve: Callable[[socket.socket], None]) -> Iterator[Peer]:
    """A TCP server that is no PACS: `serve` has each connection, which is closed when it returns."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the other side went away, or the test is over
            serve(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield Peer("tcp", listener.getsockname()[1], "NOBODY", free_port())
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for connection in connections:
            connection.close()


@contextmanager
def relay(peer: Peer, to_us: Callable[[bytes], bytes | None], *, bytes_per_s: float | None = None) -> Iterator[Peer]:
    """A proxy before a PACS: everything goes through; what comes back goes through `to_us`, None cuts the line.

    `bytes_per_s` makes a slow link of what goes to the PACS.
    """

    def slowly(data: bytes) -> bytes:
        if bytes_per_s:
            time.sleep(len(data) / bytes_per_s)  # what a slow link is
        return data

    def serve(connection: socket.socket) -> None:
        with socket.create_connection((peer.host, peer.port)) as upstream:
            forward = threading.Thread(target=_pump, args=(connection, upstream, slowly), daemon=True)
            forward.start()
            _pump(upstream, connection, to_us)
            connection.shutdown(socket.SHUT_RDWR)
            forward.join()

    with tcp(serve) as front:
        yield Peer(f"{peer.name} behind a proxy", front.port, peer.ae_title, peer.our_port)


def _pump(source: socket.socket, target: socket.socket, change: Callable[[bytes], bytes | None]) -> None:
    try:
        while data := source.recv(1 << 16):
            changed = change(data)
            if changed is None:
                return
            target.sendall(changed)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def draining_scp() -> Iterator[Peer]:
    """Accepts the association, then reads everything and answers nothing."""
    with scp() as real:

        def serve(connection: socket.socket) -> None:
            request = connection.recv(1 << 16)
            with socket.create_connection((real.host, real.port)) as upstream:
                upstream.sendall(request)
                connection.sendall(upstream.recv(1 << 16))
            buffer = bytearray(1 << 20)
            while connection.recv_into(buffer):
                pass

        with tcp(serve) as front:
            yield Peer("drain", front.port, real.ae_title, real.our_port)


class PostgreSQL:
    """A PostgreSQL server of our own, on the loopback, that nothing but the tests knows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._running = ExitStack()
        # PostgreSQL refuses to run as root.
        self._user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(folder, **self._user)
        initdb = [binary("initdb"), "-D", str(folder / "data"), "-U", "tests", "--auth=trust", "--encoding=UTF8"]
        made = subprocess.run(
            [*initdb, "--locale=C", "--no-sync"], cwd=folder, capture_output=True, text=True, **self._user
        )
        assert made.returncode == 0, made.stderr

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [binary("postgres"), "-D", str(self._folder / "data"), *options]
        # Interrupted, it puts its clients out and ends; terminated, it would wait for them.
        process = self._running.enter_context(_process(command, self._folder, end_with=signal.SIGINT, **self._user))
        end = time.monotonic() + _READY_WITHIN_S
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"PostgreSQL did not start: {error}")
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        self._running.close()

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str) -> str:
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)


@contextmanager
def postgres(folder: Path | None = None) -> Iterator[PostgreSQL]:
    """A PostgreSQL server. As root, `folder` must be one that other users reach, which a folder of pytest's is not."""
    binary("postgres")
    with tempfile.TemporaryDirectory(prefix="media2dicom-postgresql-") as own:
        server = PostgreSQL(folder or Path(own))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def _process(
    command: list[str], folder: Path, *, end_with: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, **options)
        try:
            yield process
        finally:
            process.send_signal(end_with)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(peer: Peer) -> Peer:
    settings = Settings(port=peer.our_port)
    end = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            echo(peer.server(), settings)
        except PacsError as error:
            assert peer.process is not None
            if peer.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{peer.name} did not start: {error}")
            time.sleep(0.05)
        else:
            return peer
