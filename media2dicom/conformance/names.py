"""How the statement names things: classes and syntaxes with their UIDs, tags, statuses, numbers, modules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pydicom.datadict import dictionary_description, dictionary_VR, keyword_dict
from pydicom.tag import Tag
from pydicom.uid import UID

# Of transfer syntaxes younger than the library's dictionary (PS3.6 Table A-1).
_YOUNGER: Final = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}


def uid_name(uid: str) -> str:
    """The name in PS3.6 Table A-1, without what a reader knows anyway."""
    name = _YOUNGER.get(str(uid)) or UID(uid).name
    retired = " (retired)" if UID(uid).is_retired else ""
    return re.sub(r" \(Default Transfer Syntax for .*\)$|: Default Transfer Syntax for .*$", "", name) + retired


def uid_rows(uids: Iterable[str]) -> list[tuple[str, str]]:
    """Name and UID, ready for a table."""
    return [(uid_name(uid), f"`{uid}`") for uid in uids]


def tag_of(keyword: str) -> str:
    tag = Tag(keyword)
    return f"({tag.group:04X},{tag.element:04X})"


def vr_of(keyword: str) -> str:
    return dictionary_VR(keyword_dict[keyword])


def attribute(keyword: str) -> str:
    """An attribute's name as the standard writes it."""
    return dictionary_description(keyword_dict[keyword])


def attributes(keywords: Iterable[str]) -> str:
    return ", ".join(attribute(keyword) for keyword in keywords)


def status(value: int, mask: int = 0xFFFF) -> str:
    """0xA7xx for a range."""
    if not mask:
        return "any other"
    digits = f"{value:04X}"
    return "0x" + "".join(
        digit if mask >> shift & 0xF else "x" for digit, shift in zip(digits, (12, 8, 4, 0), strict=True)
    )


def count(number: int) -> str:
    return f"{number:,}"
