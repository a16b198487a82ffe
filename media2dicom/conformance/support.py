"""Media interchange, character sets, security, and what of the standard does not apply."""

from __future__ import annotations

from media2dicom.conformance.markdown import Section, bullets, text
from media2dicom.conformance.networking import MINIMUM_TLS
from media2dicom.dicom.charsets import TERMS
from media2dicom.validation.values import CHARACTER_SET


def media_interchange() -> Section:
    return Section(
        "Media interchange",
        "No application profile of PS3.11 is supported: no DICOMDIR is written or read. `media2dicom convert` writes "
        "single files in the DICOM File Format (PS3.10), of the objects of this statement.",
    )


def character_sets() -> Section:
    return Section(
        "Character sets",
        text(
            f"All objects are written in {CHARACTER_SET} (UTF-8), whatever the source's character set.",
            "Read, in sources and in answers to queries, with and without code extensions, and in sequence items "
            f"with a character set of their own: {', '.join(TERMS)}.",
            bullets(
                (
                    "Person names keep all component groups (alphabetic, ideographic, phonetic).",
                    "Text beyond ASCII for which the source declares no character set is taken for UTF-8 when it is "
                    "well-formed UTF-8, else for ISO 8859-1, with a warning.",
                    "Of an unknown character set only ASCII is read.",
                    "A value that cannot be decoded or that breaks its value representation is never cut: an "
                    "identifier refuses the row, any other attribute is left out with a warning that names it.",
                )
            ),
        ),
    )


def security() -> Section:
    return Section(
        "Security",
        bullets(
            (
                f"TLS {MINIMUM_TLS} or newer on connections that we request (BCP 195, PS3.15 B.9), by the table `tls` "
                "of a server: certificates of our own, trusted authorities and the check of the host name are "
                "configurable. Associations to a server with that table are never made without TLS.",
                "Our own port (C-MOVE, commitment reports on associations that the PACS requests) takes plain TCP. "
                "Where a network demands TLS throughout, use C-GET and prove arrival by C-FIND.",
                "Patients are confirmed: a row's identifiers are compared with the PACS's before anything is made.",
                "Logs, messages and the dashboard hold no patient data: they name rows, attributes and servers. "
                "Ledger and cache hold patient data and are readable by their owner only; a result workbook has the "
                "rights of its manifest.",
                "The embedded PACS has no access control and listens on its own machine.",
                "Audit trail (PS3.15 A.5), digital signatures and de-identification profiles: not supported.",
            )
        ),
    )


def absent() -> tuple[Section, ...]:
    """What a conformance statement has to say even where there is nothing."""
    return (
        Section(
            "Private attributes, classes and transfer syntaxes",
            "None are written. Private attributes of a source are not copied.",
        ),
        Section(
            "Greyscale image consistency",
            "The program has no display: the Grayscale Standard Display Function is the viewer's.",
        ),
    )
