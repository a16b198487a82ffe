"""The statement as a whole, in the order of PS3.2."""

from __future__ import annotations

from media2dicom.conformance.coded import coded_terminology
from media2dicom.conformance.from_media import from_media_to_objects
from media2dicom.conformance.introduction import introduction
from media2dicom.conformance.markdown import Section, document
from media2dicom.conformance.networking import networking
from media2dicom.conformance.objects import created_objects, modules
from media2dicom.conformance.overview import overview
from media2dicom.conformance.received import attributes_of_sources
from media2dicom.conformance.support import absent, character_sets, media_interchange, security

_PREFACE = (
    "Made by `media2dicom conformance` from the program's own tables: edit those, not this file. The choices and "
    "their reasons are in [conformance.md](conformance.md)."
)


def statement() -> str:
    """The conformance statement as Markdown; the same text whenever and wherever it is made."""
    return document(
        "Media2DICOM: DICOM conformance statement",
        _PREFACE,
        (
            overview(),
            introduction(),
            networking(),
            media_interchange(),
            character_sets(),
            security(),
            Section(
                "Objects",
                "",
                (
                    from_media_to_objects(),
                    created_objects(),
                    modules(),
                    attributes_of_sources(),
                    coded_terminology(),
                    *absent(),
                ),
            ),
        ),
    )
