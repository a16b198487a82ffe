"""C-STORE: every status judged, nothing guessed, memory flat; faults made for real."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from media2dicom.errors import (
    NoPresentationContext,
    PacsOutOfResources,
    PacsUnreachable,
    StoreFailed,
    StoreFailedTransient,
    StoreUncertain,
)
from media2dicom.pacs import commitment
from media2dicom.pacs.query import find_sop_instance
from media2dicom.pacs.store import StoreSession
from media2dicom.pacs.verify import Verdict, verify
from media2dicom.settings import Settings, Timeouts
from tests import peers
from tests.pacs import studies
from tests.pacs.test_associations import certificate, server_context

QUICK = Timeouts(connect=10, acse=20, dimse=2, stall=1, store_floor=2)
NATIVE = [str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)]
STL_CLASS = "1.2.840.10008.5.1.4.1.1.104.3"


def model_of(size_bytes: int) -> Dataset:
    """An Encapsulated STL in Explicit VR LE whose document has that size."""
    image = studies.image()
    model = Dataset()
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID", "AccessionNumber"):
        setattr(model, keyword, image[keyword].value)
    model.Modality = "M3D"
    model.SOPClassUID = STL_CLASS
    model.SOPInstanceUID = generate_uid()
    model.EncapsulatedDocument = os.urandom(1 << 16) * (size_bytes >> 16)
    model.file_meta = FileMetaDataset()
    model.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    model.file_meta.MediaStorageSOPClassUID = STL_CLASS
    model.file_meta.MediaStorageSOPInstanceUID = model.SOPInstanceUID
    return model


def test_batch_is_stored_over_one_association_and_found(pacs: peers.Peer, settings: Settings, tmp_path: Path) -> None:
    datasets = [studies.image()]
    datasets += [studies.image(datasets[0]) for _ in range(4)]
    instances = [studies.prepared(dataset, tmp_path, number) for number, dataset in enumerate(datasets)]
    with StoreSession(pacs.server(), settings, instances) as session:
        assert session.accepted_syntaxes(instances[0].sop_class_uid) >= {ExplicitVRLittleEndian}
        results = [session.send(instance) for instance in instances]
    assert [(one.status, one.error, one.warning) for one in results] == [(0, None, None)] * 5
    verdicts = verify(pacs.server(), settings, instances, patient_id=str(datasets[0].PatientID))
    assert verdicts == {instance.sop_instance_uid: Verdict.FOUND for instance in instances}


@pytest.mark.parametrize("pdu_bytes", [4096, 16384, 0])
def test_sent_bytes_are_the_files_bytes(tmp_path: Path, pdu_bytes: int) -> None:
    received: list[bytes] = []

    def keep(event: Any) -> int:
        received.append(event.request.DataSet.getvalue())
        return 0x0000

    instance = studies.prepared(model_of(3_000_000), tmp_path)
    with (
        peers.scp(keep, maximum_pdu_bytes=pdu_bytes) as peer,
        StoreSession(peer.server(), peer.settings(tmp_path), [instance]) as session,
    ):
        assert session.send(instance).error is None
        assert session.send(instance).error is None  # the association is still in step
    whole = instance.path.read_bytes()
    assert all(whole.endswith(data) and len(data) > 2_900_000 for data in received)
    assert len(received) == 2


def test_sent_bytes_are_the_files_bytes_over_tls(tmp_path: Path) -> None:
    received: list[bytes] = []

    def keep(event: Any) -> int:
        received.append(event.request.DataSet.getvalue())
        return 0x0000

    own = certificate(tmp_path, "own")
    instance = studies.prepared(model_of(3_000_000), tmp_path)
    with peers.scp(keep, tls=server_context(own)) as peer:
        server = peer.server(tls={"ca_file": own.ca_file})
        with StoreSession(server, peer.settings(tmp_path), [instance]) as session:
            assert session.send(instance).error is None
    assert instance.path.read_bytes().endswith(received[0])


def test_encapsulated_stl_is_stored_whole(pacs: peers.Peer, settings: Settings, tmp_path: Path) -> None:
    model = model_of(5_000_000)
    instance = studies.prepared(model, tmp_path)
    with StoreSession(pacs.server(), settings, [instance]) as session:
        assert session.accepted_syntaxes(STL_CLASS) == {ExplicitVRLittleEndian, ImplicitVRLittleEndian}
        assert session.send(instance).error is None
    verdicts = verify(pacs.server(), settings, [instance], patient_id=str(model.PatientID))
    assert verdicts == {instance.sop_instance_uid: Verdict.FOUND}


STATUSES: list[tuple[int, type | None, bool]] = [
    (0x0000, None, False),
    (0xB000, None, True),
    (0xB006, None, True),
    (0xB007, None, True),
    (0x0111, None, False),
    (0xA700, PacsOutOfResources, False),
    (0xA7FF, PacsOutOfResources, False),
    (0x0213, PacsOutOfResources, False),
    (0xA900, StoreFailed, False),
    (0xC000, StoreFailed, False),
    (0xCFFF, StoreFailed, False),
    (0x0117, StoreFailed, False),
    (0x0122, StoreFailed, False),
    (0x0124, StoreFailed, False),
    (0x0211, StoreFailed, False),
    (0x1234, StoreFailed, False),
    (0xFE00, StoreFailed, False),
]


def test_every_status_is_judged(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)
    answers = iter([status for status, _, _ in STATUSES])
    with (
        peers.scp(lambda _event: next(answers)) as peer,
        StoreSession(peer.server(), peer.settings(tmp_path), [instance]) as session,
    ):
        for status, error, warns in STATUSES:
            result = session.send(instance)
            assert result.status == status
            assert (type(result.error) if result.error else None) is error
            assert (result.warning is not None) is warns
            assert result.duplicate is (status == 0x0111)
            if result.error:
                assert f"0x{status:04X}" in str(result.error)


def test_refused_syntax_leaves_the_accepted_ones_to_choose_from(tmp_path: Path) -> None:
    image = studies.image()
    instance = studies.prepared(image, tmp_path)
    image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    (tmp_path / "implicit").mkdir()
    implicit = studies.prepared(dcm_implicit(instance.path, tmp_path / "implicit.dcm"), tmp_path / "implicit")
    with (
        peers.scp(syntaxes=[ImplicitVRLittleEndian]) as peer,
        StoreSession(peer.server(), peer.settings(tmp_path), [instance]) as session,
    ):
        assert session.accepted_syntaxes(instance.sop_class_uid) == {ImplicitVRLittleEndian}
        refused = session.send(instance)
        assert isinstance(refused.error, NoPresentationContext)
        assert refused.status is None
        assert session.send(instance, implicit.path).status == 0x0000


def dcm_implicit(source: Path, target: Path) -> Dataset:
    dataset = dcmread(source)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(target, implicit_vr=True, little_endian=True)
    return dcmread(target)


def test_compressed_file_to_dcmqrscp_shows_the_native_syntaxes(tmp_path: Path) -> None:
    image = studies.image()
    instance = studies.prepared(image, tmp_path)
    jpeg = type(instance)(**{**vars(instance), "transfer_syntax_uid": str(JPEGBaseline8Bit)})
    with (
        peers.dcmqrscp(tmp_path / "peer") as peer,
        StoreSession(peer.server(), peer.settings(tmp_path), [jpeg]) as session,
    ):
        assert session.accepted_syntaxes(instance.sop_class_uid) == {ExplicitVRLittleEndian}


def test_duplicate_sends_leave_one_instance(pacs: peers.Peer, settings: Settings, tmp_path: Path) -> None:
    image = studies.image()
    instance = studies.prepared(image, tmp_path)
    for _ in range(2):
        with StoreSession(pacs.server(), settings, [instance]) as session:
            assert session.send(instance).error is None
    verdicts = verify(pacs.server(), settings, [instance], patient_id=str(image.PatientID))
    assert verdicts == {instance.sop_instance_uid: Verdict.FOUND}


def test_closed_port_is_said_on_entering(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)
    nobody = peers.Peer("nobody", peers.free_port(), "PACS", peers.free_port())
    with pytest.raises(PacsUnreachable), StoreSession(nobody.server(), nobody.settings(tmp_path), [instance]):
        pass


def test_cut_reply_is_uncertain_and_the_next_instance_goes_over_a_new_association(
    pacs: peers.Peer, settings: Settings, tmp_path: Path
) -> None:
    image = studies.image()
    first, second = studies.prepared(image, tmp_path), studies.prepared(studies.image(image), tmp_path)
    replies = 0

    def cut_second(data: bytes) -> bytes | None:
        nonlocal replies
        replies += 1
        return None if replies == 2 else data

    with peers.relay(pacs, cut_second) as proxy, StoreSession(proxy.server(), settings, [first, second]) as session:
        lost = session.send(first)
        assert isinstance(lost.error, StoreUncertain)
        assert lost.status is None
        assert session.send(second).status == 0x0000
    # It had arrived: the answer is known by asking, with one copy each.
    verdicts = verify(pacs.server(), settings, [first, second], patient_id=str(image.PatientID))
    assert set(verdicts.values()) == {Verdict.FOUND}


def test_swallowed_reply_is_uncertain_within_the_time_limit(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)
    replies = 0

    def swallow(data: bytes) -> bytes:
        nonlocal replies
        replies += 1
        return data if replies == 1 else b""

    with peers.scp() as peer, peers.relay(peer, swallow) as proxy:
        settings = peer.settings(tmp_path, timeouts=QUICK)
        begin = time.monotonic()
        with StoreSession(proxy.server(), settings, [instance]) as session:
            assert isinstance(session.send(instance).error, StoreUncertain)
        assert time.monotonic() - begin < 10


@pytest.mark.parametrize("tls", [False, True])
def test_peer_that_stops_reading_ends_the_send(tmp_path: Path, tls: bool) -> None:
    """A process stopped by SIGSTOP in mid transfer: the kernel still acknowledges, nobody reads."""
    own = certificate(tmp_path, "own")
    instance = studies.prepared(model_of(32_000_000), tmp_path)
    port = peers.free_port()
    code = (
        "import sys, ssl, os, signal; from pynetdicom import AE, evt; from pynetdicom.sop_class import Verification\n"
        "ae = AE('SCP'); ae.add_supported_context(sys.argv[2]); ae.add_supported_context(Verification)\n"
        "context = None\n"
        "if sys.argv[3]:\n"
        "    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)\n"
        "    context.load_cert_chain(sys.argv[3], sys.argv[4])\n"
        "stop = lambda event: os.kill(os.getpid(), signal.SIGSTOP)\n"
        "ae.start_server(('127.0.0.1', int(sys.argv[1])), block=False, ssl_context=context,\n"
        "                evt_handlers=[(evt.EVT_ACCEPTED, lambda event: None), (evt.EVT_PDU_RECV, \n"
        "                    lambda event: stop(event) if event.pdu.pdu_type == 4 else None)])\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    arguments = [str(own.cert_file), str(own.key_file)] if tls else ["", ""]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(port), STL_CLASS, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            peer = peers.Peer("stopping", port, "SCP", peers.free_port())
            server = peer.server(tls={"ca_file": own.ca_file} if tls else None)
            begin = time.monotonic()
            with StoreSession(server, peer.settings(tmp_path, timeouts=QUICK), [instance]) as session:
                assert isinstance(session.send(instance).error, StoreUncertain)
            assert time.monotonic() - begin < 20
        finally:
            process.send_signal(signal.SIGKILL)


def test_slow_link_is_waited_for(tmp_path: Path) -> None:
    """Two seconds for 1.5 MB: the wait for the answer grows with the size."""
    received = threading.Event()

    def keep(_event: Any) -> int:
        received.set()
        return 0x0000

    instance = studies.prepared(model_of(1_500_000), tmp_path)
    with peers.scp(keep) as peer, peers.relay(peer, bytes, bytes_per_s=700_000) as proxy:
        timeouts = QUICK.model_copy(update={"store_floor": 8, "stall": 4})
        with StoreSession(proxy.server(), peer.settings(tmp_path, timeouts=timeouts), [instance]) as session:
            assert session.send(instance).status == 0x0000
    assert received.is_set()


def test_abort_in_mid_batch_leaves_that_one_uncertain_and_the_rest_sent(tmp_path: Path) -> None:
    image = studies.image()
    instances = [studies.prepared(studies.image(image), tmp_path) for _ in range(4)]
    count = 0

    def abort_second(event: Any) -> int:
        nonlocal count
        count += 1
        if count == 2:
            event.assoc.abort()
        return 0x0000

    with (
        peers.scp(abort_second) as peer,
        StoreSession(peer.server(), peer.settings(tmp_path), instances) as session,
    ):
        errors = [session.send(instance).error for instance in instances]
    assert [type(error) for error in errors] == [type(None), StoreUncertain, type(None), type(None)]


def test_pacs_that_dies_between_two_instances_is_transient(tmp_path: Path) -> None:
    image = studies.image()
    instances = [studies.prepared(studies.image(image), tmp_path) for _ in range(2)]
    with peers.scp() as peer:
        session = StoreSession(peer.server(), peer.settings(tmp_path, timeouts=QUICK), instances)
        session.__enter__()
        assert session.send(instances[0]).status == 0x0000
    result = session.send(instances[1])
    session.__exit__(None, None, None)
    assert result.error is not None
    assert result.error.transient


def test_vanished_file_is_not_sent(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)
    with peers.scp() as peer, StoreSession(peer.server(), peer.settings(tmp_path), [instance]) as session:
        instance.path.unlink()
        assert isinstance(session.send(instance).error, StoreFailedTransient)


def test_memory_stays_flat_with_a_large_file(tmp_path: Path) -> None:
    """A sparse file of 400 MB, read away piece by piece; we must not hold it."""
    model = model_of(1 << 16)
    instance = studies.prepared(model, tmp_path)
    large = 400_000_000
    with instance.path.open("r+b") as file:
        file.truncate(large)
    impatient = QUICK.model_copy(update={"store_bytes_per_s": large})
    with peers.draining_scp() as peer:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with StoreSession(peer.server(), peer.settings(tmp_path, timeouts=impatient), [instance]) as session:
            result = session.send(instance)
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert isinstance(result.error, StoreUncertain)  # the drain answers nothing
    assert grown_kb < 60_000


# --- verify -------------------------------------------------------------------------------------------------------


def test_verdicts_tell_absent_and_elsewhere(pacs: peers.Peer, settings: Settings, tmp_path: Path) -> None:
    there, misfiled, absent = studies.image(), studies.image(), studies.image()
    pacs.load([there, misfiled])
    expected = studies.prepared(there, tmp_path)
    moved = studies.prepared(misfiled, tmp_path)
    moved = type(moved)(**{**vars(moved), "series_instance_uid": generate_uid()})
    missing = studies.prepared(absent, tmp_path)
    verdicts = verify(pacs.server(), settings, [expected, moved, missing], patient_id=str(there.PatientID))
    assert list(verdicts.values()) == [Verdict.FOUND, Verdict.ELSEWHERE, Verdict.ABSENT]
    other = verify(pacs.server(), settings, [expected], patient_id="ANOTHER")
    assert other == {expected.sop_instance_uid: Verdict.ELSEWHERE}


def test_twin_under_another_patient_is_elsewhere(tmp_path: Path) -> None:
    for name in ("demo", "orthanc"):
        with peers.PACS[name](tmp_path / name) as peer:
            one, twin = studies.image(), studies.image()
            twin.SOPInstanceUID = twin.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
            peer.load([one, twin])
            instance = studies.prepared(one, tmp_path)
            verdicts = verify(peer.server(), peer.settings(tmp_path), [instance], patient_id=str(one.PatientID))
            assert verdicts == {instance.sop_instance_uid: Verdict.ELSEWHERE}


def test_pacs_that_cannot_be_asked_gives_unknown(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)
    nobody = peers.Peer("nobody", peers.free_port(), "PACS", peers.free_port())
    verdicts = verify(nobody.server(), nobody.settings(tmp_path), [instance], patient_id="P")
    assert verdicts == {instance.sop_instance_uid: Verdict.UNKNOWN}


def test_answer_that_nobody_foresaw_leaves_only_its_own_instance_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def failing(association: Any, uid: str) -> Any:
        asked.append(uid)
        if len(asked) == 1:
            raise KeyError("Roe^Jane")
        return find_sop_instance(association, uid)

    monkeypatch.setattr("media2dicom.pacs.verify.find_sop_instance", failing)
    with peers.PACS["demo"](tmp_path / "demo") as peer:
        there = [studies.image(PatientID="P") for _ in range(2)]
        peer.load(there)
        instances = [studies.prepared(one, tmp_path) for one in there]
        verdicts = verify(peer.server(), peer.settings(tmp_path), instances, patient_id="P")
    assert list(verdicts.values()) == [Verdict.UNKNOWN, Verdict.FOUND]


def test_commitment_tells_what_the_pacs_has_and_has_not(pacs: peers.Peer, settings: Settings, tmp_path: Path) -> None:
    if pacs.name == "dcmqrscp":
        pytest.skip("dcmqrscp has no storage commitment")
    there, absent = studies.image(), studies.image()
    pacs.load([there])
    instances = [studies.prepared(there, tmp_path), studies.prepared(absent, tmp_path)]
    report = commitment.request(pacs.server(), settings, instances)
    assert report.committed == {instances[0].sop_instance_uid}
    assert report.failed == {instances[1].sop_instance_uid}


def test_commitment_report_that_cannot_be_read_is_no_report(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)

    def on_action(event: Any) -> tuple[int, None]:
        report = Dataset()
        report.TransactionUID = event.action_information.TransactionUID
        report.add_new("ReferencedSOPSequence", "LO", "no sequence")
        sender = AE("SCP")
        to_us = build_context(StorageCommitmentPushModel, ExplicitVRLittleEndian)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        sending = sender.associate("127.0.0.1", peer.our_port, [to_us], ae_title="MEDIA2DICOM", ext_neg=[role])
        sending.send_n_event_report(report, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        sending.release()
        return 0x0000, None

    classes = [StorageCommitmentPushModel]
    with peers.scp(classes=classes, syntaxes=NATIVE, handlers=[(evt.EVT_N_ACTION, on_action)]) as peer:
        begin = time.monotonic()
        assert commitment.request(peer.server(), peer.settings(tmp_path), [instance]) == commitment.Commitment()
        assert time.monotonic() - begin < 20  # it came, and was not waited for
