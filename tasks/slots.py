"""As many batches at a PACS as it takes (max_associations), also across machines.

On one machine the core's lock files see to it. Where runs are shown by a Prefect server, each PACS has a global
concurrency limit there, too: strict (a missing limit is an error, not "unlimited") and leased (a killed holder frees
its slot when the lease ends).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_API_URL

from media2dicom.errors import Media2DicomError
from media2dicom.settings import Settings
from media2dicom.slots import ServerSlots, slot_limits, slot_names

_LEASE_S = 60
_WAIT_S = 1800  # a slot that is lost for good must not hold a night up; the task tries again


class SlotNotGranted(Media2DicomError):
    """Prefect's server did not let us to the PACS."""

    code = "slot-not-granted"
    transient = True
    default_next_step = "Retry when the Prefect server is well; each run makes the limits that are missing."


class SharedSlots:
    """`ServerSlots` of the core, and around it the global limit."""

    def __init__(self, settings: Settings) -> None:
        self._on_this_machine = ServerSlots(settings)
        self._names = slot_names(settings)

    def __getitem__(self, server_name: str) -> AbstractContextManager[None]:
        return self._slot(server_name)

    @contextmanager
    def _slot(self, server_name: str) -> Iterator[None]:
        with self._on_this_machine[server_name], ExitStack() as held:
            self._enter(held, self._names[server_name])
            yield

    def _enter(self, held: ExitStack, name: str) -> None:
        """Wait for the slot. A server that is busy or away for some seconds is asked again. Raises SlotNotGranted."""
        for pause_s in (1, 3, 9, None):
            # A lease that cannot be renewed tears no send apart: the lock files still hold on this machine.
            slot = concurrency(
                name,
                strict=True,
                lease_duration=_LEASE_S,
                timeout_seconds=_WAIT_S,
                raise_on_lease_renewal_failure=False,
            )
            try:
                held.enter_context(slot)
            except Exception as error:  # noqa: BLE001 - whatever the client raises when the server is away
                missing = isinstance(error, ConcurrencySlotAcquisitionError) and error.__cause__ is None
                if missing or pause_s is None or isinstance(error, TimeoutError):
                    why = "it is missing" if missing else type(error.__cause__ or error).__name__
                    raise SlotNotGranted(f"No slot of the global concurrency limit {name}: {why}.") from None
                time.sleep(pause_s)
            else:
                return


def server_slots(settings: Settings) -> SharedSlots | None:
    """The slots of a run that a Prefect server shows; None: the core's own will do."""
    return SharedSlots(settings) if PREFECT_API_URL.value() else None


def create_limits(settings: Settings) -> None:
    """The global concurrency limits of all configured servers, as the settings have them today."""
    if not PREFECT_API_URL.value():
        return
    with get_client(sync_client=True) as client:
        for name, limit in slot_limits(settings).items():
            with suppress(ObjectAlreadyExists):  # made by another run at this very moment
                client.upsert_global_concurrency_limit_by_name(name, limit)
