"""Specific Character Set (PS3.3 C.12.1.1.2): what pydicom's tables lack, and what a data set declares.

pydicom 3.0 does not know ISO-IR 203, and leaves the escape sequences of ISO-IR 58 in the text. Its tables are completed
when this package is imported, for sources and for a PACS's answers alike.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Set
from typing import Final

from pydicom import charset
from pydicom.dataset import Dataset

_ONE_BYTE: Final = (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203)
_SEVERAL_BYTES: Final = (58, 87, 149, 159)
TERMS: Final = (  # PS3.3 tables C.12-2 to C.12-5
    *(f"ISO_IR {number}" for number in _ONE_BYTE),
    *(f"ISO 2022 IR {number}" for number in sorted((*_ONE_BYTE, *_SEVERAL_BYTES))),
    *("ISO_IR 192", "GB18030", "GBK"),
)
_BASIC: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6", charset.default_encoding})

# Python's codec of ISO-IR 58 does not take the escape sequence away, as those of the Japanese sets do.
charset.handled_encodings = ("iso2022_jp", "iso2022_jp_2")  # type: ignore[assignment]  # of any length
charset.python_encoding.update({"ISO_IR 203": "iso8859_15", "ISO 2022 IR 203": "iso8859_15"})
charset.CODES_TO_ENCODINGS[charset.ESC + b"-b"] = "iso8859_15"
charset.ENCODINGS_TO_CODES["iso8859_15"] = charset.ESC + b"-b"


def encodings_of(dataset: Dataset) -> frozenset[str] | None:
    """What a data set, else its file, declares beyond ASCII, by Python's names; None when one of it is unknown."""
    terms = dataset.get("SpecificCharacterSet") or dataset.original_character_set or ""
    named = {terms} if isinstance(terms, str) else {str(term) for term in terms}
    encodings = {_encoding(term) for term in named - _BASIC}
    return None if None in encodings else frozenset(encoding for encoding in encodings if encoding)


def can_hold(encodings: Set[str], text: str) -> bool:
    """Whether each character is of one of them: what pydicom made of bytes that none stands for is not."""
    return any(_encodes(encoding, text) for encoding in encodings) or all(
        letter.isascii() or any(_encodes(encoding, letter) for encoding in encodings) for letter in text
    )


def _encoding(term: str) -> str | None:
    """As pydicom reads a term: a defined one, one with another sign for its blanks, a name that Python has for it."""
    spelled = re.sub(r"^ISO[^_]IR.", "ISO_IR ", re.sub(r"^ISO.2022.IR.", "ISO 2022 IR ", term))
    if spelled in charset.python_encoding:
        return charset.python_encoding[spelled]
    try:
        return codecs.lookup(term).name
    except LookupError:
        return None


def _encodes(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeError:
        return False
    return True
