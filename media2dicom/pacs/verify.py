"""Is it there? C-FIND by SOP Instance UID.

Storage commitment is in commitment.py; what follows from a verdict (STORED, send again, CONFLICT) is the caller's.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from enum import StrEnum
from functools import cache, partial

from pynetdicom.association import Association

from media2dicom.errors import (
    CacheFailed,
    CellRefused,
    PacsError,
    QueryFailed,
    SeveralStudies,
    StudyNotFound,
    Unforeseen,
    sealed,
)
from media2dicom.model import Instance
from media2dicom.pacs.query import InstanceMatch, find_images, find_sop_instance, find_study, query_association
from media2dicom.settings import Server, Settings


class Verdict(StrEnum):
    FOUND = "FOUND"  # exactly once, in the right patient, study and series; the study is no other patient's
    ABSENT = "ABSENT"
    ELSEWHERE = "ELSEWHERE"  # several, or under another patient, study, series or class; or the study is another's
    UNKNOWN = "UNKNOWN"  # the question failed


def verify(server: Server, settings: Settings, instances: Iterable[Instance], *, patient_id: str) -> dict[str, Verdict]:
    """A verdict for each SOP Instance UID. Never raises for what the network or the PACS does."""
    instances = list(instances)
    verdicts = {instance.sop_instance_uid: Verdict.UNKNOWN for instance in instances}
    remaining = instances
    for _ in range(2):  # once more when the association was lost under the questions
        try:
            with query_association(server, settings) as association:
                of_study = cache(partial(_ask_study, association, patient_id))
                for instance in list(remaining):
                    # An answer that nobody foresaw leaves its own instance UNKNOWN, and is no reason to ask again.
                    with suppress(Unforeseen, CacheFailed), sealed("Asking for an instance"):
                        verdict = _ask(association, instance, patient_id)
                        if verdict is Verdict.FOUND:  # the study may be another's since the instance was sent
                            verdict = of_study(instance.study_instance_uid)
                        verdicts[instance.sop_instance_uid] = verdict
                    remaining = [other for other in remaining if other is not instance]
        except PacsError:
            continue
        break
    return verdicts


def _ask(association: Association, instance: Instance, patient_id: str) -> Verdict:
    """Raises QueryFailed when the association is lost."""
    study, series = instance.study_instance_uid, instance.series_instance_uid
    relational_failed = False
    try:
        matches = find_sop_instance(association, instance.sop_instance_uid)
    except QueryFailed:
        if not association.is_established:
            raise
        matches, relational_failed = [], True
    except CellRefused:  # no UID at all: cannot be stored anywhere
        return Verdict.UNKNOWN
    if not matches or (len(matches) == 1 and not _says_where(matches[0])):
        # Some PACS refuse a query without its study and series (PS3.4 C.4.1.2.2.1), or answer it with nothing, or
        # without saying where it is.
        is_somewhere = bool(matches)
        try:
            matches = find_images(association, study, series, instance.sop_instance_uid)
        except QueryFailed:
            if not association.is_established:
                raise
            return Verdict.UNKNOWN
        if not matches and is_somewhere:
            return Verdict.ELSEWHERE
    if not matches:
        return Verdict.UNKNOWN if relational_failed else Verdict.ABSENT
    if len(matches) > 1:
        return Verdict.ELSEWHERE
    right_patient = matches[0].patient_id in {"", patient_id.strip(" ")}  # not told: its study tells
    return Verdict.FOUND if _agrees(matches[0], instance) and right_patient else Verdict.ELSEWHERE


def _ask_study(association: Association, patient_id: str, study_instance_uid: str) -> Verdict:
    """FOUND when the study is that patient's and no other's. Raises QueryFailed when the association is lost."""
    try:
        study = find_study(association, study_instance_uid=study_instance_uid)
    except SeveralStudies:
        return Verdict.ELSEWHERE
    except StudyNotFound:
        return Verdict.UNKNOWN
    except QueryFailed:
        if not association.is_established:
            raise
        return Verdict.UNKNOWN
    return Verdict.FOUND if study.patient_id == patient_id.strip(" ") else Verdict.ELSEWHERE


def _says_where(match: InstanceMatch) -> bool:
    return bool(match.study_instance_uid and match.series_instance_uid)


def _agrees(match: InstanceMatch, instance: Instance) -> bool:
    return (
        match.study_instance_uid == instance.study_instance_uid
        and match.series_instance_uid == instance.series_instance_uid
        and match.sop_class_uid in {"", instance.sop_class_uid}
    )
