"""Wrong-patient protection: the sheet's patient must be the PACS's patient for the study. The sheet only confirms."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from media2dicom.dicom.values import BrokenValue, rewritten, valid_text
from media2dicom.errors import IdentityMismatch
from media2dicom.media.payload import NamedPatient
from media2dicom.model import Row
from media2dicom.person_names import are_comparable, folded_name, may_be_one_name, spellings


def confirm_identity(row: Row, header: Dataset) -> None:
    """Raise IdentityMismatch unless every identifier that the row gives is the source's.

    The patient ID must be equal to the letter; a birth date, where given, too; a name after folding. They are read as
    they are copied into the object. What the PACS does not hold cannot confirm anything. Messages name the attribute,
    never its value.
    """
    pacs_id, patient_id = valid_text(header, "PatientID"), row.patient_id.strip(" ")
    if not pacs_id:
        raise IdentityMismatch(
            "The PACS has no valid Patient ID for this study, so patient_id cannot be confirmed.",
            next_step="Have the study's Patient ID corrected in the PACS.",
        )
    if patient_id != pacs_id:
        hint = ""
        if patient_id.lstrip("0") == pacs_id.lstrip("0"):
            hint = " They differ in leading zeros only: format the column as text."
        elif patient_id.casefold() == pacs_id.casefold():
            hint = " They differ in upper and lower case only."
        elif patient_id.split() == pacs_id.split():
            hint = " They differ in blanks only, such as no-break spaces: have the PACS's corrected."
        raise IdentityMismatch(f"patient_id is not the Patient ID that the PACS has for this study.{hint}")
    if row.patient_birth_date is not None:
        birth_date = valid_text(header, "PatientBirthDate")
        if not birth_date:
            raise IdentityMismatch(
                "The PACS has no valid birth date for this patient, so patient_birth_date cannot be confirmed.",
                next_step="Clear patient_birth_date (patient_name can be the second identifier).",
            )
        if row.patient_birth_date != birth_date:
            raise IdentityMismatch("patient_birth_date is not the birth date that the PACS has for this study.")
    if row.patient_name is not None:
        groups = {folded_name(group) for group in valid_text(header, "PatientName").split("=")} - {()}
        if not groups:
            raise IdentityMismatch(
                "The PACS has no valid name for this patient, so patient_name cannot be confirmed.",
                next_step="Clear patient_name (patient_birth_date can be the second identifier).",
            )
        if folded_name(row.patient_name) not in groups:
            raise IdentityMismatch("patient_name is not the name that the PACS has for this study.")


def confirm_named_patient(named: NamedPatient, row: Row, header: Dataset) -> list[str]:
    """Raise IdentityMismatch when a document that names its own patient is plainly another's; return warnings.

    Birth dates must never differ. An ID that an issuer gave is compared with what the same issuer gave in the PACS: one
    of the patient's own issuer has to agree. A number that only another or an unknown issuer gave may be the same by
    chance: then, and without any, the names must not differ, where both sides have one. With other numbers only (a
    national one), name and birth date have to agree.
    """
    other = "The document names another patient than the row's"
    birth_date = valid_text(header, "PatientBirthDate") or row.patient_birth_date
    both_dates = bool(birth_date and named.birth_date)
    if both_dates and named.birth_date != birth_date:
        raise IdentityMismatch(f"{other}: the birth dates differ.")
    ours, theirs = spellings([row.patient_name or "", *_names(header)]), spellings(named.names)
    both_names = are_comparable(ours, theirs)
    names_differ = both_names and not may_be_one_name(ours, theirs)
    match _compared(named, row, header):
        case _Ids.NONE if names_differ:
            raise IdentityMismatch(f"{other}: the names differ.")
        case _Ids.NONE:
            return ["The document names no patient ID, so it was not confirmed that it is the row's patient's."]
        case _Ids.DIFFER:
            raise IdentityMismatch(f"{other}: the patient IDs differ.")
        case _Ids.PERHAPS if names_differ:
            raise IdentityMismatch(f"{other}: the names differ, and its patient ID may be of another issuer.")
        case _Ids.PERHAPS if not (both_dates or both_names):
            return ["The document's patient ID is the row's, but may be of another issuer. This was not confirmed."]
        case _Ids.OTHER if not ours and not birth_date:  # nothing is known of the patient but the ID
            return ["The document's patient ID is not the row's; it may be of another kind. This was not confirmed."]
        case _Ids.OTHER if both_dates and ours & theirs:
            return ["The document's patient ID is not the row's; name and birth date agree."]
        case _Ids.OTHER:
            raise IdentityMismatch(f"{other}: the patient IDs differ, and name and birth date do not both agree.")
    return []


class _Ids(Enum):
    """What a document's patient IDs say of the row's patient."""

    NONE = "it has none"
    SAME = "one is the patient's, by number and issuer"
    DIFFER = "the patient's own issuer gave another"
    PERHAPS = "a number is the patient's; whether its issuer is, too, is not known"
    OTHER = "they may be of another kind"


def _compared(named: NamedPatient, row: Row, header: Dataset) -> _Ids:
    if not named.ids:
        return _Ids.NONE
    issuer = _issuer(header)
    issued = {
        (_issuer(item), valid_text(item, "PatientID")) for item in (header, *_items(header, "OtherPatientIDsSequence"))
    }
    issued.add((issuer, row.patient_id.strip(" ")))
    own = {value for authority, value in named.ids if issuer and authority == issuer}
    if own and not any(by in (issuer, "") and value in own for by, value in issued):
        return _Ids.DIFFER
    if any(authority and (authority, value) in issued for authority, value in named.ids):
        return _Ids.SAME
    issuers = {by for by, _value in issued if by}
    alike = [(by, authority) for by, number in issued for authority, value in named.ids if value == number]
    return _Ids.PERHAPS if any(not by or authority not in issuers for by, authority in alike) else _Ids.OTHER


def _issuer(item: Dataset) -> str:
    """The OID of who issued the Patient ID; empty where the PACS does not say."""
    told = _items(item, "IssuerOfPatientIDQualifiersSequence")
    return next(
        (valid_text(i, "UniversalEntityID") for i in told if valid_text(i, "UniversalEntityIDType") == "ISO"), ""
    )


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Of a sequence; none where it is absent or broken."""
    try:
        return [item for item in dataset.get(keyword) or () if isinstance(item, Dataset)]
    except Exception:  # noqa: BLE001 - whatever pydicom makes of a broken value; its text holds the value
        return []


def _names(header: Dataset) -> list[str]:
    """Each component group (PS3.5 6.2.1) of what the patient is and was called."""
    found: list[str] = []
    for keyword in ("PatientName", "PatientBirthName", "OtherPatientNames"):
        with suppress(BrokenValue):
            element, _whole = rewritten(header, int(Tag(keyword)))
            if element is not None:
                found += map(str, element.value if element.VM > 1 else [element.value])
    return [group for name in found for group in name.split("=")]
