"""Networking (PS3.2): the implementation model, the application entities, their policies, the network."""

from __future__ import annotations

import ssl
from typing import Final

from pynetdicom import AE
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    StorageCommitmentPushModel,
    Verification,
)

from media2dicom.conformance.activities import activities, context_row, error_code
from media2dicom.conformance.configuration import configuration
from media2dicom.conformance.markdown import Section, bullets, table, text
from media2dicom.conformance.names import count, status, uid_name
from media2dicom.conformance.written import WRITTEN
from media2dicom.dicom.part10 import IMPLEMENTATION_VERSION_NAME
from media2dicom.dicom.uids import IMPLEMENTATION_CLASS_UID
from media2dicom.errors import AssociationRejected, NoPresentationContext, PacsBusy, PacsError, error_kinds
from media2dicom.pacs import associations, demo, listener, query, retrieve
from media2dicom.pacs.streaming import MAX_PDV_BYTES
from media2dicom.pacs.syntaxes import RECEIVABLE, STORAGE_CLASSES
from media2dicom.settings import Settings

_TLS: Final = {ssl.TLSVersion.TLSv1_2: "1.2", ssl.TLSVersion.TLSv1_3: "1.3"}
MINIMUM_TLS: Final = _TLS[associations.MINIMUM_TLS]


def networking() -> Section:
    return Section(
        "Networking",
        "",
        (
            _model(),
            Section("AE specifications", "", (_media2dicom(), _embedded_pacs())),
            _interfaces(),
            configuration(),
        ),
    )


def _model() -> Section:
    return Section(
        "Implementation model",
        text(
            "```\n"
            "manifest, media files\n"
            "          |\n"
            "          v                C-ECHO, C-FIND\n"
            " +----------------+ ---------------------------> +------+   verify a server, find a study\n"
            " |                |        C-GET or C-MOVE       |      |\n"
            " |                | ---------------------------> |      |   retrieve a source's header\n"
            " |                |        C-STORE               |      |\n"
            " |  Media2DICOM   | <--------------------------- |      |   (its sub-operation)\n"
            " |  AE            |        C-STORE               | PACS |\n"
            " |                | ---------------------------> |      |   store instances\n"
            " |                |        C-FIND, N-ACTION      |      |\n"
            " |                | ---------------------------> |      |   prove arrival\n"
            " |                |        N-EVENT-REPORT        |      |\n"
            " +----------------+ <--------------------------- +------+   (storage commitment)\n"
            "          |\n"
            "          v\n"
            "result workbook\n"
            "```",
            "Media2DICOM is one application entity. It files media that a manifest names into studies that a PACS "
            "holds: identity is taken from the PACS and only confirmed by the manifest. It runs by hand, on a "
            "schedule, "
            "or from a dashboard; the network behaviour is the same. An embedded PACS, for demonstrations, is an "
            "application entity of its own.",
            "Order of events, for each batch of rows: the study is found, a source is retrieved, objects are made and "
            "checked, what may have been sent before is asked for, the studies are asked for again, the rest is "
            "stored, arrival is proved. What failed in a way that may pass is tried again; nothing is sent twice.",
        ),
    )


def _media2dicom() -> Section:
    return Section(
        "Media2DICOM AE",
        text(
            f"AE title: configurable, `{Settings.model_fields['ae_title'].default}` at first.",
            table(
                ("SOP class", "UID", "SCU", "SCP"),
                (
                    *((uid_name(uid), f"`{uid}`", scu, scp) for uid, scu, scp in services()),
                    *((uid_name(iod.sop_class_uid), f"`{iod.sop_class_uid}`", "yes", "source") for iod in WRITTEN),
                    ("Any other storage class", "", "no", "source"),
                ),
            ),
            "Source: as SCP the program takes one instance at a time, the one that it asked a PACS for, and keeps its "
            "header only. It is no archive.",
        ),
        (
            _policies(),
            Section("Association initiation", _initiation(), activities()),
            _acceptance(),
        ),
    )


def services() -> list[tuple[str, str, str]]:
    """UID, SCU, SCP of the services beside storage."""
    return [
        (str(Verification), "yes", "yes"),
        (str(query.MODEL), "yes", "no"),
        (str(retrieve.GET_MODEL), "yes", "no"),
        (str(retrieve.MOVE_MODEL), "yes", "no"),
        (str(StorageCommitmentPushModel), "yes", "no"),
    ]


def _policies() -> Section:
    requestor = AE()
    return Section(
        "Association policies",
        text(
            table(
                ("Policy", "Value"),
                (
                    ("Application context", "1.2.840.10008.3.1.1.1"),
                    ("Maximum PDU size that we receive", f"{count(requestor.maximum_pdu_size)} bytes"),
                    (
                        "PDU size that we send",
                        f"the peer's maximum, at most {count(MAX_PDV_BYTES)} bytes; so too for a peer without a "
                        "maximum",
                    ),
                    (
                        "Associations that we request",
                        "`servers.NAME.max_associations` batches at a server at a time; a batch has one association "
                        "at a time, two while it retrieves a source",
                    ),
                    ("Associations that we accept", f"{listener.MAX_ASSOCIATIONS} at a time"),
                    ("Presentation contexts of one association", f"at most {associations.MAX_CONTEXTS}"),
                    ("Asynchronous operations", "not supported: one outstanding operation"),
                    ("User identity negotiation", "not supported"),
                    ("Implementation Class UID", f"`{IMPLEMENTATION_CLASS_UID}`"),
                    ("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"),
                ),
            ),
            "The same implementation identification is in the File Meta Information of the files that are written. "
            "Timeouts are in [[Configuration]].",
        ),
    )


def _initiation() -> str:
    rejections = (
        (
            f"{source}, {reason}",
            words,
            error_code(PacsBusy if source == associations.PRESENTATION_LAYER else AssociationRejected),
        )
        for (source, reason), words in associations.REJECTIONS.items()
    )
    kinds = ((f"`{one.code}`", one.default_next_step, "yes" if one.transient else "no") for one in _pacs_errors())
    return text(
        "An association that is rejected as transient (result 2) is tried again whatever its reason.",
        table(("Source, reason of A-ASSOCIATE-RJ", "Meaning", "What is made of it"), rejections),
        f"An association in which no proposed context is accepted: {error_code(NoPresentationContext)}. All that can "
        "become of an operation with a PACS (`media2dicom retry --cause CODE` takes up what was ended by it):",
        table(("Code", "What to do", "Tried again by itself"), kinds),
    )


def _pacs_errors() -> list[type[PacsError]]:
    return [kind for kind in error_kinds().values() if issubclass(kind, PacsError) and kind is not PacsError]


def _acceptance() -> Section:
    commitment = build_context(StorageCommitmentPushModel)
    return Section(
        "Association acceptance",
        text(
            "The program listens on its `port` only while it waits for a C-MOVE's instance or a commitment report. "
            "The called AE title must be its own; any calling AE title is taken, as what nobody waits for is refused.",
            table(
                ("Abstract syntax", "UID", "Transfer syntaxes", "UIDs", "Role", "Extended negotiation"),
                (
                    context_row(build_context(Verification), "SCP"),
                    context_row(commitment, "SCU", "role selection: the PACS stays SCP (PS3.4 J.3.3)"),
                ),
            ),
            f"And {len(STORAGE_CLASSES)} storage classes (those of PS3.4 B.5 that the program knows, and retired "
            f"ones), each in the {len(RECEIVABLE)} transfer syntaxes of [[Activity: retrieve a source]], role SCP.",
            table(
                ("Operation", "Status", "When"),
                (
                    ("C-ECHO", status(listener.SUCCESS), "always"),
                    ("C-STORE", status(listener.SUCCESS), "the instance is waited for"),
                    ("C-STORE", status(listener.REFUSED), "nobody waits for it; nothing is kept"),
                    ("N-EVENT-REPORT", status(listener.SUCCESS), "the transaction is waited for"),
                    ("N-EVENT-REPORT", status(listener.UNKNOWN_REPORT), "nobody waits for the transaction"),
                    ("N-EVENT-REPORT", status(listener.UNREADABLE_REPORT), "the report has no Transaction UID"),
                ),
            ),
        ),
    )


def _embedded_pacs() -> Section:
    models = ((uid_name(str(model)), f"`{model}`", "no", "yes") for model in demo.QUERY_MODELS)
    return Section(
        "Embedded PACS AE",
        text(
            "For demonstrations and tests (`media2dicom demo`), not for patient care: it listens on this machine only "
            "and has no access control. It stores what it is sent and answers for it.",
            table(
                ("SOP class", "UID", "SCU", "SCP"),
                (
                    (uid_name(str(Verification)), f"`{Verification}`", "no", "yes"),
                    *models,
                    (uid_name(str(StorageCommitmentPushModel)), f"`{StorageCommitmentPushModel}`", "no", "yes"),
                    ("All storage classes that the program knows", "", "C-GET, C-MOVE", "yes"),
                ),
            ),
            bullets(
                (
                    f"AE title `{demo.DEFAULT_AE_TITLE}`; the called AE title must be its own.",
                    f"At most {demo.MAX_ASSOCIATIONS} associations at a time; maximum PDU size "
                    f"{count(demo.MAX_PDU_BYTES)} bytes.",
                    "Success is answered when the instance and its index entry are on the disk.",
                    "C-MOVE and commitment reports go to the destinations that it was started with.",
                )
            ),
        ),
    )


def _interfaces() -> Section:
    return Section(
        "Network interfaces",
        text(
            "TCP/IP, IPv4 and IPv6. A server is named by host name or address; each address of a host name is tried. "
            f"Connections that we request are plain TCP, or TLS ({MINIMUM_TLS} or newer) by the table `tls` of the "
            "server: see [[Security]]. Our own port takes plain TCP.",
        ),
    )
