"""Which columns say something about which kind of media. The others change no object, so they are in no key, no UID.

Else the sheet Defaults, or a column filled for the models of a sheet, would make other rows of its photos.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from media2dicom.manifest.columns import COLUMNS, Kind
from media2dicom.media import MediaType
from media2dicom.model import Options

_VIDEO: Final = frozenset(column.name for column in COLUMNS if column.kind is Kind.VIDEO)
_MODEL: Final = frozenset(column.name for column in COLUMNS if column.kind is Kind.MODEL)
_OWN: Final = {
    "image": frozenset({"sop_class_policy"}),
    "video": _VIDEO | {"sop_class_policy"},
    "mesh": _MODEL | {"document_title"},
    "document": frozenset({"document_title", "part_name"}),
}
_OF_SOME: Final = frozenset().union(*_OWN.values())  # all other columns are of every kind
_INITIAL: Final = Options()


def foreign_columns(media_type: MediaType) -> frozenset[str]:
    """Columns that say nothing about such a file."""
    foreign = _OF_SOME - _OWN[media_type.kind]
    return foreign | {"convert_to_stl"} if media_type.name == "STL" else foreign


def foreign_defaults(media_type: MediaType) -> frozenset[str]:
    """Columns that the sheet Defaults does not set for such a file; in a cell, what cannot be had is refused."""
    pixels = media_type.kind in ("image", "video")
    return foreign_columns(media_type) | (frozenset() if pixels else {"transfer_syntax"})


def fitting(options: Options, media_type: MediaType) -> Options:
    """The options without those that say nothing about such a file."""
    return replace(options, **{name: getattr(_INITIAL, name) for name in foreign_columns(media_type)})
