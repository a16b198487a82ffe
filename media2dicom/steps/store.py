"""Step 4: send over one association per server, judge every answer, prove every arrival.

The order that makes it safe: what may have been sent before is asked for first; each study has to be still the
patient's; SENDING is committed before the first byte; a success is believed when the PACS finds the instance in the
right place; no answer is a question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from media2dicom.errors import (
    DuplicateRow,
    Media2DicomError,
    NoPresentationContext,
    NotApproved,
    NotVerified,
    ObjectsUnderWay,
    QueryFailed,
    StoreFailed,
    StoreFailedTransient,
    StoreUncertain,
    TakenOver,
    UploadConflict,
    sealed,
)
from media2dicom.ledger import IN_DOUBT, LedgerInstance, LedgerRow
from media2dicom.model import Batch, Instance, Outcome, Status
from media2dicom.pacs import commitment
from media2dicom.pacs.commitment import Commitment
from media2dicom.pacs.patients import ask_studies
from media2dicom.pacs.store import DUPLICATE, SendResult, StoreSession
from media2dicom.pacs.verify import Verdict, verify
from media2dicom.settings import Server, Verify
from media2dicom.steps.parcel import Parcel
from media2dicom.steps.prepared import refuse_moved
from media2dicom.steps.syntaxes import acceptable
from media2dicom.steps.workbench import Workbench, content_of, submitted

_ASK_FIRST: Final = IN_DOUBT | {Status.CONFLICT}
# Errors of one C-STORE; any other PacsError of a send says that there is no association to be had.
_OF_ONE_SEND: Final = (StoreFailed, StoreFailedTransient, StoreUncertain, NoPresentationContext)


def store(bench: Workbench, batch: Batch) -> int:
    """Send what is left of the batch; the number of rows that failed in a way that may pass."""
    rows = [row for row in bench.open_rows(batch) if row.checked_run == batch.run_id and row.instances]
    rows.sort(key=lambda row: (row.destination, row.row_number))
    left = 0
    for destination, of_server in groupby(rows, lambda row: row.destination):
        with bench.server_slots[destination]:
            left += _Shipment(bench, batch.run_id, bench.settings.servers[destination], list(of_server)).run()
    return left


class _Shipment:
    """All rows of a batch that go to one server."""

    def __init__(self, bench: Workbench, run_id: str, server: Server, rows: list[LedgerRow]) -> None:
        self._bench, self._run_id, self._server = bench, run_id, server
        self._parcels = [Parcel(row, row.row.patient_id) for row in rows if row.row is not None]

    def run(self) -> int:
        self._ask_first()
        self._refuse_moved()
        self._send([parcel for parcel in self._parcels if parcel.left() and not parcel.errors])
        self._prove()
        return sum(self._settle(parcel) for parcel in self._parcels)

    # --- before --------------------------------------------------------------------------------------------------

    def _ask_first(self) -> None:
        """What may be there already, from a crash, a lost answer or a lost ledger, is not sent again."""
        doubtful = {
            parcel.row.row_key: [one for one in parcel.left() if one.attempts or one.status in _ASK_FIRST]
            for parcel in self._parcels
        }
        # Of a row that this ledger never sent, one instance tells whether there are more to be asked for.
        samples = {
            parcel.row.row_key: [one for one in parcel.left() if one not in doubtful[parcel.row.row_key]][:1]
            for parcel in self._parcels
        }
        verdicts = self._ask((parcel, doubtful[key] + samples[key]) for key, parcel in self._by_key())
        rest = [
            (parcel, [one for one in parcel.left() if one.instance.sop_instance_uid not in verdicts])
            for key, parcel in self._by_key()
            if any(verdicts[one.instance.sop_instance_uid] != Verdict.ABSENT for one in samples[key])
        ]
        verdicts |= self._ask(rest)
        left = [(parcel, one) for parcel in self._parcels for one in parcel.left()]
        report = self._report(
            [one.instance for _, one in left if verdicts.get(one.instance.sop_instance_uid) == Verdict.FOUND]
        )
        for parcel, one in left:
            self._take_up(parcel, one, verdicts.get(one.instance.sop_instance_uid, Verdict.ABSENT), report)
        for parcel in self._parcels:
            self._keep(parcel)

    def _take_up(self, parcel: Parcel, one: LedgerInstance, verdict: Verdict, report: Commitment) -> None:
        match verdict:
            case Verdict.FOUND:
                self._found(parcel, one, one.store_status, report)
            case Verdict.ELSEWHERE:
                self._conflict(parcel, one)
            case Verdict.UNKNOWN if self._server.verify is Verify.NONE:
                pass  # a PACS that is never asked: the same bytes go out under the same UID
            case Verdict.UNKNOWN if parcel.is_in_doubt(one):
                parcel.errors.append(StoreUncertain("Sent before, and the PACS could not be asked whether it has it."))
            case Verdict.UNKNOWN:
                parcel.errors.append(QueryFailed("The PACS could not be asked whether it has it; nothing was sent."))

    def _refuse_moved(self) -> None:
        """Each study is asked for again: since its patient was confirmed it may have been given to another."""
        # The files of a row were written from one header: the first stands for all.
        first = [(parcel, parcel.left()[0].instance) for parcel in self._parcels if parcel.left() and not parcel.errors]
        if not first:
            return
        answers = ask_studies(
            self._server, self._bench.settings, [instance.study_instance_uid for _, instance in first]
        )
        for parcel, instance in first:
            answer = answers[instance.study_instance_uid]
            try:
                if isinstance(answer, Media2DicomError):
                    raise answer
                refuse_moved(instance, answer)
            except Media2DicomError as error:
                parcel.errors.append(error)

    def _by_key(self) -> list[tuple[str, Parcel]]:
        return [(parcel.row.row_key, parcel) for parcel in self._parcels]

    def _ask(self, questions: Iterable[tuple[Parcel, list[LedgerInstance]]]) -> dict[str, Verdict]:
        """C-FIND, one association for each patient."""
        of_patient: dict[str, list[Instance]] = defaultdict(list)
        for parcel, ones in questions:
            of_patient[parcel.patient_id] += [one.instance for one in ones]
        verdicts: dict[str, Verdict] = {}
        for patient_id, instances in of_patient.items():
            if instances:
                verdicts |= verify(self._server, self._bench.settings, instances, patient_id=patient_id)
        return verdicts

    # --- the send ------------------------------------------------------------------------------------------------

    def _send(self, parcels: list[Parcel]) -> None:
        instances = [one.instance for parcel in parcels for one in parcel.left()]
        if not instances:
            return
        waiting = list(parcels)
        try:
            with (
                sealed(f"Sending to {self._server.host}:{self._server.port}"),
                StoreSession(self._server, self._bench.settings, instances) as session,
            ):
                while waiting:
                    self._send_row(session, waiting[0])
                    waiting.pop(0)
        except Media2DicomError as error:  # no association, or none any more, or no ledger: what waits was not sent
            for parcel in waiting:
                if not parcel.was_sent:  # else its own states say how it stands
                    parcel.errors.append(error)

    def _send_row(self, session: StoreSession, parcel: Parcel) -> None:
        """Raises the error of an association that is lost and cannot be had again."""
        row_key = parcel.row.row_key
        try:
            outgoing = [acceptable(self._bench, session, row_key, one.instance) for one in parcel.left()]
        except Media2DicomError as error:
            parcel.errors.append(error)
            return
        row = parcel.row
        content = content_of(self._bench.settings, row.destination, outgoing[0].study_instance_uid, submitted(row))
        numbers = [instance.number for instance in outgoing]
        try:
            self._bench.ledger.mark_sending(row_key, self._run_id, content, numbers)
        except TakenOver:
            self._parcels.remove(parcel)  # how it ends is the other run's to say
            return
        except (NotApproved, DuplicateRow, ObjectsUnderWay) as error:
            parcel.errors.append(error)
            return
        parcel.was_sent = True
        no_association: Media2DicomError | None = None
        for instance in outgoing:
            try:
                with sealed("Sending an instance"):
                    result = session.send(instance)
            except Media2DicomError as error:  # nobody foresaw it: a part may be under way, and the next be out of step
                result = SendResult(instance, None, StoreUncertain(error.message))
                no_association = StoreFailedTransient("The association was given up; nothing of the row was sent.")
            self._note(parcel, instance, result)
            code = result.error.code if result.error else None
            self._bench.ledger.record_attempt(self._run_id, row_key, instance.number, result.status, code)
            if result.error is not None and not isinstance(result.error, StoreFailed):
                if not isinstance(result.error, _OF_ONE_SEND):
                    no_association = result.error
                break  # the rest would meet the same; what was not sent is no question to the PACS
        for instance in outgoing:
            if instance.number not in parcel.states:
                parcel.set(instance, Status.FAILED, None)
        self._keep(parcel)
        if no_association is not None:
            raise no_association

    def _note(self, parcel: Parcel, instance: Instance, result: SendResult) -> None:
        if result.warning is not None:
            parcel.warnings.append(result.warning)
        if result.error is None or isinstance(result.error, StoreUncertain):
            parcel.set(instance, Status.UNCERTAIN, result.status)  # sent, or perhaps: the proof decides
        else:
            parcel.set(instance, Status.FAILED, result.status)
            parcel.errors.append(result.error)

    # --- the proof -----------------------------------------------------------------------------------------------

    def _prove(self) -> None:
        unproved = [(parcel, parcel.unproved()) for parcel in self._parcels]
        unproved = [(parcel, ones) for parcel, ones in unproved if ones]
        if not unproved:
            return
        trusted = self._server.verify is Verify.NONE
        report = self._report([one.instance for _, ones in unproved for one in ones])
        verdicts = self._ask(
            (parcel, [one for one in ones if not (trusted and _said_success(parcel, one))]) for parcel, ones in unproved
        )
        for parcel, ones in unproved:
            for one in ones:
                self._judge(parcel, one, verdicts.get(one.instance.sop_instance_uid), report)
            self._keep(parcel)

    def _report(self, instances: list[Instance]) -> Commitment:
        """What the PACS takes charge of (PS3.4 J), asked once for the whole shipment."""
        if self._server.verify is not Verify.COMMITMENT or not instances:
            return Commitment()
        return commitment.request(self._server, self._bench.settings, instances)

    def _judge(self, parcel: Parcel, one: LedgerInstance, verdict: Verdict | None, report: Commitment) -> None:
        instance = one.instance
        status = parcel.states[instance.number].store_status
        match verdict:
            case None:
                parcel.set(instance, Status.STORED, status)
            case Verdict.FOUND:
                self._found(parcel, one, status, report)
            case Verdict.ELSEWHERE:
                self._conflict(parcel, one)
            case Verdict.ABSENT if status is not None:
                parcel.errors.append(NotVerified("The PACS answered success, but does not find the instance."))
            case Verdict.ABSENT:
                parcel.errors.append(StoreUncertain("No answer to the send, and the PACS does not show it (yet)."))
            case _:
                said = "No answer to the send" if status is None else "The PACS took it"
                parcel.errors.append(StoreUncertain(f"{said}, but it could not be asked whether it has it."))

    def _found(self, parcel: Parcel, one: LedgerInstance, status: int | None, report: Commitment) -> None:
        uid = one.instance.sop_instance_uid
        if uid in report.failed:
            parcel.errors.append(NotVerified("The PACS finds the instance, but does not commit itself to keep it."))
            return
        how = Verify.COMMITMENT if uid in report.committed else Verify.FIND
        parcel.set(one.instance, Status.STORED, status, str(how))

    def _conflict(self, parcel: Parcel, one: LedgerInstance) -> None:
        known = parcel.states.get(one.instance.number, one)
        parcel.set(one.instance, Status.CONFLICT, known.store_status)
        parcel.errors.append(
            UploadConflict(
                "The PACS holds the SOP Instance UID more than once or under another patient or study, or its study is "
                "another patient's now."
            )
        )

    # --- the outcome ---------------------------------------------------------------------------------------------

    def _keep(self, parcel: Parcel) -> None:
        self._bench.ledger.set_instances(parcel.row.row_key, parcel.states)

    def _settle(self, parcel: Parcel) -> int:
        row = parcel.row
        if parcel.warnings:
            self._bench.ledger.add_warnings(row.row_key, parcel.warnings)
        if not parcel.left():
            stored = Outcome(Status.STORED, message=parcel.stored_message())
            self._bench.ledger.set_outcome(row.row_key, stored, stored_run=self._run_id)
            return 0
        status, error = parcel.failure()
        return self._bench.end_row(row, status, error, parcel.progress() + error.message)


def _said_success(parcel: Parcel, one: LedgerInstance) -> bool:
    """A success or warning status; 'duplicate' is always looked at."""
    status = parcel.states[one.instance.number].store_status
    return status is not None and status != DUPLICATE
