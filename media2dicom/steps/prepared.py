"""Prepared files looked at again, without their pixels: is the file whole, whose is it, and does it conform?

What is sent was perhaps prepared in an earlier run. Meanwhile the disk may have lost some of it, the PACS may know
the patient by another name, and a later version of the program may know more of the standard.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from media2dicom.dicom.attributes import copy_identity
from media2dicom.errors import CacheFailed, IdentityMismatch, ObjectNotConformant
from media2dicom.ledger import LedgerRow
from media2dicom.model import Instance
from media2dicom.pacs.patients import contradiction
from media2dicom.pacs.query import StudyMatch
from media2dicom.validation import refuse_findings

_AFTER_UIDS: Final = 0x00200010  # Study ID: the first element behind patient, study, series and SOP Instance UID
_WHO: Final = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyInstanceUID")
_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_MADE_ANEW: Final = "Run the manifest again: the file is made anew."


def is_whole(instance: Instance) -> bool:
    """Whether the file is there with the size it was written with."""
    try:
        return instance.path.stat().st_size == instance.size_bytes
    except OSError:
        return False


def refuse_incomplete(instance: Instance) -> None:
    """Raise CacheFailed when the file is not whole."""
    if not is_whole(instance):
        raise CacheFailed("A prepared file is not there as it was written; nothing was sent.", next_step=_MADE_ANEW)


def unreadable() -> CacheFailed:
    return CacheFailed("A prepared file cannot be read; nothing was sent.", next_step=_MADE_ANEW)


def is_of(instance: Instance, source: Dataset, accession_override: str | None) -> bool:
    """Whether the file has the patient and the study that `source` lends today. Raises SourceUnusable."""
    today = Dataset()
    copy_identity(source, today, accession_override=accession_override)
    try:
        found = _values(_identity(instance.path), _WHO)
    except CacheFailed:
        return False
    return all(found[keyword] == value for keyword, value in _values(today, _WHO).items())


def conforms(instance: Instance) -> bool:
    """Whether the validator finds nothing in the file today."""
    try:
        refuse_findings(instance.path)
    except (ObjectNotConformant, OSError):
        return False
    return True


def refuse_unfit(row: LedgerRow, instance: Instance) -> None:
    """The last look before a file is sent: whole, and the row's patient, study and instance.

    Raises CacheFailed when it is not whole, ObjectNotConformant when it is another's.
    """
    refuse_incomplete(instance)
    found = _values(_identity(instance.path), (*_WHO, *_UIDS))
    wanted = [instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid]
    patient_id = row.row.patient_id.strip(" ") if row.row is not None else ""
    if found["PatientID"] != patient_id or [found[keyword] for keyword in _UIDS] != wanted:
        raise ObjectNotConformant(
            "A prepared file is not that of the row's patient, study and instance; it is not sent.",
            next_step="Clear the cache (media2dicom cache clear) and run the manifest again.",
        )


def refuse_moved(instance: Instance, study: StudyMatch) -> None:
    """Raise IdentityMismatch when the PACS's answer for the study is another patient's than the file; CacheFailed."""
    if found := contradiction(study, _identity(instance.path)):
        raise IdentityMismatch(
            "The study was given to another patient, or its patient was altered, after the patient was confirmed: "
            f"{found}. What was left of the row was not sent.",
            next_step="Run the manifest again: the patient is confirmed anew. If that is refused, correct the row.",
        )


def _identity(path: Path) -> Dataset:
    """The file's patient and UIDs, decoded: pydicom decodes late, and damaged bytes raise only then."""

    def is_behind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return int(tag) >= _AFTER_UIDS

    try:
        with path.open("rb") as file:
            found = read_partial(file, stop_when=is_behind)
        found.decode()
        return found
    except Exception:  # noqa: BLE001 - whatever damaged bytes make pydicom raise; its text may hold values
        raise unreadable() from None


def _values(dataset: Dataset, keywords: Iterable[str]) -> dict[str, str]:
    return {keyword: str(dataset.get(keyword) or "").strip(" \0") for keyword in keywords}
