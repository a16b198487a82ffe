"""Faults of PACS and network, made for real: what each does to a row's outcome, and what it never does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid
from pynetdicom import evt

from media2dicom.beginning import begin_run
from media2dicom.model import Status
from media2dicom.pacs import query
from media2dicom.runs import make_batches
from media2dicom.settings import Settings
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.record import record
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.store import store
from media2dicom.steps.workbench import Workbench
from tests import peers, real_media
from tests.steps import walking
from tests.steps.walking import STORED, answers, cells_of, do_steps, one_batch, outcomes, png, stl, walk

C_STORE_RSP = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80"  # command field 8001H, Implicit VR LE (PS3.7 E.1)


# --- statuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0xA700, ("FAILED", "pacs-out-of-resources")),
        (0xA900, ("FAILED", "store-failed")),
        (0xC000, ("FAILED", "store-failed")),
        (0x0122, ("FAILED", "store-failed")),
        (0x0124, ("FAILED", "store-failed")),
        (0x1234, ("FAILED", "store-failed")),
        (0xB000, ("UNCERTAIN", "not-verified")),  # this PACS says so without storing it
        (0x0111, ("UNCERTAIN", "not-verified")),
        (0xFE00, ("FAILED", "store-failed")),
    ],
)
def test_refused_row_has_the_status_and_the_next_row_is_stored(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, status: int, outcome: tuple[str, str]
) -> None:
    sheet = walking.pictures(lab, study, 2)
    observed.mood = answers(status)
    found = walk(bench, sheet)
    assert outcomes(found) == [outcome, STORED]
    assert found[0].instances[0].store_status == status
    observed.mood = answers()
    assert outcomes(walk(bench, sheet)) == [STORED] * 2
    assert len(observed.received) == 3
    assert len(observed.held()) == 2


def test_out_of_resources_passes_within_the_run(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    observed.mood = answers(0xA700, 0xA700)
    found = walk(bench, walking.pictures(lab, study, 1), tries=3)
    assert outcomes(found) == [STORED]
    assert found[0].attempts == 3


def test_permanent_status_is_not_tried_again_within_the_run(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    observed.mood = lambda _event: 0xA900
    walk(bench, walking.pictures(lab, study, 1), tries=3)
    assert len(observed.received) == 1


def test_warning_status_is_proved_and_told(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    def stored_with_warning(event: Any) -> int:
        super(walking.ObservedPacs, observed)._on_store(event)
        return 0xB000

    observed.mood = stored_with_warning
    found = walk(bench, walking.pictures(lab, study, 1))
    assert outcomes(found) == [STORED]
    assert any("0xB000" in warning for warning in found[0].warnings)


def test_warnings_of_conversion_and_pacs_are_kept_by_the_run_that_stores_the_row(
    bench: Workbench, observed: walking.ObservedPacs, lab: Path
) -> None:
    study = walking.new_study(BodyPartExamined="FOO")
    observed.load(study)
    sheet = walking.pictures(lab, study, 1)
    observed.mood = answers(0xA700, 0xB000)
    [full] = walk(bench, sheet)
    assert any("BodyPartExamined" in warning for warning in full.warnings)
    [lagging] = walk(bench, sheet)  # this PACS says so without storing it
    assert outcomes([lagging]) == [("UNCERTAIN", "not-verified")]
    [stored] = walk(bench, sheet)
    assert outcomes([stored]) == [STORED]
    assert stored.warnings == lagging.warnings
    assert [sum(sign in warning for warning in stored.warnings) for sign in ("BodyPartExamined", "0xB000")] == [1, 1]


def test_duplicate_status_of_an_instance_that_is_there_is_stored(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    def stored_but_called_duplicate(event: Any) -> int:
        super(walking.ObservedPacs, observed)._on_store(event)
        return 0x0111

    observed.mood = stored_but_called_duplicate
    assert outcomes(walk(bench, walking.pictures(lab, study, 1))) == [STORED]


def test_lying_pacs_never_makes_a_row_stored(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    def lie(_event: Any) -> int:
        return 0x0000

    observed.mood = lie
    found = walk(bench, walking.pictures(lab, study, 2), tries=3)
    assert outcomes(found) == [("UNCERTAIN", "not-verified")] * 2
    assert {one.verified for row in found for one in row.instances} == {""}


# --- answers lost -----------------------------------------------------------------------------------------------------


def behind(pacs: walking.ObservedPacs, folder: Path, to_us: Callable[[bytes], bytes | None]) -> Any:
    """Settings whose server is a proxy before the PACS."""

    @contextmanager
    def relayed() -> Iterator[Settings]:
        with peers.relay(pacs.peer, to_us) as front:
            yield front.settings(folder, timeouts=walking.QUICK)

    return relayed()


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "swallowed"])
def test_lost_answer_is_settled_by_asking(
    observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path, cut: bool
) -> None:
    lost: list[bytes] = []

    def lose_first(data: bytes) -> bytes | None:
        if C_STORE_RSP in data and not lost:
            lost.append(data)
            return None if cut else b""
        return data

    sheet = walking.pictures(lab, study, 3)
    with behind(observed, tmp_path, lose_first) as settings, walking.workbench(settings) as bench:
        found = walk(bench, sheet)
    assert lost
    assert outcomes(found) == [STORED] * 3
    assert len(observed.received) == len(observed.held()) == 3


def test_row_whose_proof_fails_stays_uncertain_until_the_pacs_can_be_asked(
    observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    stored = threading.Event()
    deaf = threading.Event()

    def deaf_after_store(data: bytes) -> bytes | None:
        if C_STORE_RSP in data:
            stored.set()
            deaf.set()
            return None
        return None if deaf.is_set() else data

    sheet = walking.pictures(lab, study, 2)
    with behind(observed, tmp_path, deaf_after_store) as settings, walking.workbench(settings) as bench:
        found = walk(bench, sheet)
        assert stored.is_set()
        assert found[0].status == Status.UNCERTAIN
        assert found[1].status == Status.FAILED
        # A run while the PACS is still away does not hide the doubt.
        found = walk(bench, sheet)
        assert found[0].status == Status.UNCERTAIN
        assert "may have it" in found[0].outcome.message
        deaf.clear()
        stored.clear()
    with walking.workbench(observed.peer.settings(tmp_path)) as bench:
        found = walk(bench, sheet)
    assert outcomes(found) == [STORED] * 2
    assert "earlier send arrived" in found[0].outcome.message
    assert len(observed.received) == len(observed.held()) == 2


def test_pacs_that_ends_in_mid_batch_leaves_no_row_behind(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 5)

    def end_at_third(event: Any) -> int | None:
        if len(observed.received) == 3:
            event.assoc.abort()
            return 0xC000
        return None

    observed.mood = end_at_third
    begin_run(bench, sheet, None, "run")
    do_steps(bench, one_batch(bench), tries=2)
    assert outcomes(bench.ledger.rows("run")) == [STORED] * 5
    assert len(observed.held()) == 5
    assert observed.received[:2] == list(dict.fromkeys(observed.received[:2]))
    assert len(observed.received) == 6  # the third again, and nothing else


def test_pacs_that_is_gone_in_mid_batch_is_told_of_every_row_left(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    real_media.make_video(lab / "clip.mp4", seconds=3)
    rows = [cells_of(study, media="clip.mp4", frame_interval_s="1")]
    rows += [cells_of(study, media=png(lab / f"{n}.png", n).name) for n in range(2)]
    sheet = walking.manifest(lab, rows)

    def go_at_second(event: Any) -> int | None:
        if len(observed.received) == 2:
            event.assoc.abort()
            observed._ae.shutdown()  # type: ignore[union-attr]
            return 0xC000
        return None

    observed.mood = go_at_second
    begin_run(bench, sheet, None, "run")
    do_steps(bench, one_batch(bench))
    found = bench.ledger.rows("run")
    assert [row.status for row in found] == [Status.UNCERTAIN, Status.FAILED, Status.FAILED]
    assert found[0].outcome.message.startswith("1 of 3 instances are stored") is False  # it could not be asked
    assert all(row.outcome.transient for row in found)
    assert {one.status for row in found[1:] for one in row.instances} <= {Status.PREPARED, Status.FAILED}
    port = observed.port
    observed.stop()
    with walking.ObservedPacs(observed.folder, port=port) as back:
        assert outcomes(walk(bench, sheet)) == [STORED] * 3
        assert len(back.held()) == 5


def test_killed_orthanc_loses_and_doubles_nothing(tmp_path: Path, lab: Path) -> None:
    study = walking.new_study()
    sheet = walking.pictures(lab, study, 6)
    with peers.orthanc(tmp_path / "pacs") as pacs:
        pacs.load([study])
        settings = pacs.settings(tmp_path, timeouts=walking.QUICK)
        with walking.workbench(settings) as bench:
            begin_run(bench, sheet, None, "run")
            batches = make_batches(bench, "run")
            for step in (retrieve, convert, check):
                for batch in batches:
                    assert step(bench, batch) == 0
            store(bench, batches[0])
            assert pacs.process is not None
            pacs.process.kill()
            pacs.process.wait()
            assert [store(bench, batch) for batch in batches[1:]] == [1] * 5
            for batch in batches:
                record(bench, batch)
            found = bench.ledger.rows("run")
            assert outcomes(found) == [STORED, *[("FAILED", "query-failed")] * 5]
    with peers.orthanc(tmp_path / "pacs") as pacs, walking.workbench(pacs.settings(tmp_path)) as bench:
        found = walk(bench, sheet)
        assert outcomes(found) == [STORED] * 6
        assert found[0].stored_run == "run"


# --- where it is ------------------------------------------------------------------------------------------------------


def test_uid_that_is_there_under_another_patient_is_a_conflict_and_not_sent(
    settings: Settings, observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    sheet = walking.pictures(lab, study, 2)
    with walking.workbench(settings) as bench:
        begin_run(bench, sheet, None, "look")
        batches = make_batches(bench, "look")
        for step in (retrieve, convert):
            for batch in batches:
                step(bench, batch)
        prepared = dcmread(bench.ledger.rows("look")[0].instances[0].instance.path)
        prepared.PatientID, prepared.StudyInstanceUID = "SOMEBODY-ELSE", generate_uid()
        observed.load(prepared)
        found = walk(bench, sheet, tries=3)
        assert outcomes(found) == [("CONFLICT", "conflict"), STORED]
        assert "do not resend" in found[0].outcome.next_step
        assert observed.received == [found[1].instances[0].instance.sop_instance_uid]
        assert outcomes(walk(bench, sheet)) == [("CONFLICT", "conflict"), STORED]
        assert len(observed.received) == 1


def without_place(keys: Dataset, answer: Dataset) -> None:
    """A PACS that answers a relational query (PS3.4 C.4.1.2.2.1) without the keys of the levels above."""
    if keys.QueryRetrieveLevel == "IMAGE" and not keys.get("StudyInstanceUID"):
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"):
            if keyword in answer:
                del answer[keyword]


def without_series(keys: Dataset, answer: Dataset) -> None:
    if keys.QueryRetrieveLevel == "IMAGE" and not keys.get("StudyInstanceUID"):
        answer.SeriesInstanceUID = ""


@pytest.mark.parametrize("tell", [without_place, without_series])
def test_pacs_that_does_not_say_where_an_instance_is_is_asked_at_its_place(
    bench: Workbench,
    observed: walking.ObservedPacs,
    study: Dataset,
    lab: Path,
    tell: Callable[[Dataset, Dataset], None],
) -> None:
    observed.tell = tell
    assert outcomes(walk(bench, walking.pictures(lab, study, 1))) == [STORED]


def test_instance_that_is_somewhere_but_not_at_its_place_is_a_conflict(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    def misfile(_event: Any) -> int:
        path = bench.ledger.rows(bench.ledger.runs()[0].run_id)[0].instances[0].instance.path
        misfiled = dcmread(path)
        misfiled.SeriesInstanceUID = generate_uid()
        observed.mood = answers()
        observed.peer.load([misfiled])
        return 0x0000

    observed.tell, observed.mood = without_place, misfile
    assert outcomes(walk(bench, walking.pictures(lab, study, 1))) == [("CONFLICT", "conflict")]


# --- what the PACS takes ----------------------------------------------------------------------------------------------


def test_pacs_that_refuses_jpeg_gets_the_same_instances_without(tmp_path: Path, lab: Path) -> None:
    study = walking.new_study()
    real_media.make_video(lab / "clip.mp4", seconds=2)
    rows = [cells_of(study, media=png(lab / "a.png").name), cells_of(study, media=stl(lab / "b.stl").name)]
    rows += [cells_of(study, media="clip.mp4", frame_interval_s="0.5", video_mode="cine")]
    sheet = walking.manifest(lab, rows)
    with walking.ObservedPacs(tmp_path / "pacs", compressed=()) as pacs:
        pacs.load(study)
        with walking.workbench(pacs.peer.settings(tmp_path)) as bench:
            pacs.mood = answers(0xA700)  # the rewritten file is sent again, not made again
            walk(bench, sheet)
            [native] = {one.instance.path for one in bench.ledger.rows(bench.ledger.runs()[0].run_id)[0].instances}
            written = native.stat().st_mtime_ns
            found = walk(bench, sheet)
        assert outcomes(found) == [STORED] * 3
        assert {one.instance.transfer_syntax_uid for row in found for one in row.instances} == {ExplicitVRLittleEndian}
        assert native.stat().st_mtime_ns == written
        assert sorted({one.instance.sop_instance_uid for row in found for one in row.instances}) == pacs.held()


def test_pacs_that_takes_no_models_fails_only_their_rows(
    observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    received: list[str] = []

    def keep(event: Any) -> int:
        received.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    rows = [cells_of(study, media=stl(lab / "b.stl").name), cells_of(study, media=png(lab / "a.png").name)]
    sheet = walking.manifest(lab, rows)
    with walking.workbench(observed.peer.settings(tmp_path)) as bench:
        begin_run(bench, sheet, None, "run")
        batch = one_batch(bench)
        for step in (retrieve, convert, check):
            assert step(bench, batch) == 0
        find = [(evt.EVT_C_FIND, observed._on_find)]
        with peers.scp(keep, classes=[SecondaryCaptureImageStorage, query.MODEL], handlers=find) as picky:
            servers = {"pacs": picky.server(verify="none")}
            with walking.workbench(bench.settings.model_copy(update={"servers": servers})) as other:
                store(other, batch)
        found = bench.ledger.rows("run")
    assert outcomes(found) == [("FAILED", "no-presentation-context"), STORED]
    assert not found[0].outcome.transient
    assert found[1].instances[0].verified == ""
    assert received == [found[1].instances[0].instance.sop_instance_uid]


def test_commitment_is_asked_once_for_a_batch_and_recorded(tmp_path: Path, lab: Path) -> None:
    study = walking.new_study()
    sheet = walking.pictures(lab, study, 3)
    with peers.orthanc(tmp_path / "pacs") as pacs:
        pacs.load([study])
        servers = {"pacs": pacs.server(verify="commitment")}
        with walking.workbench(pacs.settings(tmp_path, servers=servers)) as bench:
            found = walk(bench, sheet)
    assert outcomes(found) == [STORED] * 3
    assert {one.verified for row in found for one in row.instances} == {"commitment"}


def test_commitment_without_a_report_leaves_it_to_the_query(
    observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    observed.destinations = {}
    servers = {"pacs": observed.peer.server(verify="commitment")}
    with walking.workbench(observed.peer.settings(tmp_path, servers=servers)) as bench:
        found = walk(bench, walking.pictures(lab, study, 1))
    assert outcomes(found) == [STORED]
    assert found[0].instances[0].verified == "find"
