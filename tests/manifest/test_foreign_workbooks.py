"""Workbooks as other programs write them: cells without addresses, inline strings, prefixes, the 1904 calendar."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import load_workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from media2dicom.errors import ManifestUnusable
from media2dicom.manifest.reading import read_manifest
from media2dicom.model import Row
from tests.manifest.sheets import GOOD, media, xlsx

SHEET = "xl/worksheets/sheet1.xml"


def rewritten(path: Path, change: Callable[[str], str], part: str = SHEET) -> Path:
    """The workbook with one part of its archive changed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    changed = change(parts[part].decode())
    assert changed != parts[part].decode()
    parts[part] = changed.encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    media(tmp_path, "a.jpg")
    return xlsx(tmp_path / "m.xlsx", [{**GOOD, "comments": "=1+1"}])


def only_row(path: Path) -> Row:
    manifest = read_manifest(path)
    assert not manifest.refused
    (row,) = manifest.rows
    return row


def test_cells_and_rows_without_addresses_are_counted(path: Path) -> None:
    rewritten(path, lambda xml: re.sub(r'(<(?:row|c)) r="[A-Z0-9]+"', r"\1", xml))
    assert only_row(path).row_number == 2
    manifest = read_manifest(path)
    assert [(problem.cell, problem.column) for problem in manifest.problems] == [("D2", "comments")]


def test_a_sheet_with_a_namespace_prefix_is_read(path: Path) -> None:
    def prefix(xml: str) -> str:
        return re.sub(r"<(/?)([a-zA-Z])", r"<\1x:\2", xml).replace("xmlns=", "xmlns:x=")

    manifest = read_manifest(rewritten(path, prefix))
    assert len(manifest.rows) == 1
    assert [problem.cell for problem in manifest.problems] == ["D2"]  # the formula is seen


def test_a_wrong_dimension_loses_no_row(path: Path) -> None:
    rewritten(path, lambda xml: re.sub(r'<dimension ref="[^"]+"', '<dimension ref="A1"', xml))
    assert only_row(path).patient_id == "00123"


def test_the_stored_result_of_a_formula_is_read(path: Path) -> None:
    def with_result(xml: str) -> str:
        return re.sub(r'<c r="C2"[^>]*>.*?</c>', '<c r="C2" t="str"><f>A1</f><v>00123</v></c>', xml)

    assert only_row(rewritten(path, with_result)).patient_id == "00123"


def test_a_shared_string_is_text(path: Path) -> None:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    content = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    relation = f'<Relationship Id="rId99" Type="{kind}" Target="sharedStrings.xml"/></Relationships>'
    override = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{content}"/></Types>'
    rewritten(path, lambda xml: re.sub(r'<c r="C2"[^>]*>.*?</c>', '<c r="C2" t="s"><v>1</v></c>', xml))
    rewritten(path, lambda xml: xml.replace("</Types>", override), "[Content_Types].xml")
    rewritten(path, lambda xml: xml.replace("</Relationships>", relation), "xl/_rels/workbook.xml.rels")
    with zipfile.ZipFile(path, "a") as archive:
        strings = "<si><t>other</t></si><si><r><t>00</t></r><r><t>77</t></r></si>"
        archive.writestr("xl/sharedStrings.xml", f'<sst xmlns="{main}" count="1" uniqueCount="2">{strings}</sst>')
    assert only_row(path).patient_id == "0077"


def test_dates_of_the_1904_calendar_are_right(tmp_path: Path) -> None:
    media(tmp_path, "a.jpg")
    path = xlsx(tmp_path / "m.xlsx", [{**GOOD, "patient_birth_date": "x"}])
    workbook = load_workbook(path)
    workbook.epoch = CALENDAR_MAC_1904
    workbook["Data"]["D2"] = dt.datetime(1970, 2, 1)
    workbook.save(path)
    assert only_row(path).patient_birth_date == "19700201"


def test_an_entity_in_a_sheet_is_refused(path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet'
    with pytest.raises(ManifestUnusable, match="damaged"):
        read_manifest(rewritten(path, lambda xml: xml.replace("<worksheet", bomb, 1)))


@pytest.mark.parametrize("cut", [100, 1000, -50])
def test_a_truncated_workbook_is_refused(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ManifestUnusable):
        read_manifest(path)


def test_a_part_that_is_no_xml_is_refused(path: Path) -> None:
    for part in (SHEET, "xl/workbook.xml", "[Content_Types].xml"):
        original = path.read_bytes()
        rewritten(path, lambda xml: xml[: len(xml) // 2], part)
        with pytest.raises(ManifestUnusable):
            read_manifest(path)
        path.write_bytes(original)
