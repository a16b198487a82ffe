"""What must hold between the rows of one manifest: row_id, duplicates, series groups, shared media, drag-filled UIDs.

Each check is one pass with dictionaries: a hundred thousand rows take no longer per row than ten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from media2dicom.errors import CellRefused, DuplicateRow
from media2dicom.manifest.checking import Line, LineChecker
from media2dicom.manifest.keys import media_identity, rendition, study_reference
from media2dicom.model import Row

_DRAG_FILL_FROM: Final = 3  # rows whose UIDs count up
_NAMED: Final = 5  # rows listed in a message


def check_between_rows(lines: Sequence[Line], checker: LineChecker) -> None:
    """Refuse and warn across `lines`, which are in the sheet's order. The first of two rows wins."""
    _refuse_repeated_row_ids(lines, checker)
    _refuse_disagreeing_groups(lines, checker)
    _refuse_duplicates(lines, checker)
    _warn_of_shared_media(lines, checker)
    _warn_of_drag_fill(lines, checker)


def _accepted(lines: Iterable[Line]) -> Iterable[tuple[Line, Row]]:
    # one at a time: a check may refuse a line while the next is not yet looked at
    for line in lines:
        if line.row is not None:
            yield line, line.row


def _refuse_repeated_row_ids(lines: Sequence[Line], checker: LineChecker) -> None:
    first: dict[str, int] = {}
    for line in lines:
        row_id = line.texts.get("row_id")
        if row_id is None or line.skip:
            continue
        if row_id in first:
            remedy = "Give every row its own row_id, or none."
            checker.refuse(line, "row_id", DuplicateRow(f"row {first[row_id]} has the same row_id", next_step=remedy))
        else:
            first[row_id] = line.row_number


def _refuse_duplicates(lines: Sequence[Line], checker: LineChecker) -> None:
    # Only of rows that must share their fate: the same file for the same study and patient. Rows that reach one
    # picture by other ways (a second copy of the file, an accession number) are told apart when they are identified:
    # one of them may be refused for a reason of its own, and must not keep the other out.
    first: dict[tuple[object, ...], int] = {}
    for line, row in _accepted(lines):
        identity = (row.media_path, row.patient_birth_date, row.patient_name, *rendition(row))
        earlier = first.setdefault(identity, row.row_number)
        if earlier != row.row_number:
            checker.refuse(line, "media", DuplicateRow(f"row {earlier} {DuplicateRow.files}"))


def _group_facts(row: Row) -> dict[str, object]:
    options = row.options
    return {
        "study": study_reference(row),
        "patient_id": row.patient_id,
        "destination": row.destination,
        "modality": options.modality,
        "series_description": options.series_description,
        "series_number": options.series_number,
        "accession_override": options.accession_override,
        "body_part": options.body_part,
    }


def _refuse_disagreeing_groups(lines: Sequence[Line], checker: LineChecker) -> None:
    first: dict[str, Row] = {}
    size: dict[str, int] = defaultdict(int)
    for line, row in _accepted(lines):
        group = row.options.series_group
        if group is None:
            continue
        leader = first.setdefault(group, row)
        theirs = _group_facts(leader)
        differing = [name for name, value in _group_facts(row).items() if value != theirs[name]]
        if differing:
            checker.refuse(
                line,
                "series_group",
                CellRefused(
                    f"row {leader.row_number} is of the same series_group, but differs in {', '.join(differing)}",
                    next_step="Make the rows agree, or give them different groups.",
                ),
            )
            continue
        size[group] += 1
        line.row = replace(row, order_in_group=size[group])


def _warn_of_shared_media(lines: Sequence[Line], checker: LineChecker) -> None:
    rows_of: dict[str, dict[str, list[tuple[Line, Row]]]] = defaultdict(lambda: defaultdict(list))
    for line, row in _accepted(lines):
        rows_of[media_identity(row)][row.patient_id].append((line, row))
    for patients in rows_of.values():
        if len(patients) < 2:
            continue
        # one row stands for each patient; a few are enough to find the others
        samples = [(patient, members[0][1].row_number) for patient, members in list(patients.items())[: _NAMED + 1]]
        for patient, members in patients.items():
            others = [number for other, number in samples if other != patient][:_NAMED]
            listed = ", ".join(map(str, others)) + (", ..." if len(patients) - 1 > len(others) else "")
            for line, _ in members:
                checker.warn(
                    line,
                    "media",
                    "media-of-two-patients",
                    f"the same file is given for another patient in row {listed}",
                    "Make sure whose file it is.",
                )


def _warn_of_drag_fill(lines: Sequence[Line], checker: LineChecker) -> None:
    run: list[Line] = []
    for line in [*lines, None]:
        if line is not None and (not run or _counts_up(run[-1], line)):
            run.append(line)
            continue
        if len(run) >= _DRAG_FILL_FROM:
            checker.warn(
                run[0],
                "study_instance_uid",
                "uid-drag-filled",
                f"rows {run[0].row_number} to {run[-1].row_number}: the UIDs count up by one, as if filled by dragging",
                "Copy each UID from the PACS; to repeat one, hold Ctrl while dragging.",
            )
        run = [line] if line is not None else []


def _counts_up(line: Line, following: Line) -> bool:
    """Same patient, same UID but for a last component that is one more."""
    before, after = line.values.get("study_instance_uid"), following.values.get("study_instance_uid")
    if before is None or after is None or line.texts.get("patient_id") != following.texts.get("patient_id"):
        return False
    (root, _, last), (next_root, _, next_last) = before.rpartition("."), after.rpartition(".")
    return bool(root == next_root) and int(next_last) == int(last) + 1
