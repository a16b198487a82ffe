"""The index of the embedded PACS: what it holds, in SQLite, matched as C-FIND asks (PS3.4 C.2.2.2).

One row per instance; study and series are groups of rows. The network is not here (demo.py).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE")

_UNIQUE: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
# What can be matched and returned, by the level it belongs to (PS3.4 C.6.1.1, C.6.2.1).
_KEYWORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "PATIENT": ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "IssuerOfPatientID", "OtherPatientIDs"),
    "STUDY": (
        *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
        *("ReferringPhysicianName", "InstitutionName", "PatientAge", "PatientSize", "PatientWeight"),
    ),
    "SERIES": (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime"),
        *("BodyPartExamined", "Laterality", "Manufacturer", "ProtocolName", "StationName", "PerformingPhysicianName"),
        *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    ),
    "IMAGE": (
        *("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "ContentDate"),
        *("ContentTime", "AcquisitionDate", "AcquisitionTime", "ImageComments", "DocumentTitle", "BitsAllocated"),
    ),
}
# Counted from the rows (PS3.4 C.3.4).
_COUNTED: Final[Mapping[str, Mapping[str, str]]] = {
    "PATIENT": {
        "NumberOfPatientRelatedStudies": "COUNT(DISTINCT StudyInstanceUID)",
        "NumberOfPatientRelatedSeries": "COUNT(DISTINCT SeriesInstanceUID)",
        "NumberOfPatientRelatedInstances": "COUNT(*)",
    },
    "STUDY": {
        "NumberOfStudyRelatedSeries": "COUNT(DISTINCT SeriesInstanceUID)",
        "NumberOfStudyRelatedInstances": "COUNT(*)",
        "ModalitiesInStudy": "GROUP_CONCAT(DISTINCT Modality)",
        "SOPClassesInStudy": "GROUP_CONCAT(DISTINCT SOPClassUID)",
    },
    "SERIES": {"NumberOfSeriesRelatedInstances": "COUNT(*)"},
    "IMAGE": {},
}
_COLUMNS: Final = tuple(keyword for level in LEVELS for keyword in _KEYWORDS[level])
_KEY: Final = tuple(_UNIQUE.values())


class Index:
    """Durable: a row is there when `add` returned. For use by several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.create_function("folded", 1, lambda text: (text or "").casefold(), deterministic=True)
        columns = ", ".join(f"{keyword} TEXT NOT NULL" for keyword in _COLUMNS)
        with self._lock:
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS instances ({columns}, path TEXT NOT NULL, "
                f"transfer_syntax_uid TEXT NOT NULL, PRIMARY KEY ({', '.join(_KEY)}))"
            )
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "AccessionNumber"):
                self._database.execute(f"CREATE INDEX IF NOT EXISTS by_{keyword} ON instances ({keyword})")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def add(self, header: Dataset, path: str, transfer_syntax_uid: str) -> None:
        """Add an instance; one that is there already (same patient, study, series and SOP) stays as it is."""
        values = [_text(header, keyword) for keyword in _COLUMNS]
        marks = ", ".join("?" * (len(values) + 2))
        with self._lock:
            self._database.execute(
                f"INSERT OR IGNORE INTO instances VALUES ({marks})",  # noqa: S608  # marks only
                [*values, path, transfer_syntax_uid],
            )

    def find(self, level: str, keys: Dataset) -> list[Dataset]:
        """Answers to a C-FIND identifier: its keys, filled, one data set per match."""
        levels = LEVELS[: LEVELS.index(level) + 1]
        known = {keyword for one in levels for keyword in _KEYWORDS[one]}
        counted = {keyword: sql for one in levels for keyword, sql in _COUNTED[one].items()}
        where, parameters = _where(keys, known)
        having, modalities = _having(keys, level)
        # SQLite takes bare columns from the row that MIN() picked.
        selection = ", ".join([*_COLUMNS, *(f"{sql} AS {keyword}" for keyword, sql in counted.items())])
        groups = ", ".join(_UNIQUE[one] for one in levels)
        query = f"SELECT {selection}, MIN(rowid) FROM instances{where} GROUP BY {groups}{having} ORDER BY MIN(rowid)"  # noqa: S608
        rows = self._rows(query, [*parameters, *modalities])
        return [_answer(level, keys, row, known | set(counted)) for row in rows]

    def paths(self, level: str, keys: Dataset) -> list[tuple[str, str, str]]:
        """(path, SOP Class UID, transfer syntax UID) of each instance that a C-GET or C-MOVE identifier names."""
        unique = {_UNIQUE[one] for one in LEVELS[: LEVELS.index(level) + 1]}
        where, parameters = _where(keys, unique)
        query = f"SELECT path, SOPClassUID, transfer_syntax_uid FROM instances{where} ORDER BY rowid"  # noqa: S608
        return [(row["path"], row["SOPClassUID"], row["transfer_syntax_uid"]) for row in self._rows(query, parameters)]

    def path_of(self, header: Dataset) -> str | None:
        """Where exactly this instance (patient, study, series, SOP) is, or None."""
        condition = " AND ".join(f"{keyword} = ?" for keyword in _KEY)
        rows = self._rows(
            f"SELECT path FROM instances WHERE {condition}",  # noqa: S608
            [_text(header, keyword) for keyword in _KEY],
        )
        return str(rows[0]["path"]) if rows else None

    def holds(self, sop_class_uid: str, sop_instance_uid: str) -> bool:
        query = "SELECT 1 FROM instances WHERE SOPInstanceUID = ? AND SOPClassUID = ?"
        return bool(self._rows(query, [sop_instance_uid, sop_class_uid]))

    def count(self) -> int:
        """Instances in all."""
        return int(self._rows("SELECT COUNT(*) AS n FROM instances", [])[0]["n"])

    def _rows(self, query: str, parameters: list[str]) -> list[dict[str, Any]]:
        with self._lock:
            cursor = self._database.execute(query, parameters)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


def _where(keys: Dataset, known: set[str]) -> tuple[str, list[str]]:
    conditions, parameters = [], []
    for keyword in sorted(known):
        if value := _text(keys, keyword):
            condition, values = _condition(keyword, value)
            conditions.append(condition)
            parameters += values
    return (" WHERE " + " AND ".join(conditions) if conditions else ""), parameters


def _condition(keyword: str, value: str) -> tuple[str, list[str]]:
    """Matching of one key (PS3.4 C.2.2.2.1 to C.2.2.2.5): list, range, wildcard, single value."""
    vr = dictionary_VR(keyword)
    if vr == "UI":
        uids = value.split("\\")
        return f"{keyword} IN ({', '.join('?' * len(uids))})", uids
    if vr in {"DA", "TM"} and "-" in value:
        first, _, last = value.partition("-")
        # A time without its fraction lies before the same time with one, so the upper end is padded.
        bounds = [f"{keyword} != ''"] + [f"{keyword} >= ?"] * bool(first) + [f"{keyword} <= ?"] * bool(last)
        return " AND ".join(bounds), [end for end in (first, last and last.ljust(13, "9")) if end]
    folded = vr == "PN"
    column = f"folded({keyword})" if folded else keyword
    text = value.casefold() if folded else value
    if vr not in {"DA", "TM", "IS", "US"} and any(sign in text for sign in "*?"):
        return f"{column} GLOB ?", [text.replace("[", "[[]")]
    return f"{column} = ?", [text]


def _having(keys: Dataset, level: str) -> tuple[str, list[str]]:
    """ModalitiesInStudy matches when any series of the study has one of them (PS3.4 C.3.4)."""
    wanted = [one for one in _text(keys, "ModalitiesInStudy").split("\\") if one]
    if level != "STUDY" or not wanted:
        return "", []
    return f" HAVING SUM(Modality IN ({', '.join('?' * len(wanted))})) > 0", wanted


def _answer(level: str, keys: Dataset, row: Mapping[str, Any], known: set[str]) -> Dataset:
    answer = Dataset()
    for element in keys:
        if element.keyword in {"QueryRetrieveLevel", "SpecificCharacterSet"} or element.tag.element == 0:
            continue
        value = row[element.keyword] if element.keyword in known else ""
        if element.keyword in {"ModalitiesInStudy", "SOPClassesInStudy"}:
            value = [one for one in (value or "").split(",") if one]
        elif element.VR == "US":
            value = int(value) if value else None
        elif element.VR == "SQ":
            value = []
        answer.add_new(element.tag, element.VR, value)
    for one in LEVELS[: LEVELS.index(level) + 1]:
        setattr(answer, _UNIQUE[one], row[_UNIQUE[one]])
    answer.QueryRetrieveLevel = level
    if not all(str(value).isascii() for value in row.values()):
        answer.SpecificCharacterSet = "ISO_IR 192"
    return answer


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    if value is None:
        return ""
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return text.strip(" \0")
