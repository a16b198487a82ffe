"""Specific Character Set (PS3.3 C.12.1.1.2): what pydicom's tables lack, and what a data set declares.

pydicom 3.0 does not know ISO-IR 203, and leaves the escape sequences of ISO-IR 58 in the text. Its tables are completed
when this package is imported, for sources and for a PACS's answers alike.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum
from typing import TYPE_CHECKING, Final

from pydicom import charset
from pydicom.dataset import Dataset

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_ONE_BYTE: Final = (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166, 203)
_SEVERAL_BYTES: Final = (58, 87, 149, 159)
TERMS: Final = (  # PS3.3 tables C.12-2 to C.12-5
    *(f"ISO_IR {number}" for number in _ONE_BYTE),
    *(f"ISO 2022 IR {number}" for number in sorted((*_ONE_BYTE, *_SEVERAL_BYTES))),
    *("ISO_IR 192", "GB18030", "GBK"),
)
_BASIC: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6", charset.default_encoding})
_ISO_IR_58: Final = "dicom_iso_ir_58"
_DESIGNATES_ISO_IR_58: Final = charset.ESC + b"$)A"


class Declared(Enum):
    """What a data set says of its characters beyond ASCII."""

    NOTHING = "no character set has them"
    KNOWN = "a character set that can be read"
    UNKNOWN = "a character set that cannot be read"


def declared(dataset: Dataset) -> Declared:
    """By its own Specific Character Set, else by that of the file it is from."""
    terms = dataset.get("SpecificCharacterSet") or dataset.original_character_set or ""
    named = {terms} if isinstance(terms, str) else {str(term) for term in terms}
    if named <= _BASIC:
        return Declared.NOTHING
    return Declared.KNOWN if all(_is_known(term) for term in named) else Declared.UNKNOWN


def _is_known(term: str) -> bool:
    """Whether pydicom reads it: a defined term, one with another sign for its blanks, a name that Python has for it."""
    spelled = re.sub(r"^ISO[^_]IR.", "ISO_IR ", re.sub(r"^ISO.2022.IR.", "ISO 2022 IR ", term))
    if spelled in charset.python_encoding:
        return True
    try:
        codecs.lookup(term)
    except LookupError:
        return False
    return True


def _codec(name: str) -> codecs.CodecInfo | None:
    """ISO-IR 58 is GB 2312 behind an escape sequence, which Python's codec takes for text."""
    if name != _ISO_IR_58:
        return None
    plain = codecs.lookup("gb2312")

    def decode(data: ReadableBuffer, errors: str = "strict", /) -> tuple[str, int]:
        coded = bytes(data)
        return plain.decode(coded.replace(_DESIGNATES_ISO_IR_58, b""), errors)[0], len(coded)

    def encode(text: str, errors: str = "strict", /) -> tuple[bytes, int]:
        return _DESIGNATES_ISO_IR_58 + plain.encode(text, errors)[0], len(text)

    return codecs.CodecInfo(encode, decode, name=name)


codecs.register(_codec)
charset.handled_encodings = (*charset.handled_encodings, _ISO_IR_58)  # type: ignore[assignment]  # any number
for _term, _other, _encoding, _escape in (
    ("ISO 2022 IR 58", "ISO 2022 58", _ISO_IR_58, _DESIGNATES_ISO_IR_58),
    ("ISO 2022 IR 203", "ISO_IR 203", "iso8859_15", charset.ESC + b"-b"),
):
    charset.python_encoding.update({_term: _encoding, _other: _encoding})
    charset.CODES_TO_ENCODINGS[_escape] = _encoding
    charset.ENCODINGS_TO_CODES[_encoding] = _escape
