"""What may leave the core for Prefect, seen by more people than the patient's record: texts without the patient.

The project's own messages hold no cell values, but they may name a media file, and labs name files by patient. So
two rules. A text loses the row's identifying values, however they are usually written. A file name keeps only the
words that are known to be harmless: no sheet and no PACS can tell for sure that a word is nobody's name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from media2dicom.model import Row

VEIL: Final = "***"

_NAME_PART_MIN: Final = 3  # letters: a part of two is a word of too many texts ("Li" in "limit" is none, "An" is one)
_ID_MIN: Final = 3  # characters: a shorter ID is found in any row number
_LONG_NUMBER: Final = 6  # digits: of a date or of a patient ID

# Words that a lab's file names hold beside names. What is missing here is veiled: safe, and only less readable.
_HARMLESS: Final = frozenset(
    """
    3d after anim annotated anterior arm assembly ax axial back base before bone brain camera cap capture cast chest
    cine clip close closeup color colour copy cor coronal cropped ct cut detail device dicom doc draft dsc dscn echo
    edit edited elbow endo endoscopy export eye face femur file film final finger foot fracture frame front full gopr
    half hand head heart hip hires hq image images img implant jaw kidney knee left leg liver lower lowres lung
    mandible mask maxilla media mesh mid middle model mov movie mri mvi neck new old original overview page part pelvis
    phone photo photos pic picture plan plate post posterior pre preop postop preview print printed prototype raw
    recording render rest right rot rotated sag sagittal sample scan scans scope scr screen screenshot segment
    segmentation set shoulder side skin skull slide small snap snapshot spine stack still stl surface surgery test
    tibia top trim turned ultrasound unnamed untitled upper us version vid video view wa wound wrist xray zoom
    ap bmp jpeg jpg lat m4v mp4 pa png text tif tiff txt binary
    """.split()
)
_WORD: Final = re.compile(r"[^\W\d_]+", re.UNICODE)
_NUMBER: Final = re.compile(r"\d+(?:[ ._,-]*\d+)*", re.UNICODE)


def veiled(text: str, row: Row | None) -> str:
    """`text` without what identifies the row's patient or study; the name of its media is shortened by `file_label`.

    Veiled in any case of letters: patient ID and accession number from 3 characters (as words of their own), Study
    Instance UID, the patient's name and each part of it from 3 letters (as words of their own), the birth date in
    DICOM and in the usual spellings. Without a row there is nothing to compare with; the text is as it was.
    """
    if row is None or not text:
        return text
    if row.media and row.media in text:
        text = text.replace(row.media, file_label(row.media, row))
    pattern = _pattern(
        row.patient_id, row.patient_name, row.patient_birth_date, row.accession_number, row.study_instance_uid
    )
    return pattern.sub(VEIL, text) if pattern is not None else text


def file_label(media: str, row: Row | None = None) -> str:
    """The base name of a media cell, for people who may not see whose it is: "Canary_Clara_knee 2.jpg" as "***_***_knee 2.jpg".

    Words are kept when they are on the list of harmless ones, numbers up to 5 digits (dates are longer).
    """
    name = PureWindowsPath(PurePosixPath(media).name).name  # a cell may hold either kind of slash
    if row is not None and (pattern := _pattern(row.patient_id, None, None, row.accession_number, None)) is not None:
        name = pattern.sub(VEIL, name)
    name = _NUMBER.sub(lambda found: VEIL if sum(map(str.isdigit, found[0])) >= _LONG_NUMBER else found[0], name)
    name = _WORD.sub(lambda found: found[0] if found[0].casefold() in _HARMLESS or _is_letter(found[0]) else VEIL, name)
    return re.sub(r"(?:\*{3})+", VEIL, name)


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isascii()  # a name of one character is no rarity elsewhere


@lru_cache(maxsize=1024)
def _pattern(
    patient_id: str | None,
    patient_name: str | None,
    birth_date: str | None,
    accession_number: str | None,
    study_instance_uid: str | None,
) -> re.Pattern[str] | None:
    """What finds these values in a text. Many rows are one patient's: made once."""
    words = [value for value in (patient_id, accession_number) if value and len(value) >= _ID_MIN]
    words += [study_instance_uid] if study_instance_uid else []
    if patient_name:
        words += [patient_name, *(part for part in _WORD.findall(patient_name) if len(part) >= _NAME_PART_MIN)]
    if birth_date:
        words += _spellings(birth_date)
    if not words:
        return None
    forms = {unicodedata.normalize(form, word) for word in words for form in ("NFC", "NFD")}
    longest_first = sorted(forms, key=lambda word: (-len(word), word))
    # Not within a longer word or number; an underscore, common in file names, ends a word.
    alternatives = "|".join(map(re.escape, longest_first))
    return re.compile(rf"(?<![^\W_])(?:{alternatives})(?![^\W_])", re.IGNORECASE | re.UNICODE)


def _spellings(birth_date: str) -> list[str]:
    """A DA ("19700131") and how people write it."""
    year, month, day = birth_date[:4], birth_date[4:6], birth_date[6:8]
    if len(birth_date) != 8 or not birth_date.isdigit():
        return [birth_date]
    found = [birth_date, day + month + year, month + day + year, birth_date[2:]]
    for m, d in {(month, day), (month.lstrip("0"), day.lstrip("0"))}:
        for y in (year, year[2:]):
            for sign in "-./_ ":
                found += [sign.join(parts) for parts in ((y, m, d), (d, m, y), (m, d, y))]
    return found
