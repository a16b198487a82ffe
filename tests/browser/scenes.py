"""A few days in a lab, played on a `media2dicom up` with the embedded PACS: what the screenshots are of.

Made-up studies and pictures only. Nothing here is a test.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from media2dicom.pacs.demo import DemoPacs
from tests import archive as sheets
from tests.pacs import studies
from tests.prefect_server import RunningUp
from tests.steps.walking import png

OUT_OF_RESOURCES = 0xA700


class CrowdedPacs(DemoPacs):
    """Has no room for each tenth instance, beginning with the third that it is sent, however often it is sent."""

    def __init__(self, folder: Path, *place: Any, **options: Any) -> None:
        super().__init__(folder, *place, **options)
        self._seen: list[str] = []

    def _on_store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        if uid not in self._seen:
            self._seen.append(uid)
        return OUT_OF_RESOURCES if self._seen.index(uid) % 10 == 2 else super()._on_store(event)


Row = dict[str, str]


class Lab:
    """Manifests in the inbox, each of pictures of its own, for one study."""

    def __init__(self, inbox: Path, study: Dataset) -> None:
        self._inbox, self._cells, self._seed = inbox, sheets.Patient(study).cells, 0

    def manifest(self, name: str, count: int, change: Callable[[list[Row]], object] = lambda rows: None) -> str:
        """`count` rows; `change` makes some of them wrong. Its name as the form has it."""
        folder = self._inbox / Path(name).stem
        folder.mkdir(parents=True)
        rows: list[Row] = []
        for number in range(1, count + 1):
            self._seed += 1
            picture = png(folder / f"picture {number:03}.png", self._seed)
            rows.append({"media": f"{folder.name}/{picture.name}", **self._cells})
        change(rows)
        sheets.write_sheet(self._inbox / name, rows)
        return name


def some_wrong(rows: list[Row]) -> None:
    """A few rows in each thirty: a study that nobody knows, a patient who is another, a picture that is not there."""
    for index in range(4, len(rows), 30):
        rows[index]["study_instance_uid"] = "1.2.826.0.1.3680043.9.7777"
    for index in range(11, len(rows), 60):
        rows[index]["patient_id"] = "SOMEBODYELSE"
    for index in range(17, len(rows), 100):
        rows[index]["media"] = rows[index]["media"].replace("picture", "pictrue")


def play(up: RunningUp) -> dict[str, str]:
    """The days, one after the other; the IDs of the runs by what they show."""
    study = studies.image(PatientName="Sample^Sam", StudyDescription="Sample study")
    settings = up.settings
    settings.inbox.mkdir(parents=True, exist_ok=True)
    lab = Lab(settings.inbox, study)
    runs: dict[str, str] = {}

    def run(what: str, deployment: str, ready: Callable[[Any], bool] | None = None, **parameters: Any) -> None:
        runs[what] = str(up.run_deployment(deployment, **parameters)["id"])
        up.wait(runs[what], ready, within_s=900)

    with up.pacs() as pacs:
        pacs.load([study])
        run("stored", "archive-manifest", manifest=lab.manifest("endoscopy week 46.csv", 6))
        run("check", "check-manifest", manifest=lab.manifest("orthopaedics week 46.csv", 20, some_wrong))
    with up.pacs(kind=CrowdedPacs):
        run("failed", "archive-manifest", manifest=lab.manifest("photographs week 46.csv", 24, some_wrong))
    with up.pacs():
        models = lab.manifest("models of the heart.csv", 4, lambda rows: rows[2].update(patient_id="SOMEBODYELSE"))
        run("approval", "archive-manifest", _suspended_or_over, manifest=models, approval=True)
        lab.manifest("ultrasound week 46.csv", 3)
        (settings.inbox / "ward 7.csv").write_text("file;patient\nwound.jpg;1\n", encoding="utf-8")
        time.sleep(settings.nightly.quiet_s)
        run("night", "archive-nightly")
    lab.manifest("endoscopy week 47.csv", 5)  # for the form to choose
    return runs


def _suspended_or_over(state: Any) -> bool:
    return bool(state["type"] in {"PAUSED", "FAILED", "CRASHED", "COMPLETED"})
