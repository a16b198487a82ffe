"""The approval gate as in the dashboard: the run waits with a form, and goes on or ends as it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from media2dicom.ledger import Ledger
from tests import archive as sheets
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp
from tests.steps.walking import png


@dataclass(frozen=True)
class Asking:
    """A run of three rows that waits for its approval: two can be sent, the patient of one is another."""

    up: RunningUp
    run_id: str
    manifest: Path
    patient_id: str
    held: Callable[[], int]  # how many instances the PACS has beside the study's own

    def asked(self) -> dict[str, Any]:
        return self.up.asked(self.run_id)

    def answer(self, decision: str) -> None:
        self.up.answer(self.run_id, decision)

    def statuses(self) -> list[str]:
        ledger = Ledger(self.up.settings.ledger_location)
        try:
            return [str(row.status) for row in ledger.rows(self.run_id)]
        finally:
            ledger.close()


@pytest.fixture
def run(up: RunningUp, tmp_path: Path) -> Iterator[Asking]:
    study = patient()
    rows = [{"media": f"{index}.png", **sheets.Patient(study).cells} for index in range(3)]
    rows[2]["patient_id"] = "SOMEBODYELSE"
    for row in rows:
        png(tmp_path / row["media"], seed=hash(str(tmp_path / row["media"])) % 1_000_000)
    manifest = sheets.write_sheet(tmp_path / "asks.csv", rows)
    with up.pacs("first") as pacs:
        pacs.load([study])
        begun = up.run_deployment("archive-manifest", manifest=manifest, server="first", approval=True)
        yield Asking(
            up,
            begun["id"],
            manifest,
            str(study.PatientID),
            lambda: len(sheets.fetch(pacs.server(), up.settings, str(study.StudyInstanceUID))) - 1,
        )


def test_a_run_waits_for_its_approval_and_sends_when_it_is_given(run: Asking) -> None:
    asked = run.asked()
    assert "2 of 3 rows are ready" in asked["description"]
    assert "1 row will **not** be sent: patient differs from the PACS" in asked["description"]
    assert "Canary" not in str(asked)
    [table] = run.up.client.post(
        "/artifacts/filter",
        {"artifacts": {"flow_run_id": {"any_": [run.run_id]}, "type": {"any_": ["table"]}}},
    )
    assert [(line["row"], line["status"]) for line in json.loads(table["data"])] == [
        ("4", "REFUSED"),
        ("2", "PREPARED"),
        ("3", "PREPARED"),
    ]
    assert asked["schema"]["properties"]["decision"]["enum"] == ["Send", "Do not send"]
    assert run.held() == 0
    run.answer("Send")
    assert run.up.wait(run.run_id)["message"] == "1 of 3 rows was refused: 1 patient differs from the PACS."
    assert run.held() == 2
    assert run.statuses() == ["STORED", "STORED", "REFUSED"]


@pytest.mark.slow
def test_a_run_that_is_not_approved_sends_nothing_and_its_retry_asks_again(run: Asking) -> None:
    run.answer("Do not send")
    assert "2 not approved" in run.up.wait(run.run_id)["message"]
    assert run.held() == 0
    run.up.retry(run.run_id)
    assert "2 of 3 rows are ready" in run.asked()["description"]
    run.answer("Send")
    run.up.wait(run.run_id)
    assert run.held() == 2


@pytest.mark.slow
def test_a_manifest_that_was_changed_while_it_waited_is_asked_about_again(run: Asking) -> None:
    run.asked()
    lines = run.manifest.read_text().splitlines()
    run.manifest.write_text("\n".join(lines[:2]) + "\n")
    run.answer("Send")
    assert "1 of 1 row is ready" in run.asked()["description"]
    assert run.held() == 0


def test_what_was_not_ready_when_it_was_asked_is_not_sent_whatever_it_is_by_then(run: Asking) -> None:
    run.asked()
    rest = run.manifest.read_text().replace("SOMEBODYELSE", run.patient_id)
    run.manifest.write_text(rest)  # three rows could go out now: two were shown
    run.answer("Send")
    assert "3 of 3 rows are ready" in run.asked()["description"]
    assert run.held() == 0


def test_what_waits_for_an_approval_is_sent_by_no_other_run(run: Asking) -> None:
    run.asked()
    other = run.up.run_deployment("archive-manifest", manifest=run.manifest, server="first")
    assert "waits for an approval" in run.up.wait(other["id"])["message"]
    retry = run.up.run_deployment("retry-failed-sends", manifest=str(run.manifest))
    assert "waits for an approval" in run.up.wait(retry["id"])["message"]
    assert run.held() == 0
    run.answer("Send")
    run.up.wait(run.run_id)
    assert run.held() == 2


@pytest.mark.slow
def test_a_command_does_not_wait_for_the_answer_that_its_run_asks_for(run: Asking) -> None:
    run.answer("Do not send")
    run.up.wait(run.run_id)
    told = run.up.run_command("retry", run.manifest, "--cause", "not-approved")
    assert "waits for an approval" in told.stdout.decode()
    assert told.returncode == 1
    assert run.held() == 0
