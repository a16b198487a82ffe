"""Faults of PACS, network and disk, made for real: what each does to a row's outcome, and what it never does."""

from __future__ import annotations

import importlib
import os
import resource
import shutil
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
from media2dicom.errors import LedgerFailed, Media2DicomError, OverUploadLimit, StoreFailed, UploadConflict
from media2dicom.ledger import Ledger
from media2dicom.model import Batch, Instance, Status
from media2dicom.pacs import query
from media2dicom.pacs.store import SendResult, StoreSession
from media2dicom.runs import make_batches
from media2dicom.settings import Settings
from media2dicom.steps import convert as convert_step
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.record import record
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.store import store
from media2dicom.steps.workbench import Workbench, status_of
from tests import peers, real_media
from tests.pacs import studies
from tests.steps import walking
from tests.steps.walking import cells_of, do_steps, outcomes, png, stl, walk

STORED = ("STORED", None)
C_STORE_RSP = b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80"  # command field 8001H, Implicit VR LE (PS3.7 E.1)


def answers(*statuses: int) -> Callable[[Any], int | None]:
    """These statuses in turn, then the ordinary answer; 0 is the ordinary answer too."""
    left = iter(statuses)
    return lambda _event: next(left, 0) or None


def one_batch(bench: Workbench) -> Batch:
    """All rows of the run "run" in one batch."""
    return Batch("run", tuple(key for batch in make_batches(bench, "run") for key in batch.row_keys), "all rows")


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


# --- this machine -----------------------------------------------------------------------------------------------------


def test_media_altered_after_reading_is_refused(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 2)
    begin_run(bench, sheet, None, "run")
    png(lab / "0.png", 99)
    for batch in make_batches(bench, "run"):
        do_steps(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [("REFUSED", "media-changed"), STORED]
    assert len(observed.received) == 1


@pytest.mark.parametrize("beside", [False, True], ids=["file", "material library"])
def test_media_replaced_while_they_are_converted_are_refused_and_nothing_of_them_stays(
    bench: Workbench,
    observed: walking.ObservedPacs,
    study: Dataset,
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: bool,
) -> None:
    if beside:
        (lab / "a.obj").write_text(
            "mtllib a.mtl\nusemtl m\nv 0 0 0\nv 9 0 0\nv 0 9 0\nv 0 0 9\nf 1 2 3\nf 1 4 2\nf 1 3 4\nf 2 4 3\n"
        )
        (lab / "a.mtl").write_text("newmtl m\nKd 1 0 0\n")
    media = lab / "a.obj" if beside else png(lab / "a.png")
    sheet = walking.manifest(lab, [cells_of(study, media=media.name)])
    plain = convert_step.prepare

    def replaced_before(*arguments: Any, **more: Any) -> Any:  # the moment cannot be had from outside
        if beside:
            (lab / "a.mtl").write_text("newmtl m\nKd 0 1 0\n")
        else:
            png(lab / "a.png", 99)
        return plain(*arguments, **more)

    monkeypatch.setattr(convert_step, "prepare", replaced_before)
    [row] = walk(bench, sheet)
    assert outcomes([row]) == [("REFUSED", "media-changed")]
    assert not list((bench.settings.cache_dir / "rows").rglob("*.dcm"))
    assert observed.received == []
    monkeypatch.undo()
    assert outcomes(walk(bench, sheet)) == [STORED]
    assert sorted(observed.received) == observed.held()


@pytest.mark.parametrize("after", [convert, check])
def test_truncated_prepared_file_is_rebuilt_and_never_sent(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, after: Callable[..., int]
) -> None:
    sheet = walking.pictures(lab, study, 2)
    begin_run(bench, sheet, None, "run")
    batches = make_batches(bench, "run")
    for step in (retrieve, convert, check, store):
        for batch in batches:
            step(bench, batch)
        if step is after:
            path = bench.ledger.rows("run")[0].instances[0].instance.path
            os.truncate(path, path.stat().st_size - 10)
    assert outcomes(bench.ledger.rows("run")) == [("FAILED", "cache-failed"), STORED]
    assert len(observed.received) == 1
    assert outcomes(walk(bench, sheet)) == [STORED] * 2
    assert len(observed.held()) == 2


def test_full_disk_fails_the_large_row_for_now_and_no_other(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    (lab / "large.stl").write_bytes(real_media.binary_stl(real_media.sphere(40_000)))
    rows = [cells_of(study, media="large.stl"), cells_of(study, media=png(lab / "a.png").name)]
    sheet = walking.manifest(lab, rows)
    begin_run(bench, sheet, None, "run")
    batches = make_batches(bench, "run")
    for batch in batches:
        retrieve(bench, batch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        assert [convert(bench, batch) for batch in batches] == [1, 0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(bench.settings.cache_dir.rglob("*.part")) == []
    assert outcomes(bench.ledger.rows("run"))[0] == ("FAILED", "cache-failed")
    for batch in batches:
        do_steps(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [STORED] * 2


def sparse_stl(path: Path, size_bytes: int) -> Path:
    triangles = (size_bytes - 84) // 50
    with path.open("wb") as file:
        file.write(b"sparse".ljust(80, b"\0") + triangles.to_bytes(4, "little"))
        file.truncate(84 + 50 * triangles)
    return path


def test_model_over_the_upload_limit_is_refused_unread(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sparse_stl(lab / "huge.stl", 4_001_000_000)
    sparse_stl(lab / "other.stl", 4_002_000_000)
    rows = [cells_of(study, media=name) for name in ("huge.stl", "other.stl")]
    read_before = int(Path("/proc/self/io").read_text().split()[1])
    found = walk(bench, walking.manifest(lab, rows))
    read = int(Path("/proc/self/io").read_text().split()[1]) - read_before
    assert outcomes(found) == [("REFUSED", "over-upload-limit")] * 2
    assert all("upload limit is 4,000 MB" in row.outcome.message for row in found)
    assert read < 100_000_000
    assert observed.received == []


def test_instance_over_the_warning_size_is_sent_with_a_warning(
    observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    (lab / "large.stl").write_bytes(real_media.binary_stl(real_media.sphere(40_000)))
    rows = [cells_of(study, media="large.stl"), cells_of(study, media=stl(lab / "small.stl").name)]
    with walking.workbench(observed.peer.settings(tmp_path, upload_size_warning_mb=1)) as bench:
        found = walk(bench, walking.manifest(lab, rows))
    assert outcomes(found) == [STORED] * 2
    assert [any("upload size warning of 1 MB" in warning for warning in row.warnings) for row in found] == [True, False]


def test_earlier_files_are_not_sent_when_this_runs_conversion_failed(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    observed.mood = answers(0xA700)
    walk(bench, sheet)
    begin_run(bench, sheet, None, "run")
    batch = one_batch(bench)
    retrieve(bench, batch)
    shutil.rmtree(bench.settings.cache_dir / "sources")  # convert cannot tell whose the files are
    assert convert(bench, batch) == 1
    assert [check(bench, batch), store(bench, batch)] == [0, 0]
    record(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [("FAILED", "cache-failed")]
    assert len(observed.received) == 1


def test_accession_override_counts_at_the_second_look_too(
    bench: Workbench, observed: walking.ObservedPacs, lab: Path
) -> None:
    study = walking.new_study(AccessionNumber="A")
    study.add_new("AccessionNumber", "LO", "N" * 40)  # longer than SH may be
    study["AccessionNumber"].VR = "SH"
    observed.load(study)
    cells = cells_of(study, media=png(lab / "a.png").name, accession_override="OURS")
    sheet = walking.manifest(lab, [cells])
    observed.mood = answers(0xA700)
    assert outcomes(walk(bench, sheet)) == [("FAILED", "pacs-out-of-resources")]
    assert outcomes(walk(bench, sheet)) == [STORED]


def in_doubt(bench: Workbench, observed: walking.ObservedPacs, sheet: Path) -> None:
    """Walk the sheet: its rows end UNCERTAIN, because the PACS says success and does not have them."""
    observed.mood = lambda _event: 0x0000
    assert {status for status, _ in outcomes(walk(bench, sheet))} == {"UNCERTAIN"}
    observed.mood = lambda _event: None


def test_row_in_doubt_that_is_refused_stays_in_doubt_and_keeps_its_files(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    in_doubt(bench, observed, sheet)
    shutil.rmtree(bench.settings.cache_dir / "rows")
    begin_run(bench, sheet, None, "run")
    png(lab / "0.png", 99)
    do_steps(bench, one_batch(bench))
    [row] = bench.ledger.rows("run")
    assert outcomes([row]) == [("UNCERTAIN", "media-changed")]
    assert bench.ledger.unfinished_row_keys() == {row.row_key}


def test_row_in_doubt_that_no_step_reached_is_told_why_and_what_next(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    in_doubt(bench, observed, sheet)
    begin_run(bench, sheet, None, "run")
    record(bench, one_batch(bench))
    [row] = bench.ledger.rows("run")
    assert outcomes([row]) == [("UNCERTAIN", "unfinished")]
    assert row.outcome.next_step


@pytest.mark.parametrize(
    ("error", "in_doubt", "partly_stored", "status"),
    [
        (OverUploadLimit("x"), False, False, Status.REFUSED),
        (OverUploadLimit("x"), False, True, Status.FAILED),  # REFUSED says that nothing was sent
        (OverUploadLimit("x"), True, False, Status.UNCERTAIN),
        (StoreFailed("x"), False, False, Status.FAILED),
        (UploadConflict("x"), True, True, Status.CONFLICT),
    ],
)
def test_error_has_one_status_in_every_step(
    error: Media2DicomError, in_doubt: bool, partly_stored: bool, status: Status
) -> None:
    assert status_of(error, in_doubt=in_doubt, partly_stored=partly_stored) == status


# --- sources that are damaged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["BodyPartExamined", "Modality", "Manufacturer", "Rows"])
@pytest.mark.parametrize("retrieve_by", ["get", "move"])
def test_source_with_a_broken_attribute_that_nobody_needs_lends_the_rest(
    observed: walking.ObservedPacs, lab: Path, tmp_path: Path, keyword: str, retrieve_by: str
) -> None:
    study = walking.new_study(BodyPartExamined="HAND")
    observed.hold(study, studies.with_broken_vr(study, keyword))
    servers = {"pacs": observed.peer.server(retrieve=retrieve_by)}
    with walking.workbench(observed.peer.settings(tmp_path, servers=servers)) as bench:
        assert outcomes(walk(bench, walking.pictures(lab, study, 1))) == [STORED]


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "SOPInstanceUID"])
def test_source_with_a_broken_identifier_leaves_it_to_another_instance(
    bench: Workbench, observed: walking.ObservedPacs, lab: Path, keyword: str
) -> None:
    study = walking.new_study(SeriesNumber=1)
    observed.hold(study, studies.with_broken_vr(study, keyword))
    sheet = walking.pictures(lab, study, 1)
    [(status, code)] = outcomes(walk(bench, sheet))
    assert (status, code) != STORED
    assert code != "unforeseen"
    observed.load(studies.image(study, SeriesInstanceUID=generate_uid(), SeriesNumber=2))
    assert outcomes(walk(bench, sheet)) == [STORED]


# --- what nobody foresaw: a fault of the program cannot be made for real, so one is put in ----------------------------


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        ("media2dicom.steps.retrieve", "confirm_identity"),
        ("media2dicom.steps.convert", "is_of"),
        ("media2dicom.steps.check", "refuse_unfit"),
    ],
)
@pytest.mark.parametrize(
    ("error", "outcome"),
    [(KeyError("Roe^Jane"), ("FAILED", "unforeseen")), (OSError(5, "I/O error"), ("FAILED", "cache-failed"))],
    ids=["fault", "disk"],
)
def test_unforeseen_error_of_one_row_leaves_the_other_rows_alone(
    bench: Workbench,
    observed: walking.ObservedPacs,
    study: Dataset,
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    name: str,
    error: Exception,
    outcome: tuple[str, str],
) -> None:
    sheet = walking.pictures(lab, study, 2)
    observed.mood = answers(0xA700, 0xA700)
    walk(bench, sheet)  # so that there are prepared files to look at
    plain, calls = getattr(importlib.import_module(owner), name), []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise error
        return plain(*arguments)

    monkeypatch.setattr(f"{owner}.{name}", failing)
    begin_run(bench, sheet, None, "run")
    do_steps(bench, one_batch(bench))
    found = bench.ledger.rows("run")
    assert outcomes(found) == [outcome, STORED]
    assert "Roe" not in found[0].outcome.message


def test_program_fault_while_fetching_does_not_blame_the_study(
    bench: Workbench, study: Dataset, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_arguments: Any) -> Any:
        raise TypeError("Roe^Jane")

    monkeypatch.setattr("media2dicom.steps.retrieve.retrieve_source", failing)
    assert outcomes(walk(bench, walking.pictures(lab, study, 2))) == [("FAILED", "unforeseen")] * 2


def test_ledger_that_fails_before_the_send_is_the_cause_that_is_told(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = Ledger.mark_sending, []

    def failing(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise LedgerFailed("The ledger could not be used.")
        plain(*arguments)

    sheet = walking.pictures(lab, study, 3)
    monkeypatch.setattr(Ledger, "mark_sending", failing)
    begin_run(bench, sheet, None, "run")
    do_steps(bench, one_batch(bench))
    assert outcomes(bench.ledger.rows("run")) == [STORED, *[("FAILED", "ledger-failed")] * 2]
    assert len(observed.received) == 1


def test_unforeseen_error_of_a_send_is_a_question_to_the_pacs(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = StoreSession.send

    def failing(session: StoreSession, instance: Instance) -> SendResult:
        result = plain(session, instance)
        if len(observed.received) == 2:
            raise KeyError("after the send")
        return result

    sheet = walking.pictures(lab, study, 4)
    monkeypatch.setattr(StoreSession, "send", failing)
    begin_run(bench, sheet, None, "run")
    do_steps(bench, one_batch(bench), tries=2)
    assert outcomes(bench.ledger.rows("run")) == [STORED] * 4
    assert len(observed.received) == len(observed.held()) == 4


def test_damaged_prepared_file_is_told_as_unreadable(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    begin_run(bench, walking.pictures(lab, study, 1), None, "run")
    batch = one_batch(bench)
    retrieve(bench, batch)
    convert(bench, batch)
    path = bench.ledger.rows("run")[0].instances[0].instance.path
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x20\x00FD", 1))  # Patient ID as numbers
    assert path.read_bytes() != whole
    check(bench, batch)
    store(bench, batch)
    [row] = bench.ledger.rows("run")
    assert outcomes([row]) == [("FAILED", "cache-failed")]
    assert observed.received == []
