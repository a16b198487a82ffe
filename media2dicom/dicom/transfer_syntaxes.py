"""The transfer syntaxes that are written; those a row may ask for, five for pictures, the others for kept videos.

Which of them can hold a given picture is `encoding.py`'s knowledge; what a PACS accepts is `pacs/`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.uid import (
    HEVCMP51,
    MPEG2MPHL,
    MPEG2MPML,
    MPEG4HP41,
    MPEG4HP41BD,
    MPEG4HP422D,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

# Without compression, the better one first: for documents, and for a PACS that refuses what is compressed.
NATIVE_SYNTAXES: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


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
        NATIVE_SYNTAXES[0],
        "Explicit VR Little Endian",
        ("explicit", "explicit vr", "explicit little endian", "explicit vr le", "native", "uncompressed"),
    ),
)


# Of a video that is filed as one stream. What its stream conforms to is chosen where the row says nothing.
VIDEO_SYNTAXES: Final = (
    TransferSyntax(str(MPEG2MPML), "MPEG2 Main Profile / Main Level", (".100", "0.100", "0.1")),
    TransferSyntax(str(MPEG2MPHL), "MPEG2 Main Profile / High Level", (".101", "0.101")),
    TransferSyntax(str(MPEG4HP41), "MPEG-4 AVC/H.264 High Profile / Level 4.1", (".102", "0.102")),
    TransferSyntax(str(MPEG4HP41BD), "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1", (".103", "0.103")),
    TransferSyntax(str(MPEG4HP422D), "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video", (".104", "0.104")),
    TransferSyntax(str(HEVCMP51), "HEVC/H.265 Main Profile / Level 5.1", (".107", "0.107")),
)
VIDEO_SYNTAX_UIDS: Final = frozenset(syntax.uid for syntax in VIDEO_SYNTAXES)


def _folded(text: str) -> str:
    return re.sub(r"[\s_()/,-]+", "", text).casefold()


_UID_OF: Final = {
    _folded(spelling): syntax.uid
    for syntax in (*TRANSFER_SYNTAXES, *VIDEO_SYNTAXES)
    for spelling in (syntax.uid, syntax.name, *syntax.aliases)
}


def transfer_syntax_uid(text: str) -> str | None:
    """The UID that a UID, name or alias means; None when it is none of these."""
    return _UID_OF.get(_folded(text))
