"""The dry run knows what each row would become, and refuses what its policy cannot be, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from media2dicom.dicom.uids import derived_uid
from media2dicom.model import SopClassPolicy
from media2dicom.planning import plan_manifest
from tests import peers, real_media
from tests.dicom.making import BASELINE, SV1
from tests.dicom.test_sources import stored
from tests.manifest import sheets
from tests.steps import walking

SC, SC_COLOR, US, US_CINE, PHOTO, VIDEO = (
    f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("7", "7.4", "6.1", "3.1", "77.1.4", "77.1.4.1")
)
PICTURE, CLIP = {"media": "a.png"}, {"media": "b.mp4", "frame_interval_s": 0.25}
CINE = CLIP | {"video_mode": "cine"}
NATIVE, LIGHT = {"sop_class_policy": "native"}, {"sop_class_policy": "visible-light"}

# study, cells, what it becomes; or of what the refusal speaks
ROWS: list[tuple[str, dict[str, Any], set[tuple[str, str]] | str]] = [
    ("CT", PICTURE, {(SC, SV1)}),
    ("CT", CLIP, {(SC, BASELINE)}),
    ("CT", CINE, {(SC_COLOR, BASELINE)}),
    ("US", PICTURE | NATIVE, {(US, SV1)}),
    ("US", CINE | NATIVE, {(US_CINE, BASELINE)}),
    ("CT", PICTURE | LIGHT, {(PHOTO, SV1)}),
    ("CT", CINE | LIGHT | {"body_part": "hand"}, {(VIDEO, BASELINE)}),
    ("CT", CINE | LIGHT | {"max_frames": 2}, "name the body part"),
    ("CT", PICTURE | NATIVE, "cannot conform to the class of the source (CT Image Storage)"),
    ("CT", CLIP | NATIVE, "cannot conform to the class of the source (CT Image Storage)"),
    ("CT", CLIP | LIGHT | {"modality": "CT"}, "for Modality XC"),
]


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    with peers.demo_pacs(tmp_path / "pacs") as running:
        running.load([stored("2", "CT", study="CT"), stored("6.1", "US", study="US")])
        yield running


def manifest(folder: Path, lines: Sequence[tuple[str, dict[str, Any], object]]) -> Path:
    Image.fromarray(np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)).save(folder / "a.png")
    real_media.make_video(folder / "b.mp4", seconds=1)
    rows = [
        {"study_instance_uid": derived_uid("study", study), "patient_id": "P-1", "row_id": f"row {number}", **cells}
        for number, (study, cells, _) in enumerate(lines)
    ]
    return sheets.text(folder / "m.csv", rows)


def test_plan_has_the_class_and_syntax_of_each_row_or_the_reason_why_not(archive: peers.Peer, tmp_path: Path) -> None:
    plan = plan_manifest(manifest(tmp_path, ROWS), archive.settings(tmp_path), "pacs", offline=False)
    objects = {one.row.row_number: set(one.objects) for one in plan.rows}
    told = {problem.row_number: problem.message for problem in plan.errors}
    assert set(objects) | set(told) == set(range(2, len(ROWS) + 2))
    for row_number, (_, _, expected) in enumerate(ROWS, start=2):
        if isinstance(expected, str):
            assert expected in told[row_number]
        else:
            assert objects[row_number] == expected


def test_offline_nothing_is_refused_that_the_source_could_answer(tmp_path: Path) -> None:
    settings = peers.Peer("none", 104, "NONE", 11113).settings(tmp_path, sop_class_policy=SopClassPolicy.VISIBLE_LIGHT)
    lines = [("CT", PICTURE, None), ("CT", CINE, None), ("CT", PICTURE | NATIVE, None)]
    plan = plan_manifest(manifest(tmp_path, lines), settings, None, offline=True)
    assert plan.errors == ()
    assert [set(one.objects) for one in plan.rows] == [{(PHOTO, SV1)}, {(VIDEO, BASELINE)}, {(SC, SV1)}]


def store(archive: peers.Peer, folder: Path, sheet: Path) -> None:
    with walking.workbench(archive.settings(folder)) as bench:
        assert {status for status, _ in walking.outcomes(walking.walk(bench, sheet))} == {"STORED"}


def test_what_an_earlier_run_filed_is_told_before_the_run(archive: peers.Peer, tmp_path: Path) -> None:
    line: dict[str, Any] = {"study_instance_uid": derived_uid("study", "CT"), "patient_id": "P-1", "media": "a.png"}
    walking.png(tmp_path / "a.png")
    walking.png(tmp_path / "b.png", 2)
    first = sheets.text(tmp_path / "first.csv", [line | {"row_id": "Kowalski Anna left"}])
    assert plan_manifest(first, archive.settings(tmp_path), "pacs", offline=False).errors == ()
    assert not (tmp_path / "data" / "ledger.sqlite").exists()
    store(archive, tmp_path, first)
    again = plan_manifest(first, archive.settings(tmp_path), "pacs", offline=False)
    assert again.errors == ()
    assert [note.message for note in again.notes] == ["1 row is stored by an earlier run: nothing is sent again."]
    rows = [line | {"series_description": "x"}, line | {"media": "b.png"}]
    second = sheets.text(tmp_path / "second.csv", rows)
    plan = plan_manifest(second, archive.settings(tmp_path), "pacs", offline=False)
    [problem] = plan.errors
    assert (problem.row_number, problem.code) == (2, "duplicate")
    assert str(problem).startswith("Row 2: Row 2 of first.csv, as last run, files the same media")
    # Named otherwise only: the same object, which the run asks for.
    named = sheets.text(tmp_path / "second.csv", [line | {"row_id": "17"}])
    assert plan_manifest(named, archive.settings(tmp_path), "pacs", offline=False).errors == ()


def test_two_rows_that_name_one_pacs_and_one_study_differently_are_duplicates(
    archive: peers.Peer, tmp_path: Path
) -> None:
    line = {"study_instance_uid": derived_uid("study", "CT"), "patient_id": "P-1"}
    walking.png(tmp_path / "a.png")
    rows = [line | {"media": "a.png", "destination": name} for name in ("pacs", "second")]
    settings = archive.settings(tmp_path, servers=dict.fromkeys(("pacs", "second"), archive.server()))
    plan = plan_manifest(sheets.text(tmp_path / "m.csv", rows), settings, None, offline=False)
    assert [(one.row_number, one.code) for one in plan.errors] == [(3, "duplicate")]


def test_ledger_that_cannot_be_asked_is_noted(archive: peers.Peer, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ledger.sqlite").write_text("no database, and long enough to be told so by SQLite " * 20)
    plan = plan_manifest(manifest(tmp_path, ROWS[:1]), archive.settings(tmp_path), "pacs", offline=False)
    assert plan.errors == ()
    assert [note.code for note in plan.notes] == ["ledger-failed"]
