"""A column that says nothing about a row's kind of media makes no other row, no other UID of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openpyxl import load_workbook
from PIL import Image

from media2dicom.dicom.uids import content_key, sop_instance_uid
from media2dicom.manifest.columns import COLUMNS, Kind
from media2dicom.manifest.keys import row_key
from media2dicom.manifest.reading import read_manifest
from media2dicom.manifest.report import Manifest
from media2dicom.model import Units, VideoMode
from tests import real_media
from tests.manifest import sheets

STUDY = "1.2.840.113619.2.55.3.1"
# a value that is not the default, for every column of videos and models
CELLS: dict[str, Any] = {
    **{"frame_interval_s": 2, "start_s": 1, "end_s": 3, "max_frames": 5, "video_mode": "cine"},
    **{"convert_to_stl": "yes", "units": "cm", "model_group": "g", "part_name": "p", "color": "1,2,3"},
    **{"color_in_description": "yes", "opacity": 0.5, "mirrored": "yes", "modified": "yes", "model_usage": "planning"},
}
VIDEO = {column.name for column in COLUMNS if column.kind is Kind.VIDEO}
MODEL = {column.name for column in COLUMNS if column.kind is Kind.MODEL}
# file: columns that say nothing about it
FOREIGN = {
    "a.png": VIDEO | MODEL,
    "a.mp4": MODEL,
    "a.stl": VIDEO | {"convert_to_stl"},
    "a.obj": VIDEO,
    "a.pdf": VIDEO | MODEL - {"part_name"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    real_media.make_video(folder / "a.mp4", seconds=1)
    (folder / "a.stl").write_bytes(real_media.binary_stl(real_media.sphere(33)))
    (folder / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", encoding="ascii")
    (folder / "a.pdf").write_bytes(b"%PDF-1.7\n")
    return folder


def read(folder: Path, media: str, cells: dict[str, Any], defaults: dict[str, Any] | None = None) -> Manifest:
    path = sheets.xlsx(folder / "m.xlsx", [sheets.GOOD | {"media": media, "study_instance_uid": STUDY} | cells])
    if defaults:
        book = load_workbook(path)
        page = book.create_sheet("Defaults")
        for line in defaults.items():
            page.append(list(line))
        book.save(path)
    manifest = read_manifest(path)
    assert not manifest.refused, manifest.problems
    return manifest


def names(manifest: Manifest) -> tuple[str, ...]:
    """All that tells whether two rows are one."""
    [row] = manifest.rows
    return row.row_id, row_key(row, "pacs"), content_key(STUDY, row), sop_instance_uid(STUDY, row, 0)


@pytest.mark.parametrize("media", FOREIGN)
def test_foreign_column_changes_nothing_and_the_check_says_so(folder: Path, media: str) -> None:
    plain = read(folder, media, {})
    foreign = {name: CELLS[name] for name in sorted(FOREIGN[media])}
    filled = read(folder, media, foreign)
    assert names(filled) == names(plain)
    said = {note.column for note in filled.notes if "says nothing about" in note.message} - {None}
    assert said == FOREIGN[media]
    by_default = read(folder, media, {}, {name: value for name, value in foreign.items() if name != "model_group"})
    assert names(by_default) == names(plain)
    assert not [note for note in by_default.notes if "says nothing about" in note.message]


@pytest.mark.parametrize("media", FOREIGN)
def test_own_column_makes_another_row(folder: Path, media: str) -> None:
    plain = names(read(folder, media, {}))
    for name in sorted((VIDEO | MODEL) - FOREIGN[media]):
        assert set(names(read(folder, media, {name: CELLS[name]}))).isdisjoint(plain), name


def test_defaults_of_one_kind_leave_the_other_kinds_alone(folder: Path) -> None:
    rows = [sheets.GOOD | {"media": media, "study_instance_uid": STUDY} for media in FOREIGN]
    path = sheets.xlsx(folder / "m.xlsx", rows)
    book = load_workbook(path)
    page = book.create_sheet("Defaults")
    for line in (("units", "cm"), ("video_mode", "cine"), ("transfer_syntax", ".70"), ("document_title", "Plan")):
        page.append(list(line))
    book.save(path)
    found = {row.media: row.options for row in read_manifest(path).rows}
    assert {name for name, options in found.items() if options.units is Units.CM} == {"a.stl", "a.obj"}
    assert {name for name, options in found.items() if options.video_mode is VideoMode.CINE} == {"a.mp4"}
    assert {name for name, options in found.items() if options.transfer_syntax} == {"a.png", "a.mp4"}
    assert {name for name, options in found.items() if options.document_title} == {"a.stl", "a.obj", "a.pdf"}
