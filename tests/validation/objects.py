"""Good objects to break, made once, and the ways to break one: an attribute with pydicom, or bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread
from pydicom.dataset import FileDataset

from media2dicom.dicom.builders import build_instances
from media2dicom.model import Options
from media2dicom.validation import Finding, findings
from tests.dicom import making
from tests.dicom.test_contract import CASES

_FOLDER = TemporaryDirectory()


@cache
def good(name: str, transfer_syntax: str | None = None) -> Path:
    """The object of a case of the contract, which has no finding."""
    folder = Path(_FOLDER.name) / f"{name}-{transfer_syntax}".replace(" ", "_").replace(":", "-")
    folder.mkdir()
    options = Options(
        transfer_syntax=transfer_syntax,
        **({"color": (200, 30, 40), "opacity": 0.5, "model_usage": "129013"} if name == "STL" else {}),
    )
    build = making.a_build(making.real_source("CT_small.dcm"), folder, options)
    path = build_instances(CASES[name].payload(folder), build)[0].path
    assert findings(path) == ()
    return path


def with_attributes(path: Path, change: Callable[[FileDataset], None], folder: Path) -> Path:
    """A copy with something changed in the data set or its file meta."""
    dataset = dcmread(path)
    change(dataset)
    copy = folder / "broken.dcm"
    dataset.save_as(copy, enforce_file_format=False)
    return copy


def with_bytes(path: Path, change: Callable[[bytes], bytes], folder: Path) -> Path:
    copy = folder / "broken.dcm"
    before = path.read_bytes()
    after = change(before)
    assert after != before
    copy.write_bytes(after)
    return copy


def dataset_start(data: bytes) -> int:
    return 144 + int(struct.unpack("<L", data[140:144])[0])


def said(path: Path) -> set[tuple[str, str]]:
    """Attribute and rule of each finding, the numbers of items left out."""
    return {(finding.attribute, finding.rule.removeprefix("PS3.")) for finding in findings(path)}


__all__ = ["Finding", "dataset_start", "good", "said", "with_attributes", "with_bytes"]
