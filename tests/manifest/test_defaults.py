"""The sheet Defaults: values for all rows, overridden by a row's own cell; and the site's policy beneath it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from media2dicom.errors import ManifestUnusable
from media2dicom.manifest.keys import row_key
from media2dicom.manifest.reading import read_manifest
from media2dicom.model import Options, SopClassPolicy, VideoMode
from tests.manifest import sheets

NATIVE, LIGHT = SopClassPolicy.NATIVE, SopClassPolicy.VISIBLE_LIGHT


def workbook(folder: Path, rows: Sequence[dict[str, Any]], lines: Sequence[Sequence[Any]]) -> Path:
    sheets.media(folder, "a.jpg", "b.jpg")
    path = sheets.xlsx(folder / "m.xlsx", rows)
    book = load_workbook(path)
    page = book.create_sheet("defaults ", 0)  # first, and spelled as people spell
    for line in lines:
        page.append(list(line))
    book.save(path)
    return path


def test_defaults_hold_for_every_row_that_has_no_cell_of_its_own(tmp_path: Path) -> None:
    rows = [sheets.GOOD | {"modality": None}, sheets.GOOD | {"media": "b.jpg", "modality": "us"}]
    lines = [("Column", "Value"), ("SOP class policy", "visible light"), ("modality", "XC"), (None, None)]
    lines += [("video_mode", "cine"), ("end_s", 4), ("units", None)]
    one, two = read_manifest(workbook(tmp_path, rows, lines)).rows
    assert one.options == Options(sop_class_policy=LIGHT, modality="XC", video_mode=VideoMode.CINE, end_s=4)
    assert two.options == Options(sop_class_policy=LIGHT, modality="US", video_mode=VideoMode.CINE, end_s=4)


def test_default_and_the_same_value_in_the_cell_are_the_same_row(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    [by_default] = read_manifest(workbook(tmp_path / "x", [sheets.GOOD], [("body_part", "hand")])).rows
    [by_cell] = read_manifest(workbook(tmp_path / "y", [sheets.GOOD | {"body_part": "HAND"}], [])).rows
    assert (by_default.row_id, row_key(by_default, "p")) == (by_cell.row_id, row_key(by_cell, "p"))
    # and what is the default anyhow makes no other row of it
    [plain] = read_manifest(workbook(tmp_path / "x", [sheets.GOOD], [])).rows
    [said] = read_manifest(workbook(tmp_path / "y", [sheets.GOOD], [("sop_class_policy", "secondary-capture")])).rows
    assert row_key(plain, "p") == row_key(said, "p")


@pytest.mark.parametrize(
    ("site", "sheet", "cell", "expected"),
    [
        (NATIVE, None, None, NATIVE),
        (NATIVE, "visible-light", None, LIGHT),
        (NATIVE, "visible-light", "secondary-capture", SopClassPolicy.SECONDARY_CAPTURE),
        (NATIVE, None, "visible-light", LIGHT),
    ],
)
def test_cell_wins_over_sheet_and_sheet_over_site(
    site: SopClassPolicy, sheet: str | None, cell: str | None, expected: SopClassPolicy, tmp_path: Path
) -> None:
    lines = [("sop_class_policy", sheet)] if sheet else []
    path = workbook(tmp_path, [sheets.GOOD | {"sop_class_policy": cell}], lines)
    [row] = read_manifest(path, sop_class_policy=site).rows
    assert row.options.sop_class_policy is expected


def test_text_manifest_has_the_sites_policy(tmp_path: Path) -> None:
    sheets.media(tmp_path, "a.jpg")
    [row] = read_manifest(sheets.text(tmp_path / "m.csv", [sheets.GOOD]), sop_class_policy=LIGHT).rows
    assert row.options.sop_class_policy is LIGHT


def test_all_that_is_wrong_with_the_defaults_is_told_with_its_cell_and_without_its_value(tmp_path: Path) -> None:
    lines: list[Sequence[Any]] = [("name", "value"), ("sop_class_policy", "CANARY"), ("sop_class_polcy", "native")]
    lines += [("patient_id", "CANARY"), ("units", "mm"), ("Units", "cm"), ("modality", "#REF!"), (None, "CANARY")]
    with pytest.raises(ManifestUnusable) as refusal:
        read_manifest(workbook(tmp_path, [sheets.GOOD], lines))
    said = refusal.value.message.splitlines()
    cells = [f"Defaults!{cell}" for cell in ("B2", "A3", "A4", "A6", "B7", "A8")]
    assert [line.partition(":")[0] for line in said] == cells
    assert "the policy is unknown" in said[0]
    assert "is no column of a manifest" in said[1]
    assert "cannot be the same for all rows" in said[2]
    assert "CANARY" not in refusal.value.message


def test_row_whose_cell_contradicts_a_default_is_refused_alone(tmp_path: Path) -> None:
    rows = [sheets.GOOD | {"start_s": 9}, sheets.GOOD | {"media": "b.jpg", "start_s": 1}]
    found = read_manifest(workbook(tmp_path, rows, [("end_s", 5)]))
    assert [row.row_number for row in found.rows] == [3]
    assert "end_s is not after start_s" in found.refused[0].problems[0].message


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("body_part", "l spine", "L SPINE"),
        ("body_part", "Fore-arm", "FORE-ARM"),
        ("modality", "xc", "XC"),
        ("modality", "cf", "CF"),  # retired (PS3.3 C.7.3.1.1.1); RF is written
        ("body_part", "wound", None),
        ("modality", "PHOTO", None),
    ],
)
def test_body_part_and_modality_are_defined_terms_and_stay_as_they_are_in_the_cell(
    column: str, text: str, value: str | None, tmp_path: Path
) -> None:
    sheets.media(tmp_path, "a.jpg")
    found = read_manifest(sheets.text(tmp_path / "m.csv", [sheets.GOOD | {column: text}]))
    if value is None:
        assert [problem.cell for problem in found.errors] == ["D2"]
        assert "no defined term" in found.errors[0].message
    else:
        assert getattr(found.rows[0].options, column) == value
