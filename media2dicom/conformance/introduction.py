"""Revision, audience, remarks, terms, abbreviations, references."""

from __future__ import annotations

from media2dicom import __version__
from media2dicom.conformance.markdown import Section, bullets, table, text

_TERMS = (
    ("Application Entity (AE)", "An end of the communication in a DICOM network, known by its AE title."),
    ("Association", "A connection of two AEs for which services, objects and encodings have been negotiated."),
    ("Attribute, tag", "A unit of information in an object, and the pair of numbers that names it."),
    ("Batch", "Rows of a manifest that are worked on together over the same associations."),
    ("Information Object Definition (IOD)", "The modules of attributes that objects of one kind have."),
    ("Manifest", "The spreadsheet that says which media file belongs to which study."),
    ("Module", "Attributes of an IOD that belong together."),
    ("Presentation context", "An abstract syntax with the transfer syntaxes proposed, or accepted, for it."),
    ("Service class user, provider (SCU, SCP)", "The side that asks for a service, and the side that provides it."),
    ("Service-object pair (SOP) class, instance", "A kind of object with its service, and one object of it."),
    ("Source", "The instance of a study, held by the PACS, that lends its patient and study attributes."),
    ("Transfer syntax", "How an object is encoded: byte order, value representations, compression."),
)
_ABBREVIATIONS = {
    "AE": "Application Entity",
    "CDA": "Clinical Document Architecture",
    "CID": "Context Group Identifier (PS3.16)",
    "IOD": "Information Object Definition",
    "LO, SH, ...": "Value Representations (PS3.5 6.2)",
    "MTL": "Material library of an OBJ model",
    "PACS": "Picture Archiving and Communication System",
    "PDU": "Protocol Data Unit",
    "SCP": "Service Class Provider",
    "SCU": "Service Class User",
    "SOP": "Service-Object Pair",
    "STL, OBJ": "Formats of 3D models",
    "TLS": "Transport Layer Security",
    "UID": "Unique Identifier",
    "VR": "Value Representation",
}


def introduction() -> Section:
    return Section(
        "Introduction",
        "",
        (
            Section(
                "Revision history",
                f"This statement is of Media2DICOM {__version__} and was generated from it. What changed between "
                "versions: [CHANGELOG.md](../CHANGELOG.md).",
            ),
            Section(
                "Audience",
                "Hospital IT staff, PACS administrators, system integrators, clinical users and researchers who know "
                "the DICOM standard.",
            ),
            Section(
                "Remarks",
                text(
                    "This statement is to be read together with the DICOM standard. Comparing conformance statements "
                    "is the first step to find out whether two products work together, not the last:",
                    bullets(
                        (
                            "Whoever connects them tests that what is meant is exchanged, and shown rightly.",
                            "A PACS may accept an object that its viewers cannot show; `media2dicom inspect` tells "
                            "what an object holds.",
                            "Media2DICOM is not a medical device.",
                        )
                    ),
                ),
            ),
            Section("Terms and definitions", table(("Term", "Means"), _TERMS)),
            Section("Abbreviations", table(("Abbreviation", "Means"), _ABBREVIATIONS.items())),
            Section(
                "References",
                bullets(
                    (
                        "NEMA PS3, Digital Imaging and Communications in Medicine (DICOM): "
                        "<https://www.dicomstandard.org/current>",
                        "The reasons for what is chosen here: [conformance.md](conformance.md)",
                        "The columns of a manifest: [manifests.md](manifests.md)",
                    )
                ),
            ),
        ),
    )
