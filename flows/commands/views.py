"""What programs see: the --json output of check, run, retry and status. No patient data."""

from __future__ import annotations

from typing import Any

from media2dicom.ledger import Ledger, LedgerRow, Run
from media2dicom.manifest.report import Problem
from media2dicom.planning import Plan
from media2dicom.summary import Summary, result_columns


def run_json(rows: list[LedgerRow], summary: Summary) -> dict[str, Any]:
    """A run with every row's outcome."""
    return {
        "manifest": str(summary.manifest),
        "run_id": summary.run_id,
        "summary": {
            "rows": summary.rows,
            "not_stored": summary.not_stored,
            "already_stored": summary.already_stored,
            "by_status": _by_status(summary),
            "by_cause": [
                {"status": str(status), "code": code or None, "rows": count}
                for (status, code), count in sorted(summary.by_cause.items())
            ],
        },
        "results": str(summary.results) if summary.results else None,
        "rows": [_row_json(row, summary.run_id) for row in rows],
    }


def _by_status(summary: Summary) -> dict[str, int]:
    found: dict[str, int] = {}
    for (status, _), count in summary.by_cause.items():
        found[str(status)] = found.get(str(status), 0) + count
    return found


def _row_json(row: LedgerRow, run_id: str) -> dict[str, Any]:
    columns = result_columns(row, run_id)
    return {
        "row": row.row_number,
        "row_id": row.row_id,
        "media": row.media,
        "destination": row.destination or None,
        "transient": row.outcome.transient,
        "warnings": list(row.warnings),
        **columns,
    }


def runs_json(ledger: Ledger, runs: list[Run]) -> list[dict[str, Any]]:
    """All runs, latest first."""
    return [
        {
            "manifest": str(run.manifest),
            "run_id": run.run_id,
            "server": run.server,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "results": str(run.results) if run.results else None,
            "by_status": {str(status): count for status, count in ledger.counts(run.run_id).items()},
        }
        for run in runs
    ]


def plan_json(plan: Plan) -> dict[str, Any]:
    """A dry run: problems, notes, and what would be done."""
    return {
        "manifest": str(plan.manifest.path),
        "rows": plan.manifest.row_count,
        "rows_with_errors": len({problem.row_number for problem in plan.errors}),
        "asked": list(plan.asked),
        "problems": [_problem_json(problem) for problem in plan.problems],
        "notes": [{"code": note.code, "message": note.message, "column": note.column} for note in plan.notes],
        "plan": [
            {
                "row": one.row.row_number,
                "row_id": one.row.row_id,
                "media": one.row.media,
                "destination": one.destination,
                "kind": one.media.kind,
                "instances": one.media.instances,
                "frames": one.media.frames,
                "estimated_bytes": one.media.estimated_bytes,
                "series_group": one.row.options.series_group,
            }
            for one in plan.rows
        ],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    return {
        "row": problem.row_number,
        "cell": problem.cell,
        "column": problem.column,
        "severity": problem.severity.value,
        "code": problem.code,
        "message": problem.message,
        "next_step": problem.next_step,
    }
