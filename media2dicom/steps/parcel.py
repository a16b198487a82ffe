"""One row on its way to the PACS: the states of its instances, the errors met, and what they come to."""

from __future__ import annotations

from dataclasses import dataclass, field

from media2dicom.errors import Media2DicomError, StoreFailedTransient, UploadConflict
from media2dicom.ledger import IN_DOUBT, InstanceState, LedgerInstance, LedgerRow
from media2dicom.model import Instance, Status
from media2dicom.steps.workbench import status_of


@dataclass
class Parcel:
    """States are kept by the instance's number within its row."""

    row: LedgerRow
    patient_id: str
    states: dict[int, InstanceState] = field(default_factory=dict)
    errors: list[Media2DicomError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    was_sent: bool = False  # by this step, now

    def left(self) -> list[LedgerInstance]:
        """The instances that are not known to be in the PACS."""
        return [one for one in self.row.instances if self.state(one) != Status.STORED]

    def state(self, one: LedgerInstance) -> Status:
        known = self.states.get(one.instance.number)
        return one.status if known is None else known.status

    def is_in_doubt(self, one: LedgerInstance) -> bool:
        """Sent, and not known whether it arrived."""
        return self.state(one) in IN_DOUBT

    def unproved(self) -> list[LedgerInstance]:
        """Sent by this step, and to be asked for."""
        return [
            one for one in self.left() if one.instance.number in self.states and self.state(one) == Status.UNCERTAIN
        ]

    def set(self, instance: Instance, status: Status, store_status: int | None, verified: str = "") -> None:
        self.states[instance.number] = InstanceState(status, store_status, verified)

    # --- how it ended -----------------------------------------------------------------------------------------------

    def stored_message(self) -> str:
        if self.was_sent:
            return ""
        if any(one.attempts or one.status in IN_DOUBT for one in self.row.instances):
            return "An earlier send arrived; nothing was sent again."
        return "Was there already: the PACS has it; nothing was sent."

    def failure(self) -> tuple[Status, Media2DicomError]:
        """The status of a row of which something is left, and the error that decides: a conflict, a doubt, what
        stays, what may pass."""
        left = self.left()
        in_doubt = any(self.is_in_doubt(one) for one in left)
        lost = StoreFailedTransient("The association was lost before everything was sent.")
        error = min(
            self.errors or [lost],
            key=lambda error: (not isinstance(error, UploadConflict), error.transient != in_doubt),
        )
        return status_of(error, in_doubt=in_doubt, partly_stored=len(left) < len(self.row.instances)), error

    def progress(self) -> str:
        done, total = len(self.row.instances) - len(self.left()), len(self.row.instances)
        return f"{done} of {total} instances are stored. " if total > 1 else ""
