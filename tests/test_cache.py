"""The cache folder: files that are complete or not there, private, and cleared without harm."""

from __future__ import annotations

import resource
import threading
from pathlib import Path

import pytest

from media2dicom.cache import Cache, CacheUse, atomic_write
from media2dicom.errors import CacheFailed


def test_written_file_is_complete_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.dcm"
    with atomic_write(path) as file:
        file.write(b"x" * 10)
        assert not path.exists()
    assert path.read_bytes() == b"x" * 10
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["a.dcm"]


def test_files_that_go_away_while_they_are_counted_are_no_error(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    (tmp_path / "stays").write_bytes(b"x" * 7)
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            for number in range(50):
                (tmp_path / f"{number}").write_bytes(b"")
            for number in range(50):
                (tmp_path / f"{number}").unlink()

    worker = threading.Thread(target=come_and_go)
    worker.start()
    try:
        assert {cache.use().size_bytes for _ in range(200)} == {7}
    finally:
        over.set()
        worker.join()


def test_failed_write_leaves_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"former")

    def write_half() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert path.read_bytes() == b"former"
    assert [one.name for one in tmp_path.iterdir()] == ["a.dcm"]


def test_full_disk_is_told_as_such(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CacheFailed, match="large") as failed, atomic_write(tmp_path / "a.dcm") as file:
            file.write(b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.value.transient
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheFailed, match="file"), atomic_write(tmp_path / "file" / "a.dcm"):
        pass
    with pytest.raises(CacheFailed), Cache(tmp_path / "file").work_folder():
        pass


def test_work_folder_is_gone_afterwards(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.work_folder() as folder:
        (folder / "half").touch()
    assert not folder.exists()


def test_clearing_keeps_what_unfinished_rows_and_runs_need(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keep, drop = "a" * 64, "b" * 64
    paths = [cache.instance(keep, 0), cache.instance(drop, 0), cache.source("going", "s"), cache.source("over", "s")]
    for path in paths:
        with atomic_write(path) as file:
            file.write(b"12345")
    assert cache.use() == CacheUse(4, 20)
    assert cache.clear(keep_rows={keep}, keep_runs={"going"}) == CacheUse(2, 10)
    assert [path.exists() for path in paths] == [True, False, True, False]
    cache.drop_sources("going")
    assert not paths[2].exists()
