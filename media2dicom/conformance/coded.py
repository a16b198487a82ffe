"""Coded terminology: the codes that the program writes, with the context groups of PS3.16 that they are from."""

from __future__ import annotations

from collections.abc import Iterator

from media2dicom.conformance.markdown import Section, table, text
from media2dicom.conformance.names import attribute
from media2dicom.dicom.body_parts import BODY_PARTS
from media2dicom.dicom.models import MODEL_TITLES, MODEL_USAGES, UNIT_MEANINGS
from media2dicom.dicom.references import (
    ANATOMIC_IMAGE,
    SOURCE_IMAGE,
    SOURCE_MEASUREMENT,
    SOURCE_RAW_DATA,
    SOURCE_REPORT,
)

Code = tuple[str, str, str]  # value, scheme, meaning


def coded_terminology() -> Section:
    coded = sum(1 for part in BODY_PARTS.values() if part.sct_code)
    return Section(
        "Coded terminology",
        text(
            table(("Attribute", "Context group", "Code", "Meaning", "When"), _rows()),
            f"{attribute('AnatomicRegionSequence')} has the SNOMED CT code of Body Part Examined (PS3.16 Annex L); "
            f"the program knows {len(BODY_PARTS)} terms, {coded} of them with a code. "
            f"{attribute('ConceptNameCodeSequence')} of a CDA document has the document's own code.",
        ),
    )


def _rows() -> Iterator[tuple[str, ...]]:
    sources = attribute("SourceInstanceSequence")
    either = "CID 7060, CID 7013"
    yield _row(attribute("ReferencedImageSequence"), "CID 7201", ANATOMIC_IMAGE, "the source is an image")
    yield _row(sources, "CID 7060", SOURCE_IMAGE, "the source is an image; models and documents")
    yield _row(sources, either, SOURCE_MEASUREMENT, "the source is a spectroscopy or a waveform")
    yield _row(sources, either, SOURCE_RAW_DATA, "the source is raw data")
    yield _row(sources, either, SOURCE_REPORT, "any other source that is no image")
    for modality, code in MODEL_TITLES.items():
        yield _row(
            attribute("ConceptNameCodeSequence"), "CID 7061", code, f"the source's images are of Modality {modality}"
        )
    for unit, meaning in UNIT_MEANINGS.items():
        yield _row(attribute("MeasurementUnitsCodeSequence"), "CID 7063", (unit, "UCUM", meaning), f"`units` is {unit}")
    for value, usage in MODEL_USAGES.items():
        told = (value, str(usage.scheme_designator), str(usage.meaning))
        yield _row(attribute("ModelUsageCodeSequence"), "CID 7064", told, "`model_usage` says so")


def _row(name: str, group: str, code: Code, when: str) -> tuple[str, ...]:
    value, scheme, meaning = code
    return name, group, f"{value} {scheme}", meaning, when
