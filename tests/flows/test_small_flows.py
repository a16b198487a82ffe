"""The flows check-manifest and retry-failed-sends: what they do, and what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.model import Status
from media2dicom.runs import last_run
from media2dicom.settings import load_settings
from media2dicom.steps.workbench import open_workbench
from tests import archive as sheets
from tests import peers
from tests.flows.dashboard import artifacts
from tests.flows.test_archive_manifest import fetched, patient


@pytest.fixture
def call(prefect_server: None) -> Callable[..., Any]:
    """Run one of the small flows; its final state."""
    from flows.check_manifest import check_manifest
    from flows.commands import embedded
    from flows.retry_failed_sends import retry_failed_sends

    flows = {"check": check_manifest, "retry": retry_failed_sends}

    def run(name: str, **parameters: Any) -> Any:
        with embedded._quick_flows():
            return flows[name](**parameters, return_state=True)

    return run


def ended(manifest: Path) -> list[tuple[Status, str | None]]:
    bench = open_workbench(load_settings())
    last = last_run(bench, manifest)
    assert last is not None
    return [(row.status, row.outcome.code) for row in bench.ledger.rows(last.run_id)]


# --- check-manifest -----------------------------------------------------------------------------------------------


def test_check_shows_problems_and_plan_and_sends_nothing(
    configured: Callable[..., Path], call: Callable[..., Any], tmp_path: Path
) -> None:
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        study = patient()
        pacs.load([study])
        configured(pacs.our_port, pacs=pacs.server())
        who = sheets.Patient(study).cells
        rows = [
            {"media": "photo.jpg", **who, "series_group": "one"},
            {"media": "screen.png", **who, "series_group": "one"},
            {"media": "bikes.mp4", **who, "frame_interval_s": "5"},
            {"media": "nowhere.png", **who},
            {"media": "gone.png", **who},
            {"media": "scan.bmp", **who, "patient_id": "SOMEBODY"},
        ]
        manifest = sheets.write_sheet(tmp_path / "checked.csv", rows)
        state = call("check", manifest=manifest)
        assert fetched(pacs, study) == {}
    assert state.is_failed()
    assert state.message == "3 of 6 rows have problems: 2 media missing, 1 patient differs from the PACS."
    found = artifacts("checked")
    table = json.loads(found["problems-checked"]["data"])
    assert [(line["row"], line["severity"], line["problem"]) for line in table] == [
        ("5", "error", "media missing"),
        ("6", "error", "media missing"),
        ("7", "error", "patient differs from the PACS"),
    ]
    assert table[0]["cell"] == "A5"
    assert all(line["next step"] and line["message"] for line in table)
    plan = found["plan-checked"]["data"]
    assert "| pacs | 3 | 2 image, 1 video | 2 | 4 |" in plan
    assert "Asked: pacs." in plan


def test_check_of_a_sound_manifest_offline_completes(
    configured: Callable[..., Path], call: Callable[..., Any], tmp_path: Path
) -> None:
    configured()  # no server at all
    rows = [{"media": "photo.jpg", **sheets.Patient(patient()).cells}]
    lab = tmp_path / "data" / "inbox" / "lab"
    sheets.make_media(lab)
    sheets.write_sheet(lab / "sound.csv", rows)
    state = call("check", manifest="lab/sound.csv")
    assert state.is_completed(), state.message
    assert state.message == "1 row, no problems."
    assert "No PACS was asked." in artifacts("sound")["plan-lab-sound"]["data"]


def test_check_of_what_is_no_manifest_says_so(
    configured: Callable[..., Path], call: Callable[..., Any], tmp_path: Path
) -> None:
    configured()
    (tmp_path / "no.csv").write_text("nothing,of,it\n1,2,3\n", encoding="utf-8")
    state = call("check", manifest=tmp_path / "no.csv")
    assert state.is_failed()
    assert state.message
    assert call("check", manifest=tmp_path / "gone.csv").is_failed()


# --- retry-failed-sends ---------------------------------------------------------------------------------------------


class Lab:
    """A manifest of four rows; the PACS took one, is out of resources for another, refuses a third, cannot read a
    fourth."""

    def __init__(self, pacs: sheets.MoodyPacs, archive: Callable[..., Any], folder: Path) -> None:
        self.study = patient()
        pacs.peer.load([self.study])
        self.pacs, self.sent = pacs, list[str]()
        who = sheets.Patient(self.study).cells
        names = ("photo.jpg", "screen.png", "scan.bmp", "binary.stl")
        rows = [{"media": name, **who, "series_description": name} for name in names]
        self.manifest = sheets.write_sheet(folder / "lab.csv", rows)
        answers = {"screen.png": 0xA700, "scan.bmp": 0xA700, "binary.stl": 0xC000}
        self.answer_with(answers)
        archive(self.manifest)
        self.sent.clear()

    def answer_with(self, answers: dict[str, int]) -> None:
        def answer(dataset: Dataset) -> int | None:
            self.sent.append(str(dataset.SeriesDescription))
            return answers.get(str(dataset.SeriesDescription))

        self.pacs.mood = answer

    @property
    def run_id(self) -> str:
        last = last_run(open_workbench(load_settings()), self.manifest)
        assert last is not None
        return last.run_id


@pytest.fixture
def lab(configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path) -> Any:
    sheets.make_media(tmp_path)
    with sheets.MoodyPacs(tmp_path / "pacs") as pacs:
        configured(pacs.peer.our_port, pacs=pacs.peer.server())
        yield Lab(pacs, archive, tmp_path)


def test_retry_sends_what_is_left_of_a_manifest(lab: Lab, call: Callable[..., Any]) -> None:
    lab.answer_with({})
    state = call("retry", manifest=lab.manifest)
    assert state.is_completed(), state.message
    assert state.message == "All 4 rows are stored, 1 of them by an earlier run."
    assert sorted(lab.sent) == ["binary.stl", "scan.bmp", "screen.png"]
    assert "retry lab.csv: 3 of 4 rows" in artifacts("lab")["rows-lab"]["run"]["name"]
    again = call("retry", manifest=lab.manifest)
    assert again.is_completed()
    assert again.message == "lab.csv has no rows left that could be sent again."
    assert len(lab.sent) == 3


def test_retry_takes_chosen_causes_and_rows_only(lab: Lab, call: Callable[..., Any]) -> None:
    lab.answer_with({})
    state = call("retry", run=f"http://127.0.0.1:4200/v2/runs/flow-run/{lab.run_id}?tab=Logs", rows="3, 5")
    assert sorted(lab.sent) == ["binary.stl", "screen.png"]
    assert state.message.startswith("1 of 4 rows failed: 1 PACS out of resources.")
    call("retry", run=lab.run_id, causes=["pacs-out-of-resources"])
    assert sorted(lab.sent) == ["binary.stl", "scan.bmp", "screen.png"]
    assert {status for status, _ in ended(lab.manifest)} == {Status.STORED}


def test_retry_that_matches_no_row_says_what_is_left(lab: Lab, call: Callable[..., Any]) -> None:
    before = lab.run_id
    state = call("retry", manifest=lab.manifest, causes=["pacs-unreachable"])
    assert state.is_failed()
    assert state.message == (
        "No row matches. lab.csv has 3 left: 2 PACS out of resources (pacs-out-of-resources), "
        "1 refused by the PACS (store-failed). Name a cause or rows that are left, or nothing to take all of them."
    )
    assert lab.sent == []
    assert lab.run_id == before  # no run was made of it


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "Neither a manifest nor a run"),
        ({"manifest": "x.csv", "run": "y"}, "Give a manifest or a run"),
        ({"run": "3f0b8a52-1111-2222-3333-444455556666"}, "The ledger knows no such run"),
        ({"run": "what?"}, "The ledger knows no such run"),
        ({"manifest": "never-run.csv"}, "The ledger knows no run of never-run.csv"),
        ({"manifest": "x.csv", "rows": "five"}, "is no row number"),
    ],
)
def test_retry_of_an_unclear_order_says_what_is_unclear(
    configured: Callable[..., Path], call: Callable[..., Any], asked: dict[str, str], says: str
) -> None:
    configured()
    state = call("retry", **asked)
    assert state.is_failed()
    assert says in state.message
