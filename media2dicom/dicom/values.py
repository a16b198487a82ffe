"""A source's values, decoded and judged: what may be written again in ISO_IR 192, and what may not.

No value is cut or guessed: it is valid for its value representation (PS3.5 6.2), or it is not used. Which
attributes are copied, and what follows from a broken one, is in `attributes.py`. No text here holds a value.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from pydicom import charset, config
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.valuerep import PersonName, validate_value

from media2dicom.dicom.charsets import can_hold, encodings_of

LARGEST_IS: Final = 2**31 - 1  # IS is a signed 32-bit integer (PS3.5 6.2)
_BINARY_VRS: Final = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN", "OB or OW"})
_NUMBER_VRS: Final = frozenset({"DS", "IS", "AT", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"})
_PARAGRAPH_VRS: Final = frozenset({"ST", "LT", "UT"})  # line breaks are allowed, leading spaces mean something
_CHARSET_VRS: Final = frozenset({"SH", "LO", "PN", "UC", *_PARAGRAPH_VRS})
# U+FFFD stands where bytes could not be decoded; what remains of an escape sequence could not either.
_LOST: Final = "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd"
_NOT_IN_A_LINE = re.compile(rf"[{_LOST}\t\n\f\r\\]")
_NOT_IN_A_PARAGRAPH = re.compile(rf"[{_LOST}]")

# Enumerated values of what is copied (PS3.3 C.7.1.1, C.7.2.2); others than these make the instance invalid.
ENUMERATED: Final = {
    int(Tag(keyword)): frozenset(allowed.split())
    for keyword, allowed in {
        "PatientSex": "M F O",
        "PatientSexNeutered": "ALTERED UNALTERED",
        "PatientIdentityRemoved": "YES NO",
        "QualityControlSubject": "YES NO",
        "SmokingStatus": "YES NO UNKNOWN",
        "PregnancyStatus": "1 2 3 4",
    }.items()
}

# What an item of these sequences must say; of several words joined by | one is enough.
_ISSUER: Final = ("LocalNamespaceEntityID|UniversalEntityID",)
_PERSON: Final = ("PersonIdentificationCodeSequence", "InstitutionName|InstitutionCodeSequence")
ITEM_REQUIRES: Final[dict[int, tuple[str, ...]]] = {
    int(Tag(keyword)): required
    for keyword, required in {
        "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
        "SourcePatientGroupIdentificationSequence": ("PatientID",),
        "GroupOfPatientsIdentificationSequence": ("PatientID",),
        "BreedRegistrationSequence": ("BreedRegistrationNumber", "BreedRegistryCodeSequence"),
        "StrainStockSequence": ("StrainStockNumber", "StrainSource", "StrainSourceRegistryCodeSequence"),
        "GeneticModificationsSequence": ("GeneticModificationsDescription", "GeneticModificationsNomenclature"),
        "ReferringPhysicianIdentificationSequence": _PERSON,
        "ConsultingPhysicianIdentificationSequence": _PERSON,
        "PhysiciansOfRecordIdentificationSequence": _PERSON,
        "PhysiciansReadingStudyIdentificationSequence": _PERSON,
        "IssuerOfAccessionNumberSequence": _ISSUER,
        "IssuerOfAdmissionIDSequence": _ISSUER,
        "IssuerOfServiceEpisodeIDSequence": _ISSUER,
        "ConsentForClinicalTrialUseSequence": ("ConsentForDistributionFlag",),
        "ReferencedStudySequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
    }.items()
}
_CODE_VALUES: Final = "CodeValue|LongCodeValue|URNCodeValue"


Encodings = frozenset[str] | None  # as `charsets.encodings_of` has them


class BrokenValue(Exception):
    """The element cannot be used. Carries no text: any that there is would hold the value."""


class UnknownCharacterSet(BrokenValue):
    """What its bytes beyond ASCII mean is not known."""


def rewritten(source: Dataset, tag: int) -> tuple[DataElement | None, bool]:
    """A deep copy of an element as decoded text, and whether it is whole (False: an item had to be left out).

    None when it is absent or says nothing. Raises BrokenValue when its value is not valid.
    """
    try:
        if tag not in source:
            return None, True
        return _rewritten(_element(source, tag), encodings_of(source))
    except BrokenValue:
        raise
    except Exception:  # noqa: BLE001 - whatever pydicom makes of a broken value; its text holds the value
        raise BrokenValue from None


def valid_text(source: Dataset, keyword: str) -> str:
    """The value of a single-valued attribute; empty when it is absent or not valid."""
    try:
        element, _whole = rewritten(source, int(Tag(keyword)))
    except BrokenValue:
        return ""
    return "" if element is None else str(element.value)


def text_of(dataset: Dataset, keyword: str) -> str:
    """The value as text without padding, be it valid or not; empty when it is absent or cannot be read."""
    try:
        value = _element(dataset, int(Tag(keyword))).value if keyword in dataset else None
    except Exception:  # noqa: BLE001 - whatever foreign bytes make pydicom raise; its text may hold the value
        return ""
    return "" if value is None else str(value).strip(" \0")


def is_undeclared(source: Dataset, element: DataElement) -> bool:
    """Whether an element has characters that its source's Specific Character Set does not provide for."""
    return element.VR in _CHARSET_VRS and not str(element.value).isascii() and encodings_of(source) == frozenset()


def _element(dataset: Dataset, tag: int) -> DataElement:
    """Decoded, the data set's own left as it came: written again by pydicom's encoders, text may be lost."""
    held = dataset.get_item(tag)
    if not isinstance(held, RawDataElement):
        return dataset[tag]
    encodings = dataset.original_character_set or charset.convert_encodings(dataset.get("SpecificCharacterSet"))
    return convert_raw_data_element(held, encoding=encodings, ds=dataset)


def _rewritten(element: DataElement, encodings: Encodings) -> tuple[DataElement | None, bool]:
    if element.is_empty:
        return None, True
    element = _as_in_dictionary(element)
    if element.VR == "SQ":
        return _rewritten_sequence(element, encodings)
    if element.VR in _BINARY_VRS:
        raise BrokenValue
    values = list(element.value) if isinstance(element.value, MultiValue) else [element.value]
    cleaned = [_clean(element.VR, value, encodings) for value in values]
    if all(value is None or str(value) == "" for value in cleaned):
        return None, True
    if len(cleaned) > 1 and dictionary_VM(element.tag) == "1":
        raise BrokenValue
    for value in cleaned:
        _judge(element, value)
    return DataElement(element.tag, element.VR, cleaned if len(cleaned) > 1 else cleaned[0]), True


def _as_in_dictionary(element: DataElement) -> DataElement:
    """Text under another text VR than the dictionary's (PS3.6 6) gets the right one, and is judged by it."""
    known = dictionary_VR(element.tag)
    if element.VR in known.split(" or "):
        return element
    if {element.VR, known} & (_BINARY_VRS | _NUMBER_VRS | {"SQ"}):
        raise BrokenValue
    return DataElement(element.tag, known, element.value)


def _rewritten_sequence(element: DataElement, encodings: Encodings) -> tuple[DataElement | None, bool]:
    items = [_rewritten_item(element.tag, item, encodings) for item in element.value or []]
    kept = [item for item in items if item is not None]
    if items and not kept:
        raise BrokenValue
    return (DataElement(element.tag, "SQ", Sequence(kept)) if kept else None), len(kept) == len(items)


def _rewritten_item(sequence: int, item: Dataset, encodings: Encodings) -> Dataset | None:
    """One item without private and unknown tags, group lengths, a character set of its own; None when unusable."""
    result = Dataset()
    encodings = encodings_of(item) if "SpecificCharacterSet" in item else encodings
    for tag in item.keys():  # noqa: SIM118 - a Dataset iterates over elements, not tags
        if tag.is_private or not dictionary_has_tag(tag) or tag.element == 0 or tag == Tag("SpecificCharacterSet"):
            continue
        try:
            element = item[tag]
            kept, _whole = _rewritten(element, encodings)
        except BrokenValue:
            return None
        result[tag] = kept if kept is not None else DataElement(tag, dictionary_VR(tag).partition(" or ")[0], None)
    required: tuple[str, ...] = ITEM_REQUIRES.get(int(sequence), ())
    if keyword_for_tag(sequence).endswith("CodeSequence") or any(
        keyword in result for keyword in (*_CODE_VALUES.split("|"), "CodingSchemeDesignator", "CodeMeaning")
    ):
        required += (_CODE_VALUES, "CodeMeaning")  # PS3.3 8.8
        required += () if result.get("URNCodeValue") else ("CodingSchemeDesignator",)
    if "ReferencedSOPClassUID" in result or "ReferencedSOPInstanceUID" in result:
        required += ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")  # PS3.3 10.8
    if result.get("UniversalEntityID"):
        required += ("UniversalEntityIDType",)
    says_all = all(any(result.get(keyword) for keyword in names.split("|")) for names in required)
    return result if says_all and len(result) else None


def _clean(vr: str, value: Any, encodings: Encodings) -> Any:
    if value is None or vr in _NUMBER_VRS:
        return value
    text = str(value)
    if vr in _CHARSET_VRS and not text.isascii():
        if encodings is None:
            raise UnknownCharacterSet
        if not encodings:
            text = _read_undeclared(text)
        elif not can_hold(encodings, text):
            raise BrokenValue
    if vr == "PN":
        return PersonName(text.rstrip("= "))
    if vr == "DA" and (old := re.fullmatch(r"(\d{4})\.(\d{2})\.(\d{2})", text)):
        return "".join(old.groups())  # ACR-NEMA form (PS3.5 6.2 note)
    if vr == "TM" and re.fullmatch(r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?", text):
        return text.replace(":", "")
    return text.rstrip(" \0") if vr in _PARAGRAPH_VRS else text.strip(" \0")


def _read_undeclared(text: str) -> str:
    """Characters outside ASCII that no character set was declared for, which pydicom reads as Latin-1.

    Bytes that are well-formed UTF-8 are UTF-8: by chance, a Latin-1 text is not.
    """
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _judge(element: DataElement, value: Any) -> None:
    """Raise BrokenValue unless `value` is valid for its value representation and its enumerated values."""
    vr = element.VR
    text = str(getattr(value, "original_string", value)) if vr in {"DS", "IS"} else value
    if vr not in _NUMBER_VRS:
        text = str(value)
        pattern = _NOT_IN_A_PARAGRAPH if vr in _PARAGRAPH_VRS else _NOT_IN_A_LINE
        if pattern.search(text) or (vr == "PN" and not _is_person_name(text)):
            raise BrokenValue
        if vr in {"DA", "TM", "DT"} and "-" in text[:8]:
            raise BrokenValue  # a range is for queries
        if vr == "DA" and text:
            datetime.strptime(text, "%Y%m%d")  # there is such a day
    allowed = ENUMERATED.get(int(element.tag))
    if allowed is not None and str(text) not in allowed:
        raise BrokenValue
    if vr == "IS" and not -(2**31) <= int(value) < 2**31:
        raise BrokenValue
    validate_value(vr, text, config.RAISE)


def _is_person_name(text: str) -> bool:
    """At most three groups of at most five components and 64 characters (PS3.5 6.2.1)."""
    groups = text.split("=")
    return len(groups) <= 3 and all(len(group) <= 64 and group.count("^") <= 4 for group in groups)


def decimal_string(value: float, places: int) -> str:
    """A DS of at most 16 characters (PS3.5 6.2), without a tail of zeros."""
    text = f"{value:.{places}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text)[:16]
