"""How a run's end reads, in one line of people's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from media2dicom.errors import Media2DicomError, cause_words, error_kinds
from media2dicom.model import Status
from media2dicom.summary import Summary


def line(by_cause: dict[tuple[Status, str], int], already_stored: int = 0) -> str:
    rows = sum(by_cause.values())
    return str(Summary("run", Path("knees.xlsx"), rows, by_cause, already_stored, None))


@pytest.mark.parametrize(
    ("by_cause", "before", "reads"),
    [
        ({(Status.STORED, ""): 212}, 0, "All 212 rows are stored."),
        ({(Status.STORED, ""): 212}, 12, "All 212 rows are stored, 12 of them by an earlier run."),
        ({(Status.STORED, ""): 1}, 0, "The only row is stored."),
        (
            {(Status.STORED, ""): 9, (Status.SKIPPED, "skipped"): 1},
            0,
            "9 of 10 rows are stored. 1 was skipped, as the manifest says.",
        ),
        ({(Status.SKIPPED, "skipped"): 2}, 0, "All 2 rows are skipped, as the manifest says."),
        (
            {
                (Status.STORED, ""): 209,
                (Status.REFUSED, "study-not-found"): 1,
                (Status.FAILED, "pacs-out-of-resources"): 2,
            },
            0,
            "3 of 212 rows failed: 2 PACS out of resources, 1 study not found.",
        ),
        (
            {(Status.STORED, ""): 9, (Status.REFUSED, "media-missing"): 3},
            1,
            "3 of 12 rows were refused: 3 media missing. 1 was stored by an earlier run.",
        ),
        ({(Status.UNCERTAIN, "store-uncertain"): 1}, 0, "The only row is uncertain: sent without an answer."),
        (
            {(Status.CONFLICT, "conflict"): 1, (Status.REFUSED, "duplicate"): 1},
            0,
            "2 of 2 rows are not stored: 1 conflict in the PACS, 1 duplicate row.",
        ),
        ({(Status.STORED, ""): 2, (Status.CHECKED, ""): 4}, 0, "4 of 6 rows are not stored: 4 not begun."),
        (
            {(Status.FAILED, "cache-failed"): 1, (Status.UNCERTAIN, "cache-failed"): 2},
            0,
            "3 of 3 rows failed: 3 cache failed.",
        ),
        ({}, 0, "There are no rows."),
    ],
)
def test_the_end_of_a_run_reads_as_people_would_say_it(
    by_cause: dict[tuple[Status, str], int], before: int, reads: str
) -> None:
    assert line(by_cause, before) == reads


def test_every_cause_has_words_of_its_own() -> None:
    kinds = error_kinds()
    words = {code: cause_words(code) for code in kinds}
    assert words["pacs-unreachable"] == "PACS unreachable"
    assert words["pacs-out-of-resources"] == "PACS out of resources"
    assert words["store-failed"] == "refused by the PACS"
    assert cause_words("unfinished") == "unfinished"
    assert len(set(words.values())) == len(words)
    assert not [code for code, text in words.items() if "-" in text or len(text) > 40]
    assert all(issubclass(kind, Media2DicomError) for kind in kinds.values())
