"""The error tree. Each error says what, where and what next, has a code, and knows whether it is transient.

`transient` is read in one place (`is_transient`): tasks retry what it names and nothing else. No message ever
holds patient data: messages name rows, cells, attributes and servers, not their values.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

_LOGGER = logging.getLogger("media2dicom")


class Media2DicomError(Exception):
    """Root of every error the core raises on purpose.

    `code` is what an operator selects by (`media2dicom retry --cause CODE`); `next_step` says what to do.
    `words` are for people where the code with spaces would not do (`cause_words`).
    """

    code: ClassVar[str] = "error"
    words: ClassVar[str] = ""
    transient: ClassVar[bool] = False
    default_next_step: ClassVar[str] = "See the message."

    def __init__(self, message: str, *, next_step: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step or self.default_next_step


def place_of(error: BaseException) -> str:
    """Where an error was raised, as module:line; says nothing of what it holds."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace is not None else "?"


@contextmanager
def sealed(doing: str) -> Iterator[None]:
    """Let only errors of this tree out of the block: the text of any other may hold patient data.

    OSError becomes CacheFailed, the rest Unforeseen; the log gets its type and place.
    """
    try:
        yield
    except Media2DicomError:
        raise
    except OSError as error:
        raise CacheFailed(f"{doing} failed: {error.strerror or type(error).__name__}.") from None
    except Exception as error:  # noqa: BLE001 - whatever it is, its text stays here
        _LOGGER.error("%s: unforeseen %s in %s", doing, type(error).__name__, place_of(error))
        raise Unforeseen(f"{doing} failed: the program met a {type(error).__name__} in {place_of(error)}.") from None


def is_transient(error: BaseException) -> bool:
    """Whether trying again, with nothing changed, may succeed."""
    return isinstance(error, Media2DicomError) and error.transient


def error_kinds() -> dict[str, type[Media2DicomError]]:
    """Every kind of error by its code."""
    found: dict[str, type[Media2DicomError]] = {}
    left: list[type[Media2DicomError]] = [Media2DicomError]
    while left:
        kind = left.pop(0)
        found.setdefault(kind.code, kind)
        left += kind.__subclasses__()
    return found


def cause_words(code: str) -> str:
    """A cause as people say it: "pacs-unreachable" is "PACS unreachable"."""
    kind = error_kinds().get(code)
    words: str = vars(kind).get("words", "") if kind else ""  # its own, not those of the kind that it is one of
    return words or re.sub(r"\bpacs\b", "PACS", code.replace("-", " "))


# --- the whole run -------------------------------------------------------------------------------------------


class SettingsError(Media2DicomError):
    code = "settings-invalid"
    default_next_step = "Correct the settings and start again."


class ServerUnknown(SettingsError):
    code = "server-unknown"
    default_next_step = "Name a configured server (media2dicom servers list) or add it (media2dicom servers add)."


class ManifestUnusable(Media2DicomError):
    code = "manifest-unusable"
    default_next_step = "Correct the manifest and submit it again."


class SelectionUnclear(Media2DicomError):
    code = "selection-unclear"
    default_next_step = 'Give row numbers as the spreadsheet shows them, such as "5, 8-12".'


class WindowEnded(Media2DicomError):
    code = "window-ended"
    transient = True
    default_next_step = "The next nightly run takes it up; or retry it now."


class TakenOver(Media2DicomError):
    """The row is in the hands of a run that began later; how it ends is that run's to say."""

    code = "taken-over"
    transient = True
    default_next_step = "See how the other run of the manifest ends."


class ObjectsUnderWay(Media2DicomError):
    """Another row files the very same objects, and a run sends them at this moment."""

    code = "sent-by-another-run"
    transient = True
    default_next_step = "Retry when the other run has ended: the PACS is asked first, and nothing is sent twice."


class ApprovalPending(Media2DicomError):
    code = "waits-for-approval"
    words = "waits for an approval"
    default_next_step = "Answer its question in the dashboard, or run archive-manifest with approval."


class ChunkLost(Media2DicomError):
    """The run that had these rows of a large manifest ended before it came to them."""

    code = "chunk-lost"
    words = "part of the run lost"
    transient = True
    default_next_step = "See that run's page for the reason; then press Retry."


class AlreadyRunning(Media2DicomError):
    code = "already-running"
    default_next_step = "Wait until the other run of this manifest ends."


# --- a row refused before anything is sent: permanent ---------------------------------------------------------


class RowRefused(Media2DicomError):
    """The row cannot be filed as it stands. Nothing of it was sent."""

    code = "refused"
    default_next_step = "Correct the row and submit the manifest again."


class CellRefused(RowRefused):
    code = "cell-invalid"
    words = "cell not understood"


class NotApproved(RowRefused):
    code = "not-approved"
    default_next_step = "Press Retry on its run: the question is asked anew. Or retry the cause not-approved."


class OptionRefused(RowRefused):
    """What the row asks for cannot be had for this media, e.g. a transfer syntax that cannot hold its pixels."""

    code = "option-refused"
    words = "option not possible"


class DuplicateRow(RowRefused):
    code = "duplicate"
    words = "duplicate row"
    default_next_step = "Remove one of the two rows."
    files: ClassVar[str] = "files the same media into the same study"  # what is said of the other row


class MediaMissing(RowRefused):
    code = "media-missing"
    default_next_step = "Put the file where the row says, or correct the path."


class MediaOutsideRoots(RowRefused):
    code = "media-outside-roots"
    words = "media outside the allowed folders"
    default_next_step = "Move the file below the manifest's folder or add its folder to media_roots."


class MediaUnsupported(RowRefused):
    code = "media-unsupported"
    default_next_step = "Save it in a format that is known, e.g. JPEG, PNG, MP4 (H.264), PDF or STL."


class MediaDamaged(RowRefused):
    code = "media-damaged"
    default_next_step = "Export the file again from where it was made."


class MediaTooLarge(RowRefused):
    """More pixels, frames or seconds than the project opens (a guard against decompression bombs)."""

    code = "media-too-large"


class MediaChanged(RowRefused):
    """The file is not the one that the row was checked with (media_sha256, or altered since the run began)."""

    code = "media-changed"
    default_next_step = "Make sure that the right file is there, then run the manifest again."


class OverUploadLimit(RowRefused):
    code = "over-upload-limit"


class StudyNotFound(RowRefused):
    code = "study-not-found"
    default_next_step = "Check study_instance_uid or accession_number, and that the study is in this PACS."


class SeveralStudies(RowRefused):
    code = "several-studies"
    default_next_step = "Name the study by its study_instance_uid."


class IdentityMismatch(RowRefused):
    """The row's patient is not the PACS's patient for that study."""

    code = "identity-mismatch"
    words = "patient differs from the PACS"
    default_next_step = "Check that the row names the right study and the right patient."


class SourceUnusable(RowRefused):
    """The study is there, but no instance of it can lend its identity."""

    code = "source-unusable"
    words = "study cannot lend its identity"


class UploadConflict(RowRefused):
    """The PACS holds the SOP Instance UID elsewhere than where the row's instance belongs, or may hold objects of the
    row that the row does not stand for any more (loud, permanent)."""

    code = "conflict"
    words = "conflict in the PACS"
    default_next_step = "Ask the PACS administrator to look at the instance; do not resend it."


class ObjectNotConformant(RowRefused):
    """Our own check found the built object wrong; it is never sent."""

    code = "object-not-conformant"
    words = "object not conformant"
    default_next_step = "Report this with the row's media: it is a fault of the program or of the source study."


# --- the PACS ---------------------------------------------------------------------------------------------------


class PacsError(Media2DicomError):
    code = "pacs-error"
    default_next_step = "Look at the PACS's log, then retry."


class PacsUnreachable(PacsError):
    """No association: refused, timed out, no answer."""

    code = "pacs-unreachable"
    transient = True
    default_next_step = "See that the PACS is running and its host and port are right, then retry."


class PacsNotDicom(PacsError):
    code = "pacs-not-dicom"
    words = "no DICOM at the PACS's address"
    default_next_step = "Something that is not DICOM answers there: check host, port and TLS."


class TlsFailed(PacsError):
    code = "pacs-tls"
    words = "PACS TLS failed"
    default_next_step = "Check the server's tls settings and certificates."


class AssociationRejected(PacsError):
    """Rejected with a DICOM reason that trying again does not cure (PS3.8 9.3.4), e.g. an unknown AE title."""

    code = "association-rejected"
    words = "association rejected by the PACS"
    default_next_step = "Compare both AE titles with the PACS's configuration."


class PacsBusy(PacsError):
    """Rejected for now: too many associations or temporary congestion (PS3.8 9.3.4)."""

    code = "pacs-busy"
    transient = True
    default_next_step = "Retry later, or lower max_associations for this server."


class NoPresentationContext(PacsError):
    code = "no-presentation-context"
    words = "object kind not accepted by the PACS"
    default_next_step = "Ask the PACS administrator to accept this storage class, or choose another one."


class QueryFailed(PacsError):
    code = "query-failed"
    words = "PACS query failed"
    transient = True
    default_next_step = "Retry; if it stays, look at the PACS's log."


class RetrieveFailed(PacsError):
    code = "retrieve-failed"
    words = "PACS retrieve failed"
    transient = True
    default_next_step = "Retry; for C-MOVE, see that the PACS knows our AE title, host and port."


class StoreFailedTransient(PacsError):
    """The association was lost before the send, or another hindrance that may pass."""

    code = "store-failed-transient"
    words = "not sent, connection lost"
    transient = True
    default_next_step = "Retry; if it stays, look at the PACS's disk space and log."


class PacsOutOfResources(StoreFailedTransient):
    """The PACS says that it has no room for it now (PS3.4 B.2.3: A7xx, 0213)."""

    code = "pacs-out-of-resources"
    default_next_step = "Retry later; if it stays, look at the PACS's disk space and log."


class StoreFailed(PacsError):
    """A C-STORE status that does not pass by itself (PS3.4 B.2.3: A9xx, Cxxx, 0122, 0124, 0117)."""

    code = "store-failed"
    words = "refused by the PACS"
    default_next_step = "Look up the status in the PACS's log."


class StoreUncertain(PacsError):
    """Sent, but neither an answer nor a query could say whether it arrived. Never success, never failure."""

    code = "store-uncertain"
    words = "sent without an answer"
    transient = True
    default_next_step = "Retry: the PACS is asked for the instance first, and nothing is sent twice."


class NotVerified(PacsError):
    """The PACS answered success but does not find the instance when asked."""

    code = "not-verified"
    words = "not found in the PACS after the send"
    transient = True
    default_next_step = "Retry: the PACS is asked again; if it stays, look at the PACS's log."


# --- this machine ---------------------------------------------------------------------------------------------


class Unforeseen(Media2DicomError):
    """A fault of the program, not of the file or the PACS. Its place is in the log."""

    code = "unforeseen"
    words = "fault of the program"
    default_next_step = "Report this with the log's line; the file itself may be sound."


class LedgerFailed(Media2DicomError):
    """The ledger's database is locked, full or gone. What it held before still stands."""

    code = "ledger-failed"
    transient = True
    default_next_step = "See to the ledger's disk or database server, then retry."


class CacheFailed(Media2DicomError):
    """The cache folder cannot be written (disk full, rights)."""

    code = "cache-failed"
    transient = True
    default_next_step = "Free some disk space or correct the rights of the cache folder, then retry."


class ProgramFailed(Media2DicomError):
    """A helper program (ffmpeg) is missing or was ended from outside; says nothing about the media."""

    code = "program-failed"
    words = "helper program failed"
    transient = True
    default_next_step = "See that the machine has memory to spare, then retry."


class ResultsNotWritten(Media2DicomError):
    """The result workbook cannot be written. The ledger has every outcome all the same."""

    code = "results-not-written"
    transient = True
    default_next_step = "Close the workbook if it is open, see to rights and disk space, then run the manifest again."
