"""Person names compared as people write them: which are equal, and which can be compared at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Set
from typing import Final

Words = tuple[str, ...]

_SPELLED_OUT: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ı": "i"}
    | {"\N{ZERO WIDTH JOINER}": "", "\N{ZERO WIDTH NON-JOINER}": ""}
)
_WITH_ACCENTS: Final = ("LATIN ", "GREEK ", "CYRILLIC ", "HEBREW ", "ARABIC ")
_ALEF, _HAMZA_ABOVE = "\N{ARABIC LETTER ALEF}", "\N{ARABIC HAMZA ABOVE}"
_IN_ASCII: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_APOSTROPHE: Final = re.compile("['`´ʼ‘’]")


def folded_name(name: str) -> Words:
    """A name's words without case, accents, punctuation and order: 'Doe^Jane' and 'jane DOE' are equal."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold()).translate(_SPELLED_OUT)
    plain = unicodedata.normalize("NFC", "".join(_without_accents(plain)))
    signs = (sign if unicodedata.category(sign)[0] in "LMN" else " " for sign in plain)
    return tuple(sorted("".join(signs).split()))


def _without_accents(decomposed: str) -> Iterator[str]:
    """Marks are left out where they are accents or points; in kana, Indic and Thai script they tell letters apart."""
    base = ""
    for sign in decomposed:
        if not unicodedata.category(sign).startswith("M"):
            base = sign
            yield sign
        elif base.isalpha() and not _is_accent(base, sign):
            yield sign


def _is_accent(base: str, mark: str) -> bool:
    # Hamza on waw or yeh is a letter; on alef it is often left out.
    is_letter = mark == _HAMZA_ABOVE and base != _ALEF
    return unicodedata.name(base, "").startswith(_WITH_ACCENTS) and not is_letter


def spellings(names: Iterable[str]) -> frozenset[Words]:
    """The names folded, each also as systems without these signs have it: 'Müller' as Mueller, 'O'Neil' as ONeil."""
    found = set()
    for name in names:
        letters = unicodedata.normalize("NFC", name.casefold())
        joined = _APOSTROPHE.sub("", letters)
        found |= {folded_name(one) for one in (name, joined, letters.translate(_IN_ASCII), joined.translate(_IN_ASCII))}
    return frozenset(found) - {()}


def are_comparable(ours: Set[Words], theirs: Set[Words]) -> bool:
    """Whether one of each is of one script: 'Yamada' says nothing about '山田'."""
    return bool(_scripts(ours) & _scripts(theirs))


def may_be_one_name(ours: Set[Words], theirs: Set[Words]) -> bool:
    """Whether one of each is the same but for words that only one side has: a second given name, a title."""
    return any(set(one) <= set(two) or set(two) <= set(one) for one in ours for two in theirs)


def may_be_shortened(ours: Set[Words], theirs: Set[Words]) -> bool:
    """Whether one of each is the same but for words that are cut, as initials are: 'Roe J M' and 'Roe Jane Mary'."""
    return any(_is_shortened(*sorted((one, two), key=len)) for one in ours for two in theirs)


def _is_shortened(fewer: Words, more: Words) -> bool:
    """A word at least has to be whole on both sides: 'Li A' says nothing about 'Lima Anna'."""
    whole = [word for word in fewer if word in more and len(word) > 1]
    left = list(more)
    for word in whole:
        if word in left:
            left.remove(word)
    for word in (word for word in fewer if word not in whole):
        found = next((other for other in left if other.startswith(word) or word.startswith(other)), None)
        if found is None:
            return False
        left.remove(found)
    return bool(whole)


def _scripts(names: Set[Words]) -> set[str]:
    letters = {letter for words in names for word in words for letter in word if letter.isalpha()}
    scripts = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
    return scripts - {"KATAKANA-HIRAGANA"}  # the prolonged sound mark is of both
