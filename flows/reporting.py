"""What one sees of a run in the dashboard: its name, tags, progress, the table of its rows, the summary.

For people who may not see patient data: row numbers, file labels and veiled texts only (media2dicom/veil.py). The
name of the manifest is shown as people chose it. What is shown is a courtesy: a dashboard that cannot be reached
never fails a run. What is true is in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary


class Report:
    """What the dashboard shows of one flow run. Outside a flow run all of it does nothing.

    run_id: the ledger's; numbers: the row numbers of a part of a large manifest, first and last inclusive.
    verb: what the run does, in its name.
    """

    def __init__(
        self,
        bench: Workbench,
        run_id: str,
        manifest: Path,
        numbers: tuple[int, int] | None = None,
        *,
        verb: str = "archive",
    ) -> None:
        self._bench, self._run_id, self._manifest, self._numbers, self._verb = bench, run_id, manifest, numbers, verb
        self._started = time.monotonic()

    def begin(self) -> None:
        """Name and tag the flow run, begin its progress. To be called when the ledger has the rows."""

    @contextmanager
    def live(self) -> Iterator[None]:
        """The progress is kept up to date while the block works; its task runs get the run's tags."""
        yield

    def end(self, summary: Summary) -> None:
        """The table of the rows and the summary."""
