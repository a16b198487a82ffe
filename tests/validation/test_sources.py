"""What is wrong with a source or a profile is mended or left out with a warning: it does not make an object that the
validator refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.icc import as_input_profile, srgb_input_profile
from media2dicom.validation import findings
from tests.dicom import making


def _comments_of_another_vr(source: Dataset) -> None:
    source[0x00104000] = DataElement(0x00104000, "ST", "calm")


def _description_of_two_lines(source: Dataset) -> None:
    source[0x00081030] = DataElement(0x00081030, "ST", "knee\nleft")


def _code(**more: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "a meaning"
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def _meaning_of_another_vr(source: Dataset) -> None:
    item = _code()
    item[0x00080104] = DataElement(0x00080104, "ST", "a meaning")
    source.ProcedureCodeSequence = [item]


def _attribute_of_no_dictionary(source: Dataset) -> None:
    item = _code()
    item.add_new(0x00080999, "LO", "of a later edition")
    source.ProcedureCodeSequence = [item]


def _no_code(source: Dataset) -> None:
    item = Dataset()
    item.MappingResource = "DCMR"
    source.ProcedureCodeSequence = [item]


def _one_uid_for_study_and_space(source: Dataset) -> None:
    source.FrameOfReferenceUID = source.StudyInstanceUID


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        (_comments_of_another_vr, ""),
        (_description_of_two_lines, "StudyDescription"),
        (_meaning_of_another_vr, ""),
        (_attribute_of_no_dictionary, ""),
        (_no_code, "ProcedureCodeSequence"),
        (_one_uid_for_study_and_space, ""),
    ],
)
def test_source_that_breaks_a_rule_makes_an_object_without_findings(
    change: Callable[[Dataset], None], warned: str, tmp_path: Path
) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    change(source)
    build = making.a_build(making.reread(source), tmp_path)
    (instance,) = build_instances(making.model(tmp_path), build)
    assert findings(instance.path) == ()
    assert [warning.split()[0] for warning in build.warnings] == ([warned] if warned else [])


@pytest.mark.parametrize(
    "change",
    [
        lambda profile: profile + b"padding",
        lambda profile: profile[:-40],
        lambda profile: b"\0\0\0\0" + profile[4:],
    ],
    ids=["longer than it says", "cut off", "of no length"],
)
def test_profile_that_is_not_whole_is_cut_to_size_or_left_out(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    whole = srgb_input_profile()
    picture = making.picture(making.pixels(), icc_profile=change(whole))
    (instance,) = making.build(making.still(picture), making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT"), tmp_path)
    assert findings(instance.path) == ()
    assert as_input_profile(change(whole)) in (None, whole)
