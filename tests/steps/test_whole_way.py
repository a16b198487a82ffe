"""Manifests through all steps on a real PACS: outcomes, reruns, duplicates, lost ledgers and caches."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from pydicom.dataset import Dataset

from media2dicom.errors import AlreadyRunning, ManifestUnusable
from media2dicom.locks import manifest_lock
from media2dicom.model import Status
from media2dicom.runs import default_results_path
from media2dicom.selection import Selection
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import result_columns, summarise
from tests import peers, real_media
from tests.steps import walking
from tests.steps.walking import STORED, cells_of, outcomes, png, stl, walk


def forget_ledger(settings: Settings) -> None:
    for path in settings.data_dir.glob("ledger.sqlite*"):
        path.unlink()


def test_rows_of_all_media_end_with_outcomes_of_their_own(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    real_media.make_video(lab / "clip.mp4", seconds=2)
    png(lab / "photo.png")
    stl(lab / "model.stl")
    (lab / "broken.png").write_bytes((lab / "photo.png").read_bytes()[:60])
    (lab / "note.txt").write_text("no media")
    rows: list[dict[str, Any]] = [
        cells_of(study, media="photo.png"),
        cells_of(study, media="clip.mp4", frame_interval_s="1"),
        cells_of(study, media="clip.mp4", frame_interval_s="0.5", video_mode="cine"),
        cells_of(study, media="model.stl"),
        cells_of(study, media="broken.png"),
        cells_of(study, media="missing.png"),
        cells_of(study, media="note.txt"),
        cells_of(study, media="photo.png", patient_id="another"),
        cells_of(study, media="photo.png", study_instance_uid="1.2.3.4.5"),
        cells_of(study, media="photo.png", skip="yes"),
        cells_of(study, media="photo.png", series_description="again"),
    ]
    sheet = walking.manifest(lab, rows)
    found = walk(bench, sheet, tries=2)
    assert outcomes(found) == [
        STORED,
        STORED,
        STORED,
        STORED,
        ("REFUSED", "media-damaged"),
        ("REFUSED", "media-missing"),
        ("REFUSED", "media-unsupported"),
        ("REFUSED", "identity-mismatch"),
        ("REFUSED", "study-not-found"),
        ("SKIPPED", "skipped"),
        ("REFUSED", "duplicate"),
    ]
    assert [len(row.instances) for row in found] == [1, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert all(row.outcome.next_step for row in found if row.status == Status.REFUSED)
    assert all(row.finished_at for row in found)
    sent = [one.instance.sop_instance_uid for row in found for one in row.instances]
    assert sorted(observed.received) == observed.held() == sorted(sent)
    columns = result_columns(found[1], found[1].stored_run or "")
    assert columns | {"finished_at": None} == {
        "status": "STORED",
        "code": None,
        "message": "",
        "next_step": "",
        "series_instance_uid": found[1].instances[0].instance.series_instance_uid,
        "sop_instance_uids": [one.instance.sop_instance_uid for one in found[1].instances],
        "instances": 2,
        "dicom_bytes": sum(one.instance.path.stat().st_size for one in found[1].instances),
        "attempts": 1,
        "store_status": "0x0000",
        "verified": "find",
        "finished_at": None,
    }
    table = load_workbook(default_results_path(sheet)).worksheets[0]
    header = [cell.value for cell in table[1]]
    assert [table.cell(n, header.index("status") + 1).value for n in range(2, 13)] == [str(row.status) for row in found]


def test_pictures_are_stored_and_proved_on_every_pacs(pacs: peers.Peer, tmp_path: Path, lab: Path) -> None:
    study = walking.new_study()
    pacs.load([study])
    stl(lab / "model.stl")
    rows = [cells_of(study, media="model.stl")]
    rows += [cells_of(study, media=png(lab / f"{n}.png", n).name) for n in range(3)]
    sheet = walking.manifest(lab, rows)
    with walking.workbench(pacs.settings(tmp_path)) as bench:
        found = walk(bench, sheet)
        assert outcomes(found) == [STORED] * 4
        assert {one.verified for row in found for one in row.instances} == {"find"}
    forget_ledger(bench.settings)
    with walking.workbench(bench.settings) as bench:
        again = walk(bench, sheet)
    assert outcomes(again) == [STORED] * 4
    assert all("Was there already" in row.outcome.message and row.attempts == 0 for row in again)


def test_rerun_sends_nothing(bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path) -> None:
    sheet = walking.pictures(lab, study, 3)
    first = walk(bench, sheet)
    sent = list(observed.received)
    again = walk(bench, sheet)
    assert outcomes(again) == [STORED] * 3
    assert observed.received == sent
    assert len(sent) == 3
    runs = bench.ledger.runs(sheet)
    assert [summarise(bench, run.run_id, sheet, None).already_stored for run in runs] == [3, 0]
    assert "earlier run" in str(result_columns(again[0], runs[0].run_id)["message"])
    assert [row.finished_at for row in again] == [row.finished_at for row in first]


def test_sorted_renamed_and_extended_manifest_runs_new_rows_only(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    rows = [cells_of(study, media=png(lab / f"{number}.png", number).name) for number in range(4)]
    walk(bench, walking.manifest(lab, rows[:3]))
    sheet = walking.manifest(lab, list(reversed(rows)), name="renamed.csv")
    found = walk(bench, sheet)
    assert outcomes(found) == [STORED] * 4
    assert len(observed.received) == len(observed.held()) == 4
    assert [row.stored_run == found[0].stored_run for row in found] == [True, False, False, False]


def test_lost_ledger_sends_nothing_again(
    settings: Settings, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    real_media.make_video(lab / "clip.mp4", seconds=3)
    rows = [cells_of(study, media="clip.mp4", frame_interval_s="1"), cells_of(study, media=png(lab / "a.png").name)]
    sheet = walking.manifest(lab, rows)
    with walking.workbench(settings) as bench:
        walk(bench, sheet)
    sent = list(observed.received)
    forget_ledger(settings)
    shutil.rmtree(settings.cache_dir)
    with walking.workbench(settings) as bench:
        found = walk(bench, sheet)
    assert outcomes(found) == [STORED] * 2
    assert observed.received == sent
    assert all("Was there already" in row.outcome.message for row in found)


def test_lost_cache_is_rebuilt_under_the_same_uids(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    observed.mood = lambda _event: 0xA700
    first = walk(bench, sheet)
    assert outcomes(first) == [("FAILED", "pacs-out-of-resources")]
    shutil.rmtree(bench.settings.cache_dir)
    observed.mood = lambda _event: None
    assert outcomes(walk(bench, sheet)) == [STORED]
    assert observed.received == [first[0].instances[0].instance.sop_instance_uid] * 2
    assert len(observed.held()) == 1


def test_other_description_of_a_stored_row_is_a_duplicate(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    png(lab / "a.png")
    walk(bench, walking.manifest(lab, [cells_of(study, media="a.png", series_description="one")]))
    found = walk(bench, walking.manifest(lab, [cells_of(study, media="a.png", series_description="two")]))
    assert outcomes(found) == [("REFUSED", "duplicate")]
    assert len(observed.received) == 1


def test_other_description_of_a_row_that_the_pacs_refused_is_filed(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    png(lab / "a.png")
    observed.mood = lambda _event: 0xC000
    walk(bench, walking.manifest(lab, [cells_of(study, media="a.png", series_description="one")]))
    observed.mood = lambda _event: None
    found = walk(bench, walking.manifest(lab, [cells_of(study, media="a.png", series_description="two")]))
    assert outcomes(found) == [STORED]


def test_one_study_named_in_two_ways_is_one_stored_and_one_refused(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    png(lab / "a.png")
    rows = [
        cells_of(study, media="a.png"),
        {"media": "a.png", "accession_number": study.AccessionNumber, "patient_id": study.PatientID},
    ]
    found = walk(bench, walking.manifest(lab, rows))
    assert sorted(outcomes(found)) == [("REFUSED", "duplicate"), STORED]
    assert len(observed.held()) == 1


def test_one_server_named_and_left_open_is_one_stored_and_one_refused(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    png(lab / "a.png")
    rows = [cells_of(study, media="a.png", destination="pacs"), cells_of(study, media="a.png", destination="")]
    found = walk(bench, walking.manifest(lab, rows))
    assert outcomes(found) == [STORED, ("REFUSED", "duplicate")]
    assert len(observed.received) == 1


def test_row_of_two_manifests_is_sent_once(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    rows = [cells_of(study, media=png(lab / "a.png").name)]
    walk(bench, walking.manifest(lab, rows, name="one.csv"))
    assert outcomes(walk(bench, walking.manifest(lab, rows, name="two.csv"))) == [STORED]
    assert len(observed.received) == 1


def test_retry_sends_the_prepared_files_when_the_media_are_gone(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 2)
    observed.mood = lambda _event: 0xA700
    walk(bench, sheet)
    for media in lab.glob("*.png"):
        media.unlink()
    observed.mood = lambda _event: None
    assert outcomes(walk(bench, sheet, retry=Selection())) == [STORED] * 2


def test_retry_of_one_cause_leaves_the_other_rows_alone(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 3)
    answers = iter([0xA700, 0xC000, 0x0000])
    observed.mood = lambda _event: next(answers) or None
    assert [code for _, code in outcomes(walk(bench, sheet))] == ["pacs-out-of-resources", "store-failed", None]
    observed.mood = lambda _event: None
    found = walk(bench, sheet, retry=Selection(Status.FAILED, ("store-failed",)))
    assert outcomes(found) == [("FAILED", "pacs-out-of-resources"), STORED, STORED]
    assert len(observed.received) == 4
    assert outcomes(walk(bench, sheet, retry=Selection(Status.FAILED))) == [STORED] * 3


def test_retry_of_a_changed_or_unknown_sheet_is_refused(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    with pytest.raises(ManifestUnusable, match="no run"):
        walk(bench, walking.pictures(lab, study, 1), retry=Selection())
    walk(bench, walking.pictures(lab, study, 1))
    with pytest.raises(ManifestUnusable, match="not as it was"):
        walk(bench, walking.pictures(lab, study, 2), retry=Selection())
    assert len(observed.received) == 1


def test_prepared_row_whose_content_another_row_filed_meanwhile_is_a_duplicate(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    png(lab / "a.png")
    first = walking.manifest(lab, [cells_of(study, media="a.png", series_description="one")], name="one.csv")
    observed.mood = lambda _event: 0xA700
    walk(bench, first)
    observed.mood = lambda _event: None
    second = walking.manifest(lab, [cells_of(study, media="a.png", series_description="two")], name="two.csv")
    assert outcomes(walk(bench, second)) == [STORED]
    assert outcomes(walk(bench, first)) == [("REFUSED", "duplicate")]
    assert len(observed.held()) == 1


def test_second_run_of_a_manifest_is_told_so(settings: Settings, lab: Path) -> None:
    sheet = lab / "manifest.csv"
    with manifest_lock(settings, sheet):
        with pytest.raises(AlreadyRunning, match=r"manifest\.csv"), manifest_lock(settings, sheet):
            pass
        with manifest_lock(settings, lab / "other.csv"):
            pass
    with manifest_lock(settings, sheet):
        pass


def test_headers_of_a_run_that_is_over_are_not_kept(bench: Workbench, study: Dataset, lab: Path) -> None:
    walk(bench, walking.pictures(lab, study, 1))
    assert list((bench.settings.cache_dir / "sources").iterdir()) == []


def test_prepared_file_of_the_former_identity_is_made_anew(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    observed.mood = lambda _event: 0xA700
    walk(bench, sheet)
    observed.stop()  # meanwhile the patient's name was corrected
    shutil.rmtree(observed.folder)
    study.PatientName = "Corrected^Jane"
    destination = {"destinations": observed.destinations, "port": observed.port}
    with walking.ObservedPacs(tmp_path / "pacs", **destination) as corrected:
        corrected.load(study)
        names: list[str] = []
        corrected.mood = lambda event: names.append(str(event.dataset.PatientName))
        assert outcomes(walk(bench, sheet)) == [STORED]
    assert names == ["Corrected^Jane"]


def test_prepared_file_that_the_validator_refuses_today_is_made_anew(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    observed.mood = lambda _event: 0xA700
    [row] = walk(bench, sheet)
    path = row.instances[0].instance.path  # as if an earlier version had written another side
    plain = path.read_bytes()
    path.write_bytes(plain.replace(b"\x20\x00\x62\x00CS\x02\x00U ", b"\x20\x00\x62\x00CS\x02\x00X ", 1))
    assert path.read_bytes() != plain
    sides: list[str] = []
    observed.mood = lambda event: sides.append(str(event.dataset.ImageLaterality))
    assert outcomes(walk(bench, sheet)) == [STORED]
    assert sides == ["U"]


def test_file_of_another_patient_in_the_cache_is_never_sent(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    from media2dicom.beginning import begin_run
    from media2dicom.runs import make_batches
    from media2dicom.steps.check import check
    from media2dicom.steps.convert import convert
    from media2dicom.steps.retrieve import retrieve
    from media2dicom.steps.store import store

    other = walking.new_study(PatientID=str(study.PatientID)[::-1] + "X")
    observed.load(other)
    rows = [cells_of(one, media=png(lab / f"{n}.png", n).name) for n, one in enumerate((study, other))]
    begin_run(bench, walking.manifest(lab, rows), None, "run")
    batches = make_batches(bench, "run")
    for step in (retrieve, convert):
        for batch in batches:
            assert step(bench, batch) == 0
    mine, theirs = (row.instances[0].instance for row in bench.ledger.rows("run"))
    shutil.copyfile(theirs.path, mine.path)
    bench.ledger.replace_instance(
        bench.ledger.rows("run")[0].row_key, replace(mine, size_bytes=mine.path.stat().st_size)
    )
    for step in (check, store):
        for batch in batches:
            step(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [("REFUSED", "object-not-conformant"), STORED]
    assert observed.received == [theirs.sop_instance_uid]
