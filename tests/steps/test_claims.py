"""One object per content, place and study: what a row sent is not forgotten, and no other row sends it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from media2dicom.steps.workbench import Workbench
from tests import real_media
from tests.steps import walking
from tests.steps.walking import outcomes, png, walk

STORED = ("STORED", None)


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
