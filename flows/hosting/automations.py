"""Crash detection: what the Prefect server does about runs whose process died without a word. Open source has none."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from prefect.automations import AutomationCore
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import EventTrigger
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import Posture

HEARTBEAT_S: Final = 30  # Prefect sends no more often
SILENCE_S: Final = 3 * HEARTBEAT_S  # a run that was not heard of for so long is dead
START_S: Final = 300  # for a process to begin a run that it was given, on a machine with much to do
CRASHED_NEXT: Final = "Press Retry: it goes on where it was, and nothing is sent twice."


def automations() -> list[AutomationCore]:
    """What died without an end is marked Crashed: Retry is offered, and a parent starts its part again."""
    heartbeat = "heartbeat"
    ends = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused", "AwaitingRetry", "Scheduled")
    return [
        _crashed_when_silent("runs that fell silent", {heartbeat}, {heartbeat, *ends}, SILENCE_S),
        # Whoever was about to start it died with it in hand.
        _crashed_when_silent(
            "runs that never began", {"Pending"}, {"Running", "Late", "AwaitingConcurrencySlot", *ends}, START_S
        ),
    ]


def _crashed_when_silent(name: str, after: set[str], expect: set[str], within_s: int) -> AutomationCore:
    """Event names are those of flow runs, without their prefix."""
    prefix = "prefect.flow-run."
    message = f"Its process was not heard of for {within_s} seconds. {CRASHED_NEXT}"
    return AutomationCore(
        name=f"media2dicom: {name}",
        description=f"A run that was not heard of for {within_s} seconds is marked Crashed.",
        trigger=EventTrigger(
            after={prefix + one for one in after},
            expect={prefix + one for one in expect},
            match={"prefect.resource.id": f"{prefix}*"},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within_s),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message)],
    )


async def install_automations(client: PrefectClient) -> None:
    """One of each name, as it is meant to be; one that the operator switched off stays off."""
    for wanted in automations():
        there = await client.read_automations_by_name(wanted.name)
        for spare in there[1:]:
            await client.delete_automation(spare.id)
        if not there:
            await client.create_automation(wanted)
        elif there[0].model_dump(exclude={"id", "enabled"}) != wanted.model_dump(exclude={"enabled"}):
            # Only then: with an update the server forgets whom it is waiting to hear of.
            await client.update_automation(there[0].id, wanted.model_copy(update={"enabled": there[0].enabled}))
