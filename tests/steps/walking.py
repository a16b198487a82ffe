"""What the tests of the steps share: an observed PACS, small media, and a walk of a manifest through all steps."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.beginning import begin_retry, begin_run
from media2dicom.ledger import LedgerRow
from media2dicom.locks import manifest_lock
from media2dicom.model import Batch
from media2dicom.pacs.demo import DemoPacs
from media2dicom.runs import finish_run, make_batches, refuse_unreachable_servers
from media2dicom.selection import Selection
from media2dicom.settings import Settings
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.record import record
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.store import store
from media2dicom.steps.workbench import Workbench, open_workbench
from tests import peers, real_media
from tests.manifest import sheets
from tests.pacs import studies

STEPS = (retrieve, convert, check, store)
STORED = ("STORED", None)
QUICK = {"connect": 10, "acse": 20, "dimse": 8, "stall": 1, "store_floor": 2}


class ObservedPacs(DemoPacs):
    """The embedded PACS. `received`: the SOP Instance UID of every C-STORE. `mood` may answer one with a status;
    None is the ordinary answer. `find_mood` may do so with a C-FIND, and `tell` may alter what it answers."""

    def __init__(self, folder: Path, **options: Any) -> None:
        super().__init__(folder, **options)
        self.received: list[str] = []
        self.mood: Callable[[Any], int | None] = lambda _event: None
        self.find_mood: Callable[[Any], int | None] = lambda _event: None
        self.tell: Callable[[Dataset, Dataset], None] = lambda _keys, _answer: None

    def _on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        if (status := self.find_mood(event)) is not None:
            yield status, None
            return
        for status, answer in super()._on_find(event):
            if answer is not None:
                self.tell(event.identifier, answer)
            yield status, answer

    def _on_store(self, event: Any) -> int:
        self.received.append(str(event.request.AffectedSOPInstanceUID))
        status = self.mood(event)
        return super()._on_store(event) if status is None else status

    @property
    def peer(self) -> peers.Peer:
        our_port = next(iter(self.destinations.values()))[1] if self.destinations else peers.free_port()
        return peers.Peer("observed", self.port, self.ae_title, our_port, self.host)

    def load(self, *datasets: Dataset) -> None:
        """Put studies there before the test begins."""
        self.peer.load(datasets)
        self.received.clear()

    def hold(self, header: Dataset, part10: bytes) -> None:
        """Put a damaged instance there; `header` is what the PACS says of it."""
        path = f"instances/{header.SOPInstanceUID}.dcm"
        (self.folder / path).write_bytes(part10)
        self.index.add(header, path, str(header.file_meta.TransferSyntaxUID))

    def alter(self, study: Dataset, **values: Any) -> None:
        """Do what an administrator does who corrects a study's patient: all that is held of it, and the index."""
        uid = str(study.StudyInstanceUID)
        held = [dcmread(path) for path in (self.folder / "instances").glob("*.dcm")]
        self.remove(study)
        for one in held:
            if one.StudyInstanceUID == uid:
                for keyword, value in values.items():
                    setattr(one, keyword, value)
                written = BytesIO()
                one.save_as(written, enforce_file_format=True)
                self._keep(written.getvalue(), one)

    def remove(self, study: Dataset) -> None:
        keys = Dataset()
        keys.StudyInstanceUID = str(study.StudyInstanceUID)
        for path, _, _ in self.index.paths("STUDY", keys):
            (self.folder / path).unlink()
        self.index._rows("DELETE FROM instances WHERE StudyInstanceUID = ? RETURNING 1", [str(study.StudyInstanceUID)])

    def held(self) -> list[str]:
        """SOP Instance UIDs of what Media2DICOM made and the PACS holds; one twice if it is there twice."""
        keys = Dataset()
        keys.QueryRetrieveLevel = "IMAGE"
        keys.SOPInstanceUID = ""
        uids = [str(answer.SOPInstanceUID) for answer in self.index.find("IMAGE", keys)]
        return sorted(uid for uid in uids if uid.startswith("2.25."))


@contextmanager
def workbench(settings: Settings) -> Iterator[Workbench]:
    bench = open_workbench(settings)
    try:
        yield bench
    finally:
        bench.ledger.close()


def png(path: Path, seed: int = 0) -> Path:
    """A small grey picture, another one for every seed."""
    rows = b"".join(b"\0" + bytes((seed * 7 + x * y) % 256 for x in range(16)) for y in range(16))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", b"seed\0" + str(seed).encode())
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


def stl(path: Path, seed: int = 0) -> Path:
    path.write_bytes(real_media.binary_stl(real_media.sphere(), header=f"made for a test {seed}".encode()))
    return path


def cells_of(study: Dataset, **more: Any) -> dict[str, Any]:
    """The cells of a row for that study."""
    return {"study_instance_uid": str(study.StudyInstanceUID), "patient_id": str(study.PatientID), **more}


def manifest(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "manifest.csv") -> Path:
    return sheets.text(folder / name, rows)


def pictures(folder: Path, study: Dataset, count: int) -> Path:
    """A manifest of `count` pictures for one study."""
    return manifest(
        folder, [cells_of(study, media=png(folder / f"{number}.png", number).name) for number in range(count)]
    )


def new_study(**values: Any) -> Dataset:
    return studies.image(**values)


def do_steps(bench: Workbench, batch: Batch, tries: int = 1) -> None:
    """The steps one after the other; one that says that rows are left for another try gets it."""
    for step in STEPS:
        for _ in range(tries):
            if not step(bench, batch):
                break
    record(bench, batch)


def walk(
    bench: Workbench,
    sheet: Path,
    *,
    server: str | None = None,
    tries: int = 1,
    retry: Selection | None = None,
    results: Path | None = None,
) -> list[LedgerRow]:
    """A whole run of a manifest; its rows as they ended."""
    run_id = uuid.uuid4().hex
    with manifest_lock(bench.settings, sheet):
        if retry is None:
            begin_run(bench, sheet, server, run_id)
        else:
            begin_retry(bench, sheet, run_id, retry)
        unreachable = refuse_unreachable_servers(bench, run_id)
        for batch in make_batches(bench, run_id, without=unreachable):
            do_steps(bench, batch, tries)
        finish_run(bench, run_id, sheet, results)
    return bench.ledger.rows(run_id)


def outcomes(rows: Sequence[LedgerRow]) -> list[tuple[str, str | None]]:
    return [(str(row.status), row.outcome.code) for row in rows]


def answers(*statuses: int) -> Callable[[Any], int | None]:
    """These statuses in turn, then the ordinary answer; 0 is the ordinary answer too."""
    left = iter(statuses)
    return lambda _event: next(left, 0) or None


def one_batch(bench: Workbench) -> Batch:
    """All rows of the run "run" in one batch."""
    return Batch("run", tuple(key for batch in make_batches(bench, "run") for key in batch.row_keys), "all rows")
