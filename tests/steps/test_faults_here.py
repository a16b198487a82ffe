"""Faults of this machine: media, disk, prepared files; and rows in doubt whose next run meets one."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from media2dicom.beginning import begin_run
from media2dicom.errors import Media2DicomError, OverUploadLimit, StoreFailed, UploadConflict
from media2dicom.model import Status
from media2dicom.runs import make_batches
from media2dicom.steps import convert as convert_step
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.record import record
from media2dicom.steps.retrieve import retrieve
from media2dicom.steps.store import store
from media2dicom.steps.workbench import Workbench, status_of
from tests import real_media
from tests.steps import walking
from tests.steps.walking import STORED, answers, cells_of, do_steps, one_batch, outcomes, png, stl, walk


def test_media_altered_after_reading_is_refused(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 2)
    begin_run(bench, sheet, None, "run")
    png(lab / "0.png", 99)
    for batch in make_batches(bench, "run"):
        do_steps(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [("REFUSED", "media-changed"), STORED]
    assert len(observed.received) == 1


@pytest.mark.parametrize("beside", [False, True], ids=["file", "material library"])
def test_media_replaced_while_they_are_converted_are_refused_and_nothing_of_them_stays(
    bench: Workbench,
    observed: walking.ObservedPacs,
    study: Dataset,
    lab: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: bool,
) -> None:
    if beside:
        (lab / "a.obj").write_text(
            "mtllib a.mtl\nusemtl m\nv 0 0 0\nv 9 0 0\nv 0 9 0\nv 0 0 9\nf 1 2 3\nf 1 4 2\nf 1 3 4\nf 2 4 3\n"
        )
        (lab / "a.mtl").write_text("newmtl m\nKd 1 0 0\n")
    media = lab / "a.obj" if beside else png(lab / "a.png")
    sheet = walking.manifest(lab, [cells_of(study, media=media.name)])
    plain = convert_step.prepare

    def replaced_before(*arguments: Any, **more: Any) -> Any:  # the moment cannot be had from outside
        if beside:
            (lab / "a.mtl").write_text("newmtl m\nKd 0 1 0\n")
        else:
            png(lab / "a.png", 99)
        return plain(*arguments, **more)

    monkeypatch.setattr(convert_step, "prepare", replaced_before)
    [row] = walk(bench, sheet)
    assert outcomes([row]) == [("REFUSED", "media-changed")]
    assert not list((bench.settings.cache_dir / "rows").rglob("*.dcm"))
    assert observed.received == []
    monkeypatch.undo()
    assert outcomes(walk(bench, sheet)) == [STORED]
    assert sorted(observed.received) == observed.held()


@pytest.mark.parametrize("after", [convert, check])
def test_truncated_prepared_file_is_rebuilt_and_never_sent(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path, after: Callable[..., int]
) -> None:
    sheet = walking.pictures(lab, study, 2)
    begin_run(bench, sheet, None, "run")
    batches = make_batches(bench, "run")
    for step in (retrieve, convert, check, store):
        for batch in batches:
            step(bench, batch)
        if step is after:
            path = bench.ledger.rows("run")[0].instances[0].instance.path
            os.truncate(path, path.stat().st_size - 10)
    assert outcomes(bench.ledger.rows("run")) == [("FAILED", "cache-failed"), STORED]
    assert len(observed.received) == 1
    assert outcomes(walk(bench, sheet)) == [STORED] * 2
    assert len(observed.held()) == 2


def test_full_disk_fails_the_large_row_for_now_and_no_other(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    (lab / "large.stl").write_bytes(real_media.binary_stl(real_media.sphere(40_000)))
    rows = [cells_of(study, media="large.stl"), cells_of(study, media=png(lab / "a.png").name)]
    sheet = walking.manifest(lab, rows)
    begin_run(bench, sheet, None, "run")
    batches = make_batches(bench, "run")
    for batch in batches:
        retrieve(bench, batch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        assert [convert(bench, batch) for batch in batches] == [1, 0]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(bench.settings.cache_dir.rglob("*.part")) == []
    assert outcomes(bench.ledger.rows("run"))[0] == ("FAILED", "cache-failed")
    for batch in batches:
        do_steps(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [STORED] * 2


def sparse_stl(path: Path, size_bytes: int) -> Path:
    triangles = (size_bytes - 84) // 50
    with path.open("wb") as file:
        file.write(b"sparse".ljust(80, b"\0") + triangles.to_bytes(4, "little"))
        file.truncate(84 + 50 * triangles)
    return path


def test_model_over_the_upload_limit_is_refused_unread(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sparse_stl(lab / "huge.stl", 4_001_000_000)
    sparse_stl(lab / "other.stl", 4_002_000_000)
    rows = [cells_of(study, media=name) for name in ("huge.stl", "other.stl")]
    read_before = int(Path("/proc/self/io").read_text().split()[1])
    found = walk(bench, walking.manifest(lab, rows))
    read = int(Path("/proc/self/io").read_text().split()[1]) - read_before
    assert outcomes(found) == [("REFUSED", "over-upload-limit")] * 2
    assert all("upload limit is 4,000 MB" in row.outcome.message for row in found)
    assert read < 100_000_000
    assert observed.received == []


def test_instance_over_the_warning_size_is_sent_with_a_warning(
    observed: walking.ObservedPacs, study: Dataset, lab: Path, tmp_path: Path
) -> None:
    (lab / "large.stl").write_bytes(real_media.binary_stl(real_media.sphere(40_000)))
    rows = [cells_of(study, media="large.stl"), cells_of(study, media=stl(lab / "small.stl").name)]
    with walking.workbench(observed.peer.settings(tmp_path, upload_size_warning_mb=1)) as bench:
        found = walk(bench, walking.manifest(lab, rows))
    assert outcomes(found) == [STORED] * 2
    assert [any("upload size warning of 1 MB" in warning for warning in row.warnings) for row in found] == [True, False]


def test_earlier_files_are_not_sent_when_this_runs_conversion_failed(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    observed.mood = answers(0xA700)
    walk(bench, sheet)
    begin_run(bench, sheet, None, "run")
    batch = one_batch(bench)
    retrieve(bench, batch)
    shutil.rmtree(bench.settings.cache_dir / "sources")  # convert cannot tell whose the files are
    assert convert(bench, batch) == 1
    assert [check(bench, batch), store(bench, batch)] == [0, 0]
    record(bench, batch)
    assert outcomes(bench.ledger.rows("run")) == [("FAILED", "cache-failed")]
    assert len(observed.received) == 1


def test_accession_override_counts_at_the_second_look_too(
    bench: Workbench, observed: walking.ObservedPacs, lab: Path
) -> None:
    study = walking.new_study(AccessionNumber="A")
    study.add_new("AccessionNumber", "LO", "N" * 40)  # longer than SH may be
    study["AccessionNumber"].VR = "SH"
    observed.load(study)
    cells = cells_of(study, media=png(lab / "a.png").name, accession_override="OURS")
    sheet = walking.manifest(lab, [cells])
    observed.mood = answers(0xA700)
    assert outcomes(walk(bench, sheet)) == [("FAILED", "pacs-out-of-resources")]
    assert outcomes(walk(bench, sheet)) == [STORED]


def in_doubt(bench: Workbench, observed: walking.ObservedPacs, sheet: Path) -> None:
    """Walk the sheet: its rows end UNCERTAIN, because the PACS says success and does not have them."""
    observed.mood = lambda _event: 0x0000
    assert {status for status, _ in outcomes(walk(bench, sheet))} == {"UNCERTAIN"}
    observed.mood = lambda _event: None


def test_row_in_doubt_that_is_refused_stays_in_doubt_and_keeps_its_files(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    in_doubt(bench, observed, sheet)
    shutil.rmtree(bench.settings.cache_dir / "rows")
    begin_run(bench, sheet, None, "run")
    png(lab / "0.png", 99)
    do_steps(bench, one_batch(bench))
    [row] = bench.ledger.rows("run")
    assert outcomes([row]) == [("UNCERTAIN", "media-changed")]
    assert bench.ledger.unfinished_row_keys() == {row.row_key}


def test_row_in_doubt_that_no_step_reached_is_told_why_and_what_next(
    bench: Workbench, observed: walking.ObservedPacs, study: Dataset, lab: Path
) -> None:
    sheet = walking.pictures(lab, study, 1)
    in_doubt(bench, observed, sheet)
    begin_run(bench, sheet, None, "run")
    record(bench, one_batch(bench))
    [row] = bench.ledger.rows("run")
    assert outcomes([row]) == [("UNCERTAIN", "unfinished")]
    assert row.outcome.next_step


@pytest.mark.parametrize(
    ("error", "in_doubt", "partly_stored", "status"),
    [
        (OverUploadLimit("x"), False, False, Status.REFUSED),
        (OverUploadLimit("x"), False, True, Status.FAILED),  # REFUSED says that nothing was sent
        (OverUploadLimit("x"), True, False, Status.UNCERTAIN),
        (StoreFailed("x"), False, False, Status.FAILED),
        (UploadConflict("x"), True, True, Status.CONFLICT),
    ],
)
def test_error_has_one_status_in_every_step(
    error: Media2DicomError, in_doubt: bool, partly_stored: bool, status: Status
) -> None:
    assert status_of(error, in_doubt=in_doubt, partly_stored=partly_stored) == status
