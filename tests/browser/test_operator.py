"""The dashboard in a browser, with the clicks of the people who use it: Retry, the form, the approval, the login."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from media2dicom.pacs.demo import DemoPacs
from tests import archive as sheets
from tests import peers
from tests.browser.browser import Page
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp, running
from tests.steps.walking import png

pytestmark = pytest.mark.timeout(1200)  # real servers and a browser, on machines that do other things, too

OUT_OF_RESOURCES = 0xA700
DEPLOYMENT = "deployments/name/archive-manifest/archive-manifest"


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


def failed_for_want_of_room(up: RunningUp, manifest: Path, study: Dataset) -> str:
    """A run that has prepared everything and could not store it."""
    with up.pacs() as pacs:
        pacs.load([study])
    with up.pacs(kind=FullPacs):
        run_id = str(up.run_deployment("archive-manifest", manifest=manifest, server="first")["id"])
        assert up.wait(run_id, within_s=300)["type"] == "FAILED"
    return run_id


def press_retry(page: Page) -> None:
    page.click(".page-heading__trailing button", "Retry")
    page.click(".p-modal button", "Retry")


def until_state(page: Page, name: str) -> None:
    page.until(lambda: state_on(page) == name, f"to see the run {name}", within_s=300)


def state_on(page: Page) -> str:
    return page.find(".page-heading .state-badge").text.strip()


def test_an_operator_finds_the_failed_run_and_retries_it_when_the_pacs_has_room_again(
    up: RunningUp, page: Page, tmp_path: Path
) -> None:
    study = patient()
    manifest, picture = lab(tmp_path, study, "night of the full disk.csv")
    failed_for_want_of_room(up, manifest, study)
    picture.unlink()  # what is sent now can only be the prepared file

    page.open("/runs")
    page.click("a", f"archive {manifest.name}: 1 row")
    until_state(page, "Failed")
    page.see("Finished in state Failed('The only row failed: PACS out of resources.')")  # the log
    assert "Traceback" not in page.text
    page.tab("Details")
    page.see("The only row failed: PACS out of resources.")
    with up.pacs() as pacs:
        press_retry(page)
        until_state(page, "Completed")
        page.tab("Details")
        page.until(lambda: re.search(r"Run Count\s+2\b", page.text), "to read that it ran twice")
        page.see("The only row is stored")
        assert held(pacs, up, study) == 1


@pytest.mark.slow
def test_a_lab_manager_chooses_manifest_and_server_in_the_form_and_submits(
    up: RunningUp, page: Page, tmp_path: Path
) -> None:
    study = patient()
    inbox = up.settings.inbox
    manifest, _ = lab(inbox, study, f"{tmp_path.name}.csv")
    page.until(lambda: manifest.name in str(up.client.get(DEPLOYMENT)), "the form to know the manifest", 120)
    with up.pacs("second") as pacs:
        pacs.load([study])
        page.open("/deployments")
        page.click("a", "archive-manifest")
        page.click(".page-heading button", "Run")
        page.click(".p-overflow-menu-item", "Custom run")
        page.choose("manifest", manifest.name)
        page.click(".schema-form-property .p-button-group__button", "Choose")
        page.choose("server", "second")
        assert not {"results", "retry", "until"} & set(page.text.split())  # they are for programs
        page.click("button", "Submit")
        page.open("/runs")
        page.click("a", f"archive {manifest.name}: 1 row", within_s=300)
        until_state(page, "Completed")
        assert held(pacs, up, study) == 1
    assert (inbox / "done" / manifest.name).is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("decision", "end", "stored"), [("Send", "Completed", 1), ("Do not send", "Failed", 0)])
def test_a_run_that_waits_for_approval_goes_on_or_ends_as_the_form_is_answered(
    up: RunningUp, page: Page, tmp_path: Path, decision: str, end: str, stored: int
) -> None:
    study = patient()
    manifest, _ = lab(tmp_path, study, "asks first.csv")
    with up.pacs() as pacs:
        pacs.load([study])
        run_id = up.run_deployment("archive-manifest", manifest=manifest, server="first", approval=True)["id"]
        up.wait(run_id, lambda state: state["type"] not in {"SCHEDULED", "PENDING", "RUNNING"}, within_s=300)
        page.open(f"/runs/flow-run/{run_id}")
        until_state(page, "Suspended")
        page.click("button", "Resume")
        page.see("Nothing has been sent yet.")
        assert held(pacs, up, study) == 0
        page.choose("What shall be done?", decision)
        page.click(".p-modal button", "Submit")
        until_state(page, end)
        assert held(pacs, up, study) == stored


@pytest.mark.slow
def test_with_a_password_the_dashboard_asks_for_it_and_retry_works_behind_it(browser: Chrome, tmp_path: Path) -> None:
    secret = "operator:correct horse"
    study = patient()
    (tmp_path / "media").mkdir()
    manifest, _ = lab(tmp_path / "media", study, "behind a password.csv")
    with running(tmp_path / "up", MEDIA2DICOM_DASHBOARD__AUTH=secret) as up:
        page = Page(browser, up.url, tmp_path / "evidence")
        page.open()
        page.find("input[type=password]")
        run_id = failed_for_want_of_room(up, manifest, study)
        page.type("input[type=password]", secret + Keys.ENTER)
        page.see("Flow Runs")
        page.open(f"/runs/flow-run/{run_id}")
        until_state(page, "Failed")
        with up.pacs() as pacs:
            press_retry(page)
            until_state(page, "Completed")
            assert held(pacs, up, study) == 1
