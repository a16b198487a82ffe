"""A retry takes up what an earlier run left; tried again itself, it goes on with the rows that it had taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from media2dicom.beginning import begin_retry, begin_run
from media2dicom.errors import ApprovalPending, ManifestUnusable, NotApproved
from media2dicom.ledger import Entry
from media2dicom.media import media_sha256
from media2dicom.model import Outcome, Row, Status
from media2dicom.selection import Selection
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench, open_workbench

AWAY = Outcome(Status.FAILED, "pacs-unreachable", "m", "n", True)
FULL = Outcome(Status.FAILED, "pacs-out-of-resources", "m", "n", True)
STORED = Outcome(Status.STORED)
CHECKED = Outcome(Status.CHECKED)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return open_workbench(Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache"))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "m.csv"
    path.write_text("media\n", encoding="utf-8")
    return path


def run(bench: Workbench, manifest: Path, run_id: str, *outcomes: Outcome) -> None:
    rows = [Row(n, str(n), f"{n}.png", None, None, None, "1.2.3", None, "P") for n in range(2, len(outcomes) + 2)]
    entries = [Entry(f"k{one.row_number}", one.row_number, "pacs", one.row_id, one.media, one, CHECKED) for one in rows]
    bench.ledger.begin_run(run_id, manifest.resolve(), media_sha256(manifest), "pacs", entries)
    end(bench, run_id, *outcomes)


def end(bench: Workbench, run_id: str, *outcomes: Outcome) -> None:
    for number, outcome in enumerate(outcomes, start=2):
        bench.ledger.set_outcome(f"k{number}", outcome)
    bench.ledger.finish_run(run_id, None)


def taken(bench: Workbench, run_id: str) -> list[int]:
    return [row.row_number for row in bench.ledger.rows(run_id) if row.is_open]


def test_a_retry_that_is_tried_again_goes_on_with_its_rows_whatever_keeps_them_now(
    bench: Workbench, manifest: Path
) -> None:
    run(bench, manifest, "first", AWAY, FULL, AWAY)
    chosen = Selection(causes=("pacs-unreachable",))
    begin_retry(bench, manifest, "retry", chosen)
    assert taken(bench, "retry") == [2, 4]
    end(bench, "retry", STORED, FULL, FULL)  # row 4 failed for another cause
    begin_retry(bench, manifest, "retry", chosen)
    assert taken(bench, "retry") == [4]


def test_an_earlier_run_than_the_last_can_be_taken_up(bench: Workbench, manifest: Path) -> None:
    run(bench, manifest, "first", AWAY, FULL)
    first = bench.ledger.run("first")
    run(bench, manifest, "second", FULL, FULL)
    begin_retry(bench, manifest, "retry", Selection(), first)
    assert taken(bench, "retry") == [2, 3]
    manifest.write_text("media,more\n", encoding="utf-8")
    with pytest.raises(ManifestUnusable, match="not as it was"):
        begin_retry(bench, manifest, "another", Selection(), first)


def test_what_was_declined_is_taken_up_only_when_its_cause_is_named(bench: Workbench, manifest: Path) -> None:
    declined = Outcome(Status.REFUSED, NotApproved.code, "m", "n")
    run(bench, manifest, "first", AWAY, declined)
    begin_retry(bench, manifest, "retry", Selection())
    assert taken(bench, "retry") == [2]
    begin_retry(bench, manifest, "named", Selection(causes=(NotApproved.code,)))
    assert taken(bench, "named") == [3]


def test_a_manifest_that_waits_for_an_approval_is_begun_by_no_other_run(bench: Workbench, manifest: Path) -> None:
    rows = [Row(2, "2", "2.png", None, None, None, "1.2.3", None, "P")]
    entries = [Entry("k2", 2, "pacs", "2", "2.png", rows[0], CHECKED)]
    bench.ledger.begin_run("asks", manifest.resolve(), media_sha256(manifest), "pacs", entries, approval=True)
    with pytest.raises(ApprovalPending):
        begin_retry(bench, manifest, "retry", Selection())
    with pytest.raises(ApprovalPending):
        begin_run(bench, manifest, None, "other")
    bench.ledger.approve("asks", ["k2"])
    begin_retry(bench, manifest, "retry", Selection())  # it was killed later on
    assert taken(bench, "retry") == [2]
    [row] = bench.ledger.rows("retry")
    assert row.approved
