"""Step 2: media in, instances in the cache. Rows whose files are there from an earlier run are left alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset

from media2dicom.dicom.references import Source
from media2dicom.errors import CacheFailed, MediaChanged, RowRefused
from media2dicom.ledger import LedgerRow
from media2dicom.media import content_sha256, media_type_of
from media2dicom.model import Batch, Row, SourceStudy, Status
from media2dicom.preparing import Prepared, plan, prepare
from media2dicom.steps.prepared import conforms, is_of, is_whole
from media2dicom.steps.retrieve import headers
from media2dicom.steps.workbench import Workbench, content_of, submitted


def convert(bench: Workbench, batch: Batch) -> int:
    """Prepare the batch's rows; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.identified_run == batch.run_id]
    sources = headers(bench, batch.run_id, rows)
    return sum(
        bench.guarded(row, "Converting the media of", partial(_convert_row, bench, batch.run_id, row, sources))
        for row in rows
    )


def _convert_row(
    bench: Workbench, run_id: str, row: LedgerRow, sources: dict[str, tuple[SourceStudy, Dataset]]
) -> None:
    if row.study_key not in sources:
        raise CacheFailed("The source study's header is not in the cache.", next_step="Run the manifest again.")
    source, header = sources[row.study_key]
    content = content_of(bench.settings, row.destination, source.study_instance_uid, submitted(row))
    # Claimed when the files are there: a row that comes to nothing keeps no other out.
    if _is_prepared(row, header):
        bench.ledger.put_prepared(row.row_key, run_id, content)
    else:
        prepared = _prepare(bench, row, source, header)
        bench.ledger.put_prepared(row.row_key, run_id, content, prepared.instances, prepared.warnings)


def _is_prepared(row: LedgerRow, header: Dataset) -> bool:
    """Whether an earlier try left all files, of the patient as the PACS knows them today, and as the validator wants
    them today, which may be of a later version: these bytes are sent."""
    if not row.instances:
        return False
    left = [one.instance for one in row.instances if one.status != Status.STORED]
    if any(instance.study_instance_uid != header.StudyInstanceUID for instance in left):
        return False
    override = submitted(row).options.accession_override
    if not all(is_whole(instance) for instance in left) or not all(is_of(one, header, override) for one in left[:1]):
        return False
    return all(conforms(instance) for instance in left)


def _prepare(bench: Workbench, row: LedgerRow, source: SourceStudy, header: Dataset) -> Prepared:
    asked = submitted(row)
    planned = plan(asked, bench.settings)  # refuses a file over the upload limit, which is not read at all
    with _unaltered(asked, bench.cache.row(row.row_key)), bench.cache.work_folder() as work_folder:
        return prepare(
            planned,
            asked,
            Source(header, source.image_modality),
            bench.settings,
            device_serial_number=bench.installation_id,
            instance_path=lambda part: bench.cache.instance(row.row_key, part),
            work_folder=work_folder,
        )


@contextmanager
def _unaltered(asked: Row, prepared: Path) -> Iterator[None]:
    """Meanwhile the media are what the row was read with: its UIDs are theirs. Else nothing that was prepared of them
    stays, and MediaChanged is raised (MediaMissing when they are gone)."""
    path, sha256 = asked.media_path, asked.media_sha256
    if path is None or sha256 is None:
        raise ValueError("an open row within the upload limit was read with its media")
    before = _stamp(path)
    _refuse_altered(asked, path, sha256)
    try:
        yield
    finally:
        # Of what lies beside a file and belongs to it, as material libraries do, only the hash tells.
        if before is None or _stamp(path) != before or media_type_of(path).kind == "mesh":
            try:
                _refuse_altered(asked, path, sha256)
            except RowRefused:
                shutil.rmtree(prepared, ignore_errors=True)
                raise


def _refuse_altered(asked: Row, path: Path, sha256: str) -> None:
    if content_sha256(path) != sha256:
        raise MediaChanged(f"{asked.media} was altered after the manifest was read.")


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Another one when the file was written to or replaced; but some shares renumber files that nobody touched."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
