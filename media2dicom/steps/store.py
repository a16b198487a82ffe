"""Step 4: send over one association per server, judge every answer, prove every arrival.

The order that makes it safe: what may have been sent before is asked for first; SENDING is committed before the
first byte; a success is believed when the PACS finds the instance in the right place; no answer is a question.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

from media2dicom.dicom.encoding import NATIVE_SYNTAXES
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import (
    CacheFailed,
    Media2DicomError,
    NoPresentationContext,
    NotVerified,
    StoreFailed,
    StoreUncertain,
    UploadConflict,
)
from media2dicom.ledger import LedgerInstance, LedgerRow
from media2dicom.model import Batch, Instance, Outcome, Status
from media2dicom.pacs.store import SendResult, StoreSession
from media2dicom.pacs.verify import Verdict, verify
from media2dicom.settings import Server, Verify
from media2dicom.steps.workbench import Workbench

_EXPLICIT, _IMPLICIT = sorted(NATIVE_SYNTAXES, reverse=True)  # 1.2.840.10008.1.2.1, 1.2.840.10008.1.2
_ASK_FIRST = frozenset({Status.SENDING, Status.UNCERTAIN, Status.CONFLICT})


def store(bench: Workbench, batch: Batch) -> int:
    """Send what is left of the batch; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.checked_run == batch.run_id and row.instances]
    rows.sort(key=lambda row: (row.destination, row.row_number))
    return sum(
        _Shipment(bench, batch.run_id, bench.server(of_server[0]), of_server).run()
        for of_server in (list(group) for _, group in groupby(rows, lambda row: row.destination))
    )


@dataclass
class _Parcel:
    """One row on its way: its instances' states and the errors met."""

    row: LedgerRow
    patient_id: str
    states: dict[int, tuple[Status, int | None, str]] = field(default_factory=dict)
    errors: list[Media2DicomError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    was_sent: bool = False

    def left(self) -> list[LedgerInstance]:
        return [one for one in self.row.instances if self.state(one) != Status.STORED]

    def state(self, one: LedgerInstance) -> Status:
        return self.states[one.instance.number][0] if one.instance.number in self.states else one.status


class _Shipment:
    """All rows of a batch that go to one server."""

    def __init__(self, bench: Workbench, run_id: str, server: Server, rows: list[LedgerRow]) -> None:
        self._bench, self._run_id, self._server = bench, run_id, server
        self._parcels = [_Parcel(row, row.row.patient_id) for row in rows if row.row is not None]

    def run(self) -> int:
        for parcel in self._parcels:
            self._ask_first(parcel)
        self._send([parcel for parcel in self._parcels if parcel.left() and not parcel.errors])
        for parcel in self._parcels:
            self._prove(parcel)
        return sum(self._settle(parcel) for parcel in self._parcels)

    # --- before --------------------------------------------------------------------------------------------------

    def _ask_first(self, parcel: _Parcel) -> None:
        """What may be there already, from a crash, a lost answer or a lost ledger, is not sent again."""
        doubtful = [one for one in parcel.left() if one.attempts or one.status in _ASK_FIRST]
        fresh = [one for one in parcel.left() if one not in doubtful]
        for_the_rest = self._verdicts(parcel, fresh[:1])
        if any(verdict != Verdict.ABSENT for verdict in for_the_rest.values()):
            doubtful = parcel.left()
        verdicts = for_the_rest | self._verdicts(
            parcel, [one for one in doubtful if one.instance.sop_instance_uid not in for_the_rest]
        )
        for one in parcel.left():
            match verdicts.get(one.instance.sop_instance_uid):
                case Verdict.FOUND:
                    parcel.states[one.instance.number] = (Status.STORED, one.store_status, self._how())
                case Verdict.ELSEWHERE:
                    self._conflict(parcel, one)
                case Verdict.UNKNOWN:
                    parcel.errors.append(StoreUncertain("The PACS could not be asked whether it has the instance."))
        self._bench.ledger.set_instances(parcel.row.row_key, parcel.states)

    def _verdicts(self, parcel: _Parcel, ones: Iterable[LedgerInstance]) -> dict[str, Verdict]:
        instances = [one.instance for one in ones]
        if not instances:
            return {}
        return verify(self._server, self._bench.settings, instances, patient_id=parcel.patient_id)

    def _how(self) -> str:
        return str(Verify.COMMITMENT if self._server.verify is Verify.COMMITMENT else Verify.FIND)

    # --- the send ------------------------------------------------------------------------------------------------

    def _send(self, parcels: list[_Parcel]) -> None:
        instances = [one.instance for parcel in parcels for one in parcel.left()]
        if not instances:
            return
        try:
            with StoreSession(self._server, self._bench.settings, instances) as session:
                for parcel in parcels:
                    self._send_row(session, parcel)
        except Media2DicomError as error:  # no association: nothing of what is left was sent
            for parcel in parcels:
                if not parcel.was_sent:
                    parcel.errors.append(error)

    def _send_row(self, session: StoreSession, parcel: _Parcel) -> None:
        row_key = parcel.row.row_key
        left = parcel.left()
        try:
            outgoing = [self._acceptable(session, row_key, one.instance) for one in left]
        except Media2DicomError as error:
            parcel.errors.append(error)
            return
        self._bench.ledger.mark_sending(row_key, [instance.number for instance in outgoing])
        parcel.was_sent = True
        for instance in outgoing:
            result = session.send(instance)
            code = result.error.code if result.error else None
            self._bench.ledger.record_attempt(self._run_id, row_key, instance.number, result.status, code)
            self._note(parcel, instance, result)
            if result.error is not None and not isinstance(result.error, StoreFailed):
                break  # the rest would meet the same; what was not sent is no question to the PACS
        for instance in outgoing:
            parcel.states.setdefault(instance.number, (Status.FAILED, None, ""))
        self._bench.ledger.set_instances(row_key, parcel.states)

    def _acceptable(self, session: StoreSession, row_key: str, instance: Instance) -> Instance:
        """The instance in a transfer syntax that the PACS takes; rewritten natively when it refuses JPEG."""
        accepted = session.accepted_syntaxes(instance.sop_class_uid)
        if instance.transfer_syntax_uid in accepted:
            return instance
        native = next((syntax for syntax in (_EXPLICIT, _IMPLICIT) if syntax in accepted), None)
        if native is None:
            raise NoPresentationContext("The PACS accepts this storage class in no transfer syntax that we can write.")
        path = instance.path.with_name(f"{instance.path.stem}.native{instance.path.suffix}")
        try:
            rewritten = transcode(instance, native, path)
        except OSError as error:
            raise CacheFailed(f"A prepared file cannot be read: {error.strerror}.") from None
        self._bench.ledger.replace_instance(row_key, rewritten)
        return rewritten

    def _note(self, parcel: _Parcel, instance: Instance, result: SendResult) -> None:
        if result.warning is not None:
            parcel.warnings.append(result.warning)
        if isinstance(result.error, StoreUncertain) or result.error is None:
            # Sent, or perhaps: the proof decides.
            parcel.states[instance.number] = (Status.UNCERTAIN, result.status, "")
        else:
            parcel.states[instance.number] = (Status.FAILED, result.status, "")
        if result.error is not None:
            parcel.errors.append(result.error)

    # --- the proof -----------------------------------------------------------------------------------------------

    def _prove(self, parcel: _Parcel) -> None:
        unproved = [
            one for one in parcel.left() if parcel.states.get(one.instance.number, ("",))[0] == Status.UNCERTAIN
        ]
        if not unproved:
            return
        trusted = self._server.verify is Verify.NONE
        asked = [one for one in unproved if not (trusted and self._said_success(parcel, one))]
        verdicts = self._verdicts(parcel, asked)
        for one in unproved:
            number = one.instance.number
            status = parcel.states[number][1]
            match verdicts.get(one.instance.sop_instance_uid):
                case None:
                    parcel.states[number] = (Status.STORED, status, "")
                case Verdict.FOUND:
                    parcel.states[number] = (Status.STORED, status, self._how())
                case Verdict.ELSEWHERE:
                    self._conflict(parcel, one)
                case Verdict.ABSENT if status is not None:
                    parcel.states[number] = (Status.UNCERTAIN, status, "")
                    parcel.errors.append(NotVerified("The PACS answered success, but does not find the instance."))
                case _:
                    parcel.errors.append(StoreUncertain("No answer to the send, and the PACS does not show it (yet)."))
        self._bench.ledger.set_instances(parcel.row.row_key, parcel.states)

    def _said_success(self, parcel: _Parcel, one: LedgerInstance) -> bool:
        """A success or warning status; 'duplicate' (0111) is always looked at."""
        status = parcel.states[one.instance.number][1]
        return status is not None and status != 0x0111

    def _conflict(self, parcel: _Parcel, one: LedgerInstance) -> None:
        parcel.states[one.instance.number] = (Status.CONFLICT, one.store_status, "")
        parcel.errors.append(
            UploadConflict("The PACS holds the SOP Instance UID more than once or under another patient or study.")
        )

    # --- the outcome ---------------------------------------------------------------------------------------------

    def _settle(self, parcel: _Parcel) -> int:
        row = parcel.row
        if parcel.warnings:
            self._bench.ledger.add_warnings(row.row_key, parcel.warnings)
        if not parcel.left():
            message = "" if parcel.was_sent else "Was in the PACS already; nothing was sent."
            stored = Outcome(Status.STORED, message=message)
            self._bench.ledger.set_outcome(row.row_key, stored, stored_run=self._run_id)
            return 0
        error = _worst(parcel.errors)
        if isinstance(error, UploadConflict):
            status = Status.CONFLICT
        elif any(parcel.state(one) in {Status.UNCERTAIN, Status.SENDING} for one in parcel.left()):
            status = Status.UNCERTAIN
        else:
            status = Status.FAILED
        done, total = len(row.instances) - len(parcel.left()), len(row.instances)
        progress = f"{done} of {total} instances are stored. " if total > 1 else ""
        return self._bench.set_failure(row, error, status=status, progress=progress)


def _worst(errors: list[Media2DicomError]) -> Media2DicomError:
    """The error that decides: a conflict, else a permanent one, else the first."""
    if not errors:
        return StoreUncertain("The send ended without an outcome.")
    return min(errors, key=lambda error: (not isinstance(error, UploadConflict), error.transient))
