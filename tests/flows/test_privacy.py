"""An error of a library never takes patient data along into Prefect, the log or the terminal."""

from __future__ import annotations

import logging
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
