"""The statement's first chapter: what the product does, its services and objects at a glance."""

from __future__ import annotations

from media2dicom.conformance.markdown import Section, table, text
from media2dicom.conformance.names import uid_name
from media2dicom.conformance.networking import services
from media2dicom.conformance.written import WRITTEN
from media2dicom.media import MEDIA_TYPES


def overview() -> Section:
    formats = ", ".join(one.name for one in MEDIA_TYPES)
    return Section(
        "Conformance statement overview",
        text(
            "Media2DICOM files photos, screen captures, videos, 3D models and documents into the patients' imaging "
            "record, in bulk. A manifest, which is a spreadsheet, names media files and studies. The program asks the "
            "PACS for each study, takes patient and study attributes from one of its instances, makes DICOM objects "
            "of the media, stores them in the study, and proves that they arrived.",
            f"Media: {formats}.",
            table(
                ("SOP class", "UID", "User of service (SCU)", "Provider of service (SCP)"),
                (
                    *((uid_name(uid), f"`{uid}`", _yes(scu), _yes(scp)) for uid, scu, scp in services()),
                    *((uid_name(one.sop_class_uid), f"`{one.sop_class_uid}`", "Yes", "Source (*)") for one in WRITTEN),
                    ("Any other storage class", "", "No", "Source (*)"),
                ),
            ),
            "(*) One instance of a study at a time, on request, by C-GET or C-MOVE: its header lends patient and "
            "study.",
            "DICOM media (file-sets), DICOMweb, worklists, procedure steps, printing: not supported. Character set of "
            "what is written: [[Character sets]]. TLS: [[Security]].",
        ),
    )


def _yes(told: str) -> str:
    return told.capitalize()
