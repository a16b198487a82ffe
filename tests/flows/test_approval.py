"""The approval gate as in the dashboard: the run waits with a form, and goes on or ends as it is answered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from media2dicom.ledger import Ledger, Run
from tests import archive as sheets
from tests import peers
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp
from tests.steps.walking import png


def lab(folder: Path, study: Dataset) -> Path:
    """Two rows that can be sent, one whose patient is another."""
    cells = sheets.Patient(study).cells
    rows = [{"media": f"{index}.png", **cells} for index in range(3)]
    for index in range(3):
        png(folder / f"{index}.png", seed=int(time.time_ns() % 1_000_000) + index)
    rows[2]["patient_id"] = "SOMEBODYELSE"
    return sheets.write_sheet(folder / "asks.csv", rows)


def waiting(state: Any) -> bool:
    return bool(state["type"] == "PAUSED" or state["type"] in {"FAILED", "CRASHED", "COMPLETED"})


def form(up: RunningUp, run_id: str) -> dict[str, Any]:
    """What the dashboard shows when Resume is pressed: the description and the fields."""
    state = up.client.flow_run(run_id)["state"]
    assert state["name"] == "Suspended", state
    keys = state["state_details"]["run_input_keyset"]
    return {name: up.client.get(f"flow_runs/{run_id}/input/{keys[name]}") for name in ("description", "schema")}


def answer(up: RunningUp, run_id: str, decision: str) -> None:
    up.client.post(f"flow_runs/{run_id}/resume", {"run_input": {"decision": decision}})


def held(pacs: peers.Peer, up: RunningUp, study: Dataset) -> int:
    return len(sheets.fetch(pacs.server(), up.settings, str(study.StudyInstanceUID))) - 1


def run_of(up: RunningUp, run_id: str) -> Run:
    ledger = Ledger(up.settings.ledger_location)
    try:
        found = ledger.run(run_id)
        assert found is not None
        return found
    finally:
        ledger.close()


def test_a_run_waits_for_its_approval_and_sends_when_it_is_given(up: RunningUp, tmp_path: Path) -> None:
    study = patient()
    manifest = lab(tmp_path, study)
    with up.pacs("first") as pacs:
        pacs.load([study])
        run_id = up.run_deployment("archive-manifest", manifest=manifest, server="first", approval=True)["id"]
        up.wait(run_id, waiting)
        asked = form(up, run_id)
        assert "2 of 3 rows are ready" in asked["description"]
        assert "1 row will **not** be sent: patient differs from the PACS" in asked["description"]
        assert "Canary" not in str(asked)
        assert asked["schema"]["properties"]["decision"]["enum"] == ["Send", "Do not send"]
        assert held(pacs, up, study) == 0
        assert run_of(up, run_id).approval_asked_at is not None
        answer(up, run_id, "Send")
        ended = up.wait(run_id)
        assert ended["message"] == "1 of 3 rows were refused: 1 patient differs from the PACS."
        assert held(pacs, up, study) == 2
        assert run_of(up, run_id).approval_asked_at is None


def test_a_run_that_is_not_approved_sends_nothing_and_its_retry_asks_again(up: RunningUp, tmp_path: Path) -> None:
    study = patient()
    manifest = lab(tmp_path, study)
    with up.pacs("first") as pacs:
        pacs.load([study])
        run_id = up.run_deployment("archive-manifest", manifest=manifest, server="first", approval=True)["id"]
        up.wait(run_id, waiting)
        answer(up, run_id, "Do not send")
        ended = up.wait(run_id)
        assert "2 not approved" in ended["message"]
        assert held(pacs, up, study) == 0
        up.retry(run_id)
        up.wait(run_id, waiting)
        assert "2 of 3 rows are ready" in form(up, run_id)["description"]
        answer(up, run_id, "Send")
        up.wait(run_id)
        assert held(pacs, up, study) == 2


def test_a_manifest_that_was_changed_while_it_waited_is_asked_about_again(up: RunningUp, tmp_path: Path) -> None:
    study = patient()
    manifest = lab(tmp_path, study)
    with up.pacs("first") as pacs:
        pacs.load([study])
        run_id = up.run_deployment("archive-manifest", manifest=manifest, server="first", approval=True)["id"]
        up.wait(run_id, waiting)
        lines = manifest.read_text().splitlines()
        manifest.write_text("\n".join(lines[:2]) + "\n")
        answer(up, run_id, "Send")
        up.wait(run_id, lambda state: state["type"] == "RUNNING" or state["type"] in {"FAILED", "COMPLETED"})
        up.wait(run_id, waiting)
        assert "1 of 1 row is ready" in form(up, run_id)["description"]
        assert held(pacs, up, study) == 0
