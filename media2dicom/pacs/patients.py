"""Whose is the study? The PACS's answer for it, held against the patient that an instance names.

Patient IDs have to be equal. Names and birth dates are asked only whether they contradict each other: on its way
through a PACS a name is cut, respelled, or loses the letters that a character set has no place for. Whether the patient
is the row's is not asked here (identity.py).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import product
from typing import Final

from pydicom.dataset import Dataset

from media2dicom.dicom.values import text_of, valid_text
from media2dicom.errors import Media2DicomError, sealed
from media2dicom.pacs.query import StudyMatch, find_study, patient_id_of, query_association
from media2dicom.person_names import are_comparable, may_be_one_name, may_be_shortened, spellings
from media2dicom.settings import Server, Settings

_CUT_FROM: Final = 8  # letters: no system cuts names shorter


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
    # Second given names and titles are often left out: of family and given name all words count, of these a part.
    ours, theirs = _groups(one, 2), _groups(other, 2)
    if not are_comparable(spellings(ours), spellings(theirs)) or may_be_one_name(spellings(ours), spellings(theirs)):
        return False
    if may_be_shortened(spellings(_groups(one, 3)), spellings(_groups(other, 3))):
        return False
    return not any(_is_damaged(*pair) for pair in product(ours, theirs))


def _groups(name: str, components: int) -> list[str]:
    return ["^".join(group.split("^")[:components]) for group in name.split("=")]


def _is_damaged(one: str, other: str) -> bool:
    """Whether one is the other cut at its end, without letters beyond ASCII, or read in another character set."""
    short, long = sorted((_plain(one), _plain(other)), key=len)
    is_cut = len(short) >= _CUT_FROM and long.startswith(short)
    return is_cut or _lost_letters(one, other) or _misread(one) == other or _misread(other) == one


def _lost_letters(one: str, other: str) -> bool:
    short, long = sorted((_letters(one), _letters(other)), key=len)
    rest = iter(short)
    wanted = next(rest, "")
    if not wanted:
        return False
    for letter in long:
        if letter == wanted:
            wanted = next(rest, "")
        elif letter.isascii():
            return False
    return not wanted


def _misread(name: str) -> str:
    """UTF-8 read as ISO-IR 100, the usual mistake."""
    return name.encode().decode("latin-1")


def _plain(name: str) -> str:
    """Letters without accents, and where the components end."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(sign for sign in decomposed if sign.isalpha() or sign == "^")


def _letters(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalpha())
