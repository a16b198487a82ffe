"""C-FIND, Study Root (PS3.4 C.4.1): the study, its series and images, and an instance wherever it is.

Nothing here matches loosely: no wildcard is sent, and an answer counts only when it equals what was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    StudyRootQueryRetrieveInformationModelFind,
)

from media2dicom.dicom.values import text_of, valid_text
from media2dicom.errors import CellRefused, IdentityMismatch, QueryFailed, SeveralStudies, StudyNotFound
from media2dicom.pacs.associations import associate
from media2dicom.settings import Server, Settings

MODEL: Final = StudyRootQueryRetrieveInformationModelFind
PENDING: Final = (0xFF00, 0xFF01)  # the second: an optional key is not supported for matching
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")  # PS3.5 9.1; leading zeros are seen in the wild
_WILD: Final = re.compile(r"[*?\\\x00-\x1f\x7f]")  # PS3.4 C.2.2.2.4, and the value delimiter


@dataclass(frozen=True)
class Level:
    """A level of the model (PS3.4 C.6.2.1): the keys that are asked for, and those that may be given a value."""

    name: str
    keys: tuple[str, ...]
    matched: tuple[str, ...]


STUDY: Final = Level(
    "STUDY",
    ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "AccessionNumber"),
    matched=("StudyInstanceUID", "AccessionNumber"),
)
SERIES: Final = Level(
    "SERIES",
    ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "Manufacturer"),
    matched=("StudyInstanceUID",),
)
IMAGE: Final = Level(
    "IMAGE",
    (
        *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
        *("InstanceNumber", "NumberOfFrames", "Rows", "Columns"),
    ),
    matched=("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
)
LEVELS: Final = (STUDY, SERIES, IMAGE)


@dataclass(frozen=True)
class StudyMatch:
    """A study as the PACS knows it. Patient data: never shown, never logged."""

    study_instance_uid: str
    patient_id: str = field(repr=False)
    patient_name: str = field(repr=False)  # PN, empty when unknown or not to be read
    patient_birth_date: str = field(repr=False)  # DA, the same
    accession_number: str = field(repr=False)


@dataclass(frozen=True)
class SeriesMatch:
    """A series of a study. `manufacturer` where the PACS tells."""

    series_instance_uid: str
    modality: str
    series_number: int | None
    manufacturer: str = ""


@dataclass(frozen=True)
class InstanceMatch:
    """An instance, wherever the PACS holds it. Sizes where the PACS tells."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str = field(repr=False)
    instance_number: int | None = None
    number_of_frames: int | None = None
    rows: int | None = None
    columns: int | None = None


def query_association(server: Server, settings: Settings) -> AbstractContextManager[Association]:
    """An association for the functions below. Raises what `associate` raises."""
    relational = SOPClassExtendedNegotiation()  # an IMAGE query without its study's keys (PS3.4 C.5.1.1)
    relational.sop_class_uid = MODEL
    relational.service_class_application_information = b"\x01"
    return associate(server, settings, [build_context(MODEL)], ext_neg=[relational])


def find_study(
    association: Association, *, study_instance_uid: str | None = None, accession_number: str | None = None
) -> StudyMatch:
    """The one study with that UID, or that accession number; with both given they must agree.

    Raises StudyNotFound, SeveralStudies (also one UID under two patients), IdentityMismatch (UID and accession
    number disagree), CellRefused (a value that is no UID, or holds a wildcard), QueryFailed.
    """
    accession = None if accession_number is None else _plain(accession_number, "accession_number")
    if study_instance_uid is None:
        if accession is None:
            raise ValueError("give study_instance_uid, accession_number or both")
        found = {match.study_instance_uid for match in _studies(association, "AccessionNumber", accession)}
        if not found:
            raise StudyNotFound("The PACS has no study with this accession_number.")
        if len(found) > 1:
            raise SeveralStudies(f"The PACS has {len(found)} studies with this accession_number.")
        study_instance_uid = found.pop()
    uid = _uid(study_instance_uid, "study_instance_uid")
    # Asked by UID in any case: one UID under two patients does not show in a query by accession number.
    matches = set(_studies(association, "StudyInstanceUID", uid))
    if not matches:
        raise StudyNotFound("The PACS has no study with this study_instance_uid.")
    if len(matches) > 1:
        raise SeveralStudies(
            f"The PACS answers {len(matches)} times for one Study Instance UID, with different patient or study data.",
            next_step="Ask the PACS administrator to look at the study: it is filed under more than one identity.",
        )
    match = matches.pop()
    if accession is not None and match.accession_number != accession:
        raise IdentityMismatch("study_instance_uid and accession_number name different studies in the PACS.")
    return match


def find_series(association: Association, study_instance_uid: str) -> list[SeriesMatch]:
    """The series of a study. Raises QueryFailed."""
    uid = _uid(study_instance_uid, "study_instance_uid")
    keys = _keys(SERIES, StudyInstanceUID=uid)
    return [
        SeriesMatch(
            series_instance_uid=text_of(answer, "SeriesInstanceUID"),
            modality=text_of(answer, "Modality"),
            series_number=_number(answer, "SeriesNumber"),
            manufacturer=text_of(answer, "Manufacturer"),
        )
        for answer in _find(association, keys)
        if text_of(answer, "StudyInstanceUID") in {"", uid} and text_of(answer, "SeriesInstanceUID")
    ]


def find_images(
    association: Association, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str | None = None
) -> list[InstanceMatch]:
    """The instances of a series; with `sop_instance_uid` only that one. Raises QueryFailed."""
    study = _uid(study_instance_uid, "study_instance_uid")
    series = _uid(series_instance_uid, "series_instance_uid")
    only = "" if sop_instance_uid is None else _uid(sop_instance_uid, "sop_instance_uid")
    keys = _keys(IMAGE, StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=only)
    matches = []
    for answer in _find(association, keys):
        match = _instance(answer, study, series)
        asked = sop_instance_uid in {None, match.sop_instance_uid}
        if asked and (match.study_instance_uid, match.series_instance_uid) == (study, series):
            matches.append(match)
    return matches


def find_sop_instance(association: Association, sop_instance_uid: str) -> list[InstanceMatch]:
    """Every place where the PACS holds that SOP Instance UID: asked without study and series, so twins appear.

    Raises QueryFailed.
    """
    uid = _uid(sop_instance_uid, "sop_instance_uid")
    matches = (_instance(answer) for answer in _find(association, _keys(IMAGE, SOPInstanceUID=uid)))
    return [match for match in matches if match.sop_instance_uid == uid]


def _studies(association: Association, keyword: str, value: str) -> Iterator[StudyMatch]:
    keys = _keys(STUDY, **{keyword: value})
    if not value.isascii():
        keys.SpecificCharacterSet = "ISO_IR 192"
    for answer in _find(association, keys):
        match = StudyMatch(
            study_instance_uid=text_of(answer, "StudyInstanceUID"),
            patient_id=patient_id_of(answer),
            patient_name=valid_text(answer, "PatientName"),
            patient_birth_date=valid_text(answer, "PatientBirthDate"),
            accession_number=text_of(answer, "AccessionNumber"),
        )
        if text_of(answer, keyword) == value and match.study_instance_uid:
            yield match


def _keys(level: Level, **matched: str) -> Dataset:
    if not matched.keys() <= set(level.matched):
        raise ValueError(f"these are no matching keys at level {level.name}: {', '.join(matched)}")
    keys = Dataset()
    keys.QueryRetrieveLevel = level.name
    for keyword in level.keys:
        setattr(keys, keyword, matched.get(keyword, None if keyword in {"Rows", "Columns"} else ""))
    return keys


def _instance(answer: Dataset, study: str = "", series: str = "") -> InstanceMatch:
    # A PACS need not return the unique keys of the levels above when they were given (PS3.4 C.4.1.3.1.1).
    return InstanceMatch(
        sop_instance_uid=text_of(answer, "SOPInstanceUID"),
        sop_class_uid=text_of(answer, "SOPClassUID"),
        series_instance_uid=text_of(answer, "SeriesInstanceUID") or series,
        study_instance_uid=text_of(answer, "StudyInstanceUID") or study,
        patient_id=patient_id_of(answer),
        instance_number=_number(answer, "InstanceNumber"),
        number_of_frames=_number(answer, "NumberOfFrames"),
        rows=_number(answer, "Rows"),
        columns=_number(answer, "Columns"),
    )


def _find(association: Association, keys: Dataset) -> Iterator[Dataset]:
    """Every answer of one C-FIND (PS3.4 C.4.1.1.4). Raises QueryFailed."""
    if not association.is_established:
        raise QueryFailed("The association was lost before the query.")
    try:
        for status, answer in association.send_c_find(keys, MODEL):
            if "Status" not in status:
                raise QueryFailed("The PACS did not answer the query: the association was lost or timed out.")
            if status.Status in PENDING:
                if answer is None:
                    raise QueryFailed("The PACS answered the query with a data set that cannot be read.")
                yield answer
            elif status.Status != 0x0000:
                raise QueryFailed(f"The PACS ended the query with status 0x{status.Status:04X}.")
    except (RuntimeError, ValueError):  # lost in the moment of sending; no context for queries
        raise QueryFailed("The query could not be sent: the association was lost or does not allow queries.") from None


def _plain(value: str, column: str) -> str:
    """A value that matches only itself (PS3.4 C.2.2.2.1). The message never shows it."""
    value = value.strip()
    if not value:
        raise CellRefused(f"{column} is empty.")
    if _WILD.search(value):
        raise CellRefused(f"{column} holds a sign that a PACS takes for a wildcard or a list (* ? \\).")
    return value


def _uid(value: str, column: str) -> str:
    value = value.strip().rstrip("\0")
    if not _UID.fullmatch(value) or len(value) > 64:
        raise CellRefused(f"{column} is not a DICOM UID (digits and dots, at most 64).")
    return value


def patient_id_of(dataset: Dataset) -> str:
    """Patient ID as it is copied into objects; where that cannot be, as it stands."""
    return valid_text(dataset, "PatientID") or text_of(dataset, "PatientID")


def _number(answer: Dataset, keyword: str) -> int | None:
    try:
        return int(text_of(answer, keyword))
    except ValueError:
        return None
