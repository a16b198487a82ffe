"""What people see on the terminal: progress, outcome tables, plans. Rows are shown without patient data."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from flows.commands.terminal import say
from media2dicom.errors import Media2DicomError
from media2dicom.ledger import ENDED, Ledger, LedgerRow, Run
from media2dicom.manifest.report import Severity
from media2dicom.model import Status
from media2dicom.planning import Plan
from media2dicom.summary import Summary, explanation

_STYLES = {
    Status.STORED: "green",
    Status.SKIPPED: "dim",
    Status.REFUSED: "dark_orange",
    Status.FAILED: "red",
    Status.CONFLICT: "bold magenta",
    Status.UNCERTAIN: "yellow",
}
_MAX_ROWS = 200  # longer tables help nobody on a terminal: the result workbook has them all


def status_text(status: Status) -> Text:
    return Text(str(status), style=_STYLES.get(status, "cyan"))


@contextmanager
def progress(console: Console, title: str, counts: Callable[[], Mapping[Status, int]]) -> Iterator[None]:
    """A live line with rows done and how they ended, read from the ledger while the block works."""
    stop = threading.Event()
    columns = (
        *(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[states]}"), TimeElapsedColumn()),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, states="starting")

        def watch() -> None:
            while not stop.wait(0.2):
                found: Mapping[Status, int] = {}
                with suppress(Media2DicomError):  # a ledger that cannot be read for a moment: the next look tells
                    found = counts()
                if found:
                    done = sum(n for status, n in found.items() if status in ENDED)
                    states = ", ".join(f"{count} {status.lower()}" for status, count in sorted(found.items()))
                    bar.update(task, total=sum(found.values()), completed=done, states=states)

        watcher = threading.Thread(target=watch, name="progress", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


def show_rows(console: Console, rows: list[LedgerRow], run_id: str) -> None:
    table = Table(header_style="bold")
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("media", overflow="fold", ratio=2)
    table.add_column("status", no_wrap=True)
    table.add_column("instances", justify="right", no_wrap=True)
    table.add_column("why, and what next", overflow="fold", ratio=3)
    for row in rows[:_MAX_ROWS]:
        message, next_step = explanation(row, run_id)
        why = Text("\n".join(part for part in (message, *row.warnings) if part))
        if next_step:
            why.append(f"\n{next_step}", style="italic dim")
        cells = (str(row.row_number), Text(row.media), status_text(row.status), str(len(row.instances) or ""))
        table.add_row(*cells, why)
    console.print(table)
    if len(rows) > _MAX_ROWS:
        console.print(f"... and {len(rows) - _MAX_ROWS} more rows: see the result workbook.")


def show_summary(console: Console, summary: Summary) -> None:
    table = Table(header_style="bold")
    for title in ("status", "cause", "rows"):
        table.add_column(title, justify="right" if title == "rows" else "left")
    for (status, cause), count in sorted(summary.by_cause.items(), key=lambda item: (item[0][0], -item[1])):
        table.add_row(status_text(status), cause, str(count))
    console.print(table)
    say(console, str(summary), "bold")
    if summary.results is not None and summary.results.is_file():
        say(console, f"Results: {summary.results}")


def show_dashboard(console: Console, link: str | None) -> None:
    if link is not None:
        say(console, f"Dashboard: {link}")


def show_plan(console: Console, plan: Plan) -> None:
    if plan.rows:
        table = Table(header_style="bold")
        for title in ("row", "media", "kind", "series", "instances", "frames", "size", "destination"):
            table.add_column(title, justify="right" if title in {"row", "instances", "frames", "size"} else "left")
        for one in plan.rows[:_MAX_ROWS]:
            options, media = one.row.options, one.media
            series = options.series_group or options.series_description or ""
            counts = (str(media.instances), str(media.frames or ""), decimal(media.estimated_bytes))
            table.add_row(str(one.row.row_number), one.row.media, media.kind, series, *counts, one.destination or "-")
        console.print(table)
        if len(plan.rows) > _MAX_ROWS:
            console.print(f"... and {len(plan.rows) - _MAX_ROWS} more rows.")
    for problem in plan.problems:
        style = "red" if problem.severity is Severity.ERROR else "yellow"
        console.print(Text(f"{problem.severity.value.upper():7} ", style=style) + Text(str(problem)), soft_wrap=True)
    for note in plan.notes:
        console.print(Text("NOTE    ", style="cyan") + Text(note.message), soft_wrap=True)
    asked = f"asked: {', '.join(plan.asked)}" if plan.asked else "no PACS was asked"
    errors = len({problem.row_number for problem in plan.errors})
    verdict = f"rows with errors: {errors}" if errors else "no errors"
    say(console, f"Rows: {plan.manifest.row_count}; {verdict}; {asked}.", "bold")


def show_runs(console: Console, ledger: Ledger, runs: list[Run]) -> None:
    table = Table(header_style="bold")
    for title in ("started", "manifest", "server", "rows", "state"):
        table.add_column(title, overflow="fold")
    for run in runs[:_MAX_ROWS]:
        counts = ledger.counts(run.run_id)
        states = ", ".join(f"{count} {status.lower()}" for status, count in sorted(counts.items()))
        ended = states if run.finished_at else f"unfinished: {states}"
        table.add_row(run.started_at[:19], str(run.manifest), run.server or "", str(sum(counts.values())), ended)
    console.print(table if runs else "The ledger knows no run yet.")
