"""The terms of Body Part Examined (PS3.16 Annex L), with their SNOMED CT codes: `body_parts.csv` as a table.

Terms marked "code only" are younger than the lists of the validators in use: they are told by Anatomic Region
Sequence alone. Two old terms, ARM and LEG, have no code. What is written where is `anatomy.py`'s.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Final


@dataclass(frozen=True)
class BodyPart:
    """A defined term of Body Part Examined (0018,0015)."""

    term: str
    sct_code: str  # of the anatomic region; empty where the term has none
    meaning: str
    paired: bool  # the body has a right and a left one
    code_only: bool


def _table() -> dict[str, BodyPart]:
    lines = files("media2dicom.dicom").joinpath("body_parts.csv").read_text(encoding="utf-8").splitlines()
    return {
        line["term"]: BodyPart(
            term=line["term"],
            sct_code=line["sct_code"],
            meaning=line["meaning"],
            paired=line["sides"] == "paired",
            code_only=line["written"] == "code only",
        )
        for line in csv.DictReader(lines)
    }


BODY_PARTS: Final = _table()


def body_part_of(text: str) -> BodyPart | None:
    """The defined term that `text` is, whatever its case, spaces, hyphens and underscores; None when it is none."""
    return BODY_PARTS.get(re.sub(r"[\s_-]+", "", text).upper())
