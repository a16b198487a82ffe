"""Small studies for the tests, each with UIDs of its own, made from a file that pydicom brings."""

from __future__ import annotations

import copy
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from media2dicom.model import Instance


@cache
def _template() -> Dataset:
    dataset = get_testdata_file("CT_small.dcm", read=True)
    assert isinstance(dataset, Dataset)
    return dataset


def image(like: Dataset | None = None, **values: Any) -> Dataset:
    """An image of a new study; with `like` in that one's study and series. `values`: attributes to set."""
    dataset = copy.deepcopy(like or _template())
    if like is None:
        dataset.StudyInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        dataset.PatientID = "P" + generate_uid()[-10:]
        dataset.AccessionNumber = "A" + generate_uid()[-10:]
    dataset.SOPInstanceUID = generate_uid()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    return dataset


def with_broken_vr(dataset: Dataset, keyword: str) -> bytes:
    """A Part 10 file in which one element has a value representation that there is not."""
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    tag, vr = Tag(keyword), dictionary_VR(keyword).encode()
    element = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    whole = file.getvalue()
    assert element + vr in whole
    return whole.replace(element + vr, element + b"ZZ", 1)


def prepared(dataset: Dataset, folder: Path, number: int = 0) -> Instance:
    """The data set as a file in the cache."""
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return Instance(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        study_instance_uid=str(dataset.StudyInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        path=path,
        size_bytes=path.stat().st_size,
        number=number,
    )
