"""C-STORE of prepared instances over one association, every status judged (PS3.4 B.2.3).

The same bytes as in the cache go out: nothing is transcoded here (the caller asks `accepted_syntaxes` first).
Whether a stored instance is really there is asked by verify.py; retries are the caller's (tasks/).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES
from media2dicom.errors import (
    NoPresentationContext,
    PacsError,
    PacsOutOfResources,
    PacsUnreachable,
    StoreFailed,
    StoreFailedTransient,
    StoreUncertain,
)
from media2dicom.model import Instance
from media2dicom.pacs.associations import MAX_CONTEXTS, close_association, open_association, place
from media2dicom.pacs.streaming import SendInterrupted, stream_files
from media2dicom.settings import Server, Settings

DUPLICATE: Final = 0x0111  # duplicate SOP Instance (PS3.7 C.5.7)


class Judgement(Enum):
    """What a status says of the instance."""

    STORED = auto()  # the PACS says that it has it
    WARNING = auto()  # stored, with a warning
    HELD = auto()  # the PACS says that it had its UID before: verify decides
    TRANSIENT = auto()  # refused for a reason that may pass
    REFUSED = auto()


@dataclass(frozen=True)
class StatusRule:
    """What a C-STORE status means; of the status the bits of `mask` count."""

    status: int
    words: str
    judgement: Judgement
    mask: int = 0xFFFF


# PS3.4 B.2.3, PS3.7 C; the first rule that fits holds.
STATUSES: Final = (
    StatusRule(0x0000, "success", Judgement.STORED),
    StatusRule(DUPLICATE, "duplicate SOP Instance", Judgement.HELD),
    StatusRule(0xB000, "coercion of data elements", Judgement.WARNING),
    StatusRule(0xB006, "elements discarded", Judgement.WARNING),
    StatusRule(0xB007, "data set does not match SOP Class", Judgement.WARNING),
    StatusRule(0xB000, "warning", Judgement.WARNING, mask=0xF000),  # warning class (PS3.7 C.4)
    StatusRule(0x0001, "warning", Judgement.WARNING),
    StatusRule(0x0107, "warning", Judgement.WARNING),
    StatusRule(0x0116, "warning", Judgement.WARNING),
    StatusRule(0xA700, "out of resources", Judgement.TRANSIENT, mask=0xFF00),
    StatusRule(0x0213, "resource limitation", Judgement.TRANSIENT),
    StatusRule(0xA900, "data set does not match SOP Class", Judgement.REFUSED, mask=0xFF00),
    StatusRule(0xC000, "cannot understand", Judgement.REFUSED, mask=0xF000),
    StatusRule(0x0117, "invalid SOP Instance UID", Judgement.REFUSED),
    StatusRule(0x0122, "SOP Class not supported", Judgement.REFUSED),
    StatusRule(0x0124, "not authorized", Judgement.REFUSED),
    StatusRule(0x0211, "unrecognized operation", Judgement.REFUSED),
    StatusRule(0x0000, "not in the standard for C-STORE", Judgement.REFUSED, mask=0x0000),  # any other
)


@dataclass(frozen=True)
class SendResult:
    """What one C-STORE came to. `error` is None when the PACS says that it has the instance: still to be verified."""

    instance: Instance
    status: int | None  # None: no answer
    error: PacsError | None = None
    warning: str | None = None
    duplicate: bool = False  # the PACS says that it had the SOP Instance UID before: verify decides


class StoreSession:
    """One association for a batch of instances; made anew for the next instance when it is lost.

    Entering raises what `associate` raises. `send` never raises for what the network or the PACS does.
    """

    def __init__(self, server: Server, settings: Settings, instances: Iterable[Instance]) -> None:
        self._server, self._settings = server, settings
        self._contexts = store_contexts(instances)
        self._association: Association | None = None
        self._accepted: Mapping[str, frozenset[str]] = {}

    def __enter__(self) -> Self:
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        association, self._association = self._association, None
        if association is not None:
            close_association(association, abort=kind is not None)

    def accepted_syntaxes(self, sop_class_uid: str) -> set[str]:
        """The transfer syntaxes that the PACS accepts for a class; empty when it takes none.

        A file in another syntax is to be transcoded before `send`.
        """
        return set(self._accepted.get(sop_class_uid, ()))

    def send(self, instance: Instance, path: Path | None = None) -> SendResult:
        """Send one instance: its own file, or the transcoded one at `path`.

        The syntax is the one that the file's meta information names. Errors in the result: StoreFailedTransient (not
        sent, or a status that may pass), StoreUncertain (sent, no answer), StoreFailed, NoPresentationContext, and
        what `associate` raises when the association had to be made anew.
        """
        path = path or instance.path
        try:
            association = self._alive()
        except PacsError as error:
            return SendResult(instance, None, error)
        where, timeouts = place(self._server), self._settings.timeouts
        try:
            size_bytes = path.stat().st_size
        except OSError as error:
            reason = f"The prepared file cannot be read ({error.strerror}); nothing was sent."
            return SendResult(instance, None, StoreFailedTransient(reason))
        association.dimse_timeout = timeouts.store_floor + size_bytes / timeouts.store_bytes_per_s
        try:
            answer = association.send_c_store(path)
        except ValueError:  # raised before anything is sent: no context for this class and syntax
            accepted = ", ".join(sorted(self.accepted_syntaxes(instance.sop_class_uid))) or "none"
            text = f"{where} does not accept the file's transfer syntax for its storage class (accepted: {accepted})."
            return SendResult(instance, None, NoPresentationContext(text))
        except (AttributeError, RuntimeError) as error:  # raised before anything is sent: see send_c_store
            reason = "the prepared file is not a complete Part 10 file" if isinstance(error, AttributeError) else "lost"
            self._drop()
            return SendResult(instance, None, StoreFailedTransient(f"{where}: nothing was sent ({reason})."))
        except (OSError, EOFError) as error:  # SendInterrupted among them
            self._drop()
            reason = str(error) if isinstance(error, SendInterrupted) else "the prepared file could not be read"
            return SendResult(instance, None, StoreUncertain(f"{where}: {reason} in mid send."))
        if "Status" not in answer:
            self._drop()
            text = f"{where} did not answer: the association ended or timed out after the send began."
            return SendResult(instance, None, StoreUncertain(text))
        return judge(instance, int(answer.Status), where)

    def _alive(self) -> Association:
        if self._association is None or not self._association.is_established:
            self._connect()
        assert self._association is not None
        return self._association

    def _connect(self) -> None:
        self._drop()
        if not self._contexts:
            raise PacsUnreachable("There is nothing to send.")
        association = open_association(self._server, self._settings, self._contexts)
        stream_files(association)
        accepted: dict[str, set[str]] = {}
        for context in association.accepted_contexts:
            accepted.setdefault(str(context.abstract_syntax), set()).update(map(str, context.transfer_syntax))
        self._accepted = {sop_class: frozenset(syntaxes) for sop_class, syntaxes in accepted.items()}
        self._association = association

    def _drop(self) -> None:
        """End an association that can no longer be trusted to be in step."""
        association, self._association = self._association, None
        if association is not None:
            close_association(association, abort=True)


def judge(instance: Instance, status: int, where: str) -> SendResult:
    """What a C-STORE status means, by the table STATUSES."""
    rule = next(rule for rule in STATUSES if status & rule.mask == rule.status)
    told = f"0x{status:04X} ({rule.words})"
    match rule.judgement:
        case Judgement.STORED:
            return SendResult(instance, status)
        case Judgement.HELD:
            return SendResult(instance, status, duplicate=True)
        case Judgement.WARNING:
            return SendResult(instance, status, warning=f"The PACS stored it with a warning: {told}.")
        case Judgement.TRANSIENT:
            text = f"{where} is out of resources: status 0x{status:04X}."
            return SendResult(instance, status, PacsOutOfResources(text))
        case Judgement.REFUSED:
            return SendResult(instance, status, StoreFailed(f"{where} refuses the instance: status {told}."))


def store_contexts(instances: Iterable[Instance]) -> list[PresentationContext]:
    """Per SOP class one context per file syntax, and the uncompressed ones that a file may be transcoded to.

    A context accepts one syntax only, so a class whose files are Explicit VR LE has Implicit VR LE apart.
    """
    own: dict[str, list[str]] = {}
    for instance in instances:
        syntaxes = own.setdefault(instance.sop_class_uid, [])
        if instance.transfer_syntax_uid not in syntaxes:
            syntaxes.append(instance.transfer_syntax_uid)
    contexts = []
    for sop_class_uid, syntaxes in own.items():
        contexts += [build_context(sop_class_uid, syntax) for syntax in syntaxes]
        native = [uid for uid in NATIVE_SYNTAXES if uid not in syntaxes]
        if native:
            contexts.append(build_context(sop_class_uid, native))
    return contexts[:MAX_CONTEXTS]
