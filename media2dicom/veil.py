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

_NAME_PART_MIN: Final = 3  # letters: a part of two is a word of too many texts
_ID_MIN: Final = 3  # characters: a shorter ID is found in any row number
_ALONE_MAX: Final = 4  # digits of a number in a file name: "IMG 0042"
_BESIDE_WORD_MAX: Final = 5  # digits that belong to a harmless word: "DSC00123"
_UNREAD_MAX: Final = 2  # digits, when the row could not be read: any longer number may be an ID

# Words that a lab's file names hold beside names. What is missing here is veiled: safe, and only less readable.
_WORDS: Final = """
3d after anim annotated anterior ap arm assembly ax axial back base before binary bmp bone brain camera cap capture
cast chest cine clip closeup color colour copy cor coronal cropped ct cut detail device dicom doc draft dsc dscn echo
edit edited elbow endo endoscopy export eye face femur file film final finger foot fracture frame front full gopr half
hand head heart hip hires hq image images img implant jaw jpeg jpg kidney knee lat left leg liver lower lowres lung
m4v mandible mask maxilla media mesh mid middle model mov movie mp4 mri mvi neck new old original overview pa part
pelvis phone photo photos pic picture plan plate png posterior postop pre preop preview print printed prototype raw
recording render right rot rotated sag sagittal sample scan scans scope scr screen screenshot segment segmentation set
shoulder side skin skull slide snap snapshot spine stack still stl surface surgery test text tibia tif tiff top trim
turned txt ultrasound unnamed untitled upper us version vid video view wa wound wrist xray zoom
"""
_HARMLESS: Final = frozenset(_WORDS.split())
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_TOKEN: Final = re.compile(r"[^\W_]+")
_NUMBERS: Final = re.compile(r"\d+(?:[ ._,-]+\d+)+")
_DATE_SIGNS: Final = "[-./_ ]"


def veiled(text: str, row: Row | None, media: str | None = None) -> str:
    """`text` without what identifies the row's patient or study; the name of its media is shortened by `file_label`.

    Veiled whatever the case: the patient's name and each part of it from 3 letters, patient ID and accession number
    from 3 characters, the Study Instance UID, the birth date in DICOM and in the usual spellings; never within a
    longer word or number. media: the media cell of a row that could not be read; else there is nothing to compare.
    """
    text = unicodedata.normalize("NFC", text)
    cell = unicodedata.normalize("NFC", media or (row.media if row is not None else ""))
    if cell:
        text = re.sub(_bounded(re.escape(cell), cell), lambda _: file_label(cell, row), text)
    pattern = _values_of(row)
    return pattern.sub(VEIL, text) if pattern is not None else text


def file_label(media: str, row: Row | None) -> str:
    """The base name of a media cell without what may be a person: "Canary_Clara_knee 2.jpg" as "***_***_knee 2.jpg".

    Words are kept when they are on the list of harmless ones; numbers when they are short and no date.
    """
    name = PureWindowsPath(PurePosixPath(media).name).name  # a cell may hold either kind of slash
    name = unicodedata.normalize("NFC", name)
    if (pattern := _values_of(row)) is not None:
        name = pattern.sub(VEIL, name)
    name = _NUMBERS.sub(lambda found: VEIL if _may_be_a_date(found[0]) else found[0], name)
    return _TOKEN.sub(lambda found: found[0] if _is_harmless(found[0], unread=row is None) else VEIL, name)


def _may_be_a_date(numbers: str) -> bool:
    parts = re.findall(r"\d+", numbers)
    return len(parts) > 2 or sum(map(len, parts)) > _BESIDE_WORD_MAX


def _is_harmless(token: str, *, unread: bool) -> bool:
    if not token.isascii():
        return False
    words = _LETTERS.findall(token)
    longest = max(map(len, re.findall(r"\d+", token)), default=0)
    is_known = token.lower() in _HARMLESS or all(len(word) == 1 or word.lower() in _HARMLESS for word in words)
    is_word = any(len(word) > 1 for word in words)
    allowed = _UNREAD_MAX if unread else _BESIDE_WORD_MAX if is_word else _ALONE_MAX
    return is_known and longest <= allowed


def _values_of(row: Row | None) -> re.Pattern[str] | None:
    if row is None:
        return None
    return _pattern(
        row.patient_id, row.patient_name, row.patient_birth_date, row.accession_number, row.study_instance_uid
    )


@lru_cache(maxsize=4096)
def _pattern(
    patient_id: str | None,
    patient_name: str | None,
    birth_date: str | None,
    accession_number: str | None,
    study_instance_uid: str | None,
) -> re.Pattern[str] | None:
    """What finds these values in a text. Many rows are one patient's: made once."""
    ids = (patient_id, (patient_id or "").lstrip("0"), accession_number, study_instance_uid)  # zeros get lost
    values = [value for value in ids if value and len(value) >= _ID_MIN]
    if patient_name:
        parts = _LETTERS.findall(patient_name)
        values += [patient_name, *(part for part in parts if len(part) >= _NAME_PART_MIN)]
    values = [unicodedata.normalize("NFC", value) for value in values]
    found = [_bounded(re.escape(value), value) for value in sorted(set(values), key=len, reverse=True)]
    if birth_date:
        found += _dates(birth_date)
    return re.compile("|".join(found), re.IGNORECASE) if found else None


def _bounded(pattern: str, value: str) -> str:
    """Not within a longer word or a longer number."""

    def more(character: str) -> str:
        return r"\d" if character.isdigit() else r"[^\W\d_]" if character.isalpha() else "(?!)"

    return f"(?<!{more(value[0])}){pattern}(?!{more(value[-1])})"


def _dates(birth_date: str) -> list[str]:
    """Patterns of a DA ("19700131") in the usual spellings, with any sign between the parts or none."""
    if len(birth_date) != 8 or not birth_date.isdigit():
        return [_bounded(re.escape(birth_date), birth_date)]
    century, year, month, day = birth_date[:2], birth_date[2:4], birth_date[4:6], birth_date[6:]
    found = []
    for sign, zero in (("", ""), (_DATE_SIGNS, "?")):  # a zero is only left out where a sign tells the parts apart
        y, m, d = f"(?:{century})?{year}", *(re.sub("^0", f"0{zero}", part) for part in (month, day))
        found += [sign.join(order) for order in ((y, m, d), (d, m, y), (m, d, y))]
    return [rf"(?<!\d){pattern}(?!\d)" for pattern in found]
