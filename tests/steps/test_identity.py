"""Wrong-patient protection, and that no log, message, warning or file name tells who the patient is."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.model import Status
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import result_columns
from tests import peers
from tests.pacs import studies
from tests.steps import walking
from tests.steps.walking import outcomes, png, walk


def prepared_files(settings: Settings) -> list[Path]:
    return list((settings.cache_dir / "rows").rglob("*")) if (settings.cache_dir / "rows").exists() else []


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"patient_id": "someone-else"}, "identity-mismatch"),
        ({"patient_id": "123"}, "identity-mismatch"),  # the PACS has 00123
        ({"patient_id": "00123 x"}, "identity-mismatch"),
        ({"patient_birth_date": "1961-02-04"}, "identity-mismatch"),
        ({"patient_name": "Roe^June"}, "identity-mismatch"),
        ({"patient_birth_date": "1961-02-03", "patient_name": "Doe^Jane"}, "identity-mismatch"),
        ({"study_instance_uid": "1.2.3.4.5.6"}, "study-not-found"),
        ({"study_instance_uid": "", "accession_number": "NOSUCH"}, "study-not-found"),
        ({"study_instance_uid": "", "accession_number": "TWICE"}, "several-studies"),
        ({"accession_number": "OTHERS"}, "identity-mismatch"),
    ],
)
def test_doubtful_row_is_refused_before_anything_is_converted(
    bench: Workbench, observed: walking.ObservedPacs, lab: Path, cells: dict[str, Any], code: str
) -> None:
    study = walking.new_study(PatientID="00123", PatientName="Roe^Jane", PatientBirthDate="19610203")
    twice = [walking.new_study(PatientID="00123", AccessionNumber="TWICE") for _ in range(2)]
    observed.load(study, *twice, walking.new_study(AccessionNumber="OTHERS"))
    sheet = walking.manifest(lab, [walking.cells_of(study, media=png(lab / "a.png").name) | cells])
    assert outcomes(walk(bench, sheet, tries=2)) == [("REFUSED", code)]
    assert prepared_files(bench.settings) == []
    assert observed.received == []


def test_study_under_two_patients_is_refused(bench: Workbench, observed: walking.ObservedPacs, lab: Path) -> None:
    study = walking.new_study()
    twin = studies.image(study, PatientID="ANOTHER")
    observed.load(study, twin)
    sheet = walking.manifest(lab, [walking.cells_of(study, media=png(lab / "a.png").name)])
    assert outcomes(walk(bench, sheet)) == [("REFUSED", "several-studies")]
    assert observed.received == []


def test_name_and_birth_date_that_agree_are_accepted(
    bench: Workbench, study: Dataset, observed: walking.ObservedPacs, lab: Path
) -> None:
    more = {"patient_name": "jane ROE", "patient_birth_date": "1961-02-03"}
    sheet = walking.manifest(lab, [walking.cells_of(study, media=png(lab / "a.png").name, **more)])
    assert outcomes(walk(bench, sheet)) == [("STORED", None)]


CANARIES = ("QWYJIBO", "77ZK4401", "19470811", "ACCZ993X")


def test_patient_data_is_in_no_log_message_warning_or_name(
    tmp_path: Path, lab: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("media2dicom").setLevel(logging.DEBUG)
    name, patient_id, birth_date, accession = CANARIES
    study = walking.new_study(
        PatientName=f"{name}^Zoe", PatientID=patient_id, PatientBirthDate=birth_date, AccessionNumber=accession
    )
    strange = walking.new_study(PatientName=f"{name}^Zoe", PatientID=patient_id, AccessionNumber=f"{accession}9")
    strange.StudyDate = f"{birth_date}999"
    full = {"patient_name": name, "patient_birth_date": "1947-08-11", "patient_id": patient_id}
    rows: list[dict[str, Any]] = [
        {"accession_number": accession, **full, "patient_name": f"{name}^Zoe"},
        {"accession_number": accession, **full},
        {"accession_number": accession, **full, "patient_id": f"{patient_id}8"},
        {"accession_number": f"{accession}*", **full},
        {"accession_number": f"{accession}7", **full},
        {"accession_number": accession, **full, "patient_birth_date": "1947-08-12"},
        {"accession_number": accession, **full, "patient_birth_date": "11.08.47 or so"},
        {"accession_number": f"{accession}9", "patient_id": patient_id},
        {"accession_number": f"{accession}{accession}{accession}", "patient_id": patient_id * 9},
    ]
    for number, row in enumerate(rows):
        row["media"] = png(lab / f"{number}.png", number).name
    sheet = walking.manifest(lab, rows)
    with walking.ObservedPacs(tmp_path / "pacs") as pacs, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        pacs.load(study, strange)
        pacs.mood = lambda _event: 0xA700 if len(pacs.received) == 1 else None
        settings = pacs.peer.settings(tmp_path, timeouts=walking.QUICK)
        with walking.workbench(settings) as bench:
            found = [*walk(bench, sheet), *walk(bench, sheet, results=tmp_path / "results.xlsx")]
    assert {row.status for row in found} >= {Status.STORED, Status.FAILED, Status.REFUSED}
    told = [record.getMessage() + str(record.exc_info or "") for record in caplog.records]
    assert any("REFUSED" in text for text in told)  # something was logged
    told += [f"{row.outcome.message} {row.outcome.next_step} {row.warnings}" for row in found]
    told += [str(result_columns(row, "")) for row in found]
    told += [str(warning.message) for warning in warned]
    told += [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_relative_to(settings.cache_dir)]
    told += [str(path.relative_to(tmp_path)) for path in settings.data_dir.rglob("*")]
    told += list(capfd.readouterr())
    told += [repr(row.row) for row in found]
    shapes = (*CANARIES, "1947-08-11", "1947-08-12", name.lower())
    assert [(canary, text) for text in told for canary in shapes if canary in text] == []


def test_identity_is_confirmed_anew_by_a_later_run(
    tmp_path: Path, bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    observed.mood = lambda _event: 0xA700
    walk(bench, sheet)
    with peers.demo_pacs(tmp_path / "moved") as other:  # the study is another patient's meanwhile
        study.PatientID = "MERGED"
        other.load([study])
        servers = {"pacs": other.server()}
        with walking.workbench(bench.settings.model_copy(update={"servers": servers})) as later:
            assert outcomes(walk(later, sheet)) == [("REFUSED", "identity-mismatch")]
