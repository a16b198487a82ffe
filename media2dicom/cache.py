"""The cache folder: source headers, prepared instances; atomic writes and safe clearing.

Everything here can be made again from the PACS and the media, except that an instance once sent is sent again
with the same bytes: files of rows that are not finished are therefore kept by `clear`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from media2dicom.errors import CacheFailed


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name complete and on disk, or not at all: temporary name, fsync, rename, fsync.

    Raises CacheFailed when the disk does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")  # mode 600
    except OSError as error:
        raise _cache_failed(path.parent, error) from None
    temporary = Path(name)
    try:
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _cache_failed(path.parent, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def _cache_failed(folder: Path, error: OSError) -> CacheFailed:
    return CacheFailed(f"Writing below {folder} failed: {error.strerror or type(error).__name__}.")


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every platform lets a folder be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class CacheUse:
    files: int
    size_bytes: int


class Cache:
    """Paths below the cache folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def _sources(self) -> Path:
        return self.folder / "sources"

    @property
    def _rows(self) -> Path:
        return self.folder / "rows"

    def source(self, run_id: str, study_key: str) -> Path:
        """The header of a study's representative instance, once per study and run."""
        return self._sources / run_id / f"{study_key}.dcm"

    def drop_sources(self, run_id: str) -> None:
        """Remove the headers of a run that is over: patient data that nobody needs any more."""
        shutil.rmtree(self._sources / run_id, ignore_errors=True)

    def row(self, row_key: str) -> Path:
        """The folder of a row's prepared instances."""
        return self._rows / row_key[:2] / row_key

    def instance(self, row_key: str, part: int) -> Path:
        return self.row(row_key) / f"{part:06d}.dcm"

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """A folder for half-made files, gone afterwards."""
        root = self.folder / "work"
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = Path(tempfile.mkdtemp(dir=root))
        except OSError as error:
            raise _cache_failed(root, error) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def use(self) -> CacheUse:
        """What lies there now; files that a run removes meanwhile are not counted. Raises OSError."""
        sizes = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(FileNotFoundError):
                    sizes.append(Path(folder, name).lstat().st_size)
        return CacheUse(len(sizes), sum(sizes))

    def clear(self, *, keep_rows: Collection[str], keep_runs: Collection[str]) -> CacheUse:
        """Remove what no unfinished row or run needs; return what was removed."""
        before = self.use()
        for folder, keep in ((self._sources, keep_runs), (self._rows, keep_rows)):
            for child in folder.glob("*" if folder == self._sources else "*/*"):
                if child.name not in keep:
                    shutil.rmtree(child, ignore_errors=True)
        if not keep_runs:
            shutil.rmtree(self.folder / "work", ignore_errors=True)
        after = self.use()
        return CacheUse(before.files - after.files, before.size_bytes - after.size_bytes)
