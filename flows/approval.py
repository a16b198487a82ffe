"""The approval gate: the run is suspended, its process ends, and a form in the dashboard decides how it goes on.

When the form is answered the run begins again from the top, from the prepared files, and finds the answer here. The
answer holds for the rows that were shown as ready, with the media that they had: others are asked about again.
"""

from __future__ import annotations

from typing import Final, Literal, cast

from prefect import runtime
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.input.actions import create_flow_run_input, delete_flow_run_input, read_flow_run_input
from pydantic import Field

from media2dicom.approval import Readiness, approve, decline, readiness
from media2dicom.errors import SettingsError
from media2dicom.manifest.keys import digest
from media2dicom.steps.workbench import Workbench
from media2dicom.veil import veiled

SEND: Final = "Send"
_DECLINED: Final = "approvals-declined"
_WAIT_S: Final = 30 * 24 * 3600


class Approval(RunInput):
    """The form."""

    decision: Literal["Send", "Do not send"] = Field(
        title="What shall be done?",
        description="Send: everything that is ready is stored in the PACS. Do not send: the run ends, nothing is sent.",
    )


def ask_approval(bench: Workbench, run_id: str) -> bool:
    """Whether to send. Suspends the run when nobody has decided yet: then it does not return (prefect Pause)."""
    found = readiness(bench, run_id)
    if found.undecided and not _ask(bench, run_id, found):
        decline(bench, run_id)
        return False
    approve(bench, run_id, found.ready_keys)
    return True


def _ask(bench: Workbench, run_id: str, found: Readiness) -> bool:
    if runtime.deployment.id is None:
        raise SettingsError(
            "A run that waits for an approval must be started from its deployment.",
            next_step="Start media2dicom up and run archive-manifest from the dashboard.",
        )
    declined = _times_declined()
    answer = suspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=_text(bench, run_id, found.as_markdown())),
        key=f"approval-{digest('ready', sorted(found.ready_keys))[:16]}-{declined}",
        timeout=_WAIT_S,
    )
    if answer.decision == SEND:
        return True
    _count_decline(declined + 1)
    return False


def _text(bench: Workbench, run_id: str, text: str) -> str:
    """Warnings are texts of rows: what they may hold of a patient is veiled."""
    for row in bench.ledger.rows(run_id, with_instances=False):
        if row.warnings and row.row is not None:
            text = veiled(text, row.row)
    return text


def _times_declined() -> int:
    """A Retry after a no asks again, under another key."""
    return int(cast("int | None", read_flow_run_input(_DECLINED)) or 0)


def _count_decline(number: int) -> None:
    if number > 1:
        delete_flow_run_input(_DECLINED)
    create_flow_run_input(_DECLINED, number)
