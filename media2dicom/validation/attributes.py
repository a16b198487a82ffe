"""The data set against the tables: types 1, 1C, 2, 2C of each module, enumerated values (PS3.5 7.4, PS3.3 A)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from media2dicom.validation.definitions import Attribute
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import ENUMERATED, IOD, ModuleUse
from media2dicom.validation.written import Written, is_empty


def check_attributes(written: Written, iod: IOD) -> Iterator[Finding]:
    """Every module of the object that the data set has or has to have."""
    held = _bulk_keywords(written)
    told: dict[str, Finding] = {}  # several modules may ask for one attribute: the strictest is told
    for use in _in_force(written.header, iod):
        for finding in _check(written.header, use.module.attributes, "", f"PS3.3 {use.module.section}", held):
            told[finding.attribute] = min(finding, told.get(finding.attribute, finding), key=lambda one: one.text)
    yield from told.values()
    attributes = [attribute for use in iod.uses for attribute in use.module.attributes]
    yield from _check_others(written.header, attributes, "", f"PS3.3 {iod.section}")
    yield from _check_enumerated(written, iod)


def _bulk_keywords(written: Written) -> frozenset[str]:
    """The bulk element is not in the header; it is there all the same, where it has a value."""
    return frozenset({keyword_for_tag(written.bulk.tag)} if written.bulk is not None and written.bulk.length else ())


def _in_force(header: Dataset, iod: IOD) -> Iterator[ModuleUse]:
    """The modules that the data set is held to."""
    shared = Counter(attribute.keyword for use in iod.uses for attribute in use.module.attributes)
    for use in iod.uses:
        own = (attribute.keyword for attribute in use.module.attributes if shared[attribute.keyword] == 1)
        if (
            use.usage == "M"
            or (use.required is not None and use.required(header))
            or any(keyword in header for keyword in own)
        ):
            yield use


def _check(
    dataset: Dataset, attributes: Iterable[Attribute], path: str, section: str, held: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    for attribute in attributes:
        name = path + attribute.keyword
        present = attribute.keyword in dataset
        empty = present and is_empty(dataset, attribute.keyword)
        if attribute.keyword in held:
            continue
        required = attribute.required is not None and attribute.required(dataset)
        if not present and (attribute.type in ("1", "2") or required):
            yield Finding(name, f"is missing (type {attribute.type})", section)
        elif present and attribute.not_otherwise and not required:
            yield Finding(name, f"is there without what requires it (type {attribute.type})", section)
        elif empty and attribute.type in ("1", "1C"):
            yield Finding(name, f"has no value (type {attribute.type})", section)
        elif empty and attribute.type == "3" and dictionary_VR(attribute.tag) == "SQ":
            yield Finding(name, "has no item", section)
        elif attribute.items and present:
            for number, item in enumerate(dataset[attribute.keyword].value or (), start=1):
                yield from _check(item, attribute.items, f"{name}[{number}].", section)
                if not attribute.more:
                    yield from _check_others(item, attribute.items, f"{name}[{number}].", section)


def _check_others(dataset: Dataset, known: Iterable[Attribute], path: str, section: str) -> Iterator[Finding]:
    """What the data set, or an item, has beside the attributes that it may have."""
    keywords = {attribute.keyword for attribute in known}
    for tag in dataset.keys():  # noqa: SIM118 - a Dataset iterates over elements, not tags
        keyword = keyword_for_tag(tag)
        if keyword and keyword not in keywords:
            yield Finding(path + keyword, "is in no module of the object as the project writes it", section)


def _check_enumerated(written: Written, iod: IOD) -> Iterator[Finding]:
    for keyword, allowed in (ENUMERATED | dict(iod.enumerated)).items():
        value = written.header.get(keyword)
        text = "\\".join(map(str, value)) if isinstance(value, MultiValue | list) else str(value or "")
        if text and text not in allowed:
            yield Finding(keyword, "has none of its enumerated values", f"PS3.3 {iod.section}")
