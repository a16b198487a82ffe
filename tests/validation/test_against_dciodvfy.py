"""The validator against a checker of another maker: what that one calls an error, ours finds too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from media2dicom.validation import findings
from tests.checkers import dciodvfy
from tests.validation.objects import good


def _elements(dataset: Dataset) -> Iterator[tuple[Dataset, BaseTag]]:
    """Every element but the pixels, those of items too, with the data set that holds it."""
    for element in [element for element in dataset if element.keyword != "PixelData"]:
        yield dataset, element.tag
        for item in element.value if element.VR == "SQ" else ():
            yield from _elements(item)


@pytest.mark.parametrize("name", ["colour still", "grey cine, even", "STL"])
def test_each_attribute_that_dciodvfy_misses_is_missed_here_too(name: str, tmp_path: Path) -> None:
    dataset, broken = dcmread(good(name)), tmp_path / "broken.dcm"
    asked = 0
    for holder, tag in _elements(dataset):
        element = holder[tag]
        del holder[tag]
        for emptied in (None, DataElement(tag, element.VR, [] if element.VR == "SQ" else None)):
            if emptied is not None:
                holder[tag] = emptied
            dataset.save_as(broken, enforce_file_format=False)
            if not findings(broken):
                asked += 1
                errors = [line for line in dciodvfy(broken) if line.startswith("Error")]
                assert errors == [], (element.keyword, "is missing" if emptied is None else "is empty")
        holder[tag] = element
    assert asked > 10
