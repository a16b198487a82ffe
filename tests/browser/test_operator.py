"""The dashboard in a browser, with the clicks of the people who use it: Retry."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.pacs.demo import DemoPacs
from tests import archive as sheets
from tests import peers
from tests.browser.browser import Page
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp
from tests.steps.walking import png

pytestmark = pytest.mark.timeout(600)

OUT_OF_RESOURCES = 0xA700


class FullPacs(DemoPacs):
    """Knows its studies, but has no room for what it is sent."""

    def _on_store(self, event: Any) -> int:
        return OUT_OF_RESOURCES


def lab(folder: Path, study: Dataset, name: str) -> tuple[Path, Path]:
    """A manifest of one picture, and the picture."""
    picture = png(folder / "screen.png", seed=time.time_ns() % 1_000_000)
    return sheets.write_sheet(folder / name, [{"media": picture.name, **sheets.Patient(study).cells}]), picture


def held(pacs: peers.Peer, up: RunningUp, study: Dataset) -> int:
    """Instances in the study beside its source."""
    return len(sheets.fetch(pacs.server(), up.settings, str(study.StudyInstanceUID))) - 1


def press_retry(page: Page) -> None:
    page.click(".page-heading__trailing button", "Retry")
    page.find(".p-modal", None)
    page.click(".p-modal button", "Retry")


def state_on(page: Page) -> str:
    return page.find(".page-heading .state-badge").text.strip()


def test_an_operator_finds_the_failed_run_and_retries_it_when_the_pacs_has_room_again(
    up: RunningUp, page: Page, tmp_path: Path
) -> None:
    study = patient()
    manifest, picture = lab(tmp_path, study, "night of the full disk.csv")
    with up.pacs() as pacs:
        pacs.load([study])
    with up.pacs(kind=FullPacs):
        run_id = up.run_deployment("archive-manifest", manifest=manifest, server="first")["id"]
        assert up.wait(run_id)["type"] == "FAILED"
    picture.unlink()  # what is sent now can only be the prepared file

    page.open("/runs")
    page.click("a", f"archive {manifest.name}: 1 row")
    page.until(lambda: state_on(page) == "Failed", "to see that it failed")
    page.see("Finished in state Failed('The only row failed: PACS out of resources.')")  # the log
    assert "Traceback" not in page.text
    page.tab("Details")
    page.see("The only row failed: PACS out of resources.")
    with up.pacs() as pacs:
        press_retry(page)
        page.until(lambda: state_on(page) == "Completed", "to see that it is done", within_s=180)
        page.tab("Details")
        page.until(lambda: re.search(r"Run Count\s+2\b", page.text), "to read that it ran twice")
        page.see("The only row is stored")
        assert held(pacs, up, study) == 1
