"""What is used of received instances, and what becomes of values that may not be written again."""

from __future__ import annotations

from pydicom.datadict import keyword_for_tag

from media2dicom.conformance.markdown import Section, bullets, table, text
from media2dicom.conformance.names import attribute, attributes, tag_of
from media2dicom.dicom.attributes import IDENTIFIERS, MODULES, ZERO_MEANS_UNKNOWN
from media2dicom.dicom.modalities import RETIRED_MODALITIES
from media2dicom.dicom.values import ENUMERATED, ITEM_REQUIRES


def attributes_of_sources() -> Section:
    return Section(
        "Attributes of received instances",
        text(
            f"Copied from the source: all attributes of the modules {', '.join(MODULES)}, as their tables list them. "
            "Beside them Modality, Frame of Reference (3D models), body part and laterality where the row does not "
            "say them, and the UIDs that references need. Everything else of the source is left where it is; so are "
            f"private attributes, {attribute('ReferencedPatientSequence')} and empty values.",
            bullets(
                (
                    f"Identifiers ({attributes(map(keyword_for_tag, sorted(IDENTIFIERS)))}): a value that breaks its "
                    "value representation refuses the row.",
                    "Zero means unknown and is not copied: "
                    f"{attributes(map(keyword_for_tag, sorted(ZERO_MEANS_UNKNOWN)))}.",
                    "Retired modalities become their successors: "
                    + ", ".join(f"{old} is {new}" for old, new in RETIRED_MODALITIES.items())
                    + "; what is no defined term becomes OT.",
                    "Codes and references that are incomplete are left out with a warning that names the attribute.",
                )
            ),
            "Coerced or changed: Accession Number, when the row has `accession_override` (its issuer is then left "
            "out). Nothing else of the patient or the study comes from the manifest.",
            "An attribute of these is copied with one of its enumerated values only:",
            table(
                ("Attribute", "Tag", "Values"),
                (
                    (attribute(keyword_for_tag(tag)), tag_of(keyword_for_tag(tag)), ", ".join(sorted(values)))
                    for tag, values in ENUMERATED.items()
                ),
            ),
            "An item of these is copied only when it has what it must have:",
            table(
                ("Sequence", "Tag", "Must have"),
                (
                    (attribute(keyword_for_tag(tag)), tag_of(keyword_for_tag(tag)), _needs(required))
                    for tag, required in ITEM_REQUIRES.items()
                ),
            ),
        ),
    )


def _needs(required: tuple[str, ...]) -> str:
    return "; ".join(" or ".join(attribute(keyword) for keyword in one.split("|")) for one in required)
