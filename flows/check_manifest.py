"""Flow: all problems of a manifest, and what archiving it would do. Nothing is sent.

For people who may not see patient data: row numbers, cells, file labels and veiled texts only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from rich.filesize import decimal

from flows.dashboard.artifacts import courtesy, key_of, markdown_table, put_markdown, put_table, rename
from flows.forms import ManifestChoice, ServerChoice, resolve_manifest
from flows.walking import state_of
from media2dicom.errors import cause_words, sealed
from media2dicom.manifest.report import Problem, Severity
from media2dicom.model import Row
from media2dicom.planning import Plan, RowPlan, plan_manifest
from media2dicom.settings import Settings, load_settings
from media2dicom.veil import file_label, veiled

_MAX_LINES: Final = 500


def _run_name() -> str:
    return f"check {Path(str(runtime.flow_run.parameters['manifest'])).name}"


@flow(name="check-manifest", flow_run_name=_run_name, persist_result=False)
def check_manifest(manifest: ManifestChoice, server: ServerChoice = None, offline: bool = False) -> State[Any]:
    """All problems of a manifest, and what archiving it would do. Nothing is sent.

    Args:
        manifest: The spreadsheet: one that lies in the inbox, or the path of another.
        server: The PACS for rows that name none; empty: the default one.
        offline: Look at the spreadsheet and the media only; ask no PACS.
    """
    return state_of(lambda: _check(manifest, server, offline=offline))


def _check(manifest: Path | str, server: str | None, *, offline: bool) -> State[Any]:
    with sealed("The check"):
        settings = load_settings()
        path = resolve_manifest(manifest, settings)
        plan = plan_manifest(path, settings, server, offline=offline or not (server or settings.servers))
        verdict = verdict_of(plan)
        with courtesy("the problems and the plan"):
            _show(plan, settings, verdict)
    return Failed(message=verdict) if plan.errors else Completed(message=verdict)


def _show(plan: Plan, settings: Settings, verdict: str) -> None:
    path = plan.manifest.path
    count = plan.manifest.row_count
    asked = [f"pacs:{name}" for name in plan.asked]
    rename(f"check {path.name}: {count} {'row' if count == 1 else 'rows'}", asked)
    if plan.problems:
        put_table(key_of("problems", settings, path), problems_table(plan), f"{path.name}: {verdict}")
    put_markdown(key_of("plan", settings, path), plan_text(plan, verdict), f"{path.name}: {verdict}")


def verdict_of(plan: Plan) -> str:
    """One line: "4 of 212 rows have problems: 2 media missing, 2 duplicate row." """
    rows = plan.manifest.row_count
    warned = len({one.row_number for one in plan.problems if one.severity is Severity.WARNING})
    warnings = f" There are warnings on {warned} {'row' if warned == 1 else 'rows'}." if warned else ""
    first = {one.row_number: one.code for one in reversed(plan.errors)}  # a row counts for its first problem
    if not first:
        return f"{rows} {'row' if rows == 1 else 'rows'}, no problems.{warnings}"
    causes = Counter(first.values())
    listed = ", ".join(f"{count} {cause_words(code)}" for code, count in causes.most_common())
    return f"{len(first)} of {rows} rows have problems: {listed}.{warnings}"


def problems_table(plan: Plan) -> list[dict[str, str]]:
    """The problems: errors before warnings, those of one cause together, the most frequent cause first."""
    groups: dict[tuple[bool, str], list[Problem]] = defaultdict(list)
    for problem in plan.problems:
        groups[problem.severity is not Severity.ERROR, problem.code].append(problem)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1]))
    rows = {row.row_number: row for row in plan.manifest.rows}
    media = {row.row_number: row.media for row in plan.manifest.rows}
    media |= {line.row_number: line.media for line in plan.manifest.refused}
    problems = [problem for _, some in ordered for problem in some]
    table = [_line(one, rows.get(one.row_number), media.get(one.row_number, "")) for one in problems[:_MAX_LINES]]
    if (more := len(problems) - _MAX_LINES) > 0:
        table.append(dict.fromkeys(table[0], "") | {"message": f"and {more} more problems"})
    return table


def _line(problem: Problem, row: Row | None, media: str) -> dict[str, str]:
    return {
        "row": str(problem.row_number),
        "cell": problem.cell or "",
        "file": file_label(media, row) if media else "",
        "severity": problem.severity.value,
        "problem": cause_words(problem.code),
        "message": veiled(problem.message, row, media),
        "next step": veiled(problem.next_step, row, media),
    }


def plan_text(plan: Plan, verdict: str) -> str:
    """The plan as markdown: how much would go where."""
    parts = [f"## {plan.manifest.path.name}", f"**{verdict}**"]
    by_destination: dict[str, list[RowPlan]] = defaultdict(list)
    for one in plan.rows:
        by_destination[one.destination or "-"].append(one)
    lines = [(name, *_amounts(rows)) for name, rows in sorted(by_destination.items())]
    if len(lines) > 1:
        lines.append(("all", *_amounts(plan.rows)))
    if lines:
        headers = ("destination", "rows", "kinds", "series", "instances", "frames", "size")
        parts.append(markdown_table(headers, lines))
    if skipped := len(plan.manifest.skipped):
        parts.append(f"Left out by the column skip: {skipped}.")
    parts.append(f"Asked: {', '.join(plan.asked)}." if plan.asked else "No PACS was asked.")
    if plan.notes:
        parts.append("\n".join(f"- {note.message}" for note in plan.notes))
    parts.append("Nothing was sent. To archive it, run the deployment `archive-manifest`.")
    return "\n\n".join(parts)


def _amounts(rows: Sequence[RowPlan]) -> tuple[object, ...]:
    """Rows, kinds, series (a group is one, every other row has its own), instances, frames, size."""
    kinds = Counter(one.media.kind for one in rows)
    groups = {
        (one.row.study_instance_uid, one.row.accession_number, one.row.options.series_group)
        for one in rows
        if one.row.options.series_group
    }
    alone = sum(not one.row.options.series_group for one in rows)
    return (
        len(rows),
        ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        len(groups) + alone,
        sum(one.media.instances for one in rows),
        sum(one.media.frames or 0 for one in rows),
        decimal(sum(one.media.estimated_bytes for one in rows)),
    )
