"""`media2dicom up` as operators and service managers meet it: the real command, its real server, real runs."""

from __future__ import annotations

from pathlib import Path

from tests import archive as sheets
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp


def one_row(folder: Path) -> tuple[Path, object]:
    """A manifest of one photo, and the study it belongs to."""
    study = patient()
    sheets.make_media(folder)
    row = {"media": "photo.jpg", **sheets.Patient(study).cells}
    return sheets.write_sheet(folder / "m.csv", [row]), study


def test_a_run_that_failed_is_completed_by_retry_when_the_pacs_is_back(up: RunningUp, tmp_path: Path) -> None:
    manifest, study = one_row(tmp_path)
    begun = up.run_deployment("archive-manifest", manifest=manifest, server="first")
    failed = up.wait(begun["id"])
    assert failed["type"] == "FAILED"
    with up.pacs("first") as pacs:
        pacs.load([study])
        up.retry(begun["id"])
        done = up.wait(begun["id"])
    assert done["type"] == "COMPLETED", done["message"]
