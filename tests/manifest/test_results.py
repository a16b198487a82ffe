"""The result workbook: what the submitter gets back."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from openpyxl.styles import Font
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.table import Table

from media2dicom.errors import ResultsNotWritten
from media2dicom.manifest.columns import SYSTEM_COLUMNS
from media2dicom.manifest.reading import read_manifest
from media2dicom.manifest.results import write_results
from media2dicom.model import Status
from tests.manifest.sheets import GOOD, media, text, xlsx

STORED = {
    "status": Status.STORED,
    "message": "",
    "sop_instance_uids": ["2.25.1", "2.25.2"],
    "instances": 2,
    "dicom_bytes": 123456,
    "verified": True,
    "finished_at": "2024-03-01T10:05:00+01:00",
}
REFUSED = {"status": "REFUSED", "code": "media-missing", "message": "=cmd|' /C calc'!A0", "next_step": "+1\x07 bell"}


def sheet_of(path: Path, title: str = "Data") -> list[dict[str, Any]]:
    rows = load_workbook(path)[title].iter_rows(values_only=True)
    headers = next(rows)
    return [dict(zip(headers, row, strict=True)) for row in rows]


def test_a_workbook_comes_back_as_it_was_with_the_outcome_on_every_row(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [{**GOOD, "ward": "=1+1"}, {}, {**GOOD, "patient_id": "00007"}])
    workbook = load_workbook(path)
    data = workbook["Data"]
    data["C2"].font = Font(italic=True)
    data.column_dimensions["C"].width = 33
    data["A2"].value = "=literal"
    data["A2"].data_type = "s"
    data.add_data_validation(DataValidation("list", formula1='"a,b"', sqref="D2:D9"))
    workbook.create_sheet("Guidance")["A1"] = "read me"
    workbook.create_sheet("summary")["A1"] = "mine"
    workbook.save(path)
    before = path.read_bytes()

    out = tmp_path / "m.results.xlsx"
    write_results(path, out, {2: STORED, 4: REFUSED})

    assert path.read_bytes() == before
    written = load_workbook(out)
    assert written.sheetnames == ["Data", "Guidance", "summary", "Summary 2"]
    data = written["Data"]
    assert (data["C2"].value, data["C2"].font.italic, data.column_dimensions["C"].width) == ("00123", True, 33)
    assert (data["A2"].value, data["A2"].data_type) == ("=literal", "s")
    assert (data["D2"].value, data["D2"].data_type) == ("=1+1", "f")
    assert data.data_validations.dataValidation[0].formula1 == '"a,b"'
    assert [cell.value for cell in data[1]][4:] == list(SYSTEM_COLUMNS)
    assert data.freeze_panes == "A2"
    assert data.auto_filter.ref == "A1:O4"
    assert data["E1"].font.bold
    first, blank, last = sheet_of(out)
    assert (first["status"], first["sop_instance_uids"], first["instances"]) == ("STORED", "2.25.1 2.25.2", 2)
    assert first["verified"] == "yes"
    assert not any(blank.values())
    assert (last["patient_id"], last["status"]) == ("00007", "REFUSED")


def test_text_that_looks_like_a_formula_is_written_as_text(tmp_path: Path) -> None:
    path = text(tmp_path / "m.csv", [{**GOOD, "patient_name": "=HYPERLINK(1)", "row_id": "@x"}])
    out = tmp_path / "out.xlsx"
    write_results(path, out, {2: REFUSED})
    sheet = load_workbook(out)["Data"]
    suspicious = [cell for cell in sheet[2] if isinstance(cell.value, str) and cell.value[0] in "=+-@"]
    assert len(suspicious) == 4
    assert all(cell.data_type == "s" and cell.quotePrefix for cell in suspicious)
    assert sheet_of(out)[0]["next_step"] == "+1 bell"


def test_a_text_manifest_comes_back_as_a_workbook_of_text(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('media;patient_id;accession_number\n"a;b.jpg";00123;1e5\n\nc.jpg;NA;#N/A\n')
    out = tmp_path / "out.xlsx"
    write_results(tmp_path / "m.csv", out, {2: STORED, 4: REFUSED})
    rows = sheet_of(out)
    assert [list(row.values())[:4] for row in rows] == [
        ["a;b.jpg", "00123", "1e5", "STORED"],
        [None, None, None, None],
        ["c.jpg", "NA", "#N/A", "REFUSED"],
    ]


def test_the_summary_counts_statuses_and_causes(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [GOOD, GOOD, GOOD])
    out = tmp_path / "out.xlsx"
    write_results(path, out, {2: STORED, 3: REFUSED, 4: REFUSED})
    rows = [row for row in load_workbook(out)["Summary"].iter_rows(values_only=True) if any(row)]
    assert rows == [
        ("status", "rows", None),
        ("STORED", 1, None),
        ("REFUSED", 2, None),
        ("status", "cause", "rows"),
        ("REFUSED", "media-missing", 2),
    ]


def test_a_result_can_be_submitted_again_and_no_earlier_outcome_stays(tmp_path: Path) -> None:
    media(tmp_path, "a.jpg", "b.jpg")
    path = xlsx(tmp_path / "m.xlsx", [GOOD, {**GOOD, "media": "b.jpg"}])
    one, two = tmp_path / "one.xlsx", tmp_path / "two.xlsx"
    write_results(path, one, {2: STORED, 3: REFUSED})
    again = read_manifest(one)
    assert [row.row_id for row in again.rows] == [row.row_id for row in read_manifest(path).rows]
    assert "system-columns" in {note.code for note in again.notes}
    write_results(one, two, {3: STORED})
    first, second = sheet_of(two)
    assert (first["status"], first["instances"], second["status"], second["message"]) == (None, None, "STORED", None)
    assert load_workbook(two).sheetnames == ["Data", "Summary"]


def test_more_uids_than_a_cell_holds_are_shortened_with_a_count(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [GOOD])
    uids = [f"2.25.{10**37 + number}" for number in range(2000)]
    out = tmp_path / "out.xlsx"
    for given in (uids, " ".join(uids)):
        write_results(path, out, {2: {**STORED, "sop_instance_uids": given}})
        shown = sheet_of(out)[0]["sop_instance_uids"]
        assert len(shown) <= 32_767
        kept = shown.split(" and ")[0].split()
        assert shown.endswith(f"and {2000 - len(kept)} more")
        assert kept == uids[: len(kept)]


def test_a_sheet_with_a_table_gets_no_second_filter(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [GOOD])
    workbook = load_workbook(path)
    workbook["Data"].add_table(Table(displayName="Rows", ref="A1:C2"))
    workbook.save(path)
    write_results(path, tmp_path / "out.xlsx", {2: STORED})
    sheet = load_workbook(tmp_path / "out.xlsx")["Data"]
    assert sheet.auto_filter.ref is None
    assert sheet.tables["Rows"].ref == "A1:C2"


def test_a_result_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [GOOD])
    with pytest.raises(ResultsNotWritten, match=r"out\.xlsx cannot be written"):
        write_results(path, tmp_path / "missing" / "out.xlsx", {2: STORED})
    (tmp_path / "folder.xlsx").mkdir()
    with pytest.raises(ResultsNotWritten):
        write_results(path, tmp_path / "folder.xlsx", {2: STORED})
    with pytest.raises(ResultsNotWritten, match="overwrite"):
        write_results(path, tmp_path / "." / "m.xlsx", {2: STORED})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.xlsx", "m.xlsx"]


def test_a_result_is_readable_for_whom_the_manifest_is(tmp_path: Path) -> None:
    path = xlsx(tmp_path / "m.xlsx", [GOOD])
    path.chmod(0o640)
    write_results(path, tmp_path / "out.xlsx", {2: STORED})
    assert stat.S_IMODE((tmp_path / "out.xlsx").stat().st_mode) == 0o640
