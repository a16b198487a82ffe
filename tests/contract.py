"""The contract matrix: what the checkers said of each object of the tests, gathered from all workers into one table.

A test records with `record`; `tests/conftest.py` prints `table` at the end. Reports carry it as user properties, so it
comes through pytest-xdist too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID

from tests.checkers import Findings, check

Recorder = Callable[[str, object], None]  # pytest's record_property
PROPERTY = "contract"
SYNTAXES = {
    "1.2.840.10008.1.2.4.50": ".50",
    "1.2.840.10008.1.2.4.51": ".51",
    "1.2.840.10008.1.2.4.57": ".57",
    "1.2.840.10008.1.2.4.70": ".70",
    **{f"1.2.840.10008.1.2.4.{number}": f".{number}" for number in range(100, 109)},
    "1.2.840.10008.1.2.1": "explicit",
    "1.2.840.10008.1.2": "implicit",
}


def record(
    record_property: Callable[[str, object], None],
    path: Path,
    standard: Path,
    *,
    source: str,
    policy: str,
    payload: str,
) -> Findings:
    """Both checkers' findings of an object, put into the matrix."""
    findings = check(path, standard)
    header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    syntax = str(header.file_meta.TransferSyntaxUID)
    errors = len(findings.errors) + len(findings.validator)
    line = (source, policy, str(header.SOPClassUID), SYNTAXES.get(syntax, UID(syntax).name), payload)
    record_property(PROPERTY, [*line, errors, len(findings.warnings)])
    return findings


def table(reports: Iterable[Any]) -> list[str]:
    """Rows: source class and policy; columns: transfer syntaxes; cells: objects, errors, warnings."""
    cells: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    payloads: dict[str, set[str]] = defaultdict(set)
    columns: set[str] = set()
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name != PROPERTY:
                continue
            source, policy, _sop_class_uid, syntax, payload, errors, warnings = value
            columns.add(syntax)
            row = f"{source}, {policy}"
            payloads[row].add(payload)
            for cell in ((row, syntax), ("all", syntax), (row, "all"), ("all", "all")):
                cells[cell] += Counter(objects=1, E=errors, W=warnings)
    if not cells:
        return []
    ordered = [*sorted(columns), "all"]
    names = [*sorted(payloads), "all"]
    width = max(map(len, names))
    lines = ["Objects E/W (errors and warnings of dciodvfy and dicom-validator) by source and transfer syntax"]
    lines.append(f"{'':{width}} {'payloads':>8} " + " ".join(f"{column:>9}" for column in ordered))
    every = len(set().union(*payloads.values()))
    for name in names:
        row_cells = [cells.get((name, column)) for column in ordered]
        texts = [f"{cell['objects']} {cell['E']}/{cell['W']}" if cell else "-" for cell in row_cells]
        count = every if name == "all" else len(payloads[name])
        lines.append(f"{name:{width}} {count:>8} " + " ".join(f"{text:>9}" for text in texts))
    return lines
