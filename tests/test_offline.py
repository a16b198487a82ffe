"""Conversion without a PACS: what becomes of a source that is damaged, and of what is in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from media2dicom.errors import OptionRefused, SourceUnusable
from media2dicom.model import Options
from media2dicom.offline import convert_file, read_source
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from tests.pacs import studies
from tests.steps import walking


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with walking.workbench(Settings(cache_dir=tmp_path / "cache", data_dir=tmp_path / "data")) as opened:
        yield opened


def deflated_and_cut(folder: Path) -> bytes:
    image = studies.image()
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    image.save_as(folder / "deflated.dcm", enforce_file_format=True)
    return (folder / "deflated.dcm").read_bytes()[:1200]


def test_source_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    damaged = {"no DICOM": b"words", "cannot be read": deflated_and_cut(tmp_path)}
    for words, content in damaged.items():
        (tmp_path / "source.dcm").write_bytes(content)
        with pytest.raises(SourceUnusable, match=words):
            read_source(tmp_path / "source.dcm")
    with pytest.raises(SourceUnusable, match="cannot be read"):
        read_source(tmp_path / "missing.dcm")


@pytest.mark.parametrize("keyword", ["BodyPartExamined", "Laterality", "Modality", "Manufacturer", "StudyDate", "Rows"])
def test_source_with_a_broken_attribute_that_nobody_needs_lends_the_rest(
    bench: Workbench, tmp_path: Path, keyword: str
) -> None:
    image = studies.image(BodyPartExamined="HAND", Laterality="L")
    (tmp_path / "source.dcm").write_bytes(studies.with_broken_vr(image, keyword))
    source = read_source(tmp_path / "source.dcm")
    (instance,), _ = convert_file(bench, walking.png(tmp_path / "a.png"), source, Options(), tmp_path)
    assert dcmread(instance.path).PatientID == source.PatientID


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "StudyInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_source_with_a_broken_identifier_is_refused_by_its_name(bench: Workbench, tmp_path: Path, keyword: str) -> None:
    (tmp_path / "source.dcm").write_bytes(studies.with_broken_vr(studies.image(), keyword))
    source = read_source(tmp_path / "source.dcm")
    with pytest.raises(SourceUnusable, match=keyword):
        convert_file(bench, walking.png(tmp_path / "a.png"), source, Options(), tmp_path)


def test_file_in_the_way_that_cannot_be_read_is_not_written_over(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(deflated_and_cut(tmp_path))
    with pytest.raises(OptionRefused, match="holds something else"):
        convert_file(bench, walking.png(tmp_path / "a.png"), studies.image(), Options(), tmp_path)
