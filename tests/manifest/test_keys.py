"""Keys that survive sorting, renaming and rereading a sheet."""

from __future__ import annotations

from pathlib import Path

import pytest

from media2dicom.manifest.keys import row_key
from media2dicom.manifest.reading import read_manifest
from tests.manifest.sheets import GOOD, media, xlsx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    media(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    return tmp_path


def test_a_sorted_sheet_has_the_same_keys_and_row_ids(folder: Path) -> None:
    rows = [{**GOOD, "media": f"{name}.jpg", "series_group": "g"} for name in "abc"]
    one = read_manifest(xlsx(folder / "m.xlsx", rows))
    two = read_manifest(xlsx(folder / "n.xlsx", [{}, *reversed(rows)]))
    keys = {row_key(row, "pacs") for row in one.rows}
    assert len(keys) == 3
    assert keys == {row_key(row, "pacs") for row in two.rows}
    assert {row.row_id for row in one.rows} == {row.row_id for row in two.rows}


def test_a_key_tells_destination_patient_options_and_given_row_id_apart(folder: Path) -> None:
    def key(destination: str = "pacs", **cells: str) -> str:
        return row_key(read_manifest(xlsx(folder / "m.xlsx", [{**GOOD, **cells}])).rows[0], destination)

    changed = [
        key("other"),
        key(patient_id="other"),
        key(patient_birth_date="19700101"),
        key(accession_number="A1"),
        key(series_description="x"),
        key(row_id="mine"),
        key(media="b.jpg"),
    ]
    assert len({key(), *changed}) == 8
    assert key() == key(comments="not a part of it")


def test_identical_refused_rows_have_two_keys_and_keep_them(folder: Path) -> None:
    rows = [{**GOOD, "patient_id": "x\\y"}, {**GOOD, "patient_id": "x\\y"}, {**GOOD, "media": "b.jpg"}]
    one = [row.key for row in read_manifest(xlsx(folder / "m.xlsx", rows)).refused]
    two = [row.key for row in read_manifest(xlsx(folder / "n.xlsx", [*reversed(rows)])).refused]
    assert len(set(one)) == 2
    assert one == two


def test_a_file_that_is_not_the_one_of_its_checksum_is_refused(folder: Path) -> None:
    manifest = read_manifest(xlsx(folder / "m.xlsx", [{**GOOD, "media_sha256": "0" * 64}]))
    assert manifest.refused[0].outcome.code == "media-changed"
    right = read_manifest(xlsx(folder / "n.xlsx", [GOOD])).rows[0].media_sha256
    assert len(read_manifest(xlsx(folder / "o.xlsx", [{**GOOD, "media_sha256": right}])).rows) == 1


def test_without_hashing_rows_have_a_size_and_no_hash(folder: Path) -> None:
    row = read_manifest(xlsx(folder / "m.xlsx", [GOOD]), hash_media=False).rows[0]
    assert (row.media_sha256, row.media_bytes) == (None, 11)
    assert len(row_key(row, "pacs")) == 64
