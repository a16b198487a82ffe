"""What one sees of an archiving run in the dashboard: its name, tags, progress, the table of its rows, the summary.

For people who may not see patient data: row numbers, file labels and veiled texts only (media2dicom/veil.py). The
name of the manifest is shown as people chose it. What is true is in the ledger.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

from prefect import tags
from prefect.client.orchestration import get_client

from flows.dashboard.artifacts import (
    courtesy,
    flow_run_id,
    key_of,
    markdown_table,
    not_told,
    put_markdown,
    put_progress,
    put_table,
    rename,
    update_progress,
)
from media2dicom.errors import cause_words
from media2dicom.ledger import DONE_STATUSES, ENDED, UNDER_WAY, LedgerRow, Numbers
from media2dicom.model import Status
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary, explanation
from media2dicom.veil import file_label, veiled

_EVERY_S: Final = 2.0
_PATIENCE_S: Final = 30
_SMALL: Final = 200  # rows: up to here the table shows every row
_MAX_FAILED: Final = 500  # rows that are not stored, shown one by one
_FIRST_ROWS: Final = 10  # row numbers beside a cause

Group = tuple[Status, str, list[LedgerRow]]  # rows of one status and error code


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
        numbers: Numbers | None = None,
        *,
        verb: str = "archive",
    ) -> None:
        self._bench, self._run_id, self._manifest, self._numbers, self._verb = bench, run_id, manifest, numbers, verb
        self._started = time.monotonic()
        self._flow_run = flow_run_id()
        self._progress: UUID | None = None
        self._suffix = f"rows-{numbers[0]}-{numbers[1]}" if numbers else ""
        self.server_tags: tuple[str, ...] = ()

    def begin(self) -> None:
        """Name and tag the flow run, begin its progress. To be called when the ledger has the rows."""
        if self._flow_run is None:
            return
        with courtesy("what the run is about"):
            rows = self._rows()
            self.server_tags = tuple(sorted({f"pacs:{row.destination}" for row in rows if row.destination}))
            rename(self._name(rows), self.server_tags)
            title = f"Rows of {self._manifest.name} with an end"
            self._progress = put_progress(self._key("progress"), self._percent(), title)

    def _name(self, rows: Sequence[LedgerRow]) -> str:
        if self._numbers is not None:
            total = sum(self._bench.ledger.counts(self._run_id).values())
            return f"{self._verb} {self._manifest.name}: rows {self._numbers[0]}-{self._numbers[1]} of {total}"
        taken = sum(row.taken for row in rows)
        few = f"{taken} of " if taken < len(rows) else ""
        return f"{self._verb} {self._manifest.name}: {few}{len(rows)} {'row' if len(rows) == 1 else 'rows'}"

    @contextmanager
    def live(self) -> Iterator[None]:
        """The progress is kept up to date while the block works; its task runs have the tags of their servers."""
        with tags(*self.server_tags), self._watched():
            yield

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if self._progress is None:
            yield
            return
        over = threading.Event()
        work = partial(copy_context().run, self._watch, self._progress, over)  # Prefect's settings are in the context
        watcher = threading.Thread(target=work, name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def _watch(self, artifact_id: UUID, over: threading.Event) -> None:
        """Tell the progress when it changed; a server that is away is asked again the next time."""
        shown = 0.0
        away = False
        while True:
            last = over.wait(_EVERY_S)
            try:
                percent = self._percent()
                if percent != shown:
                    # With settings of its own it is a client of its own: the run's is not for two threads.
                    with get_client(sync_client=True, httpx_settings={"timeout": _PATIENCE_S}) as client:
                        update_progress(client, artifact_id, percent)
                    shown = percent
            except Exception as error:  # noqa: BLE001 - nothing that is only shown may fail a run
                if not away:  # one line, not one every two seconds
                    not_told("the progress", error)
                away = True
            if last:
                return

    def _percent(self) -> float:
        counts = self._bench.ledger.counts(self._run_id, self._numbers)
        ended = sum(count for status, count in counts.items() if status in ENDED)
        return round(100 * ended / max(1, sum(counts.values())), 1)

    def before_approval(self) -> None:
        """The table of the rows as a person is asked about them."""
        if self._flow_run is not None:
            with courtesy("what the approval is about"):
                title = f"{self._manifest.name}: as it stands before anything is sent"
                put_table(self._key("rows"), rows_table(by_cause(self._rows()), self._run_id), title)

    def end(self, summary: Summary) -> None:
        """The table of the rows and the summary."""
        if self._flow_run is None:
            return
        with courtesy("how the run ended"):
            rows = self._rows()
            groups = by_cause(rows)
            headline = f"{summary.manifest.name}: {summary}"
            put_table(self._key("rows"), rows_table(groups, self._run_id), headline)
            seconds = time.monotonic() - self._started
            put_markdown(self._key("summary"), summary_text(summary, groups, seconds), headline)
            if self._progress is not None:
                with get_client(sync_client=True) as client:
                    update_progress(client, self._progress, 100.0)

    def _rows(self) -> list[LedgerRow]:
        return self._bench.ledger.rows(self._run_id, numbers=self._numbers, with_instances=False)

    def _key(self, kind: str) -> str:
        return key_of(kind, self._bench.settings, self._manifest, self._suffix)


def by_cause(rows: Sequence[LedgerRow]) -> list[Group]:
    """Rows of one status and cause together: what failed first, then what is not done; the biggest group first."""
    found: dict[tuple[Status, str], list[LedgerRow]] = defaultdict(list)
    for row in rows:
        found[row.status, row.outcome.code or ""].append(row)
    groups = [(status, code, some) for (status, code), some in found.items()]

    def place(group: Group) -> tuple[object, ...]:
        status, _, some = group
        return status in DONE_STATUSES, status in UNDER_WAY, -len(some), some[0].row_number

    return sorted(groups, key=place)


def rows_table(groups: Sequence[Group], run_id: str) -> list[dict[str, str]]:
    """The rows for the dashboard; of a large manifest only what is not stored, and how many more there are."""
    total = sum(len(rows) for _, _, rows in groups)
    room = total if total <= _SMALL else _MAX_FAILED
    table: list[dict[str, str]] = []
    for status, code, rows in groups:
        shown = 0 if total > _SMALL and status in DONE_STATUSES else min(room, len(rows))
        room -= shown
        table += [_row_line(row, run_id) for row in rows[:shown]]
        if left := len(rows) - shown:
            more = f"{left} {'more ' if shown else ''}{'row' if left == 1 else 'rows'}"
            table.append(_line("", "", status, code, "", f"{more}: see the result workbook."))
    return table


def _row_line(row: LedgerRow, run_id: str) -> dict[str, str]:
    message, next_step = explanation(row, run_id)
    message = " ".join([part for part in (message, *(f"Warning: {one}" for one in row.warnings)) if part])
    file = file_label(row.media, row.row)
    return _line(
        str(row.row_number),
        file,
        row.status,
        row.outcome.code or "",
        veiled(next_step, row.row, row.media),
        veiled(message, row.row, row.media),
    )


def _line(number: str, file: str, status: Status, code: str, next_step: str, message: str) -> dict[str, str]:
    cause = cause_words(code) if code and status is not Status.SKIPPED else ""
    return {
        "row": number,
        "file": file,
        "status": str(status),
        "cause": cause,
        "next step": next_step,
        "message": message,
    }


def summary_text(summary: Summary, groups: Sequence[Group], seconds: float) -> str:
    """The run's end as markdown."""
    parts = [f"## {summary.manifest.name}", f"**{summary}**"]
    counts: dict[Status, int] = defaultdict(int)
    for status, _, rows in groups:
        counts[status] += len(rows)
    parts.append(markdown_table(("status", "rows"), list(counts.items())))
    left = [group for group in groups if group[0] not in DONE_STATUSES]
    if left:
        headers = ("cause", "rows", "which", "next step", "status", "code")
        parts.append(markdown_table(headers, [_cause_line(*group) for group in left]))
    if summary.already_stored:
        parts.append(f"Stored by an earlier run, nothing was sent: {summary.already_stored}.")
    if summary.results is not None:
        parts.append(f"Result workbook, with every row's outcome: `{summary.results}`")
    worked = sum(row.taken for _, _, rows in groups for row in rows) - summary.already_stored
    pace = f", {seconds / worked:.2f} s per row" if worked > 0 else ""
    parts.append(f"It took {duration(seconds)}{pace}.")
    if left:
        parts.append(
            "**To go on:** mend what the table names. *Retry* on this run's page takes up what is left; "
            "the deployment `retry-failed-sends` takes chosen causes or rows. Nothing is sent twice. "
            "Where the sheet itself was corrected, run it anew with `archive-manifest`."
        )
    parts.append(
        "Words of file names that may be a person's name are shown as \\*\\*\\*; the result workbook has them."
    )
    return "\n\n".join(parts)


def _cause_line(status: Status, code: str, rows: list[LedgerRow]) -> tuple[object, ...]:
    numbers = ", ".join(str(row.row_number) for row in rows[:_FIRST_ROWS]) + (
        ", ..." if len(rows) > _FIRST_ROWS else ""
    )
    first = rows[0]
    return (
        cause_words(code) if code else status.lower(),
        len(rows),
        numbers,
        veiled(first.outcome.next_step, first.row, first.media),
        status,
        code,
    )


def duration(seconds: float) -> str:
    """3725 is "1 h 2 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
