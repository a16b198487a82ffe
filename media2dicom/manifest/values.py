"""Cell text to typed value: one small parser for each kind of cell.

A parser takes the trimmed, non-empty text and returns the value, or raises ValueRefused with cause and remedy.
Neither ever repeats the text: any cell may hold patient data once a column has slipped. Which column has which
parser is `columns.py`'s.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Callable
from typing import Final

from pydicom.sr.codedict import codes

from media2dicom.dicom.body_parts import body_part_of
from media2dicom.dicom.modalities import modality_of
from media2dicom.dicom.transfer_syntaxes import transfer_syntax_uid
from media2dicom.dicom.values import LARGEST_IS
from media2dicom.model import SopClassPolicy, Units, VideoMode

Parser = Callable[[str], object]

UID_PATTERN: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5 9.1


class ValueRefused(ValueError):
    """The text is no value of its column. `cause` and `remedy` never repeat the text."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


# --- text -------------------------------------------------------------------------------------------------------


def _has_control_character(value: str) -> bool:
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value)


def any_text(value: str) -> str:
    """Kept as it is: columns that nothing reads yet."""
    return value


def text(limit: int) -> Parser:
    """LO, SH and their like (PS3.5 6.2): at most `limit` characters, no backslash, no control characters."""

    def parse(value: str) -> str:
        if _has_control_character(value):
            raise ValueRefused("the value holds a line break or another control character", "Write it on one line.")
        if "\\" in value:
            raise ValueRefused("the value holds a backslash, which DICOM reserves", "Write it without backslash.")
        if len(value) > limit:
            raise ValueRefused(
                f"the value has {len(value)} characters, {limit} are allowed", f"Shorten it to {limit} characters."
            )
        return value

    return parse


def identifier(limit: int) -> Parser:
    """An ID: as `text`, and no invisible character, no lost digits."""
    plain = text(limit)

    def parse(value: str) -> object:
        if any(unicodedata.category(character) == "Cf" for character in value):
            raise ValueRefused("the value holds an invisible character", "Type the ID anew instead of pasting it.")
        if re.fullmatch(r"[0-9]+([.,][0-9]+)?[eE]\+[0-9]+", value):
            raise ValueRefused(
                "the value is a number in scientific notation: digits were lost",
                "Format the column as text and enter the ID again.",
            )
        return plain(value)

    return parse


def query_key(limit: int) -> Parser:
    """An ID that a PACS is asked for: as `identifier`, and no wildcard."""
    single = identifier(limit)

    def parse(value: str) -> object:
        if re.search(r"[*?]", value):  # would match other patients' studies in a query (PS3.4 C.2.2.2.4)
            raise ValueRefused("the value holds a wildcard (* or ?)", "Write the complete number.")
        return single(value)

    return parse


def uid(value: str) -> str:
    """A UID (PS3.5 9.1)."""
    remedy = "Copy the Study Instance UID from the PACS."
    identifier(128)(value)
    if len(value) > 64:
        raise ValueRefused(f"the UID has {len(value)} characters, 64 are allowed", remedy)
    if re.fullmatch(r"[0-9.]+", value) is None:
        raise ValueRefused("a UID holds only digits and dots", remedy)
    if UID_PATTERN.fullmatch(value) is None:
        raise ValueRefused("the UID has an empty component, a component with a leading zero, or no dot", remedy)
    return value


def modality(value: str) -> str:
    """A defined term of Modality (PS3.3 C.7.3.1.1.1), retired ones too, raised to upper case.

    As it is in the cell, because row keys and UIDs follow from it; which term is written is the builders'.
    """
    value = value.upper()
    if modality_of(value) is None:
        raise ValueRefused(
            "the modality is no defined term of DICOM", "Write a modality of DICOM, e.g. US or XC, or leave it empty."
        )
    return value


def body_part(value: str) -> str:
    """A word for a defined term of Body Part Examined (PS3.16 Annex L), raised to upper case; kept as `modality` is."""
    value = value.upper()
    if body_part_of(value) is None:
        raise ValueRefused(
            "the body part is no defined term of DICOM (PS3.16 Annex L)", "Write e.g. HAND, FOREARM, FACE or ABDOMEN."
        )
    return value


def sha256(value: str) -> str:
    """64 hexadecimal digits, lowered."""
    if re.fullmatch(r"[0-9a-fA-F]{64}", value) is None:
        raise ValueRefused("a SHA-256 has 64 hexadecimal digits", "Copy the whole checksum, or leave the cell empty.")
    return value.lower()


# --- numbers ----------------------------------------------------------------------------------------------------


def _number(value: str) -> float:
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", value):
        whole, _, decimals = value.partition(",")
        if len(decimals) == 3 and whole.lstrip("+-") != "0":  # 1,500 is one and a half, or fifteen hundred
            raise ValueRefused("the comma can be a decimal or a thousands sign", "Write a decimal point.")
        value = f"{whole}.{decimals}"
    if re.fullmatch(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", value) is None:
        raise ValueRefused("the value is not a number", "Write a plain number without a unit, e.g. 2.5.")
    number = float(value)
    if not math.isfinite(number):
        raise ValueRefused("the number is too large", "Write a smaller number.")
    return number


def number(*, minimum: float, maximum: float = math.inf, above: bool = False) -> Parser:
    """A finite number, `minimum` <= it <= `maximum` (with `above`: `minimum` < it)."""
    low = f"more than {minimum:g}" if above else f"at least {minimum:g}"
    allowed = low if maximum == math.inf else f"{low} and at most {maximum:g}"

    def parse(value: str) -> float:
        parsed = _number(value)
        if not minimum <= parsed <= maximum or (above and parsed == minimum):
            raise ValueRefused("the number is out of range", f"Write a number {allowed}.")
        return parsed

    return parse


def whole_number(*, minimum: int) -> Parser:
    """An integer, `minimum` to 2^31-1 (IS, PS3.5 6.2)."""

    def parse(value: str) -> int:
        if re.fullmatch(r"\+?[0-9]+(\.0*)?", value) is None:
            raise ValueRefused("the value is not a whole number", "Write a whole number.")
        parsed = int(value.partition(".")[0]) if len(value) < 32 else LARGEST_IS + 1
        if not minimum <= parsed <= LARGEST_IS:
            raise ValueRefused("the number is out of range", f"Write a whole number {minimum} to {LARGEST_IS}.")
        return parsed

    return parse


# --- dates and times --------------------------------------------------------------------------------------------

_DATE_REMEDY: Final = "Write it as YYYY-MM-DD."
_CLOCK: Final = r"(?:[T ](\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?))?"  # a date cell of a spreadsheet has a time too


def date(value: str) -> str:
    """DA (PS3.5 6.2): YYYYMMDD, YYYY-MM-DD, D.M.YYYY, slashes only where day and month cannot be mixed up."""
    year, month, day = _date_parts(value)
    try:
        parsed = dt.date(year, month, day)
    except ValueError:
        raise ValueRefused("there is no such day in the calendar", _DATE_REMEDY) from None
    if not 1800 <= year <= 2200:
        raise ValueRefused("the year is out of range", _DATE_REMEDY)
    return parsed.strftime("%Y%m%d")


def _date_parts(value: str) -> tuple[int, int, int]:
    if found := re.fullmatch(r"(\d{4})(\d{2})(\d{2})", value, re.ASCII):
        year, month, day = map(int, found.groups())
        return year, month, day
    if found := re.fullmatch(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + _CLOCK, value, re.ASCII):
        return int(found[1]), int(found[3]), int(found[4])
    if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", value, re.ASCII):
        return int(found[3]), int(found[2]), int(found[1])
    if found := re.fullmatch(r"(\d{1,2})([-/])(\d{1,2})\2(\d{4})", value, re.ASCII):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        if first > 12 or first == second:
            return year, second, first
        if second > 12:
            return year, first, second
        raise ValueRefused("day and month cannot be told apart", _DATE_REMEDY)
    if re.fullmatch(r"\d{5}(\.\d+)?", value, re.ASCII):
        raise ValueRefused("the value looks like a spreadsheet's day number, not a date", _DATE_REMEDY)
    raise ValueRefused("the value is not a date with a four-digit year", _DATE_REMEDY)


def time(value: str) -> str:
    """TM (PS3.5 6.2): HHMM, HHMMSS, HH:MM, HH:MM:SS, a fraction after the seconds; 24 hours."""
    remedy = "Write it as HH:MM:SS, 24 hours."
    clock = re.sub(r"^\d{4}-\d{2}-\d{2}[T ]", "", value)
    found = re.fullmatch(r"(\d{2})(\d{2})(?:(\d{2})(\.\d{1,6})?)?", clock, re.ASCII) or re.fullmatch(
        r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d{1,6})?)?", clock, re.ASCII
    )
    if found is None:
        raise ValueRefused("the value is not a time of day", remedy)
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueRefused("there is no such time of day", remedy)
    return f"{hour:02}{minute:02}{second:02}{found[4] or ''}"


# --- choices ----------------------------------------------------------------------------------------------------

_YES: Final = frozenset({"yes", "y", "true", "1", "x"})
_NO: Final = frozenset({"no", "n", "false", "0"})


def boolean(value: str) -> bool:
    """yes, y, true, 1, x; no, n, false, 0."""
    folded = value.casefold()
    if folded not in _YES | _NO:
        raise ValueRefused(
            "the value is neither yes nor no", "Write yes (or y, true, 1, x) or no (or n, false, 0), or leave it empty."
        )
    return folded in _YES


_LATERALITY: Final = {"right": "R", "left": "L", "both": "B", "bilateral": "B", "unpaired": "U"}


def laterality(value: str) -> str:
    """R, L, B or U (Image Laterality, PS3.3 C.7.6.1), or the word for it."""
    code = _LATERALITY.get(value.casefold(), value.upper())
    if code not in _LATERALITY.values():
        raise ValueRefused("the laterality is unknown", "Write R, L, B (both) or U (unpaired).")
    return code


def units(value: str) -> Units:
    """CID 7063: mm, cm, m, um. Lower case as in UCUM, where capitals mean something else."""
    value = value.replace("\N{MICRO SIGN}", "u").replace("\N{GREEK SMALL LETTER MU}", "u")
    try:
        return Units(value.lower())
    except ValueError:
        raise ValueRefused("the unit is unknown", "Write mm, cm, m or um.") from None


def video_mode(value: str) -> VideoMode:
    """frames, cine, native or transcode."""
    try:
        return VideoMode(value.casefold())
    except ValueError:
        raise ValueRefused("the video mode is unknown", "Write frames, cine, native or transcode.") from None


def sop_class_policy(value: str) -> SopClassPolicy:
    """secondary-capture, native or visible-light."""
    try:
        return SopClassPolicy(re.sub(r"[\s_-]+", "-", value).casefold())
    except ValueError:
        raise ValueRefused(
            "the policy is unknown", "Leave the cell empty, or write secondary-capture, native or visible-light."
        ) from None


def transfer_syntax(value: str) -> str:
    """The UID of a transfer syntax that objects can be written in, from UID or friendly name."""
    found = transfer_syntax_uid(value)
    if found is None:
        raise ValueRefused(
            "the transfer syntax is unknown",
            "Write .50, .51, .57, .70 or explicit, for a whole video .100 to .104 or .107; or the UID of one of them.",
        )
    return found


def color(value: str) -> tuple[int, int, int]:
    """sRGB, 0 to 255 each, from `r,g,b` or `#rrggbb`."""
    if found := re.fullmatch(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", value):
        return int(found[1], 16), int(found[2], 16), int(found[3], 16)
    if found := re.fullmatch(r"([0-9]{1,3})\s*[,; ]\s*([0-9]{1,3})\s*[,; ]\s*([0-9]{1,3})", value):
        red, green, blue = (int(part) for part in found.groups())
        if max(red, green, blue) <= 255:
            return red, green, blue
    raise ValueRefused("the value is not a colour", "Write r,g,b with 0 to 255 each, or #rrggbb.")


def _folded_name(value: str) -> str:
    return re.sub(r"[\s_-]+", " ", value).strip().casefold()


# CID 7064 Model Usage: code value, meaning ("Planning Intent") and its first words ("planning").
_MODEL_USAGE: Final = {
    spelling: str(code.value)
    for code in codes.cid7064.concepts.values()
    for spelling in (code.value, _folded_name(code.meaning), _folded_name(code.meaning.rpartition(" ")[0]))
}


def model_usage(value: str) -> str:
    """The code value of a concept of CID 7064, from its code or its name."""
    found = _MODEL_USAGE.get(_folded_name(value))
    if found is None:
        raise ValueRefused(
            "the model usage is not in CID 7064",
            "Write educational, planning, tool, prosthetic, implant, simulation, quality control or diagnostic.",
        )
    return found
