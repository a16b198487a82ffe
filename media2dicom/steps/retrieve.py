"""Step 1: find each row's study in the PACS, fetch its header once per study and run, confirm the patient."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from itertools import groupby

from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.cache import atomic_write
from media2dicom.dicom.references import Source
from media2dicom.dicom.values import text_of
from media2dicom.errors import Media2DicomError, sealed
from media2dicom.identity import confirm_identity
from media2dicom.ledger import LedgerRow
from media2dicom.manifest.keys import digest
from media2dicom.model import Batch, Outcome, Row, SourceStudy, Status
from media2dicom.pacs.query import find_study, query_association
from media2dicom.pacs.retrieve import retrieve_source
from media2dicom.settings import Server, Settings
from media2dicom.steps.workbench import Workbench, submitted


def retrieve(bench: Workbench, batch: Batch) -> int:
    """Identify the batch's rows; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.identified_run != batch.run_id]
    rows.sort(key=lambda row: (_study_key(row), row.row_number))
    return sum(
        _identify(bench, batch.run_id, study_key, list(of_study)) for study_key, of_study in groupby(rows, _study_key)
    )


def _study_key(row: LedgerRow) -> str:
    """Names a study to fetch, as the row refers to it: opaque, it becomes a file's name."""
    asked = submitted(row)
    return digest("study", row.destination, asked.study_instance_uid, asked.accession_number)[:32]


def _identify(bench: Workbench, run_id: str, study_key: str, rows: list[LedgerRow]) -> int:
    try:
        with sealed(f"Fetching the study of row {rows[0].row_number}"):
            header = _header(bench, run_id, study_key, rows[0])
    except Media2DicomError as error:
        return sum(bench.set_failure(row, error) for row in rows)
    return sum(
        bench.guarded(row, "Confirming the patient of", partial(_confirm, bench, run_id, study_key, header, row))
        for row in rows
    )


def _confirm(bench: Workbench, run_id: str, study_key: str, header: Dataset, row: LedgerRow) -> None:
    confirm_identity(submitted(row), header)
    status = row.status if row.status == Status.UNCERTAIN else Status.IDENTIFIED
    bench.ledger.set_outcome(row.row_key, Outcome(status), identified_run=run_id, study_key=study_key)


def _header(bench: Workbench, run_id: str, study_key: str, row: LedgerRow) -> Dataset:
    with bench.locks[f"{run_id}/{study_key}"]:
        path = bench.cache.source(run_id, study_key)
        # Another machine of this run may have fetched it, into a cache of its own.
        if bench.ledger.source(run_id, study_key) is None or not path.is_file():
            with bench.server_slots[row.destination]:
                server = bench.settings.servers[row.destination]
                found = fetch_source(server, bench.settings, submitted(row))
            with atomic_write(path) as file:
                found.header.save_as(file, enforce_file_format=True)
            study = SourceStudy(text_of(found.header, "StudyInstanceUID"), path, found.image_modality)
            bench.ledger.put_source(run_id, study_key, study)
    return dcmread(path)


def fetch_source(server: Server, settings: Settings, row: Row) -> Source:
    """What the row's study lends.

    Raises RowRefused (no study, several, an instance of another study or patient than the query's answer) and
    PacsError. Whether the patient is the row's is not asked here (`identity.confirm_identity`).
    """
    with query_association(server, settings) as association:
        study = find_study(
            association, study_instance_uid=row.study_instance_uid, accession_number=row.accession_number
        )
    return retrieve_source(server, settings, study)


def headers(bench: Workbench, run_id: str, rows: Iterable[LedgerRow]) -> dict[str, tuple[SourceStudy, Dataset]]:
    """The fetched headers of these rows' studies, by study key."""
    found: dict[str, tuple[SourceStudy, Dataset]] = {}
    for key in {row.study_key for row in rows if row.study_key}:
        source = bench.ledger.source(run_id, key)
        if source is None:
            continue
        with suppress(Exception):  # removed or damaged meanwhile, in whatever way: not among the found
            found[key] = (source, dcmread(bench.cache.source(run_id, key)))  # in our cache, whoever fetched it
    return found
