"""The whole way with the ledger in PostgreSQL: what SQLite forgives, and machines that share one ledger."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.beginning import begin_run
from media2dicom.errors import AlreadyRunning, LedgerFailed
from media2dicom.locks import manifest_lock
from media2dicom.model import Status
from media2dicom.runs import make_batches
from media2dicom.selection import Selection
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from tests import peers, real_media
from tests.manifest import sheets
from tests.steps import walking
from tests.steps.walking import STORED, cells_of, outcomes, png, stl, walk


@pytest.fixture
def settings(observed: walking.ObservedPacs, postgresql: peers.PostgreSQL, tmp_path: Path) -> Settings:
    return observed.peer.settings(tmp_path, ledger_url=postgresql.new_database())


@pytest.fixture
def other_bench(settings: Settings, tmp_path: Path) -> Iterator[Workbench]:
    """Another machine: the same ledger, nothing else."""
    folders = {"data_dir": tmp_path / "other" / "data", "cache_dir": tmp_path / "other" / "cache"}
    with walking.workbench(settings.model_copy(update=folders)) as opened:
        yield opened


def mixed_sheet(lab: Path, study: Dataset) -> Path:
    real_media.make_video(lab / "clip.mp4", seconds=2)
    png(lab / "photo.png")
    stl(lab / "model.stl")
    (lab / "broken.png").write_bytes((lab / "photo.png").read_bytes()[:60])
    rows: list[dict[str, Any]] = [
        cells_of(study, media="photo.png"),
        cells_of(study, media="clip.mp4", frame_interval_s="1"),
        cells_of(study, media="model.stl", series_description="é \N{GRINNING FACE} " + "long " * 10),
        cells_of(study, media="broken.png"),
        cells_of(study, media="missing.png"),
        cells_of(study, media="photo.png", patient_id="another"),
        cells_of(study, media="photo.png", study_instance_uid="1.2.3.4.5"),
        cells_of(study, media="photo.png", skip="yes"),
        cells_of(study, media="photo.png", series_description="again"),
    ]
    return walking.manifest(lab, rows)


def test_rows_of_all_media_end_with_outcomes_of_their_own_and_a_rerun_sends_nothing(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = mixed_sheet(lab, study)
    expected = [
        *(STORED, STORED, STORED, ("REFUSED", "media-damaged"), ("REFUSED", "media-missing")),
        *(("REFUSED", "identity-mismatch"), ("REFUSED", "study-not-found"), ("SKIPPED", "skipped")),
        ("REFUSED", "duplicate"),
    ]
    found = walk(bench, sheet, tries=2)
    assert outcomes(found) == expected
    assert not (bench.settings.data_dir / "ledger.sqlite").exists()
    sent = sorted(one.instance.sop_instance_uid for row in found for one in row.instances)
    assert sorted(observed.received) == observed.held() == sent
    assert outcomes(walk(bench, sheet)) == expected
    assert outcomes(walk(bench, sheet, retry=Selection())) == expected
    assert sorted(observed.received) == sent


def test_machines_that_share_the_ledger_neither_send_twice_nor_run_one_manifest_at_once(
    bench: Workbench, other_bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 3)
    observed.mood = lambda event: 0xA700 if len(observed.received) == 2 else None
    assert outcomes(walk(bench, sheet)) == [STORED, ("FAILED", "pacs-out-of-resources"), STORED]
    with (
        manifest_lock(bench.settings, sheet),
        pytest.raises(AlreadyRunning),
        manifest_lock(other_bench.settings, sheet),
    ):
        pytest.fail("two machines run one manifest")
    again = walk(other_bench, sheet, retry=Selection())  # its cache has none of the prepared files
    assert outcomes(again) == [STORED] * 3
    assert len(observed.received) == 4
    assert len(observed.held()) == 3


def test_machines_work_on_one_run_at_once(
    bench: Workbench, other_bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 12)
    begin_run(bench, sheet, None, "run")
    batches = make_batches(bench, "run")
    halves = [(bench, batches[::2]), (other_bench, batches[1::2])]

    def work(machine: Workbench, mine: list[Any]) -> None:
        for batch in mine:
            walking.do_steps(machine, batch)

    threads = [threading.Thread(target=work, args=half) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes(bench.ledger.rows("run")) == [STORED] * 12
    assert len(observed.received) == len(set(observed.received)) == len(observed.held()) == 12


def test_run_goes_on_when_the_ledgers_server_went_away_in_mid_send(
    observed: walking.ObservedPacs, study: Dataset, tmp_path: Path, lab: Path
) -> None:
    """What was sent and could not be written down is asked for, not sent again."""
    with peers.postgres() as server:
        settings = observed.peer.settings(tmp_path, ledger_url=server.new_database())

        def stop_at_the_second(_event: Any) -> None:
            if len(observed.received) == 2:
                server.stop()

        with walking.workbench(settings) as bench:
            sheet = walking.pictures(lab, study, 3)
            observed.mood = stop_at_the_second
            with pytest.raises(LedgerFailed) as caught:
                walk(bench, sheet)
            assert caught.value.transient
            observed.mood = lambda _event: None
            server.start()
            [run] = bench.ledger.runs(sheet)
            assert Status.SENDING in bench.ledger.counts(run.run_id)
            bench.ledger.begin_rows_again(run.run_id)
            for batch in make_batches(bench, run.run_id):
                walking.do_steps(bench, batch)
            assert outcomes(bench.ledger.rows(run.run_id)) == [STORED] * 3
            assert len(observed.received) == len(set(observed.received)) == len(observed.held()) == 3


def test_cell_that_holds_a_nul_character_ends_its_row_and_no_other(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    """A workbook writes characters that XML does not have by their number."""
    rows = [cells_of(study, media=png(lab / f"{n}.png", n).name, series_description=f"{n}") for n in range(4)]
    rows[1]["series_description"] = "one _x0000_"
    rows[2]["row_id"] = "two _x0000_"
    found = walk(bench, sheets.xlsx(lab / "manifest.xlsx", rows))
    assert [outcomes(found)[n] for n in (0, 3)] == [STORED] * 2
    assert [outcomes(found)[n] for n in (1, 2)] == [("REFUSED", "cell-invalid")] * 2
    assert len(observed.held()) == 2
