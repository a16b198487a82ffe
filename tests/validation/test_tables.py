"""The validator's tables against PS3.3 itself, as the wheel dicom-standard has it (edition 2020b)."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import keyword_for_tag

from media2dicom.validation.definitions import Attribute
from media2dicom.validation.iods import IODS


@cache
def _standard(name: str) -> Any:
    files = {Path(str(file)).name: file.locate() for file in distribution("dicom-standard").files or ()}
    return json.loads(Path(str(files[f"{name}.json"])).read_text(encoding="utf-8"))


@cache
def _module_types() -> dict[str, dict[str, dict[str, str]]]:
    """Module -> path of the sequence ("" at the top) -> keyword -> type."""
    names = {module["id"]: module["name"] for module in _standard("modules")}
    found: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for row in _standard("module_to_attributes"):
        *parents, tag = row["path"].split(":")[1:]
        if len(parents) < 3 and "x" not in row["path"].rsplit(":", 1)[1]:
            path = "/".join(keyword_for_tag(int(parent, 16)) for parent in parents)
            found[names[row["moduleId"]]][path][keyword_for_tag(int(tag, 16))] = row["type"]
    return found


@cache
def _usages(sop_class_uid: str) -> dict[str, str]:
    """Module -> usage of the SOP Class's IOD."""
    iod = next(row["ciod"] for row in _standard("sops") if row["id"] == sop_class_uid)
    ciod = next(row["id"] for row in _standard("ciods") if row["name"] == iod)
    names = {module["id"]: module["name"] for module in _standard("modules")}
    return {names[row["moduleId"]]: row["usage"] for row in _standard("ciod_to_modules") if row["ciodId"] == ciod}


@pytest.mark.parametrize("sop_class_uid", IODS)
def test_every_mandatory_module_of_the_standard_is_in_the_table_with_its_usage(sop_class_uid: str) -> None:
    ours = {use.module.name: use.usage for use in IODS[sop_class_uid].uses}
    standard = _usages(sop_class_uid)
    assert {name for name, usage in standard.items() if usage == "M"} == {n for n, u in ours.items() if u == "M"}
    assert ours.items() <= standard.items()


@pytest.mark.parametrize("sop_class_uid", IODS)
def test_every_attribute_of_type_1_and_2_is_in_the_table(sop_class_uid: str) -> None:
    for use in IODS[sop_class_uid].uses:
        ours = {attribute.keyword: attribute.type for attribute in use.module.attributes}
        standard = _module_types()[use.module.name][""]
        assert {(k, t) for k, t in standard.items() if t in ("1", "2")} <= set(ours.items()), use.module.name


# Types 1C and 2C of the standard that are in no table, as their conditions cannot arise in what is written.
NOT_WRITTEN = {
    "an acquisition": "PatientPosition AnatomicalOrientationType ReferencedDefinedProtocolSequence AcquisitionDateTime "
    "ReferencedPerformedProtocolSequence IVUSAcquisition IVUSPullbackRate IVUSGatedRate IVUSPullbackStartFrameNumber "
    "IVUSPullbackStopFrameNumber",
    "a calibration": "PixelSpacing PixelSpacingCalibrationDescription NominalScannedPixelSpacing",
    "padded pixels": "PixelPaddingValue PixelPaddingRangeLimit",
    "pixels elsewhere": "PixelDataProviderURL",
    "a reference to some frames or segments": "ReferencedFrameNumber ReferencedSegmentNumber",
    "a source's orientation": "PatientOrientation",
    "another vector than that of times": "PageNumberVector FrameLabelVector FramePrimaryAngleVector "
    "FrameSecondaryAngleVector SliceLocationVector DisplayWindowLabelVector",
    "encryption, conversion, another view": "EncryptedAttributesSequence ConversionSourceAttributesSequence "
    "QueryRetrieveView HL7StructuredDocumentReferenceSequence",
    "a content tree": "ValueType ContinuityOfContent ContentTemplateSequence",
    "a code's version or list": "CodingSchemeVersion MappingResource ContextGroupVersion ContextGroupLocalVersion "
    "ContextGroupExtensionCreatorUID",
}
_NOT_WRITTEN = frozenset(" ".join(NOT_WRITTEN.values()).split())
_PALETTE = "RedPaletteColorLookupTable{0} GreenPaletteColorLookupTable{0} BluePaletteColorLookupTable{0}"
PALETTE = {keyword for part in ("Descriptor", "Data") for keyword in _PALETTE.format(part).split()}
# Of one module, which other modules have.
NOT_WRITTEN_OF = {"Image Pixel": PALETTE, "IconImageSequence": {"PixelAspectRatio"}}


@pytest.mark.parametrize("sop_class_uid", IODS)
def test_every_attribute_of_type_1c_and_2c_is_in_the_table_or_cannot_arise(sop_class_uid: str) -> None:
    for use in IODS[sop_class_uid].uses:
        _assert_conditional(use.module.name, use.module.attributes, "", _module_types()[use.module.name])


def _assert_conditional(
    holder: str, attributes: tuple[Attribute, ...], path: str, standard: dict[str, dict[str, str]]
) -> None:
    asked = {keyword for keyword, type_ in standard[path].items() if type_ in ("1C", "2C")}
    ours = {attribute.keyword for attribute in attributes}
    assert asked - ours <= _NOT_WRITTEN | NOT_WRITTEN_OF.get(holder, set()), (holder, path)
    for attribute in attributes:
        below = f"{path}/{attribute.keyword}".lstrip("/")
        if attribute.items and not attribute.more and below in standard:
            _assert_conditional(attribute.keyword, attribute.items, below, standard)


def test_no_attribute_that_is_said_not_to_arise_is_in_a_table_all_the_same() -> None:
    ours = {attribute.keyword for iod in IODS.values() for use in iod.uses for attribute in use.module.attributes}
    assert _NOT_WRITTEN & ours <= {"PixelSpacing", "PatientOrientation", "AcquisitionDateTime"}  # of other modules


@pytest.mark.parametrize("sop_class_uid", IODS)
def test_every_attribute_of_the_table_has_the_type_of_the_standard(sop_class_uid: str) -> None:
    for use in IODS[sop_class_uid].uses:
        standard = _module_types()[use.module.name]
        for attribute in use.module.attributes:
            told = standard[""].get(attribute.keyword)
            assert attribute.type == told, (use.module.name, attribute.keyword)
            _assert_items(attribute, attribute.keyword, standard)


def _assert_items(attribute: Attribute, path: str, standard: dict[str, dict[str, str]]) -> None:
    """What an item has to have is in the standard's items; never weaker than there."""
    if attribute.items and path in standard:
        for inner in attribute.items:
            told = standard[path].get(inner.keyword)
            assert told is not None, (path, inner.keyword)
            assert inner.type[0] <= told[0], (path, inner.keyword)
            _assert_items(inner, f"{path}/{inner.keyword}", standard)
        needed = {keyword for keyword, type_ in standard[path].items() if type_ == "1"}
        assert needed <= {inner.keyword for inner in attribute.items}, path
