"""A manifest file to a Manifest: rows to file, rows set aside, problems, notes. The recipe, top to bottom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from media2dicom.manifest.checking import Line, LineChecker
from media2dicom.manifest.crossing import check_between_rows
from media2dicom.manifest.defaults import read_defaults
from media2dicom.manifest.headers import Header, read_header
from media2dicom.manifest.keys import digest
from media2dicom.manifest.paths import MediaFinder
from media2dicom.manifest.report import Manifest, Note, RefusedRow, SkippedRow
from media2dicom.manifest.tables import Table, cell_text, open_table
from media2dicom.model import SopClassPolicy


def read_manifest(
    path: Path,
    *,
    media_roots: Iterable[Path] = (),
    known_servers: Collection[str] | None = None,
    hash_media: bool = True,
    sop_class_policy: SopClassPolicy = SopClassPolicy.SECONDARY_CAPTURE,
) -> Manifest:
    """Read an .xlsx, .csv or .tsv manifest and check all of it. Nothing is asked of a PACS, no media is decoded.

    Media are looked for below the manifest's folder and `media_roots`, nowhere else. `known_servers` are the names
    that `destination` may have (None: not checked). Without `hash_media` rows have no media_sha256, a given one is
    not compared, and keys differ from those of a run that hashes. `sop_class_policy` is the site's: the sheet Defaults
    overrides it, and a row's own cell overrides that.

    Raises ManifestUnusable when the sheet as a whole cannot be used, with every cause on a line of its message.
    What is wrong with a row refuses that row only.
    """
    table = open_table(path)
    row_numbers = _filled_rows(table)
    header = read_header(table, row_numbers)
    finder = MediaFinder(path.parent, media_roots, hash_media=hash_media)
    defaults = {"sop_class_policy": sop_class_policy} | read_defaults(path)
    checker = LineChecker(table, header, finder, known_servers, defaults)
    lines = [checker.check(number) for number in row_numbers]
    check_between_rows(lines, checker)
    refused, skipped = _set_aside(lines, table, header)
    return Manifest(
        path=path,
        sheet=table.sheet,
        headers=header.texts,
        rows=tuple(line.row for line in lines if line.row is not None),
        refused=refused,
        skipped=skipped,
        problems=(*header.problems, *(problem for line in lines for problem in line.problems)),
        notes=(*header.notes, *_notes_of_unused(checker)),
    )


def _notes_of_unused(checker: LineChecker) -> Iterator[Note]:
    for (column, media), numbers in sorted(checker.unused.items()):
        where = f"row {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} rows, the first is row {numbers[0]}"
        yield Note("column-unused", f"{column} says nothing about {media} files: not used ({where}).", column)


def _filled_rows(table: Table) -> list[int]:
    """Row numbers below the header with anything but spaces in them."""
    marked = {row for row, _ in table.traps.marked}
    return [
        number
        for number, cells in enumerate(table.rows, start=1)
        if number > 1 and (number in marked or any(cell_text(cell) for cell in cells))
    ]


def _set_aside(
    lines: Iterable[Line], table: Table, header: Header
) -> tuple[tuple[RefusedRow, ...], tuple[SkippedRow, ...]]:
    refused: list[RefusedRow] = []
    skipped: list[SkippedRow] = []
    seen: Counter[str] = Counter()
    for line in lines:
        if line.row is not None:
            continue
        key = _raw_key(table, header, line.row_number, seen)
        row_id = line.values.get("row_id") or line.texts.get("row_id") or f"r-{key[:16]}"
        media = line.texts.get("media", "")
        if line.skip:
            skipped.append(SkippedRow(line.row_number, row_id, media, key))
        else:
            refused.append(RefusedRow(line.row_number, row_id, media, key, tuple(line.problems)))
    return tuple(refused), tuple(skipped)


def _raw_key(table: Table, header: Header, row_number: int, seen: Counter[str]) -> str:
    """From the cells' texts and how often the same line came before: sorting the sheet changes no key."""
    cells = table.rows[row_number - 1]
    content = digest("raw", {name: text for place, name in header.names if (text := cell_text(cells[place]))})
    seen[content] += 1
    return digest("set-aside", content, seen[content])
