"""Every element by itself: tag, length, multiplicity, text that decodes, values that fit their VR (PS3.5 6, 7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import validate_value

from media2dicom.dicom.part10 import UNDEFINED_LENGTH
from media2dicom.validation.findings import Finding
from media2dicom.validation.written import Written, vr_of

CHARACTER_SET: Final = "ISO_IR 192"
_ONE_TEXT: Final = frozenset({"ST", "LT", "UT", "UR"})  # a backslash is a character there
_ANY_TEXT: Final = frozenset({"SH", "LO", "PN", "UC", "ST", "LT", "UT"})  # by Specific Character Set
_PLAIN_TEXT: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
_NUMBER_BYTES: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "UV": 8, "SV": 8}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufffd]")
_LINE_BREAK = re.compile(r"[\t\n\f\r]")
_WRONG_COUNT: Final = ("has a number of values that it may not have", "PS3.5 6.4")
_VM = re.compile(r"(\d+)(?:-(?:(\d*)n|(\d+)))?")


def check_values(written: Written) -> Iterator[Finding]:
    """Each element of the data set, sequences included."""
    header = written.header
    utf8 = header.get("SpecificCharacterSet") == CHARACTER_SET
    if not utf8:
        yield Finding("SpecificCharacterSet", f"is not {CHARACTER_SET}", "PS3.3 C.12.1.1.2")
    yield from _check_dataset(header, "", utf8)


def _check_dataset(dataset: Dataset, path: str, utf8: bool) -> Iterator[Finding]:
    for tag in list(dataset.keys()):
        name = path + (keyword_for_tag(tag) or str(Tag(tag)))
        if tag.is_private:
            yield Finding(name, "is private", "PS3.5 7.8")
            continue
        if tag.element == 0 or tag.group < 0x0008:
            yield Finding(name, "is a group length or belongs to no data set", "PS3.5 7.2")
            continue
        if not dictionary_has_tag(tag):
            yield Finding(name, "is in no data dictionary", "PS3.6 6")
            continue
        raw = dataset.get_item(tag)
        if path and tag == 0x00080005:
            yield Finding(name, "gives an item a character set of its own", "PS3.3 C.12.1.1.2")
        vr = vr_of(raw)
        if isinstance(raw, RawDataElement):
            if raw.VR is not None and not _is_vr_of(vr, dictionary_VR(tag)):
                yield Finding(name, "has another value representation than the dictionary's", "PS3.6 6")
            if raw.length % 2 and raw.length != UNDEFINED_LENGTH:
                yield Finding(name, "has an odd length", "PS3.5 7.1")
            if raw.length not in (UNDEFINED_LENGTH, len(raw.value or b"")):
                yield Finding(name, "is cut off", "PS3.5 7.1")
        if vr == "SQ":
            for number, item in enumerate(dataset[tag].value or (), start=1):
                yield from _check_dataset(item, f"{name}[{number}].", utf8)
        elif isinstance(raw, RawDataElement):
            for text, rule in _check_value(tag, vr, raw.value or b"", utf8, little=raw.is_little_endian):
                yield Finding(name, text, rule)
        elif raw.VM and not _is_multiplicity(raw.VM, dictionary_VM(tag)):  # pydicom decodes some of its own accord
            yield Finding(name, *_WRONG_COUNT)


def _is_vr_of(vr: str, dictionary: str) -> bool:
    return vr in dictionary.split(" or ")


def _check_value(tag: BaseTag, vr: str, value: bytes, utf8: bool, *, little: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with an element's bytes, and the rule."""
    if not value:
        return
    if vr in _NUMBER_BYTES:
        count, left = divmod(len(value), _NUMBER_BYTES[vr])
        if left or not _is_multiplicity(count, dictionary_VM(tag)):
            yield _WRONG_COUNT
        return
    if vr not in _ANY_TEXT | _PLAIN_TEXT:
        return
    if vr in _ANY_TEXT and not utf8:
        return  # of another character set: told already
    try:
        text = value.decode("utf-8" if vr in _ANY_TEXT else "ascii")
    except UnicodeDecodeError:
        yield "does not decode in its character set", "PS3.5 6.1"
        return
    values = [text] if vr in _ONE_TEXT else text.split("\\")
    if not _is_multiplicity(len(values), dictionary_VM(tag)):
        yield _WRONG_COUNT
    if not all(_fits(vr, one) for one in values):
        yield "breaks its value representation", "PS3.5 6.2"


def _fits(vr: str, text: str) -> bool:
    """Length in characters, repertoire, form. The padding that makes lengths even is no part of the value."""
    text = text[:-1] if vr == "UI" and text.endswith("\0") else text
    text = text.strip(" ") if vr not in _ONE_TEXT else text.rstrip(" ")
    if _CONTROL.search(text) or (vr not in _ONE_TEXT and _LINE_BREAK.search(text)):
        return False
    if vr in {"DA", "TM"} and "-" in text:
        return False  # a range is for queries
    try:
        validate_value(vr, text, config.RAISE)
        if vr == "DA" and text:
            datetime.strptime(text, "%Y%m%d")  # there is such a day
        if vr == "IS" and text:
            return -(2**31) <= int(text) < 2**31
        if vr == "DS" and text:
            float(text)
    except ValueError:
        return False
    if vr == "PN":
        groups = text.split("=")
        return len(groups) <= 3 and all(len(group) <= 64 and group.count("^") <= 4 for group in groups)
    return True


def _is_multiplicity(count: int, allowed: str) -> bool:
    """Whether a VM such as 1, 1-3, 1-n, 2-2n takes so many values."""
    match = _VM.fullmatch(allowed)
    if match is None:
        return True
    least, step, most = int(match[1]), match[2], match[3]
    if most is not None:
        return least <= count <= int(most)
    if step is None:
        return count == least
    return count >= least and count % int(step or 1) == 0
