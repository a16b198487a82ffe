"""A manifest of many small rows over some studies."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.steps.walking import ObservedPacs, cells_of, new_study, png

STUDIES = 20


def large_manifest(path: Path, rows: int, pacs: ObservedPacs) -> Path:
    """`rows` different pictures over STUDIES new studies, in order, so that a batch has few studies; and the media."""
    found = [new_study() for _ in range(STUDIES)]
    pacs.load(*found)
    media = path.parent / f"{path.stem} media"
    media.mkdir(parents=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["study_instance_uid", "patient_id", "media"])
        writer.writeheader()
        for number in range(rows):
            picture = png(media / f"{number}.png", number)
            writer.writerow(cells_of(found[number * STUDIES // rows], media=f"{media.name}/{picture.name}"))
    return path
