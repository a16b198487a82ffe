"""Manifests for the tests, written as the programs of the lab write them: openpyxl for .xlsx, csv for text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openpyxl import Workbook

STUDY = "1.2.276.0.7230010.3.1.2.1"
GOOD = {"media": "a.jpg", "study_instance_uid": STUDY, "patient_id": "00123"}


def media(folder: Path, *names: str) -> None:
    """One small file each, all different."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"media {name}".encode())


def headers_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def xlsx(path: Path, rows: Sequence[Mapping[str, Any]], *, sheet: str = "Data") -> Path:
    workbook = Workbook()
    page = workbook.active
    page.title = sheet
    headers = headers_of(rows)
    page.append(headers)
    for row in rows:
        page.append([row.get(name) for name in headers])
    workbook.save(path)
    return path


def text(path: Path, rows: Sequence[Mapping[str, Any]], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    headers = headers_of(rows)
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(headers)
        writer.writerows([row.get(name, "") for name in headers] for row in rows)
    return path
