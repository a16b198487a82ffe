"""What the dashboard shows of a run: name, tags, progress, the table of its rows, the summary."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media2dicom.ledger import Entry
from media2dicom.model import Outcome, Row, Status
from media2dicom.settings import Settings, load_settings
from media2dicom.steps.workbench import Workbench, open_workbench
from media2dicom.summary import summarise
from tests import archive as sheets
from tests import peers
from tests.flows.dashboard import artifacts
from tests.flows.test_archive_manifest import patient

REFUSED = Outcome(Status.REFUSED, "media-missing", "A3 (media): there is no such file.", "Put the file there.")
FAILED = Outcome(Status.FAILED, "pacs-out-of-resources", "The PACS is out of resources.", "Retry later.", True)
STORED = Outcome(Status.STORED)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return open_workbench(Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache"))


def enter(bench: Workbench, manifest: Path, outcomes: list[Outcome], run_id: str = "run") -> None:
    """A run whose rows have ended."""
    entries = [
        Entry(f"k{n}", n, "pacs", str(n), f"image {n}.png", _row(n), Outcome(Status.CHECKED), ())
        for n in range(2, len(outcomes) + 2)
    ]
    bench.ledger.begin_run(run_id, manifest, "", "pacs", entries)
    for entry, outcome in zip(entries, outcomes, strict=True):
        if outcome.status is not Status.CHECKED:
            bench.ledger.set_outcome(entry.row_key, outcome, stored_run=run_id if outcome is STORED else None)


def _row(number: int) -> Row:
    return Row(number, str(number), f"image {number}.png", None, None, None, "1.2.3", None, f"PATIENT{number}")


def table(bench: Workbench) -> list[dict[str, str]]:
    from flows.dashboard.reporting import by_cause, rows_table

    return rows_table(by_cause(bench.ledger.rows("run")), "run")


def test_failed_rows_come_first_grouped_by_cause_the_biggest_group_first(bench: Workbench, tmp_path: Path) -> None:
    enter(bench, tmp_path / "m.csv", [STORED, REFUSED, FAILED, STORED, FAILED])
    found = table(bench)
    assert [(line["row"], line["status"], line["cause"]) for line in found] == [
        ("4", "FAILED", "PACS out of resources"),
        ("6", "FAILED", "PACS out of resources"),
        ("3", "REFUSED", "media missing"),
        ("2", "STORED", ""),
        ("5", "STORED", ""),
    ]
    assert found[0] == {
        "row": "4",
        "file": "image 4.png",
        "status": "FAILED",
        "cause": "PACS out of resources",
        "next step": "Retry later.",
        "message": "The PACS is out of resources.",
    }


def test_a_large_table_shows_what_failed_and_counts_the_rest(
    bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.dashboard import reporting

    monkeypatch.setattr(reporting, "_SMALL", 9)
    monkeypatch.setattr(reporting, "_MAX_FAILED", 4)
    enter(bench, tmp_path / "m.csv", [STORED] * 3 + [FAILED] * 5 + [REFUSED] * 2)
    found = table(bench)
    assert [line["row"] for line in found] == ["5", "6", "7", "8", "", "", ""]
    assert [(line["status"], line["message"]) for line in found[4:]] == [
        ("FAILED", "1 more row: see the result workbook."),
        ("REFUSED", "2 rows: see the result workbook."),
        ("STORED", "3 rows: see the result workbook."),
    ]


def test_the_summary_says_what_happened_and_how_to_go_on(bench: Workbench, tmp_path: Path) -> None:
    from flows.dashboard.reporting import by_cause, summary_text

    enter(bench, tmp_path / "knees.xlsx", [STORED, FAILED, FAILED, REFUSED])
    summary = summarise(bench, "run", tmp_path / "knees.xlsx", tmp_path / "knees.results.xlsx")
    text = summary_text(summary, by_cause(bench.ledger.rows("run")), 90)
    assert "**3 of 4 rows failed: 2 PACS out of resources, 1 media missing.**" in text
    assert "| PACS out of resources | 2 | 3, 4 | Retry later. | FAILED | pacs-out-of-resources |" in text
    assert f"`{tmp_path}/knees.results.xlsx`" in text
    assert "It took 1 min 30 s, 22.50 s per row." in text
    assert "retry-failed-sends" in text


def test_a_run_is_named_tagged_and_shown(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path
) -> None:
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        study = patient()
        pacs.load([study])
        configured(pacs.our_port, pacs=pacs.server())
        who = sheets.Patient(study).cells
        rows = [{"media": name, **who} for name in ("photo.jpg", "scan.bmp", "nowhere.png")]
        manifest = sheets.write_sheet(tmp_path / "Röntgen Mai (2).csv", rows)
        state, _ = archive(manifest)
        archive(manifest)
    assert state.message == "1 of 3 rows was refused: 1 media missing."
    found = artifacts("rontgen-mai-2")
    assert set(found) == {"rows-rontgen-mai-2", "summary-rontgen-mai-2", "progress-rontgen-mai-2"}
    run = found["rows-rontgen-mai-2"]["run"]
    assert run["name"] == "archive Röntgen Mai (2).csv: 3 rows"
    assert run["tags"] == ["pacs:pacs"]
    assert [line["row"] for line in json.loads(found["rows-rontgen-mai-2"]["data"])] == ["4", "2", "3"]
    assert float(found["progress-rontgen-mai-2"]["data"]) == 100
    assert "2 were stored by an earlier run" in found["summary-rontgen-mai-2"]["data"]


def test_the_progress_follows_the_ledger(
    prefect_server: None, bench: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow
    from prefect.client.orchestration import get_client

    from flows.commands import embedded
    from flows.dashboard import reporting

    monkeypatch.setattr(reporting, "_EVERY_S", 0.05)
    seen: list[float] = []

    @flow(name="progress-test", persist_result=False)
    def work() -> None:
        enter(bench, tmp_path / "followed.csv", [STORED, Outcome(Status.CHECKED)])
        report = reporting.Report(bench, "run", tmp_path / "followed.csv")
        report.begin()
        with report.live(), get_client(sync_client=True) as client:

            def shown() -> float:
                return float(client._client.get(f"/artifacts/{report._progress}").json()["data"])

            seen.append(shown())
            bench.ledger.set_outcome("k3", STORED, stored_run="run")
            while shown() != 100:  # the test's own time limit ends it
                pass
            seen.append(shown())

    with embedded._quick_flows():
        work()
    assert seen == [50, 100]


def test_a_dashboard_that_is_away_fails_no_run(
    prefect_server: None,
    bench: Workbench,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from prefect import flow
    from prefect.context import SyncClientContext
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.commands import embedded
    from flows.dashboard import reporting

    monkeypatch.setattr(reporting, "_EVERY_S", 0.05)
    caplog.set_level(logging.WARNING)

    @flow(name="away-test", persist_result=False)
    def work() -> str:
        enter(bench, tmp_path / "away.csv", [STORED])
        report = reporting.Report(bench, "run", tmp_path / "away.csv")
        nobody = f"http://127.0.0.1:{peers.free_port()}/api"
        connected = SyncClientContext.__var__.set(None)  # else the run's own connection is used
        with temporary_settings({PREFECT_API_URL: nobody}):
            report.begin()
            with report.live():
                pass
            report.end(summarise(bench, "run", tmp_path / "away.csv", None))
        SyncClientContext.__var__.reset(connected)
        return "the run went on"

    with embedded._quick_flows():
        assert work() == "the run went on"
    told = [record.getMessage() for record in caplog.records if record.name == "media2dicom"]
    assert len(told) >= 3
    assert all(line.startswith("The dashboard could not be told") for line in told)
    assert "away.csv" not in "".join(told)


def test_outside_a_flow_run_nothing_is_shown_and_no_server_is_asked(bench: Workbench, tmp_path: Path) -> None:
    from flows.dashboard.reporting import Report

    enter(bench, tmp_path / "m.csv", [STORED])
    report = Report(bench, "run", tmp_path / "m.csv")
    report.begin()
    with report.live():
        pass
    report.end(summarise(bench, "run", tmp_path / "m.csv", None))
    assert report._progress is None


def test_runs_of_a_manifest_that_was_filed_are_one_series_of_artifacts(configured: Callable[..., Path]) -> None:
    from flows.dashboard.artifacts import key_of

    configured()
    settings = load_settings()
    keys = {
        key_of("rows", settings, settings.inbox / place / "Lab A/knees.xlsx") for place in (".", "done", "attention")
    }
    assert keys == {"rows-lab-a-knees"}
    assert key_of("rows", settings, Path("/data/膝.xlsx"), "rows-2-9") == "rows-rows-2-9"
    assert key_of("rows", settings, Path("/data/膝.xlsx")) == "rows-manifest"
