"""The five transfer syntaxes that a row may ask for: UID, name, and what people call them.

Which of them can hold a given picture is `encoding.py`'s knowledge; what a PACS accepts is `pacs/`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1


@dataclass(frozen=True)
class TransferSyntax:
    """One transfer syntax (PS3.6 Table A-1). `aliases` are compared without case, spaces, hyphens, underscores."""

    uid: str
    name: str
    aliases: tuple[str, ...]


# A spreadsheet turns a typed ".50" into the number 0.5: that spelling is among the aliases, and unambiguous.
TRANSFER_SYNTAXES: Final = (
    TransferSyntax(
        str(JPEGBaseline8Bit),
        "JPEG Baseline (Process 1)",
        (".50", "0.50", "0.5", "jpeg baseline", "baseline", "jpeg baseline 8 bit", "jpeg baseline process 1"),
    ),
    TransferSyntax(
        str(JPEGExtended12Bit),
        "JPEG Extended (Process 2 and 4)",
        (".51", "0.51", "jpeg extended", "extended", "jpeg extended 12 bit", "jpeg extended process 2 4"),
    ),
    TransferSyntax(
        str(JPEGLossless),
        "JPEG Lossless, Non-Hierarchical (Process 14)",
        (".57", "0.57", "jpeg lossless process 14", "jpeg lossless p14", "jpeg lossless non hierarchical"),
    ),
    TransferSyntax(
        str(JPEGLosslessSV1),
        "JPEG Lossless, First-Order Prediction (Process 14, Selection Value 1)",
        (".70", "0.70", "0.7", "jpeg lossless sv1", "jpeg lossless", "lossless", "sv1"),
    ),
    TransferSyntax(
        str(ExplicitVRLittleEndian),
        "Explicit VR Little Endian",
        ("explicit", "explicit vr", "explicit little endian", "explicit vr le", "native", "uncompressed"),
    ),
)


def _folded(text: str) -> str:
    return re.sub(r"[\s_()/,-]+", "", text).casefold()


_UID_OF: Final = {
    _folded(spelling): syntax.uid
    for syntax in TRANSFER_SYNTAXES
    for spelling in (syntax.uid, syntax.name, *syntax.aliases)
}


def transfer_syntax_uid(text: str) -> str | None:
    """The UID that a UID, name or alias means; None when it is none of the five."""
    return _UID_OF.get(_folded(text))
