"""Step 2: media in, instances in the cache. Rows whose files are there from an earlier run are left alone."""

from __future__ import annotations

from pydicom.dataset import Dataset

from media2dicom.dicom.uids import content_key
from media2dicom.errors import CacheFailed, DuplicateRow, Media2DicomError, MediaChanged, MediaTooLarge, Unforeseen
from media2dicom.ledger import LedgerRow
from media2dicom.media import media_sha256
from media2dicom.model import Batch, Outcome, SourceStudy, Status
from media2dicom.preparing import Source, plan, prepare
from media2dicom.settings import UPLOAD_LIMIT_MB
from media2dicom.steps.prepared import is_of, is_whole
from media2dicom.steps.retrieve import headers
from media2dicom.steps.workbench import Workbench, unforeseen


def convert(bench: Workbench, batch: Batch) -> int:
    """Prepare the batch's rows; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.identified_run == batch.run_id]
    sources = headers(bench, batch.run_id, rows)
    return sum(_convert_row(bench, batch.run_id, row, sources) for row in rows)


def _convert_row(bench: Workbench, run_id: str, row: LedgerRow, sources: dict[str, tuple[SourceStudy, Dataset]]) -> int:
    try:
        if row.study_key not in sources:
            raise CacheFailed("The source study's header is not in the cache.", next_step="Run the manifest again.")
        source, header = sources[row.study_key]
        if _is_prepared(row, header):
            _claim(bench, run_id, row, source)
            if row.status == Status.IDENTIFIED:
                bench.ledger.set_outcome(row.row_key, Outcome(Status.PREPARED))
        else:
            _prepare(bench, run_id, row, source, header)
    except Media2DicomError as error:
        return bench.set_failure(row, error)
    except OSError as error:
        return bench.set_failure(row, CacheFailed(f"Reading the media failed: {error.strerror}."))
    except Exception as error:  # noqa: BLE001 - a file that no reader foresaw must not take the other rows along
        unforeseen(row, error)
        return bench.set_failure(row, Unforeseen(f"The program failed while converting ({type(error).__name__})."))
    return 0


def _is_prepared(row: LedgerRow, header: Dataset) -> bool:
    """Whether an earlier try left all files, of the patient as the PACS knows them today: these bytes are sent."""
    if not row.instances:
        return False
    left = [one.instance for one in row.instances if one.status != Status.STORED]
    return all(is_whole(instance) for instance in left) and all(is_of(instance, header) for instance in left[:1])


def _prepare(bench: Workbench, run_id: str, row: LedgerRow, source: SourceStudy, header: Dataset) -> None:
    submitted = row.row
    if submitted is None or submitted.media_path is None:
        raise ValueError("an open row was read with its media")
    planned = plan(submitted, bench.settings)  # over the upload limit is told before the file is read
    if submitted.media_sha256 is None:  # not read at all, for its size
        raise MediaTooLarge(
            f"{row.media} is larger than the upload limit of {UPLOAD_LIMIT_MB:,} MB; such files are not read.",
            next_step="Cut it into parts or save it smaller.",
        )
    if media_sha256(submitted.media_path) != submitted.media_sha256:
        raise MediaChanged(f"{row.media} was altered after the manifest was read.")
    with bench.cache.work_folder() as work_folder:
        prepared = prepare(
            planned,
            submitted,
            Source(header, source.image_modality),
            bench.settings,
            device_serial_number=bench.installation_id,
            instance_path=lambda part: bench.cache.instance(row.row_key, part),
            work_folder=work_folder,
        )
    # Claimed when it is there: a row that comes to nothing keeps no other out.
    _claim(bench, run_id, row, source)
    bench.ledger.put_prepared(row.row_key, prepared.instances)
    bench.ledger.add_warnings(row.row_key, prepared.warnings)


def _claim(bench: Workbench, run_id: str, row: LedgerRow, source: SourceStudy) -> None:
    """Raises DuplicateRow when another row files the content. Asked again for files of an earlier run: meanwhile
    another row may have filed it."""
    if row.row is None:
        raise ValueError("an open row was read from its manifest")
    content = content_key(source.study_instance_uid, row.row)
    if (other := bench.ledger.claim_content(row, run_id, content)) is not None:
        raise DuplicateRow(f"Row {other} files the same media into the same study.")
