"""Step 2: media in, instances in the cache. Rows whose files are there from an earlier run are left alone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from media2dicom.dicom.building import Build, build_instances
from media2dicom.errors import CacheFailed, Media2DicomError, MediaChanged, MediaDamaged, SourceUnusable
from media2dicom.ledger import LedgerRow
from media2dicom.limits import refuse_over_limit
from media2dicom.media import media_sha256, open_media, plan_media
from media2dicom.model import Batch, Outcome, SourceStudy, Status
from media2dicom.steps.retrieve import headers
from media2dicom.steps.workbench import LOGGER, Workbench


def convert(bench: Workbench, batch: Batch) -> int:
    """Prepare the batch's rows; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.identified_run == batch.run_id]
    todo = [row for row in rows if not _is_prepared(row)]
    sources = headers(bench, batch.run_id, todo)
    for row in rows:
        if row not in todo and row.status == Status.IDENTIFIED:
            bench.ledger.set_outcome(row.row_key, Outcome(Status.PREPARED))
    return sum(_convert_row(bench, row, sources) for row in todo)


def _is_prepared(row: LedgerRow) -> bool:
    return bool(row.instances) and all(
        one.status == Status.STORED or _is_whole(one.instance.path, one.instance.size_bytes) for one in row.instances
    )


def _is_whole(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def _convert_row(bench: Workbench, row: LedgerRow, sources: dict[str, tuple[SourceStudy, Dataset]]) -> int:
    try:
        _prepare(bench, row, sources)
    except Media2DicomError as error:
        return bench.set_failure(row, error)
    except OSError as error:
        return bench.set_failure(row, CacheFailed(f"Reading the media failed: {error.strerror}."))
    except Exception as error:  # noqa: BLE001
        # A file that no reader foresaw must not take the other rows along. No text: it may hold the file's content.
        LOGGER.error("Row %d: unforeseen %s while converting", row.row_number, type(error).__name__)
        return bench.set_failure(row, MediaDamaged(f"{row.media} could not be converted ({type(error).__name__})."))
    return 0


def _prepare(bench: Workbench, row: LedgerRow, sources: dict[str, tuple[SourceStudy, Dataset]]) -> None:
    submitted = row.row
    if submitted is None or submitted.media_path is None or row.study_key not in sources:
        raise SourceUnusable("The source study's header is not in the cache.", next_step="Run the manifest again.")
    source, header = sources[row.study_key]
    plan = plan_media(submitted.media_path, submitted.options, bench.settings)
    refuse_over_limit(plan.largest_instance_bytes, row.media, at_least=True)
    if media_sha256(submitted.media_path) != submitted.media_sha256:
        raise MediaChanged(f"{row.media} was altered after the manifest was read.")
    build = Build(
        row=submitted,
        source=header,
        image_modality=source.image_modality,
        settings=bench.settings,
        device_serial_number=bench.installation_id,
        now=datetime.now(),
        instance_path=lambda part: bench.cache.instance(row.row_key, part),
    )
    with bench.cache.work_folder() as work_folder:
        payload = open_media(submitted.media_path, submitted.options, bench.settings, work_folder)
        instances = build_instances(payload, build)
    bench.ledger.put_prepared(row.row_key, instances)
    bench.ledger.add_warnings(row.row_key, [*plan.warnings, *build.warnings])
