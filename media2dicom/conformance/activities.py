"""What the program asks of a PACS (PS3.2, association initiation): each activity with its contexts and statuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at import from a table
    StorageCommitmentPushModel,
    Verification,
)

from media2dicom.conformance.markdown import Section, bullets, table, text
from media2dicom.conformance.names import attribute, attributes, status, tag_of, uid_name, uid_rows
from media2dicom.conformance.written import WRITTEN, syntaxes_of
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES
from media2dicom.errors import (
    IdentityMismatch,
    Media2DicomError,
    NotVerified,
    PacsOutOfResources,
    QueryFailed,
    RetrieveFailed,
    StoreFailed,
    StoreUncertain,
    UploadConflict,
)
from media2dicom.pacs import commitment, query, retrieve
from media2dicom.pacs.store import STATUSES, Judgement
from media2dicom.pacs.syntaxes import RECEIVABLE, SOURCE_CLASSES
from media2dicom.settings import Retrieve, Verify

_OWN: Final = dict.fromkeys(uid for iod in WRITTEN for uid in syntaxes_of(iod.sop_class_uid))
STORED_SYNTAXES: Final = (*(uid for uid in _OWN if uid not in NATIVE_SYNTAXES), *NATIVE_SYNTAXES)
_CONTEXT = ("Abstract syntax", "UID", "Transfer syntaxes", "UIDs", "Role", "Extended negotiation")
_STATUS = ("Status", "Meaning", "What is made of it")


def error_code(error: type[Media2DicomError]) -> str:
    passes = "tried again" if error.transient else "not tried again"
    return f"`{error.code}`, {passes}"


def activities() -> tuple[Section, ...]:
    return _verify_server(), _find(), _retrieve(), _store(), _prove()


def context_row(context: PresentationContext, role: str, negotiation: str = "none") -> tuple[str, ...]:
    syntaxes = uid_rows(str(uid) for uid in context.transfer_syntax)
    names, uids = (", ".join(column) for column in zip(*syntaxes, strict=True))
    model = str(context.abstract_syntax)
    return uid_name(model), f"`{model}`", names, uids, role, negotiation


def _verify_server() -> Section:
    return Section(
        "Activity: verify a server",
        text(
            "When a server is added (`media2dicom servers add`) and on demand (`media2dicom servers echo`): C-ECHO.",
            table(_CONTEXT, [context_row(build_context(Verification), "SCU")]),
            table(
                _STATUS,
                (
                    (status(0x0000), "success", "the server is saved"),
                    ("any other, or none", "", "the server is not saved; the message says why"),
                ),
            ),
        ),
    )


def _find() -> Section:
    keys = (
        (level.name, attribute(keyword), tag_of(keyword), "single value" if keyword in level.matched else "universal")
        for level in query.LEVELS
        for keyword in level.keys
    )
    pending = " or ".join(status(one) for one in query.PENDING)
    return Section(
        "Activity: find a study",
        text(
            "Once for each study of a manifest: C-FIND of the study by Study Instance UID (first by Accession Number "
            "where a row gives no UID), then of its series, and of the images of one series. The study is asked for "
            "again before the send ([[Activity: store instances]]); the same service proves arrival: [[Activity: "
            "prove arrival]].",
            table(
                _CONTEXT,
                [context_row(build_context(query.MODEL), "SCU", "relational queries: supported (PS3.4 C.5.1.1)")],
            ),
            "No query has a wildcard, a range or a list; a value that could be read as one is refused before it is "
            "sent. Keys marked single value are given a value where the program has it, the others are returned "
            "only. An answer counts when it equals what was asked, whatever the PACS calls a match.",
            table(("Level", "Key", "Tag", "Matching"), keys),
            "Relational: an IMAGE query by SOP Instance UID alone, to find an instance wherever it is. A PACS that "
            "refuses it, finds nothing, or does not say the instance's study and series, is asked with these too. "
            "Specific Character Set is sent with a value beyond ASCII (ISO_IR 192).",
            table(
                _STATUS,
                (
                    (pending, "pending", "the answer is taken"),
                    (status(0x0000), "success", "the answers are complete"),
                    ("any other, or none", "", error_code(QueryFailed)),
                ),
            ),
        ),
    )


def _retrieve() -> Section:
    unknown = status(retrieve.UNKNOWN_DESTINATION)
    return Section(
        "Activity: retrieve a source",
        text(
            "One instance of each study lends its patient and study attributes: an image rather than another object, "
            "private classes after these, the program's own earlier results last. Setting `retrieve`: "
            f"`{Retrieve.GET}` (C-GET) or `{Retrieve.MOVE}` (C-MOVE to [[Association acceptance]]). The header is "
            "kept, bulk data are thrown away. A header that contradicts the query's answer for the study lends "
            "nothing: Study Instance UID and Patient ID must be equal; birth dates, where both are there, too; names, "
            "where both are there, may differ in how accents and umlauts are written, in letters that were lost, in "
            "words that are cut or that only one has. "
            f"After {retrieve.ATTEMPTS} instances that could not be had or lend nothing no other is tried; when none "
            f"is left the row is refused ({error_code(IdentityMismatch)}).",
            table(
                _CONTEXT,
                (
                    context_row(build_context(retrieve.GET_MODEL), "SCU"),
                    context_row(build_context(retrieve.MOVE_MODEL), "SCU"),
                ),
            ),
            "Identifier: Query/Retrieve Level IMAGE, Study, Series and SOP Instance UID, one value each.",
            "With C-GET, besides, storage contexts with the SCP role (role selection, PS3.7 D.3.3.4): for the class "
            "that the query told, one context for each of the transfer syntaxes below. Where the PACS does not tell "
            "the class, associations follow one another until the instance came: the classes below first, then every "
            "other storage class.",
            table(("Transfer syntax received", "UID"), uid_rows(map(str, RECEIVABLE))),
            table(
                ("Status of C-GET or C-MOVE", "Meaning", "What is made of it"),
                (
                    ("any", "the instance came", "it is used: what came counts, not the status"),
                    (unknown, "move destination unknown", f"{error_code(RetrieveFailed)}; the message says so"),
                    ("any other, or none", "the instance did not come", error_code(RetrieveFailed)),
                ),
            ),
            table(
                ("Status that we answer to C-STORE", "Meaning"),
                (
                    (status(retrieve.SUCCESS), "the instance that was asked for"),
                    (status(retrieve.REFUSED), "not authorized: another instance"),
                ),
            ),
        ),
        (
            Section(
                "Storage classes of sources",
                text(
                    "Any storage class may be a source. These are asked for first when the PACS does not tell the "
                    "class:",
                    table(("Storage class", "UID"), uid_rows(map(str, SOURCE_CLASSES))),
                ),
            ),
        ),
    )


_JUDGED = {
    Judgement.STORED: "accepted; stored once it is proved",
    Judgement.WARNING: "as success; the row carries the warning",
    Judgement.HELD: f"the PACS is asked: stored when the instance is in its right place, else `{UploadConflict.code}`",
    Judgement.TRANSIENT: error_code(PacsOutOfResources),
    Judgement.REFUSED: error_code(StoreFailed),
}


def _store() -> Section:
    statuses = [(status(rule.status, rule.mask), rule.words, _JUDGED[rule.judgement]) for rule in STATUSES]
    statuses.append(("none", "no answer", f"{error_code(StoreUncertain)}: the PACS is asked for it first"))
    instead = " and ".join(map(uid_name, NATIVE_SYNTAXES))
    return Section(
        "Activity: store instances",
        text(
            "C-STORE of all instances of a batch over one association, role SCU, no extended negotiation. For each "
            "storage class of the batch: one context for each transfer syntax of its instances, and one with those of "
            f"{instead} that are not among them. An instance whose transfer syntax the PACS refuses is rewritten in "
            "one of these two, with the same UIDs, before it is sent; a video's own stream is not.",
            table(("Short", "Transfer syntax", "UID"), ((_short(uid), *uid_rows([uid])[0]) for uid in STORED_SYNTAXES)),
            table(("Abstract syntax", *map(_short, STORED_SYNTAXES)), _stored()),
            "Where the row does not choose (`transfer_syntax`): a baseline JPEG keeps its own stream in .50, frames of "
            "a video are coded in .50, every other picture in .70. Grey of 9 to 12 bits goes into .51, .57, .70 or "
            "Explicit VR Little Endian, of 13 to 16 bits into the last three; what cannot be held is refused. A whole "
            "video is in the transfer syntax that its stream conforms to.",
            "Before the first C-STORE of a batch each of its studies is asked for again. Where the answer contradicts "
            "the prepared instances ([[Activity: retrieve a source]]), or the study is gone, nothing is sent and the "
            "row is refused; where there is no answer, nothing is sent for now.",
            "What was written is what is sent: nothing is changed on the way. The wait for an answer grows with the "
            "instance's size (`store_floor`, `store_bytes_per_s`). SOP Instance UIDs are derived from study, media "
            "and options, so what is sent again is the same instance.",
            table(_STATUS, statuses),
        ),
    )


def _stored() -> Iterator[tuple[str, ...]]:
    """A line for each class, a mark for each transfer syntax."""
    for iod in WRITTEN:
        own = syntaxes_of(iod.sop_class_uid)
        instead = [uid for uid in NATIVE_SYNTAXES if uid not in own]
        marks = ("yes" if uid in own else "instead" if uid in instead else "" for uid in STORED_SYNTAXES)
        yield f"{uid_name(iod.sop_class_uid)} `{iod.sop_class_uid}`", *marks


def _short(uid: str) -> str:
    """.50 for 1.2.840.10008.1.2.4.50; Explicit and Implicit VR Little Endian by their first word."""
    prefix, _, last = uid.rpartition(".")
    return f".{last}" if prefix == "1.2.840.10008.1.2.4" else uid_name(uid).partition(" ")[0]


def _prove() -> Section:
    return Section(
        "Activity: prove arrival",
        text(
            f"After each batch, by the setting `verify`: `{Verify.FIND}` (C-FIND of every instance, as in "
            f"[[Activity: find a study]]), `{Verify.COMMITMENT}` (storage commitment and C-FIND), `{Verify.NONE}` (a "
            "success or warning status is believed; duplicates and missing answers are asked for all the same).",
            table(
                ("What the PACS shows", "What is made of it"),
                (
                    (
                        "the instance, once, in its patient, study, series and class, and the study that patient's",
                        "stored",
                    ),
                    ("nothing, after a success", error_code(NotVerified)),
                    ("nothing, after no answer", error_code(StoreUncertain)),
                    (
                        "the UID more than once, or elsewhere; the study another patient's",
                        error_code(UploadConflict),
                    ),
                    ("no answer to the question", error_code(StoreUncertain)),
                ),
            ),
            "Storage commitment, push model:",
            table(_CONTEXT, [context_row(build_context(StorageCommitmentPushModel), "SCU")]),
            bullets(_commitment()),
            table(
                ("N-ACTION status", "What is made of it"),
                (
                    (status(0x0000), "the report is waited for, at most `timeouts.dimse` seconds"),
                    ("any other, or none", "no commitment: the C-FIND alone decides"),
                ),
            ),
        ),
    )


def _commitment() -> Iterable[str]:
    return (
        f"N-ACTION, action type {commitment.REQUEST}, with a new Transaction UID and the references of the batch.",
        "N-EVENT-REPORT is taken on the same association, or on one that the PACS requests ([[Association "
        "acceptance]]); reports in parts are put together.",
        f"A committed instance that C-FIND shows is stored, and its row says so. One that the PACS reports "
        f"as failed is {error_code(NotVerified)}. One without a report is proved by C-FIND alone.",
        f"Referenced attributes: {attributes(('TransactionUID', 'ReferencedSOPSequence', 'FailedSOPSequence'))}.",
    )
