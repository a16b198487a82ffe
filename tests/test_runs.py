"""Runs: batches, the upload limit's edges, and a results workbook that cannot be written."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from media2dicom.beginning import begin_run
from media2dicom.errors import OverUploadLimit, ResultsNotWritten
from media2dicom.ledger import Entry
from media2dicom.limits import megabytes, refuse_over_limit, size_warning
from media2dicom.manifest.reading import read_manifest
from media2dicom.model import Batch, Outcome, Status
from media2dicom.runs import default_results_path, finish_run, make_batches
from media2dicom.settings import Settings
from tests.manifest import sheets
from tests.steps import walking

SERVERS = {"pacs": {"host": "127.0.0.1", "port": 104, "ae_title": "PACS"}}


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(0, []), (1, [1]), (100, [1] * 100), (101, [2] * 50 + [1]), (2000, [20] * 100), (5000, [32] * 156 + [8])],
)
def test_batches_are_small_for_few_rows_and_bounded_for_many(tmp_path: Path, rows: int, sizes: list[int]) -> None:
    sheets.media(tmp_path, "a.jpg")
    [row] = read_manifest(sheets.text(tmp_path / "m.csv", [sheets.GOOD])).rows
    entries = [
        Entry(f"key-{number}", number, "pacs", "r", row.media, row, Outcome(Status.CHECKED))
        for number in range(2, rows + 2)
    ]
    with walking.workbench(Settings(servers=SERVERS, data_dir=tmp_path / "d", cache_dir=tmp_path / "c")) as bench:
        bench.ledger.begin_run("run", tmp_path / "m.csv", "0" * 64, None, entries)
        batches = make_batches(bench, "run")
    assert [len(batch.row_keys) for batch in batches] == sizes
    assert [key for batch in batches for key in batch.row_keys] == [entry.row_key for entry in entries]
    assert all(len(batch.row_keys) == min(32, math.ceil(rows / 100)) for batch in batches[:-1])
    if rows == 101:
        assert (batches[0].label, batches[-1].label) == ("rows 2-3", "row 102")


def test_a_part_of_a_large_manifest_has_batches_as_large_as_the_whole_would(tmp_path: Path) -> None:
    sheets.media(tmp_path, "a.jpg")
    [row] = read_manifest(sheets.text(tmp_path / "m.csv", [sheets.GOOD])).rows
    entries = [
        Entry(f"key-{number}", number, "pacs", "r", row.media, row, Outcome(Status.CHECKED))
        for number in range(2, 2502)
    ]
    with walking.workbench(Settings(servers=SERVERS, data_dir=tmp_path / "d", cache_dir=tmp_path / "c")) as bench:
        bench.ledger.begin_run("run", tmp_path / "m.csv", "0" * 64, None, entries)
        batches = make_batches(bench, "run", numbers=(102, 201))
    assert [batch.label for batch in batches] == ["rows 102-126", "rows 127-151", "rows 152-176", "rows 177-201"]


def test_batch_that_crosses_a_task_border_is_keys_alone() -> None:
    assert set(Batch.__dataclass_fields__) == {"run_id", "row_keys", "label"}


@pytest.mark.parametrize(("size_bytes", "refused"), [(4_000_000_000, False), (4_000_000_001, True)])
def test_upload_limit_is_four_thousand_million_bytes(size_bytes: int, refused: bool) -> None:
    if not refused:
        refuse_over_limit(size_bytes, "a.stl")
        return
    with pytest.raises(OverUploadLimit, match=r"a\.stl.*4,001 MB.*limit is 4,000 MB"):
        refuse_over_limit(size_bytes, "a.stl")


def test_size_warning_begins_above_its_size() -> None:
    assert size_warning(256_000_000, 256) is None
    assert size_warning(256_000_001, 256) == "An instance has 257 MB, over the upload size warning of 256 MB."


def test_megabytes_are_rounded_up() -> None:
    assert [megabytes(size) for size in (0, 1, 1_000_000, 1_000_001, 4_812_000_000)] == [
        *("0 MB", "1 MB", "1 MB", "2 MB", "4,812 MB")
    ]


def test_run_whose_results_cannot_be_written_is_finished_all_the_same(tmp_path: Path) -> None:
    sheets.media(tmp_path, "a.jpg")
    sheet = sheets.text(tmp_path / "m.csv", [sheets.GOOD])
    with walking.workbench(Settings(servers=SERVERS, data_dir=tmp_path / "d", cache_dir=tmp_path / "c")) as bench:
        begin_run(bench, sheet, None, "run")
        with pytest.raises(ResultsNotWritten):
            finish_run(bench, "run", sheet, tmp_path / "absent" / "results.xlsx")
        [run] = bench.ledger.runs()
    assert run.finished_at is not None
    assert run.finished_at > run.started_at
    assert run.results is None


def test_a_sheet_that_was_changed_meanwhile_gets_no_outcomes_beside_other_rows(tmp_path: Path) -> None:
    sheets.media(tmp_path, "a.jpg")
    sheet = sheets.text(tmp_path / "m.csv", [sheets.GOOD])
    with walking.workbench(Settings(servers=SERVERS, data_dir=tmp_path / "d", cache_dir=tmp_path / "c")) as bench:
        begin_run(bench, sheet, None, "run")
        sheet.write_text(sheet.read_text() + "\n")
        with pytest.raises(ResultsNotWritten, match="was changed"):
            finish_run(bench, "run", sheet, None)
        assert bench.ledger.runs(sheet)[0].finished_at is not None
        assert len(bench.ledger.rows("run")) == 1
    assert not default_results_path(sheet).exists()


def test_a_killed_run_is_closed_by_the_next_and_its_headers_are_gone(tmp_path: Path) -> None:
    sheets.media(tmp_path, "a.jpg")
    sheet = sheets.text(tmp_path / "m.csv", [sheets.GOOD])
    with walking.workbench(Settings(servers=SERVERS, data_dir=tmp_path / "d", cache_dir=tmp_path / "c")) as bench:
        begin_run(bench, sheet, None, "killed")
        header = bench.cache.source("killed", "study")
        header.parent.mkdir(parents=True)
        header.write_bytes(b"patient data")
        begin_run(bench, sheet, None, "next")
        runs = {run.run_id: run.finished_at for run in bench.ledger.runs(sheet)}
        assert runs["killed"] is not None
        assert runs["next"] is None
        assert not header.exists()
