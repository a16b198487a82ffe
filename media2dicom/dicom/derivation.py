"""Derivation Description (0008,2111): what the project tells in words, as no attribute of the object is for it.

Where in its clip a frame lies (PS3.3 C.7.6.1), and the lossy steps that have no defined term (C.7.6.1.1.5.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from media2dicom.dicom.values import decimal_string

_NUMBER: Final = r"\d+(\.\d+)?"
_STEP: Final = rf"(?=[A-Z_]*\d)[A-Z\d_]+ with ratio {_NUMBER}"
_FRAMES: Final = rf"Video frame(s from {_NUMBER} s to| at) {_NUMBER} s of the clip"
_BEFORE: Final = rf"Compressed with loss before, as {_STEP}(, {_STEP})*"
_OWN = re.compile(rf"{_FRAMES}(\. {_BEFORE})?|{_BEFORE}")


def frame_at(time_ms: float) -> str:
    return f"Video frame at {_seconds(time_ms)} s of the clip"


def frames_between(first_ms: float, last_ms: float) -> str:
    return f"Video frames from {_seconds(first_ms)} s to {_seconds(last_ms)} s of the clip"


def compressed_before(steps: Iterable[tuple[str, str]]) -> str:
    """`steps`: codec and ratio of each."""
    return "Compressed with loss before, as " + ", ".join(f"{codec} with ratio {ratio}" for codec, ratio in steps)


def is_own(text: str) -> bool:
    """Whether it is one of these texts, or two: there is nothing of a patient in them."""
    return _OWN.fullmatch(text) is not None


def _seconds(time_ms: float) -> str:
    return decimal_string(time_ms / 1000, 6)
