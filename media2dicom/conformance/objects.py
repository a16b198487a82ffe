"""The objects (PS3.3): modules of each with usage, attributes of each module with type and where the value is from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from media2dicom.conformance.markdown import Section, table, text
from media2dicom.conformance.names import attribute, tag_of, uid_name, vr_of
from media2dicom.conformance.origins import Origin, Presence, origin_of
from media2dicom.conformance.written import WRITTEN
from media2dicom.validation import conditions
from media2dicom.validation.definitions import Attribute, Module
from media2dicom.validation.iods import ENUMERATED, IOD, ModuleUse

# Modules that are not mandatory in every object that has them.
MODULE_WRITTEN: Final = {
    "Clinical Trial Subject": "when the source has it",
    "Clinical Trial Study": "when the source has it",
    "Patient Study": "when the source has it",
    "Frame of Reference": "never",
    "General Equipment": "always",
    "General Reference": "always",
    "SC Image": "always",
    "Cine": "always",
    "SC Multi-frame Vector": "when the frames are not evenly spaced",
    "ICC Profile": "when a picture in colour has a profile in its file",
    "Common Instance Reference": "always",
}
_ATTRIBUTES = ("Attribute", "Tag", "VR", "Type", "Presence", "Source", "Value")


def created_objects() -> Section:
    return Section(
        "Information objects",
        text(
            "Every object is of a standard storage class, without private attributes and without Standard Extended "
            "attributes. Before an object may be sent it is read again and held to the tables of this chapter; with "
            "a finding it is not sent.",
            "Usage of a module: M mandatory, C conditional, U user option. Type of an attribute: PS3.5 7.4. In "
            "items, what is never written is left out of the tables.",
            table(("Presence", "Means"), ((one.value, _PRESENCE[one]) for one in Presence)),
            table(("Source", "The value comes from"), _SOURCES),
        ),
        (
            *(_object(iod) for iod in WRITTEN),
            Section(
                "Values all objects are held to",
                table(
                    ("Attribute", "Tag", "Enumerated values"),
                    ((attribute(key), tag_of(key), _choice(values)) for key, values in ENUMERATED.items()),
                ),
            ),
        ),
    )


def modules() -> Section:
    return Section("Modules", "The modules of the objects above.", tuple(_module(one) for one in _modules()))


_PRESENCE = {
    Presence.ALWAYS: "always present with a value",
    Presence.VNAP: "always present, empty where no value is known (value not always present)",
    Presence.ANAP: "present where there is a value (attribute not always present)",
    Presence.EMPTY: "always present without a value",
    Presence.NEVER: "not present: the condition does not arise",
}
_SOURCES = (
    ("source", "the instance of the study that lends patient and study, as the PACS holds it"),
    ("row", "the row of the manifest; the column is named"),
    ("media", "the media file"),
    ("made", "the program"),
    ("fixed", "nothing: it is always the same"),
)


def _object(iod: IOD) -> Section:
    parts = [
        f"{uid_name(iod.sop_class_uid)}, `{iod.sop_class_uid}` (PS3.3 {iod.section}).",
        table(("Module", "Reference", "Usage", "Written", "Condition"), (_use(use) for use in iod.uses)),
    ]
    if iod.enumerated:
        held = ((attribute(key), tag_of(key), _choice(values)) for key, values in iod.enumerated.items())
        parts.append(table(("Held to", "Tag", "Values"), held))
    parts.append("Transfer syntaxes: [[Activity: store instances]].")
    return Section(iod.name, text(*parts))


def _choice(values: Iterable[str]) -> str:
    return ", ".join(sorted(values))


def _use(use: ModuleUse) -> tuple[str, ...]:
    condition = "" if use.required is None else conditions.words(use.required)
    return f"[[{_title(use.module)}]]", use.module.section, use.usage, written_when(use), condition


def written_when(use: ModuleUse) -> str:
    always = use.usage == "M" or use.required is conditions.always
    return "always" if always else MODULE_WRITTEN[use.module.name]


def _title(module: Module) -> str:
    return f"{module.name} module"


def _modules() -> list[Module]:
    """Each module once, in the order of PS3.3."""
    found = {use.module.name: use.module for iod in WRITTEN for use in iod.uses}
    return sorted(found.values(), key=lambda module: [int(part) for part in module.section.split(".")[1:]])


def _module(module: Module) -> Section:
    return Section(_title(module), text(f"PS3.3 {module.section}.", table(_ATTRIBUTES, _rows(module))))


def _rows(module: Module) -> Iterator[tuple[str, ...]]:
    for one in sorted(module.attributes, key=lambda one: one.tag):
        origin = origin_of(module.name, one.keyword)
        if not _is_told(one, origin):
            continue
        yield _row(one, origin, depth=0)
        if origin is not None and origin.presence not in (Presence.NEVER, Presence.EMPTY):
            yield from _items(module, one, depth=1)


def _items(module: Module, sequence: Attribute, depth: int) -> Iterator[tuple[str, ...]]:
    for one in sorted(sequence.items, key=lambda one: one.tag):
        origin = origin_of(module.name, one.keyword, sequence.keyword)
        if _is_told(one, origin) and (origin is None or origin.presence is not Presence.NEVER):
            yield _row(one, origin, depth)
            yield from _items(module, one, depth + 1)


def _is_told(one: Attribute, origin: Origin | None) -> bool:
    """All but what is optional and never written."""
    return one.type != "3" or (origin is not None and origin.presence is not Presence.NEVER)


def _row(one: Attribute, origin: Origin | None, depth: int) -> tuple[str, ...]:
    if origin is None:
        raise KeyError(f"where does the value of {one.keyword} come from? Say it in conformance/origins.py.")
    name = "&gt;" * depth + attribute(one.keyword)
    value = origin.words
    if one.condition:
        value = f"{value.rstrip('.')}. Required when: {one.condition}."
    return name, tag_of(one.keyword), vr_of(one.keyword), one.type, origin.presence.value, origin.who, value
