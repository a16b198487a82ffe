"""The embedded PACS, for the demo and the tests: C-ECHO, C-STORE, C-FIND, C-GET, C-MOVE, storage commitment.

Real and durable, on pynetdicom; what it holds is in a folder of Part 10 files and an index (demo_index.py). It is
meant for trying out, not for patient care: it has no access control.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    PatientRootQueryRetrieveInformationModelFind,
    PatientRootQueryRetrieveInformationModelGet,
    PatientRootQueryRetrieveInformationModelMove,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from media2dicom.pacs.demo_index import LEVELS, Index
from media2dicom.pacs.syntaxes import COMPRESSED, OTHERS, STORAGE_CLASSES, UNCOMPRESSED
from media2dicom.pacs.transport import SafeAE, start_server

_SUCCESS: Final = 0x0000
_PENDING: Final = 0xFF00
_CANCELLED: Final = 0xFE00
_OUT_OF_RESOURCES: Final = 0xA700
_WRONG_IDENTIFIER: Final = 0xA900  # identifier does not match SOP Class (PS3.4 C.4.1.1.4)
_CANNOT_UNDERSTAND: Final = 0xC000
_DUPLICATE: Final = 0x0111
MAX_ASSOCIATIONS: Final = 32
MAX_PDU_BYTES: Final = 1 << 17
DEFAULT_AE_TITLE: Final = "DEMOPACS"
QUERY_MODELS: Final = (
    *(StudyRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelFind),
    *(StudyRootQueryRetrieveInformationModelGet, PatientRootQueryRetrieveInformationModelGet),
    *(StudyRootQueryRetrieveInformationModelMove, PatientRootQueryRetrieveInformationModelMove),
)


class DemoPacs:
    """A PACS below `folder`, running between `start` and `stop` (or as a context manager).

    `port` 0 takes a free one; `.port` says which. `compressed`: the compressed transfer syntaxes it accepts, all by
    default. `destinations`: AE title to (host, port), for C-MOVE and storage commitment reports.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        ae_title: str = DEFAULT_AE_TITLE,
        *,
        host: str = "127.0.0.1",
        compressed: Collection[str] | None = None,
        destinations: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self.folder, self.host, self.port, self.ae_title = folder, host, port, ae_title
        self.destinations = dict(destinations or {})
        self._syntaxes = [*UNCOMPRESSED, *(COMPRESSED if compressed is None else compressed), *OTHERS]
        self._ae: AE | None = None
        self._index: Index | None = None
        self._store_lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def index(self) -> Index:
        """What the PACS holds; only while it runs."""
        if self._index is None:
            raise RuntimeError("the embedded PACS is not running")
        return self._index

    def start(self) -> None:
        """Listen. Raises OSError when the port or the folder cannot be had."""
        (self.folder / "instances").mkdir(parents=True, exist_ok=True)
        ae = SafeAE(self.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = MAX_ASSOCIATIONS
        ae.maximum_pdu_size = MAX_PDU_BYTES
        ae.add_supported_context(Verification)
        for model in QUERY_MODELS:
            ae.add_supported_context(model)
        ae.add_supported_context(StorageCommitmentPushModel)
        for sop_class_uid in STORAGE_CLASSES:
            # SCU and SCP role: the requestor of a C-GET receives (PS3.7 D.3.3.4).
            ae.add_supported_context(sop_class_uid, list(self._syntaxes), scu_role=True, scp_role=True)
        handlers: list[Any] = [
            (evt.EVT_C_ECHO, lambda _event: _SUCCESS),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_C_GET, self._on_get),
            (evt.EVT_C_MOVE, self._on_move),
            (evt.EVT_N_ACTION, self._on_commitment),
        ]
        self._index = Index(self.folder / "index.sqlite")
        try:
            listener = start_server(ae, (self.host, self.port), handlers)
        except OSError:
            self._index.close()
            self._index = None
            raise
        self.port = listener.server_address[1]
        self._ae = ae

    def stop(self) -> None:
        """Stop listening and end the associations. What was stored stays."""
        if self._ae is not None:
            self._ae.shutdown()
            self._ae = None
        if self._index is not None:
            self._index.close()
            self._index = None

    # pynetdicom's Event sets its attributes dynamically: Any in the handlers.

    def _on_store(self, event: Any) -> int:
        """Success only when file and index are on the disk (PS3.4 B.2.3)."""
        try:
            part10 = event.encoded_dataset()
            header = dcmread(BytesIO(part10), stop_before_pixels=True)
            if not all(header.get(key) for key in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")):
                return _WRONG_IDENTIFIER
            # One at a time: two copies of an instance at the same moment are one instance.
            with self._store_lock:
                return self._keep(part10, header)
        except OSError:
            return _OUT_OF_RESOURCES
        except Exception:  # noqa: BLE001  # whatever foreign bytes make pydicom raise
            return _CANNOT_UNDERSTAND

    def _keep(self, part10: bytes, header: Dataset) -> int:
        held = self.index.path_of(header)
        if held is not None:
            same = (self.folder / held).read_bytes() == part10
            return _SUCCESS if same else _DUPLICATE
        identity = "\0".join(
            str(header.get(key, "")) for key in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        )
        name = hashlib.sha256(identity.encode()).hexdigest() + ".dcm"  # no patient data in file names
        path = self.folder / "instances" / name
        with path.with_suffix(".part").open("wb") as file:
            file.write(part10)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)
        self.index.add(header, f"instances/{name}", str(header.file_meta.TransferSyntaxUID))
        return _SUCCESS

    def _on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        keys = event.identifier
        level = _level(event, keys)
        if level is None:
            yield _WRONG_IDENTIFIER, None
            return
        for answer in self.index.find(level, keys):
            if event.is_cancelled:
                yield _CANCELLED, None
                return
            answer.RetrieveAETitle = self.ae_title
            yield _PENDING, answer

    def _named(self, event: Any) -> list[tuple[str, str, str]] | None:
        """What a C-GET or C-MOVE names; None when it names nothing in particular (PS3.4 C.4.2.2.1)."""
        keys = event.identifier
        level = _level(event, keys)
        unique = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        if level is None or not keys.get(unique[LEVELS.index(level)]):
            return None
        return self.index.paths(level, keys)

    def _on_get(self, event: Any) -> Iterator[Any]:
        named = self._named(event)
        if named is None:
            yield 0
            yield _WRONG_IDENTIFIER, None
            return
        yield len(named)
        yield from self._instances(event, named)

    def _on_move(self, event: Any) -> Iterator[Any]:
        destination = self.destinations.get(str(event.move_destination).strip())
        if destination is None:
            yield None, None  # pynetdicom answers A801, move destination unknown
            return
        named = self._named(event)
        classes = {(sop_class, syntax) for _, sop_class, syntax in named or ()}
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(classes)][:128]
        yield (*destination, {"contexts": contexts or [build_context(Verification)]})
        if named is None:
            yield 0
            yield _WRONG_IDENTIFIER, None
            return
        yield len(named)
        yield from self._instances(event, named)

    def _instances(self, event: Any, named: list[tuple[str, str, str]]) -> Iterator[tuple[int, Dataset | None]]:
        for path, _, _ in named:
            if event.is_cancelled:
                yield _CANCELLED, None
                return
            yield _PENDING, dcmread(self.folder / path)

    def _on_commitment(self, event: Any) -> tuple[int, None]:
        """Accept the request; the report goes out on an association of its own (PS3.4 J.3.3)."""
        request = event.action_information
        calling = str(event.assoc.requestor.ae_title).strip()
        destination = self.destinations.get(calling)
        if destination is None:
            return 0x0110, None  # processing failure: there is nowhere to report to
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        report.ReferencedSOPSequence = []
        report.FailedSOPSequence = []
        for item in request.ReferencedSOPSequence:
            if self.index.holds(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID):
                report.ReferencedSOPSequence.append(item)
            else:
                item.FailureReason = 0x0112  # no such object instance
                report.FailedSOPSequence.append(item)
        if not report.FailedSOPSequence:
            del report.FailedSOPSequence
        threading.Thread(target=self._report, args=(calling, destination, report), daemon=True).start()
        return _SUCCESS, None

    def _report(self, calling: str, destination: tuple[str, int], report: Dataset) -> None:
        ae = SafeAE(self.ae_title)
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 10
        association = ae.associate(
            *destination,
            contexts=[build_context(StorageCommitmentPushModel)],
            ae_title=calling,
            ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        )
        if association.is_established:
            event_type = 2 if "FailedSOPSequence" in report else 1  # PS3.4 J.3.3.1.1
            association.send_n_event_report(
                report, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            association.release()


def _level(event: Any, keys: Dataset) -> str | None:
    """The level that an identifier asks at, None when its model has no such level."""
    level = str(keys.get("QueryRetrieveLevel", "")).strip()
    model = str(event.context.abstract_syntax)
    levels = LEVELS if model in {str(one) for one in QUERY_MODELS[1::2]} else LEVELS[1:]
    return level if level in levels else None
