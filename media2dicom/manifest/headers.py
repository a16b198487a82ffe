"""The header row: which column is where, and everything wrong with the sheet as a whole, at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice

from media2dicom.errors import ManifestUnusable
from media2dicom.manifest.columns import COLUMN, COLUMNS, MANDATORY_COLUMNS, STUDY_COLUMNS, Kind, header_name
from media2dicom.manifest.report import Note, Problem, Severity
from media2dicom.manifest.tables import Table, address, cell_text


@dataclass(frozen=True)
class Header:
    """`index` says where a known column is; `names` has every column by its own name, system columns left out."""

    texts: tuple[str, ...]
    index: dict[str, int]
    names: tuple[tuple[int, str], ...]
    problems: tuple[Problem, ...]
    notes: tuple[Note, ...]


def read_header(table: Table, row_numbers: list[int]) -> Header:
    """Read row 1. Raises ManifestUnusable naming all causes: a header missing or twice, no rows."""
    texts = tuple(cell_text(cell) for cell in table.rows[0]) if table.rows else ()
    spelled = [header_name(text) for text in texts]
    causes = _causes(spelled, any_header=any(texts), any_row=bool(row_numbers))
    if causes:
        raise ManifestUnusable("\n".join(causes))
    index = {name: place for place, name in enumerate(spelled) if name in COLUMN}
    unknown = [(place, text) for place, text in enumerate(texts) if text and spelled[place] not in COLUMN]
    # the place tells two unknown columns of one name apart
    names = [(place, name) for name, place in index.items() if COLUMN[name].kind is not Kind.SYSTEM]
    names += [
        (place, f"{spelled[place]} {address(1, place)}") for place in range(len(texts)) if place not in index.values()
    ]
    return Header(
        texts,
        index,
        tuple(sorted(names)),
        tuple(_misspellings(unknown, index)),
        tuple(_notes(table, row_numbers, texts, index, unknown)),
    )


def _causes(spelled: list[str], *, any_header: bool, any_row: bool) -> list[str]:
    if not any_header:
        return ["Row 1 has no headers." if any_row else "The sheet is empty."]
    causes = []
    for name in dict.fromkeys(spelled):
        places = [address(1, place) for place, other in enumerate(spelled) if other == name]
        if name in COLUMN and len(places) > 1:
            causes.append(f"The column {name} is there {len(places)} times ({', '.join(places)}): keep one.")
    for name in MANDATORY_COLUMNS:
        if name not in spelled:
            causes.append(f"There is no column {name}.{_similar(name, spelled)}")
    if not set(STUDY_COLUMNS) & set(spelled):
        causes.append(f"There is no column {' or '.join(STUDY_COLUMNS)}.{_similar(STUDY_COLUMNS[0], spelled)}")
    if not any_row:
        causes.append("There are no rows below the header.")
    return causes


def _similar(name: str, spelled: list[str]) -> str:
    """Cell addresses only: without its header row, a sheet's first row is a patient's."""
    match = get_close_matches(name, [other for other in spelled if other not in COLUMN], n=1, cutoff=0.75)
    return f" {address(1, spelled.index(match[0]))} looks like it: write it as {name}." if match else ""


def _misspellings(unknown: list[tuple[int, str]], index: dict[str, int]) -> Iterable[Problem]:
    missing = [column.name for column in COLUMNS if column.name not in index]
    for place, text in unknown:
        match = get_close_matches(header_name(text), missing, n=1, cutoff=0.8)
        if match:
            yield Problem(
                1,
                address(1, place),
                None,
                Severity.WARNING,
                "header-misspelled",
                f"the header looks like {match[0]}, but is not: the column is kept and not used",
                f"Write it as {match[0]}, if that is meant.",
            )


def _notes(
    table: Table, row_numbers: list[int], texts: tuple[str, ...], index: dict[str, int], unknown: list[tuple[int, str]]
) -> Iterable[Note]:
    for code, message in table.notes:
        yield Note(code, message)
    rows = [table.rows[number - 1] for number in row_numbers]

    def filled(place: int) -> int:
        return sum(1 for row in rows if cell_text(row[place]))

    for name, place in index.items():
        if not COLUMN[name].used and (count := filled(place)):
            yield Note("column-unused", f"{name} is kept but not used yet ({count} rows).", name)
    if any(COLUMN[name].kind is Kind.SYSTEM for name in index):
        yield Note("system-columns", "The columns of an earlier result are ignored and written anew.")
    if unknown:
        listed = ", ".join(address(1, place) for place, _ in unknown)
        yield Note("column-unknown", f"Columns that are no part of a manifest are kept and not used: {listed}.")
    for place, text in enumerate(texts):
        if not text and (count := filled(place)):
            yield Note("column-unnamed", f"{address(1, place)} is empty, but {count} rows have values below it.")
    hidden = sorted(set(table.traps.hidden_rows) & set(row_numbers))
    if hidden:
        listed = ", ".join(map(str, islice(hidden, 10))) + (", ..." if len(hidden) > 10 else "")
        yield Note("rows-hidden", f"{len(hidden)} rows are hidden in the sheet and are filed all the same: {listed}.")
