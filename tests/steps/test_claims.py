"""One object per content, place and study: what a row sent is not forgotten, and no other row sends it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.beginning import begin_run
from media2dicom.locks import manifest_lock
from media2dicom.settings import Settings
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.workbench import Workbench, content_of, submitted
from tests import real_media
from tests.steps import walking
from tests.steps.walking import STORED, cells_of, outcomes, png, stl, walk


def lie(_event: Any) -> int:
    """Success, and nothing is stored: the row ends UNCERTAIN."""
    return 0x0000


def move_accession(observed: walking.ObservedPacs, study: Dataset) -> Dataset:
    """The PACS gives the accession number of the study to another study of the same patient."""
    observed.index._database.execute(
        "UPDATE instances SET AccessionNumber = 'CORRECTED' WHERE StudyInstanceUID = ?", [str(study.StudyInstanceUID)]
    )
    other = walking.new_study(
        **{
            name: study[name].value
            for name in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")
        }
    )
    observed.load(other)
    return other


def test_row_that_was_sent_in_part_is_a_conflict_when_its_accession_number_names_another_study(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    real_media.make_video(lab / "clip.mp4", seconds=3)
    cells = {"accession_number": study.AccessionNumber, "patient_id": study.PatientID, "media": "clip.mp4"}
    sheet = walking.manifest(lab, [cells])
    observed.mood = lambda _event: 0xA700 if len(observed.received) > 1 else None
    [row] = walk(bench, sheet)
    assert outcomes([row]) == [("FAILED", "pacs-out-of-resources")]
    observed.mood = lambda _event: None
    move_accession(observed, study)
    for _ in range(2):
        [moved] = walk(bench, sheet)
        assert outcomes([moved]) == [("CONFLICT", "conflict")]
        assert moved.outcome.message.startswith("The PACS may have objects of this row in another study")
        assert "study_instance_uid" in moved.outcome.next_step
        uids = [one.instance.sop_instance_uid for one in row.instances]
        assert [one.instance.sop_instance_uid for one in moved.instances] == uids
    assert observed.received == []
    assert observed.held() == uids[:1]


def test_row_in_doubt_is_a_conflict_when_its_accession_number_names_another_study(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    cells = {"accession_number": study.AccessionNumber, "patient_id": study.PatientID, "media": png(lab / "a.png").name}
    sheet = walking.manifest(lab, [cells])
    observed.mood = lie
    assert outcomes(walk(bench, sheet)) == [("UNCERTAIN", "not-verified")]
    observed.mood = lambda _event: None
    move_accession(observed, study)
    assert outcomes(walk(bench, sheet)) == [("CONFLICT", "conflict")]
    assert observed.held() == []


def test_row_of_which_something_was_sent_is_filed_when_its_study_is_named_by_uid(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    """The way out of the conflict: into the study of today, or the rest into the former one."""
    cells = {"accession_number": study.AccessionNumber, "patient_id": study.PatientID}
    for media in (png(lab / "a.png"), stl(lab / "b.stl")):
        sheet = walking.manifest(lab, [cells | {"media": media.name}], f"{media.stem}.csv")
        observed.mood = lie
        walk(bench, sheet)
        observed.mood = lambda _event: None
    other = move_accession(observed, study)
    for name, wanted in (("a", other), ("b", study)):
        assert outcomes(walk(bench, lab / f"{name}.csv")) == [("CONFLICT", "conflict")]
        media = next(path.name for path in lab.glob(f"{name}.*") if path.suffix in {".png", ".stl"})
        [row] = walk(bench, walking.manifest(lab, [cells_of(wanted, media=media)], f"{name} by uid.csv"))
        assert outcomes([row]) == [STORED]
        assert row.instances[0].instance.study_instance_uid == wanted.StudyInstanceUID
    assert len(observed.held()) == 2


# --- a row that was edited, and files what it filed before ------------------------------------------------------------


@pytest.mark.parametrize("cells", [{"patient_birth_date": "19610203"}, {"row_id": "mine"}], ids=["confirm", "name"])
def test_row_in_doubt_that_is_confirmed_better_or_named_is_asked_for_and_sent_again(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, cells: dict[str, str]
) -> None:
    row = cells_of(study, media=png(lab / "a.png").name)
    observed.mood = lie
    [before] = walk(bench, walking.manifest(lab, [row]))
    observed.mood = lambda _event: None
    [after] = walk(bench, walking.manifest(lab, [row | cells]))
    assert outcomes([after]) == [STORED]
    assert after.row_key != before.row_key
    assert observed.held() == [before.instances[0].instance.sop_instance_uid]


def test_stored_row_that_is_named_stays_stored_and_nothing_is_sent(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    real_media.make_video(lab / "clip.mp4", seconds=2)
    row = cells_of(study, media="clip.mp4", frame_interval_s="1")
    walk(bench, walking.manifest(lab, [row]))
    sent = list(observed.received)
    [named] = walk(bench, walking.manifest(lab, [row | {"row_id": "mine"}]))
    assert outcomes([named]) == [STORED]
    assert named.outcome.message == "An earlier send arrived; nothing was sent again."
    assert observed.received == sent
    # Both in one sheet are one row too many.
    confirmed = row | {"patient_birth_date": "19610203"}
    found = walk(bench, walking.manifest(lab, [row | {"row_id": "mine"}, confirmed]))
    assert outcomes(found) == [STORED, ("REFUSED", "duplicate")]
    assert found[1].outcome.message.startswith("Row 2 files")


def test_parts_that_arrived_before_the_edit_are_not_sent_again(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    real_media.make_video(lab / "clip.mp4", seconds=3)
    row = cells_of(study, media="clip.mp4", frame_interval_s="1")
    answers = iter([0xA900, None])  # the first part is refused, the others arrive
    observed.mood = lambda _event: next(answers, None)
    assert outcomes(walk(bench, walking.manifest(lab, [row]))) == [("FAILED", "store-failed")]
    assert len(observed.held()) == 2
    assert outcomes(walk(bench, walking.manifest(lab, [row | {"patient_birth_date": "19610203"}]))) == [STORED]
    assert len(observed.received) == 4
    assert len(observed.held()) == 3


def test_other_description_of_a_row_in_doubt_is_refused_until_it_is_as_it_was(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    row = cells_of(study, media=png(lab / "a.png").name)
    observed.mood = lie
    walk(bench, walking.manifest(lab, [row], "monday.csv"))
    observed.mood = lambda _event: None
    [other] = walk(bench, walking.manifest(lab, [row | {"series_description": "x"}], "tuesday.csv"))
    assert outcomes([other]) == [("REFUSED", "duplicate")]
    assert other.outcome.message.startswith(
        "Row 2 of monday.csv, as last run, files the same media into the same study, and was sent"
    )
    assert "the PACS is asked first" in other.outcome.next_step
    assert outcomes(walk(bench, walking.manifest(lab, [row], "tuesday.csv"))) == [STORED]


def test_duplicate_of_another_manifest_is_told_without_what_its_row_is_called(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    row = cells_of(study, media=png(lab / "a.png").name)
    walk(bench, walking.manifest(lab, [row | {"row_id": "Kowalski Anna left"}], "a.csv"))
    [other] = walk(bench, walking.manifest(lab, [row | {"series_description": "x"}], "b.csv"))
    assert outcomes([other]) == [("REFUSED", "duplicate")]
    assert (
        other.outcome.message == "Row 2 of a.csv, as last run, files the same media into the same study, and is stored."
    )
    assert other.outcome.next_step.startswith("Remove this row")


def test_row_that_a_killed_run_was_sending_is_taken_over_under_another_name_of_the_sheet(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    row = cells_of(study, media=png(lab / "a.png").name)
    monday = walking.manifest(lab, [row], "monday.csv")
    begin_run(bench, monday, None, "run")
    batch = walking.one_batch(bench)
    for step in (retrieve, convert, check):
        step(bench, batch)
    [sending] = bench.ledger.rows("run")
    content = content_of(bench.settings, "pacs", str(study.StudyInstanceUID), submitted(sending))
    bench.ledger.mark_sending(sending.row_key, "run", content, [0])
    tuesday = walking.manifest(lab, [row | {"patient_birth_date": "19610203"}], "tuesday.csv")
    with manifest_lock(bench.settings, monday):
        assert outcomes(walk(bench, tuesday)) == [("FAILED", "sent-by-another-run")]
    monday.unlink()  # killed, and its sheet has another name now
    assert outcomes(walk(bench, tuesday)) == [STORED]
    assert len(observed.received) == len(observed.held()) == 1


# --- two names of one PACS --------------------------------------------------------------------------------------------


def test_picture_is_filed_once_whatever_name_its_pacs_has(
    settings: Settings, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    row = cells_of(study, media=png(lab / "a.png").name)
    server = settings.servers["pacs"]
    second = settings.model_copy(update={"servers": {"pacs": server, "second": server}})
    renamed = settings.model_copy(update={"servers": {"archive": server}})
    with walking.workbench(second) as bench:
        assert outcomes(walk(bench, walking.manifest(lab, [row]), server="pacs")) == [STORED]
        described = walking.manifest(lab, [row | {"series_description": "x"}])
        assert outcomes(walk(bench, described, server="second")) == [("REFUSED", "duplicate")]
    with walking.workbench(renamed) as bench:
        assert outcomes(walk(bench, described)) == [("REFUSED", "duplicate")]
        assert outcomes(walk(bench, walking.manifest(lab, [row]))) == [STORED]
    assert len(observed.received) == len(observed.held()) == 1
