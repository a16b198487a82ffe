"""Coded values (PS3.3 8.8) from the context groups that PS3.16 demands, defined terms, references and what they name.

What is copied from the source may have codes of any list; what is judged here the project itself has written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from media2dicom.dicom.body_parts import BODY_PARTS
from media2dicom.dicom.modalities import MODALITIES
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import IOD
from media2dicom.validation.written import Written, all_items, item_paths

Group = frozenset[tuple[str, str, str]]  # code value, coding scheme designator, code meaning


def _group(number: int) -> Group:
    concepts = getattr(codes, f"cid{number}").concepts.values()
    return frozenset((str(code.value), str(code.scheme_designator), str(code.meaning)) for code in concepts)


SOURCE_DOCUMENT_PURPOSES: Final = _group(7060)
SOURCE_INSTANCE_PURPOSES: Final = _group(7013)
SOURCE_IMAGE_PURPOSES: Final = _group(7202)
REFERENCED_IMAGE_PURPOSES: Final = _group(7201)
UNITS: Final = _group(7063)
USAGES: Final = _group(7064)
# CID 7061; pydicom's has a code of CID 7060 among them.
MODEL_TITLES: Final = _group(7061) - SOURCE_DOCUMENT_PURPOSES
REGIONS: Final[Group] = frozenset((part.sct_code, "SCT", part.meaning) for part in BODY_PARTS.values() if part.sct_code)

KNOWN: Final = REGIONS.union(
    *(SOURCE_DOCUMENT_PURPOSES, SOURCE_INSTANCE_PURPOSES, SOURCE_IMAGE_PURPOSES, REFERENCED_IMAGE_PURPOSES),
    *(UNITS, USAGES, MODEL_TITLES),
)

_PURPOSES: Final = {
    "SourceImageSequence": (SOURCE_IMAGE_PURPOSES, "PS3.16 CID 7202"),
    "ReferencedImageSequence": (REFERENCED_IMAGE_PURPOSES, "PS3.16 CID 7201"),
}
_CODE: Final = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_ONE_ITEM: Final = frozenset(
    {"MeasurementUnitsCodeSequence", "ModelUsageCodeSequence", "ConceptNameCodeSequence", "IconImageSequence"}
)


def is_model(iod: IOD) -> bool:
    return "Manufacturing 3D Model" in {use.module.name for use in iod.uses}


def check_codes(written: Written, iod: IOD) -> Iterator[Finding]:
    """Code items of the whole data set, and the context groups of this object."""
    yield from _check_items(written.header)
    yield from _check_terms(written.header)
    for keyword in _ONE_ITEM:
        if len(written.header.get(keyword) or ()) > 1:
            yield Finding(keyword, "has more than one item", "PS3.3 C.24.2, C.35.1")
    if is_model(iod):
        for keyword, group, number in (
            ("MeasurementUnitsCodeSequence", UNITS, 7063),
            ("ModelUsageCodeSequence", USAGES, 7064),
            ("ConceptNameCodeSequence", MODEL_TITLES, 7061),
        ):
            yield from _outside(written.header, keyword, group, f"PS3.16 CID {number}")
    purposes = dict(_PURPOSES)
    of_document = "EncapsulatedDocument" in {a.keyword for use in iod.uses for a in use.module.attributes}
    if not of_document and not any(keyword in written.header for keyword in (*_PURPOSES, "SourceInstanceSequence")):
        yield Finding("ReferencedImageSequence", "is missing, and nothing else names the source", "PS3.3 C.7.6.4")
    purposes["SourceInstanceSequence"] = (
        (SOURCE_DOCUMENT_PURPOSES, "PS3.16 CID 7060") if of_document else (SOURCE_INSTANCE_PURPOSES, "PS3.16 CID 7013")
    )
    for keyword, (group, rule) in purposes.items():
        for path, item in item_paths(written.header, keyword):
            for finding in _outside(item, "PurposeOfReferenceCodeSequence", group, rule):
                yield Finding(f"{path}.{finding.attribute}", finding.text, finding.rule)


def _outside(dataset: Dataset, keyword: str, group: Group, rule: str) -> Iterator[Finding]:
    for path, item in item_paths(dataset, keyword):
        value, scheme, meaning = (str(item.get(keyword, "")) for keyword in _CODE)
        if (value, scheme) not in {code[:2] for code in group}:
            yield Finding(path, "has a code outside its context group", rule)
        elif meaning and (value, scheme, meaning) not in group:
            yield Finding(path, "has another meaning than its code", rule)


def _check_terms(header: Dataset) -> Iterator[Finding]:
    """Modality, Body Part Examined and the region's code, which are the project's own words for the source's."""
    modality, term = (str(header.get(keyword) or "") for keyword in ("Modality", "BodyPartExamined"))
    if modality and modality not in MODALITIES:
        yield Finding("Modality", "is no defined term", "PS3.3 C.7.3.1.1.1")
    yield from _outside(header, "AnatomicRegionSequence", REGIONS, "PS3.16 Annex L")
    part = BODY_PARTS.get(term)
    if term and (part is None or part.code_only):
        yield Finding("BodyPartExamined", "is no defined term", "PS3.16 Annex L")
    regions = [str(item.get("CodeValue", "")) for _, item in item_paths(header, "AnatomicRegionSequence")]
    if part is not None and regions != ([part.sct_code] if part.sct_code else []):
        yield Finding("AnatomicRegionSequence", "is not the code of BodyPartExamined", "PS3.16 Annex L")


def _check_items(dataset: Dataset) -> Iterator[Finding]:
    for path, keyword, item in all_items(dataset):
        if not len(item):
            yield Finding(path, "is empty", "PS3.5 7.5")
        elif keyword.endswith("CodeSequence") and not _is_whole(item):
            yield Finding(path, "is no whole code", "PS3.3 8.8")


def _is_whole(item: Dataset) -> bool:
    by_value = bool(item.get("CodeValue")) or bool(item.get("LongCodeValue"))
    named = bool(item.get("CodingSchemeDesignator")) if by_value else bool(item.get("URNCodeValue"))
    return named and bool(item.get("CodeMeaning"))
