"""Nothing of a patient reaches Prefect, the log or the terminal: not by errors of libraries, not by what is shown.

What people name themselves is shown as they chose it: a manifest's own name and path are parameters of a run. Whoever
names a manifest after a patient tells everybody who may see the dashboard.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media2dicom.errors import CacheFailed, LedgerFailed, Unforeseen, is_transient, sealed
from media2dicom.ledger import Entry, Ledger
from media2dicom.model import Outcome, Row, Status
from media2dicom.steps import convert as convert_step
from tests import archive as sheets
from tests import peers
from tests.flows.dashboard import artifacts, everything
from tests.flows.test_archive_manifest import _prefect_records, patient

CANARY = "CANARY^CLARA"


def test_an_unforeseen_error_is_told_by_type_and_place_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Unforeseen) as told, sealed("The work"):
        raise ValueError(CANARY)
    with pytest.raises(CacheFailed) as disk, sealed("The work"):
        raise OSError(28, "No space left on device", f"/tmp/{CANARY}")
    assert "ValueError in tests.flows.test_privacy:" in told.value.message
    assert CANARY not in told.value.message + disk.value.message + caplog.text


def test_a_database_error_does_not_show_the_row(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        connection.execute("DROP TABLE run_rows")
    connection.close()
    row = Row(2, "r", "a.png", None, None, None, "1.2.3", None, CANARY)
    entry = Entry("k", 2, "pacs", "r", "a.png", row, Outcome(Status.CHECKED))
    with pytest.raises(LedgerFailed) as failed:
        ledger.begin_run("run", tmp_path / "m.csv", "", "pacs", [entry])
    ledger.close()
    assert is_transient(failed.value)
    assert CANARY not in str(failed.value)


def test_a_step_that_breaks_unforeseen_leaves_no_patient_data_in_prefect(
    configured: Callable[..., Path],
    archive: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No real file brings the step itself down: it is broken on purpose."""

    def broken(*_: object) -> int:
        raise KeyError(CANARY)

    monkeypatch.setattr(convert_step, "convert", broken)
    caplog.set_level(logging.DEBUG)
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        study = patient(PatientName=CANARY)
        pacs.load([study])
        configured(pacs=pacs.server())
        rows = [{"media": "photo.jpg", **sheets.Patient(study).cells}]
        state, outcomes = archive(sheets.write_sheet(tmp_path / "m.csv", rows))
    assert (outcomes[0].status, outcomes[0].outcome.code) == (Status.FAILED, "unfinished")
    assert state.is_failed()
    assert CANARY not in "".join([*_prefect_records(), caplog.text, state.message])


# Of each patient: name parts, ID, birth date, accession number, in the spellings that the sheet and the names use.
_CANARIES = ("canaryname", "canarygiven", "CANARYID77", "19330303", "1933-03-03", "03.03.1933", "CANARYACC", "elsewho")


def test_nothing_that_is_planted_in_cells_file_names_and_sources_reaches_prefect(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.check_manifest import check_manifest
    from flows.commands import embedded
    from flows.retry_failed_sends import retry_failed_sends

    caplog.set_level(logging.DEBUG)
    study = patient(
        PatientName="Canaryname^Canarygiven",
        PatientID="CANARYID77",
        PatientBirthDate="19330303",
        AccessionNumber="CANARYACC",
    )
    made = sheets.make_media(tmp_path / "made")
    names = {
        "Canaryname_Canarygiven.jpg": "photo.jpg",
        "CANARYID77 knee.png": "screen.png",
        "canaryname 1933-03-03.bmp": "scan.bmp",
        "CANARYACC.stl": "binary.stl",
        "elsewho.png": "film16.png",  # another patient's file: nobody can know that name
        "03.03.1933.png": "palette.png",
        "CANARYID77.png": "alpha.png",
    }
    for name, source in names.items():
        shutil.copy(made[source], tmp_path / name)
    whole = {
        "study_instance_uid": str(study.StudyInstanceUID),
        "accession_number": "CANARYACC",
        "patient_id": "CANARYID77",
        "patient_name": "Canaryname^Canarygiven",
        "patient_birth_date": "1933-03-03",
        "series_description": "Canaryname CANARYID77 19330303",
        "row_id": "CANARYID77-{}",
    }
    alone = {"accession_number": "CANARYACC", "patient_id": "CANARYID77"}
    rows = [
        {"media": "Canaryname_Canarygiven.jpg", **whole},
        {"media": "CANARYID77 knee.png", **whole, "series_group": "Canaryname"},
        {"media": "canaryname 1933-03-03.bmp", **alone, "patient_name": "Elsewho^Canarygiven"},  # identity-mismatch
        {"media": "CANARYACC.stl", **alone},
        {"media": "elsewho.png", **alone, "transfer_syntax": ".50"},  # option-refused
        {"media": "CANARYID77.png", **alone, "opacity": "Canaryname"},  # cell-invalid: the row is not read
        {"media": "03.03.1933.png", **alone, "patient_birth_date": "03.03.1933 CANARYACC"},  # cell-invalid
        {"media": "canaryname gone.png", **whole},  # media-missing
    ]
    for number, row in enumerate(rows, start=2):
        if "row_id" in row:
            row["row_id"] = row["row_id"].format(number)
    with sheets.MoodyPacs(tmp_path / "pacs") as pacs:
        pacs.peer.load([study])
        configured(pacs.peer.our_port, pacs=pacs.peer.server())
        manifest = sheets.write_sheet(tmp_path / "planted.csv", rows)
        with embedded._quick_flows():
            checked = check_manifest(manifest, return_state=True)
            pacs.mood = lambda dataset: 0xA700
            archived, _ = archive(manifest)
            pacs.mood = lambda dataset: None
            retried = retry_failed_sends(manifest, causes=("pacs-out-of-resources",), return_state=True)
    assert archived.message.startswith("8 of 8 rows failed: 3 PACS out of resources")
    assert retried.message.startswith("5 of 8 rows were refused")
    assert checked.message.startswith("5 of 8 rows have problems")
    shown = artifacts("planted")
    assert set(shown) == {f"{kind}-planted" for kind in ("rows", "summary", "progress", "problems", "plan")}
    assert "*** knee.png" in shown["rows-planted"]["data"]
    seen = everything() + [record.getMessage() for record in caplog.records]
    assert any("planted.csv" in text for text in seen)
    for canary in (*_CANARIES, str(study.StudyInstanceUID)):
        assert not [text for text in seen if canary.casefold() in text.casefold()], canary


def test_a_duplicate_is_told_by_row_and_manifest_and_not_by_what_the_other_row_is_called(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    called = "Lost^Canary left"  # who is in no other cell of the row, and in none of the duplicate
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        study = patient()
        pacs.load([study])
        configured(pacs=pacs.server())
        row = {"media": "photo.jpg", **sheets.Patient(study).cells}
        archive(sheets.write_sheet(tmp_path / "first.csv", [row | {"row_id": called}]))
        _, outcomes = archive(sheets.write_sheet(tmp_path / "second.csv", [row | {"series_description": "x"}]))
    assert outcomes[0].outcome.code == "duplicate"
    assert "Row 2 of first.csv, as last run, files" in artifacts("second")["rows-second"]["data"]
    seen = everything() + [record.getMessage() for record in caplog.records]
    assert not [text for text in seen if called in text]
