"""Cells whose value is not known though they look filled, or look empty: what every sheet's reader refuses."""

from __future__ import annotations

import re
from typing import Final

from media2dicom.manifest.traps import Traps
from media2dicom.manifest.values import ValueRefused

_ERROR_VALUE: Final = re.compile(r"#(REF|DIV/0|NAME|VALUE|NUM|NULL|N/A|SPILL|CALC|FIELD|GETTING_DATA|BLOCKED)[!?]?")


def refuse_trap(traps: Traps, text: str, position: tuple[int, int]) -> None:
    """`position` is (row number from 1, column index from 0). Raises ValueRefused."""
    if position in traps.errors or (text[:1] == "#" and _ERROR_VALUE.fullmatch(text)):
        raise ValueRefused("the cell holds an error value such as #REF! or #N/A", "Correct the formula, or type.")
    if not text and position in traps.formulas:
        raise ValueRefused(
            "the cell holds a formula without a stored result",
            "Open the workbook in the spreadsheet program and save it, or type the value.",
        )
    if position in traps.merged:
        raise ValueRefused(
            "the cell is part of a merged cell, so its value is not known", "Unmerge it and fill in every cell."
        )
