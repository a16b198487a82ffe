"""The demo shows the main job, and a second demo finds it done."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from openpyxl import load_workbook
from rich.console import Console

from flows.commands.demo import run_demo
from media2dicom.settings import CONFIG_VARIABLE


def test_the_demo_files_every_kind_of_media_and_a_rerun_stores_nothing_new(
    prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, "")  # restored afterwards: the demo sets its own
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    held = []
    for _ in range(2):
        screen = io.StringIO()
        run_demo(tmp_path / "demo", Console(file=screen, width=80))
        held.append({path: path.stat().st_mtime_ns for path in (tmp_path / "demo/pacs").rglob("*.dcm")})
    assert len(held[0]) == 3 + 17  # the studies' own instances, and what was filed
    assert held[0] == held[1]
    assert "12 were stored by an earlier run" in " ".join(screen.getvalue().split())
    sheet = load_workbook(tmp_path / "demo/manifest.results.xlsx")["Data"]
    header = [cell.value for cell in sheet[1]]
    outcomes = {row[header.index("row_id")]: row[header.index("status")] for row in sheet.values if row[0] != "row_id"}
    assert len(outcomes) == 14
    assert [row_id for row_id, status in outcomes.items() if status != "STORED"] == ["wrong-patient", "broken-copy"]
