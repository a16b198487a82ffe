"""A sheet in, rows and problems out: what spreadsheets do to IDs, and what is said about it."""

from __future__ import annotations

import datetime as dt
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from media2dicom.errors import ManifestUnusable
from media2dicom.manifest.reading import read_manifest
from media2dicom.manifest.report import Manifest, Severity
from media2dicom.model import Status
from tests.manifest.sheets import GOOD, STUDY, media, text, xlsx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    media(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    return tmp_path


def problems(manifest: Manifest) -> list[tuple[int, str | None, str]]:
    return [(problem.row_number, problem.cell, problem.code) for problem in manifest.problems]


def row(name: str = "a.jpg", **cells: Any) -> dict[str, Any]:
    return {**GOOD, "media": name, **cells}


def unusable(path: Path) -> str:
    with pytest.raises(ManifestUnusable) as error:
        read_manifest(path)
    return error.value.message


# --- what a cell held is what a row has ---

IDS = st.one_of(
    st.sampled_from(
        ["00123", "NA", "nan", "NULL", "1e5", "-1", "None", "TRUE", "1.0", "0x10", "2024-01-02", "Ä-1", "患者"]
    ),
    st.text(st.characters(categories=("L", "N", "Pd")), min_size=1, max_size=20),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=5), st.sampled_from(["m.xlsx", "m.csv", "m.tsv", ";.csv"]))
def test_an_id_written_as_text_comes_back_as_it_was(ids: list[str], name: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        media(folder, *(f"{place}.jpg" for place in range(len(ids))))
        rows = [row(f"{place}.jpg", patient_id=patient_id) for place, patient_id in enumerate(ids)]
        path = folder / name
        if name == "m.xlsx":
            xlsx(path, rows)
        else:
            text(path, rows, delimiter={"m.csv": ",", "m.tsv": "\t"}.get(name, ";"))
        manifest = read_manifest(path)
        assert [found.patient_id for found in manifest.rows] == ids
        assert not manifest.problems


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_text_file_is_read_in_the_encodings_that_spreadsheet_programs_write(folder: Path, encoding: str) -> None:
    path = text(folder / "m.csv", [row(patient_name="Müller^Zoë")], delimiter=";", encoding=encoding)
    assert read_manifest(path).rows[0].patient_name == "Müller^Zoë"


def test_a_line_of_excel_that_names_the_delimiter_is_no_row(folder: Path) -> None:
    (folder / "m.csv").write_text(f'sep=;\nmedia;study_instance_uid;patient_id\na.jpg;{STUDY};="00123"\n')
    manifest = read_manifest(folder / "m.csv")
    assert [(found.row_number, found.patient_id) for found in manifest.rows] == [(2, "00123")]


def test_dates_numbers_and_times_of_real_cells_are_read(folder: Path) -> None:
    cells = row(
        patient_birth_date=dt.datetime(1970, 2, 1),
        content_date=dt.datetime(2024, 3, 1, 10, 5),
        content_time=dt.time(10, 5),
        series_number=7,
        opacity=0.1 + 0.2,
        mirrored=True,
        transfer_syntax=0.7,
    )
    found = read_manifest(xlsx(folder / "m.xlsx", [cells])).rows[0]
    assert found.patient_birth_date == "19700201"
    options = found.options
    assert (options.content_date, options.content_time, options.series_number) == ("20240301", "100500", 7)
    assert (options.opacity, options.mirrored) == (0.3, True)
    assert options.transfer_syntax == "1.2.840.10008.1.2.4.70"


# --- sheets and headers ---


def test_the_sheet_named_data_is_read_and_not_the_first(folder: Path) -> None:
    path = xlsx(folder / "m.xlsx", [row()], sheet="dATA")
    workbook = load_workbook(path)
    workbook.create_sheet("Guidance", 0)["A1"] = "read me"
    workbook.save(path)
    manifest = read_manifest(path)
    assert (manifest.sheet, len(manifest.rows)) == ("dATA", 1)


def test_all_that_is_wrong_with_the_sheet_is_said_at_once(folder: Path) -> None:
    (folder / "m.csv").write_text("Media,media,patientid,units,UNITS\n")
    message = unusable(folder / "m.csv")
    for part in ("media is there 2 times (A1, B1)", "no column patient_id. C1 looks like it", "units is there 2 times"):
        assert part in message
    assert "study_instance_uid or accession_number" in message
    assert "no rows" in message


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("m.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "password"),
        ("m.xlsx", b"media,patient_id\n", "not what its name says"),
        ("m.xlsx", b"PK\x03\x04 and no more", "damaged"),
        ("m.csv", b"PK\x03\x04", "not what its name says"),
        ("m.csv", b"", "empty"),
        ("m.csv", b"\n\n", "empty"),
        ("m.csv", b'media,patient_id\n"a.jpg,1\n', "quotation mark"),
        ("m.csv", b"m\0e\0d\0i\0a\0", "not a text file"),
        ("m.ods", b"PK\x03\x04", "neither"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_with_its_reason(
    tmp_path: Path, name: str, content: bytes, part: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert part in unusable(tmp_path / name)


def test_a_missing_file_is_a_manifest_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in unusable(tmp_path / "none.xlsx")


def test_the_first_row_is_never_quoted_when_it_is_no_header(folder: Path) -> None:
    (folder / "m.csv").write_text(f"a.jpg,{STUDY},P-4711,Miller^Ann\nb.jpg,{STUDY},P-4712,Doe^Joe\n")
    message = unusable(folder / "m.csv")
    assert "4711" not in message
    assert "Miller" not in message


def test_columns_that_nothing_uses_are_kept_and_said(folder: Path) -> None:
    manifest = read_manifest(xlsx(folder / "m.xlsx", [row(comments="x", priority="high", ward="3B", colour="1,2,3")]))
    notes = {(note.code, note.column) for note in manifest.notes}
    assert {("column-unused", "comments"), ("column-unused", "priority"), ("column-unknown", None)} <= notes
    assert problems(manifest) == [(1, "G1", "header-misspelled")]
    assert len(manifest.rows) == 1


def test_a_bomb_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", bytes(80_000_000))
    assert "unpacks" in unusable(tmp_path / "m.xlsx")


def test_a_cell_at_the_end_of_the_world_is_refused_quickly(folder: Path) -> None:
    path = xlsx(folder / "m.xlsx", [row()])
    workbook = load_workbook(path)
    workbook.active["XFD1048576"] = "x"
    workbook.save(path)
    assert "too large" in unusable(path)


# --- every row has a place ---


def test_every_line_is_a_row_a_refused_row_or_a_skipped_row(folder: Path) -> None:
    rows = [
        row(),
        row("missing.jpg"),
        {},
        {"media": "  "},
        row("b.jpg", skip="yes", units="nonsense"),
        row("b.jpg", skip="perhaps"),
        row("c.jpg"),
    ]
    manifest = read_manifest(xlsx(folder / "m.xlsx", rows))
    assert [found.row_number for found in manifest.rows] == [2, 8]
    assert [found.row_number for found in manifest.refused] == [3, 7]
    assert [(found.row_number, found.outcome.status) for found in manifest.skipped] == [(6, Status.SKIPPED)]
    assert manifest.row_count == 5
    assert problems(manifest) == [(3, "A3", "media-missing"), (7, "D7", "cell-invalid")]


def test_all_problems_of_all_rows_come_in_one_pass_with_their_cells_and_no_values(folder: Path) -> None:
    rows = [
        row("../x.jpg", patient_id="Secret\\2", patient_birth_date="1/2/1970"),
        row("b.jpg", study_instance_uid=None, patient_id=None),
        row("c.jpg", start_s="5", end_s="5", destination="elsewhere"),
    ]
    manifest = read_manifest(text(folder / "m.csv", rows), known_servers={"archive"})
    assert sorted(problems(manifest), key=str) == [
        (2, "A2", "media-outside-roots"),
        (2, "C2", "cell-invalid"),
        (2, "D2", "cell-invalid"),
        (3, "B3", "cell-invalid"),
        (3, "C3", "cell-invalid"),
        (4, "F4", "cell-invalid"),
        (4, "G4", "server-unknown"),
    ]
    said = " ".join(map(str, manifest.problems)) + " ".join(found.outcome.message for found in manifest.refused)
    assert "Secret" not in said
    assert "1970" not in said
    assert "archive" in said


def test_a_text_row_with_more_cells_than_headers_is_refused_and_the_others_go_on(folder: Path) -> None:
    (folder / "m.csv").write_text(
        f"media,study_instance_uid,patient_id,patient_name\na.jpg,{STUDY},1,Doe, Joe\n\nb.jpg,{STUDY},1\n"
    )
    manifest = read_manifest(folder / "m.csv")
    assert [found.row_number for found in manifest.refused] == [2]
    assert [found.row_number for found in manifest.rows] == [4]


def test_rows_swallowed_by_a_quotation_mark_are_noticed(folder: Path) -> None:
    (folder / "m.csv").write_text(
        f'media,study_instance_uid,patient_id,comments\na.jpg,{STUDY},1,"two\nb.jpg,{STUDY},1,inches"\nc.jpg,{STUDY},1,\n'
    )
    manifest = read_manifest(folder / "m.csv")
    assert "swallowed" in manifest.refused[0].outcome.message
    assert [found.media for found in manifest.rows] == ["c.jpg"]


# --- traps of spreadsheets ---


def test_number_cells_of_ids_are_warned_of_and_refused_when_digits_are_lost(folder: Path) -> None:
    rows = [row(patient_id=123), row("b.jpg", patient_id=12345678901234567), row("c.jpg", patient_id="1.23E+17")]
    manifest = read_manifest(xlsx(folder / "m.xlsx", rows))
    assert [found.patient_id for found in manifest.rows] == ["123"]
    assert problems(manifest) == [(2, "C2", "number-cell"), (3, "C3", "cell-invalid"), (4, "C4", "cell-invalid")]


def test_error_values_and_formulas_without_a_result_are_not_empty_cells(folder: Path) -> None:
    path = xlsx(folder / "m.xlsx", [row(patient_birth_date="x"), row("b.jpg", patient_birth_date="=TODAY()"), {}])
    workbook = load_workbook(path)
    sheet = workbook.active
    sheet["D2"] = "#N/A"
    sheet["D2"].data_type = "e"
    for cell in ("A4", "B4", "C4"):
        sheet[cell] = "=1+1"  # a line of nothing else is no blank line
    workbook.save(path)
    manifest = read_manifest(path)
    assert not manifest.rows
    assert [found.row_number for found in manifest.refused] == [2, 3, 4]
    assert problems(manifest)[:2] == [(2, "D2", "cell-invalid"), (3, "D3", "cell-invalid")]


def test_merged_cells_are_refused_and_hidden_rows_are_read_and_said(folder: Path) -> None:
    path = xlsx(folder / "m.xlsx", [row(patient_birth_date="19700201"), row("b.jpg"), row("c.jpg")])
    workbook = load_workbook(path)
    workbook.active.merge_cells("D2:D3")
    workbook.active.row_dimensions[4].hidden = True
    workbook.save(path)
    manifest = read_manifest(path)
    assert problems(manifest) == [(3, "D3", "cell-invalid")]
    assert [found.row_number for found in manifest.rows] == [2, 4]
    assert [note.code for note in manifest.notes] == ["rows-hidden"]


def test_drag_filled_uids_are_warned_of(folder: Path) -> None:
    rows = [row(f"{name}.jpg", study_instance_uid=f"1.2.3.{9 + place}") for place, name in enumerate("abc")]
    manifest = read_manifest(xlsx(folder / "m.xlsx", rows))
    assert [(problem.cell, problem.code) for problem in manifest.warnings] == [("B2", "uid-drag-filled")]
    other = [row(**{**cells, "patient_id": f"P{place}"}) for place, cells in enumerate(rows)]
    assert not read_manifest(xlsx(folder / "n.xlsx", other)).problems


# --- between rows ---


def test_the_same_media_twice_is_refused_unless_it_is_rendered_differently(folder: Path) -> None:
    rows = [row(), row(series_description="again"), row(max_frames=2), row(study_instance_uid="1.2.4")]
    manifest = read_manifest(xlsx(folder / "m.xlsx", rows))
    assert problems(manifest) == [(3, "A3", "duplicate")]
    assert "row 2" in manifest.refused[0].outcome.message


def test_a_copy_of_a_file_is_not_refused_for_a_row_that_may_fail_by_itself(folder: Path) -> None:
    (folder / "copy.jpg").write_bytes((folder / "a.jpg").read_bytes())
    rows = [row(patient_name="Wrong^Name"), row("copy.jpg"), row()]
    assert problems(read_manifest(xlsx(folder / "m.xlsx", rows))) == []


def test_a_refused_row_does_not_make_a_duplicate_of_the_right_one(folder: Path) -> None:
    manifest = read_manifest(xlsx(folder / "m.xlsx", [row(units="inch"), row()]))
    assert [found.row_number for found in manifest.rows] == [3]


def test_the_same_media_for_two_patients_is_warned_of_on_both(folder: Path) -> None:
    manifest = read_manifest(xlsx(folder / "m.xlsx", [row(), row(patient_id="P2", study_instance_uid="1.2.9")]))
    assert [(p.row_number, p.code, p.severity) for p in manifest.problems] == [
        (2, "media-of-two-patients", Severity.WARNING),
        (3, "media-of-two-patients", Severity.WARNING),
    ]
    assert "row 3" in manifest.problems[0].message
    assert "row 2" in manifest.problems[1].message


def test_a_repeated_row_id_is_refused_and_names_the_first(folder: Path) -> None:
    manifest = read_manifest(xlsx(folder / "m.xlsx", [row(row_id="r1"), row("b.jpg", row_id="r1")]))
    assert problems(manifest) == [(3, "D3", "duplicate")]


def test_rows_of_a_series_group_must_agree_and_are_counted(folder: Path) -> None:
    rows = [
        row(series_group="g", series_number=4),
        row("b.jpg", series_group="g", series_number=5),
        row("c.jpg", series_group="g", series_number=4),
    ]
    manifest = read_manifest(xlsx(folder / "m.xlsx", rows))
    assert problems(manifest) == [(3, "D3", "cell-invalid")]
    assert "series_number" in manifest.refused[0].outcome.message
    assert [found.order_in_group for found in manifest.rows] == [1, 2]


def test_twenty_thousand_rows_are_read_and_each_is_warned_of(folder: Path) -> None:
    rows = [
        row(study_instance_uid=f"1.2.{7 * place}", patient_id=f"P{place}", series_group=f"g{place}", start_s="0,5")
        for place in range(20_000)
    ]
    manifest = read_manifest(text(folder / "m.csv", rows))
    assert len(manifest.rows) == 20_000
    assert len(manifest.warnings) == 20_000  # one file, 20,000 patients
