"""What nobody foresaw: damaged sources, and faults of the program, which cannot be made for real and are put in."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from media2dicom.beginning import begin_run
from media2dicom.errors import LedgerFailed
from media2dicom.ledger import Ledger
from media2dicom.model import Instance
from media2dicom.pacs.store import SendResult, StoreSession
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.store import store
from media2dicom.steps.workbench import Workbench
from tests.pacs import studies
from tests.steps import walking
from tests.steps.walking import STORED, answers, do_steps, one_batch, outcomes, walk

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
