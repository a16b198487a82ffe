"""Wrong-patient protection: the sheet's patient must be the PACS's patient for the study. The sheet only confirms."""

from __future__ import annotations

import re
import unicodedata

from pydicom.dataset import Dataset

from media2dicom.errors import IdentityMismatch
from media2dicom.media.payload import NamedPatient
from media2dicom.model import Row


def confirm_identity(row: Row, header: Dataset) -> None:
    """Raise IdentityMismatch unless every identifier that the row gives is the source's.

    The patient ID must be equal to the letter; a birth date, where given, too; a name after folding. What the PACS
    does not hold cannot confirm anything. Messages name the attribute, never its value.
    """
    pacs_id = str(header.get("PatientID") or "").strip()
    if not pacs_id:
        raise IdentityMismatch(
            "The PACS has no Patient ID for this study, so patient_id cannot be confirmed.",
            next_step="Have the study's Patient ID corrected in the PACS.",
        )
    if row.patient_id.strip() != pacs_id:
        hint = ""
        if row.patient_id.strip().lstrip("0") == pacs_id.lstrip("0"):
            hint = " They differ in leading zeros only: format the column as text."
        elif row.patient_id.strip().casefold() == pacs_id.casefold():
            hint = " They differ in upper and lower case only."
        raise IdentityMismatch(f"patient_id is not the Patient ID that the PACS has for this study.{hint}")
    if row.patient_birth_date is not None:
        birth_date = str(header.get("PatientBirthDate") or "").replace(".", "").strip()
        if not birth_date:
            raise IdentityMismatch(
                "The PACS has no birth date for this patient, so patient_birth_date cannot be confirmed.",
                next_step="Clear patient_birth_date (patient_name can be the second identifier).",
            )
        if row.patient_birth_date != birth_date:
            raise IdentityMismatch("patient_birth_date is not the birth date that the PACS has for this study.")
    if row.patient_name is not None:
        name = header.get("PatientName")
        groups = [str(part) for part in (str(name) if name else "").split("=") if part.strip("^ ")]
        if not groups:
            raise IdentityMismatch(
                "The PACS has no name for this patient, so patient_name cannot be confirmed.",
                next_step="Clear patient_name (patient_birth_date can be the second identifier).",
            )
        wanted = folded_name(row.patient_name)
        if not wanted or all(folded_name(group) != wanted for group in groups):
            raise IdentityMismatch("patient_name is not the name that the PACS has for this study.")


def confirm_named_patient(named: NamedPatient, row: Row, header: Dataset) -> list[str]:
    """Raise IdentityMismatch when a document that names its own patient is plainly another's; return warnings.

    One of its IDs has to be the row's or another ID of the patient in the PACS, and the birth date must not differ.
    With IDs of other kinds only (a national number), name and birth date decide, as far as both sides know them.
    """
    other = "The document names another patient than the row's"
    birth_date = str(header.get("PatientBirthDate") or "").replace(".", "").strip() or row.patient_birth_date
    both_dates = bool(birth_date and named.birth_date)
    if both_dates and named.birth_date != birth_date:
        raise IdentityMismatch(f"{other}: the birth dates differ.")
    if not named.ids:
        return ["The document names no patient ID, so it was not confirmed that it is the row's patient's."]
    known = {row.patient_id.strip(), str(header.get("PatientID") or "").strip()}
    known |= {str(item.get("PatientID") or "").strip() for item in header.get("OtherPatientIDsSequence") or ()}
    if any(value in known for _authority, value in named.ids):
        return []
    if _authority(header) in {authority for authority, _value in named.ids if authority}:
        raise IdentityMismatch(f"{other}: the patient IDs differ.")
    names = [row.patient_name or "", *str(header.get("PatientName") or "").split("=")]
    ours = {folded_name(name) for name in names} - {()}
    theirs = {folded_name(name) for name in named.names} - {()}
    if not ours and not birth_date:  # nothing is known of the patient but the ID
        return ["The document's patient ID is not the row's; it may be of another kind. This was not confirmed."]
    if both_dates and ours & theirs:
        return ["The document's patient ID is not the row's; name and birth date agree."]
    raise IdentityMismatch(f"{other}: the patient IDs differ, and name and birth date do not both agree.")


def _authority(header: Dataset) -> str:
    """The OID of who issued the Patient ID; empty where the PACS does not say."""
    items = header.get("IssuerOfPatientIDQualifiersSequence") or ()
    return next((str(i.get("UniversalEntityID") or "") for i in items if i.get("UniversalEntityIDType") == "ISO"), "")


_SPELLED_OUT = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})


def folded_name(name: str) -> tuple[str, ...]:
    """A name's words without case, diacritics, punctuation and order: 'Doe^Jane' and 'jane DOE' are equal."""
    plain = unicodedata.normalize("NFKD", name.casefold()).translate(_SPELLED_OUT)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return tuple(sorted(re.findall(r"\w+", plain)))
