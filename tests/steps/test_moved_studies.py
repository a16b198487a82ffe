"""A study that is given to another patient while its rows are under way: nothing is filed under the old one."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.beginning import begin_run
from media2dicom.model import Batch
from media2dicom.runs import make_batches
from media2dicom.settings import Settings
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.record import record
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.store import store
from media2dicom.steps.workbench import Workbench
from tests import peers
from tests.steps import walking
from tests.steps.walking import STORED, ObservedPacs, outcomes, walk

MARY = {"PatientID": "P2", "PatientName": "Other^Mary", "PatientBirthDate": "19990101"}


def confirmed(bench: Workbench, sheet: Path) -> list[Batch]:
    """The sheet's batches, ready to be sent."""
    begin_run(bench, sheet, None, "run")
    batches = make_batches(bench, "run")
    for step in (retrieve, convert, check):
        for batch in batches:
            assert step(bench, batch) == 0
    return batches


def ended(bench: Workbench, batches: list[Batch]) -> list[tuple[str, str | None]]:
    for batch in batches:
        store(bench, batch)
        record(bench, batch)
    return outcomes(bench.ledger.rows("run"))


@pytest.mark.parametrize("verify", ["find", "none", "commitment"])
def test_study_that_is_another_patients_meanwhile_gets_nothing(
    observed: ObservedPacs, study: Dataset, settings: Settings, lab: Path, verify: str
) -> None:
    servers = {"pacs": observed.peer.server(verify=verify)}
    with walking.workbench(settings.model_copy(update={"servers": servers})) as bench:
        batches = confirmed(bench, walking.pictures(lab, study, 2))
        observed.alter(study, **MARY)
        assert ended(bench, batches) == [("REFUSED", "identity-mismatch")] * 2
        [message, _] = [row.outcome.message for row in bench.ledger.rows("run")]
    assert "the Patient IDs differ" in message
    assert observed.received == observed.held() == []


def test_study_that_orthanc_holds_for_another_patient_meanwhile_gets_nothing(tmp_path: Path, lab: Path) -> None:
    study = walking.new_study(PatientID="P1", PatientName="Roe^Jane", PatientBirthDate="19610203")
    http = peers.free_port()

    def call(method: str, path: str) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{http}{path}", method=method)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    options = {"HttpServerEnabled": True, "HttpPort": http, "AuthenticationEnabled": False}
    with peers.orthanc(tmp_path / "pacs", **options) as pacs:
        pacs.load([study])
        with walking.workbench(pacs.settings(tmp_path, timeouts=walking.QUICK)) as bench:
            batches = confirmed(bench, walking.pictures(lab, study, 1))
            for patient in call("GET", "/patients"):
                call("DELETE", f"/patients/{patient}")
            for keyword, value in MARY.items():
                setattr(study, keyword, value)
            pacs.load([study])
            assert ended(bench, batches) == [("REFUSED", "identity-mismatch")]
        assert len(call("GET", "/studies")) == len(call("GET", "/instances")) == 1


@pytest.mark.parametrize("corrected", [{"PatientName": "Other^Mary"}, {"PatientBirthDate": "19610204"}])
def test_corrected_patient_of_the_same_id_is_filed_by_the_next_run(
    bench: Workbench, observed: ObservedPacs, study: Dataset, lab: Path, corrected: dict[str, str]
) -> None:
    sheet = walking.pictures(lab, study, 1)
    batches = confirmed(bench, sheet)
    observed.alter(study, **corrected)
    assert ended(bench, batches) == [("REFUSED", "identity-mismatch")]
    assert observed.received == []
    found = walk(bench, sheet)
    assert outcomes(found) == [STORED]
    sent = dcmread(found[0].instances[0].instance.path)
    assert {keyword: str(sent[keyword].value) for keyword in corrected} == corrected


def test_name_that_is_only_respelled_meanwhile_is_no_reason_to_wait(
    bench: Workbench, observed: ObservedPacs, study: Dataset, lab: Path
) -> None:
    batches = confirmed(bench, walking.pictures(lab, study, 1))
    observed.alter(study, PatientName="ROE^JANE^^MRS")
    assert ended(bench, batches) == [STORED]


def second_patient(observed: ObservedPacs, study: Dataset) -> None:
    observed.load(walking.studies.image(study, **MARY))


@pytest.mark.parametrize(
    ("change", "code"), [(ObservedPacs.remove, "study-not-found"), (second_patient, "several-studies")]
)
def test_study_that_is_gone_or_two_patients_meanwhile_gets_nothing(
    bench: Workbench,
    observed: ObservedPacs,
    study: Dataset,
    lab: Path,
    change: Callable[[ObservedPacs, Dataset], None],
    code: str,
) -> None:
    batches = confirmed(bench, walking.pictures(lab, study, 1))
    change(observed, study)
    assert ended(bench, batches) == [("REFUSED", code)]
    assert observed.received == []


@pytest.mark.parametrize("verify", ["find", "none"])
def test_study_that_cannot_be_asked_for_is_asked_for_again(
    observed: ObservedPacs, study: Dataset, settings: Settings, lab: Path, verify: str
) -> None:
    servers = {"pacs": observed.peer.server(verify=verify)}
    with walking.workbench(settings.model_copy(update={"servers": servers})) as bench:
        batches = confirmed(bench, walking.pictures(lab, study, 1))
        observed.find_mood = lambda event: 0xA700 if event.identifier.QueryRetrieveLevel == "STUDY" else None
        assert [store(bench, batch) for batch in batches] == [1]
        assert outcomes(bench.ledger.rows("run")) == [("FAILED", "query-failed")]
        assert observed.received == []
        observed.find_mood = lambda _event: None
        assert ended(bench, batches) == [STORED]


def test_each_batch_asks_for_its_study_anew(
    bench: Workbench, observed: ObservedPacs, study: Dataset, lab: Path
) -> None:
    asked: list[str] = []

    def listen(event: Any) -> None:
        asked.append(str(event.identifier.QueryRetrieveLevel))

    observed.find_mood = listen
    first, second = confirmed(bench, walking.pictures(lab, study, 2))
    asked.clear()
    assert ended(bench, [first])[0] == STORED
    assert asked.count("STUDY") == 2  # before the send, and in the proof
    observed.alter(study, **MARY)
    assert ended(bench, [second]) == [STORED, ("REFUSED", "identity-mismatch")]
    assert len(observed.received) == 1


def test_study_that_moves_in_the_moment_of_the_send_is_told_as_a_conflict(
    bench: Workbench, observed: ObservedPacs, study: Dataset, lab: Path
) -> None:
    batches = confirmed(bench, walking.pictures(lab, study, 1))

    def move(_event: Any) -> None:
        observed.alter(study, **MARY)

    observed.mood = move
    assert ended(bench, batches) == [("CONFLICT", "conflict")]


def test_row_in_doubt_is_not_sent_to_the_old_patient(
    bench: Workbench, observed: ObservedPacs, study: Dataset, lab: Path
) -> None:
    batches = confirmed(bench, walking.pictures(lab, study, 1))
    observed.mood = lambda _event: 0x0000  # and does not keep it
    [batch] = batches
    assert store(bench, batch) == 1
    assert outcomes(bench.ledger.rows("run")) == [("UNCERTAIN", "not-verified")]
    observed.alter(study, **MARY)
    assert ended(bench, batches) == [("UNCERTAIN", "identity-mismatch")]
    assert len(observed.received) == 1
