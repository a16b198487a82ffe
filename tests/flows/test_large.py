"""Large manifests: cut into runs of `archive-rows` that can be retried on their own; the parent reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from pydicom.dataset import Dataset

from media2dicom.ledger import Ledger, LedgerRow
from media2dicom.model import Status
from media2dicom.runs import default_results_path
from tests import archive as sheets
from tests import peers
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp, running
from tests.steps.walking import png

ROWS = 25
CHUNKS = [(2, 11), (12, 21), (22, 26)]


@pytest.fixture(scope="module")
def cutting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """A `media2dicom up` that cuts manifests after ten rows."""
    with running(tmp_path_factory.mktemp("cutting"), {"rows_per_run": 10, "parallel_runs": 2}) as one:
        yield one


def pictures(folder: Path, study: Dataset, *, elsewhere: int | None = None) -> Path:
    """A manifest of ROWS pictures of the study; the row of number `elsewhere` names a server that is away."""
    rows: list[dict[str, Any]] = []
    for index in range(ROWS):
        png(folder / f"{index}.png", seed=index)
        destination = "second" if index + 2 == elsewhere else "first"
        rows.append({"media": f"{index}.png", **sheets.Patient(study).cells, "destination": destination})
    return sheets.write_sheet(folder / "many.csv", rows)


def ledger_rows(up: RunningUp, run_id: str) -> list[LedgerRow]:
    ledger = Ledger(up.settings.ledger_location)
    try:
        return ledger.rows(run_id)
    finally:
        ledger.close()


def chunk_runs(up: RunningUp, parent: str) -> list[dict[str, Any]]:
    where = {"flow_runs": {"parent_flow_run_id": {"any_": [parent]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return list(up.client.post("flow_runs/filter", where))


def numbers(run: dict[str, Any]) -> tuple[int, int]:
    return run["parameters"]["first_row"], run["parameters"]["last_row"]


def held(pacs: peers.Peer, up: RunningUp, study: Dataset) -> list[str]:
    found = sheets.fetch(pacs.server(), up.settings, str(study.StudyInstanceUID))
    return sorted(str(one.SOPInstanceUID) for one in found if one.SOPInstanceUID != study.SOPInstanceUID)


def test_a_large_manifest_is_archived_in_chunk_runs_and_a_chunk_is_retried_on_its_own(
    cutting: RunningUp, tmp_path: Path
) -> None:
    study = patient()
    manifest = pictures(tmp_path, study, elsewhere=15)
    with cutting.pacs("first") as first:
        first.load([study])
        begun = cutting.run_deployment("archive-manifest", manifest=manifest)
        ended = cutting.wait(begun["id"], within_s=200)
        runs = chunk_runs(cutting, begun["id"])
        assert (ended["type"], ended["message"]) == ("FAILED", "1 of 25 rows failed: 1 PACS unreachable.")
        assert sorted(numbers(run) for run in runs) == CHUNKS
        states = {numbers(run): run["state"]["type"] for run in runs}
        assert states == {(2, 11): "COMPLETED", (12, 21): "FAILED", (22, 26): "COMPLETED"}
        assert len(held(first, cutting, study)) == ROWS - 1
    failed = next(run for run in runs if numbers(run) == (12, 21))
    with cutting.pacs("second") as second:  # "first" is away: what is stored there is not asked for again
        second.load([study])
        cutting.retry(failed["id"])
        assert cutting.wait(failed["id"])["message"] == "All 10 rows are stored."
        assert len(held(second, cutting, study)) == 1
    found = ledger_rows(cutting, begun["id"])
    assert [row.status for row in found] == [Status.STORED] * ROWS
    assert default_results_path(manifest).is_file()
    sheet = load_workbook(default_results_path(manifest)).active
    header = [cell.value for cell in sheet[1]]
    statuses = [row[header.index("status")].value for row in sheet.iter_rows(min_row=2)]
    assert statuses == ["STORED"] * ROWS  # brought up to date by the chunk


@pytest.mark.slow
def test_retry_of_the_parent_completes_what_its_chunks_left(cutting: RunningUp, tmp_path: Path) -> None:
    study = patient()
    manifest = pictures(tmp_path, study)
    begun = cutting.run_deployment("archive-manifest", manifest=manifest)
    assert "25 PACS unreachable" in cutting.wait(begun["id"], within_s=200)["message"]
    with cutting.pacs("first") as first:
        first.load([study])
        cutting.retry(begun["id"])
        assert cutting.wait(begun["id"], within_s=200)["message"] == "All 25 rows are stored."
        assert len(held(first, cutting, study)) == ROWS
        assert len(set(held(first, cutting, study))) == ROWS


@pytest.mark.slow
def test_no_part_of_a_large_manifest_is_sent_that_was_not_approved(cutting: RunningUp, tmp_path: Path) -> None:
    study = patient()
    manifest = pictures(tmp_path, study)
    with cutting.pacs("first") as first:
        first.load([study])
        run_id = cutting.run_deployment("archive-manifest", manifest=manifest, approval=True)["id"]
        assert "25 of 25 rows are ready" in cutting.asked(run_id)["description"]
        cutting.answer(run_id, "Do not send")
        assert "25 not approved" in cutting.wait(run_id)["message"]
        assert held(first, cutting, study) == []
