"""Step 2: media in, instances in the cache. Rows whose files are there from an earlier run are left alone."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset

from media2dicom.dicom.building import Build, build_instances
from media2dicom.errors import CacheFailed, Media2DicomError, MediaChanged, MediaDamaged, MediaTooLarge
from media2dicom.ledger import LedgerRow
from media2dicom.limits import refuse_over_limit
from media2dicom.media import media_sha256, open_media, plan_media
from media2dicom.model import Batch, Outcome, SourceStudy, Status
from media2dicom.settings import UPLOAD_LIMIT_MB
from media2dicom.steps.prepared import is_of, is_whole
from media2dicom.steps.retrieve import headers
from media2dicom.steps.workbench import Workbench, unforeseen


def convert(bench: Workbench, batch: Batch) -> int:
    """Prepare the batch's rows; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.identified_run == batch.run_id]
    sources = headers(bench, batch.run_id, rows)
    return sum(_convert_row(bench, row, sources) for row in rows)


def _convert_row(bench: Workbench, row: LedgerRow, sources: dict[str, tuple[SourceStudy, Dataset]]) -> int:
    try:
        if row.study_key not in sources:
            raise CacheFailed("The source study's header is not in the cache.", next_step="Run the manifest again.")
        source, header = sources[row.study_key]
        if _is_prepared(row, header):
            if row.status == Status.IDENTIFIED:
                bench.ledger.set_outcome(row.row_key, Outcome(Status.PREPARED))
        else:
            _prepare(bench, row, source, header)
    except Media2DicomError as error:
        return bench.set_failure(row, error)
    except OSError as error:
        return bench.set_failure(row, CacheFailed(f"Reading the media failed: {error.strerror}."))
    except Exception as error:  # noqa: BLE001 - a file that no reader foresaw must not take the other rows along
        unforeseen(row, error)
        return bench.set_failure(row, MediaDamaged(f"{row.media} could not be converted ({type(error).__name__})."))
    return 0


def _is_prepared(row: LedgerRow, header: Dataset) -> bool:
    """Whether an earlier try left all files, of the patient as the PACS knows them today: these bytes are sent."""
    if not row.instances:
        return False
    left = [one.instance for one in row.instances if one.status != Status.STORED]
    return all(is_whole(instance) for instance in left) and all(is_of(instance, header) for instance in left[:1])


def _prepare(bench: Workbench, row: LedgerRow, source: SourceStudy, header: Dataset) -> None:
    submitted = row.row
    if submitted is None or submitted.media_path is None:
        raise ValueError("an open row was read with its media")
    plan = plan_media(submitted.media_path, submitted.options, bench.settings)
    refuse_over_limit(plan.largest_instance_bytes, row.media, at_least=True)
    if submitted.media_sha256 is None:  # not read at all, for its size
        raise MediaTooLarge(
            f"{row.media} is larger than the upload limit of {UPLOAD_LIMIT_MB:,} MB; such files are not read.",
            next_step="Cut it into parts or save it smaller.",
        )
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
    if not instances:
        raise MediaDamaged(f"{row.media} holds no picture.")
    bench.ledger.put_prepared(row.row_key, instances)
    bench.ledger.add_warnings(row.row_key, [*plan.warnings, *build.warnings])
