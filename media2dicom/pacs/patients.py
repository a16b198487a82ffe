"""Whose is the study? The PACS's answer for it, held against the patient that an instance names.

Patient IDs have to be equal. Names and birth dates are asked only whether they contradict each other: on its way
through a PACS a name is cut, respelled, or loses the letters that a character set has no place for. Whether the patient
is the row's is not asked here (identity.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from media2dicom.dicom.values import text_of, valid_text
from media2dicom.errors import Media2DicomError, sealed
from media2dicom.pacs.query import StudyMatch, find_study, patient_id_of, query_association
from media2dicom.person_names import are_comparable, may_be_one_name, spellings
from media2dicom.settings import Server, Settings


def ask_studies(
    server: Server, settings: Settings, study_instance_uids: Iterable[str]
) -> dict[str, StudyMatch | Media2DicomError]:
    """The PACS's answer for each study at this moment, or why there is none. Never raises for what the PACS does."""
    wanted = dict.fromkeys(study_instance_uids)
    found: dict[str, StudyMatch | Media2DicomError] = {}
    try:
        with query_association(server, settings) as association:
            for uid in wanted:
                try:
                    with sealed("Asking for a study"):
                        found[uid] = find_study(association, study_instance_uid=uid)
                except Media2DicomError as error:
                    if not association.is_established:
                        raise
                    found[uid] = error
    except Media2DicomError as error:  # no association, or none any more
        found |= {uid: error for uid in wanted if uid not in found}
    return found


def contradiction(study: StudyMatch, instance: Dataset) -> str:
    """What shows that the instance is not of that study and patient, in words without values; empty if nothing does."""
    patient_id = patient_id_of(instance)
    if text_of(instance, "StudyInstanceUID") != study.study_instance_uid:
        return "the Study Instance UIDs differ"
    if patient_id != study.patient_id:
        if not study.patient_id:
            return "the answer has no Patient ID"
        if not patient_id:
            return "the instance has no Patient ID"
        same = patient_id.casefold() == study.patient_id.casefold()
        return f"the Patient IDs differ{' in upper and lower case' if same else ''}"
    birth_date = valid_text(instance, "PatientBirthDate")
    if birth_date and study.patient_birth_date and birth_date != study.patient_birth_date:
        return "the birth dates differ"
    if _are_two_names(valid_text(instance, "PatientName"), study.patient_name):
        return "the names differ"
    return ""


def _are_two_names(one: str, other: str) -> bool:
    """Whether both say a name, and no component group (PS3.5 6.2.1) of one can be the same as one of the other."""
    ours, theirs = _family_and_given(one), _family_and_given(other)
    if not are_comparable(spellings(ours), spellings(theirs)) or may_be_one_name(spellings(ours), spellings(theirs)):
        return False
    return not any(
        _has_lost_letters(kept(group), kept(of_other))
        for kept in (_letters, _ascii_letters)
        for group in ours
        for of_other in theirs
    )


def _family_and_given(name: str) -> list[str]:
    """Of each component group: second given names and titles are often left out."""
    return ["^".join(group.split("^")[:2]) for group in name.split("=")]


def _has_lost_letters(one: str, other: str) -> bool:
    """Whether one text is the other with letters left out: at its end, or within it."""
    short, long = sorted((one, other), key=len)
    rest = iter(long)
    return short != "" and all(letter in rest for letter in short)


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalpha())


def _ascii_letters(name: str) -> str:
    """What is left where a letter beyond ASCII is lost, or was read in another character set."""
    return "".join(letter for letter in _letters(name) if letter.isascii())
