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

    An ID of the patient's own issuer has to be the row's or another ID of the patient in the PACS. A number that only
    another or an unknown issuer gave may be the same by chance: the names must not differ, where both sides have one.
    With other numbers only (a national one), name and birth date have to agree. Birth dates must never differ.
    """
    other = "The document names another patient than the row's"
    birth_date = str(header.get("PatientBirthDate") or "").replace(".", "").strip() or row.patient_birth_date
    both_dates = bool(birth_date and named.birth_date)
    if both_dates and named.birth_date != birth_date:
        raise IdentityMismatch(f"{other}: the birth dates differ.")
    if not named.ids:
        return ["The document names no patient ID, so it was not confirmed that it is the row's patient's."]
    issuer = _issuer(header)
    issued = {(_issuer(item), _patient_id(item)) for item in (header, *(header.get("OtherPatientIDsSequence") or ()))}
    known = {row.patient_id.strip()} | {value for _by, value in issued}
    own = {value for authority, value in named.ids if issuer and authority == issuer}
    if own and not own & known:
        raise IdentityMismatch(f"{other}: the patient IDs differ.")
    if own or any(authority and (authority, value) in issued for authority, value in named.ids):
        return []
    names = [row.patient_name or "", *str(header.get("PatientName") or "").split("=")]
    ours = {folded_name(name) for name in names} - {()}
    theirs = {folded_name(name) for name in named.names} - {()}
    if any(value in known for _by, value in named.ids):
        both_names = bool(ours and theirs)
        if both_names and not _may_be_one_name(ours, theirs):
            raise IdentityMismatch(f"{other}: the names differ, and its patient ID may be of another issuer.")
        if both_names or both_dates:
            return []
        return ["The document's patient ID is the row's, but may be of another issuer. This was not confirmed."]
    if not ours and not birth_date:  # nothing is known of the patient but the ID
        return ["The document's patient ID is not the row's; it may be of another kind. This was not confirmed."]
    if both_dates and ours & theirs:
        return ["The document's patient ID is not the row's; name and birth date agree."]
    raise IdentityMismatch(f"{other}: the patient IDs differ, and name and birth date do not both agree.")


def _patient_id(item: Dataset) -> str:
    return str(item.get("PatientID") or "").strip()


def _issuer(item: Dataset) -> str:
    """The OID of who issued the Patient ID; empty where the PACS does not say."""
    items = item.get("IssuerOfPatientIDQualifiersSequence") or ()
    return next((str(i.get("UniversalEntityID") or "") for i in items if i.get("UniversalEntityIDType") == "ISO"), "")


def _may_be_one_name(ours: set[tuple[str, ...]], theirs: set[tuple[str, ...]]) -> bool:
    """Whether one of each is the same but for words that only one side has: a second given name, a title."""
    return any(set(one) <= set(two) or set(two) <= set(one) for one in ours for two in theirs)


_SPELLED_OUT = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"})


def folded_name(name: str) -> tuple[str, ...]:
    """A name's words without case, diacritics, punctuation and order: 'Doe^Jane' and 'jane DOE' are equal."""
    plain = unicodedata.normalize("NFKD", name.casefold()).translate(_SPELLED_OUT)
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    return tuple(sorted(re.findall(r"\w+", plain)))
