"""What a module of PS3.3 is made of: attributes with their types (PS3.5 7.4). The modules are `modules.py`'s."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from media2dicom.dicom.attributes import MODULES
from media2dicom.dicom.values import ITEM_REQUIRES
from media2dicom.validation.conditions import Condition, words


@dataclass(frozen=True)
class Attribute:
    """One attribute of a module. `required` says when a 1C or 2C is; None: not told by the data set."""

    keyword: str
    type: str  # 1, 1C, 2, 2C, 3
    required: Condition | None = None
    items: tuple[Attribute, ...] = ()  # of a sequence: what each item has to have
    not_otherwise: bool = False  # a 1C or 2C that shall not be present when it is not required
    more: bool = False  # whether an item may have other attributes too, being copied from the source

    @property
    def tag(self) -> int:
        tag = tag_for_keyword(self.keyword)
        if tag is None:
            raise KeyError(self.keyword)
        return int(tag)

    @property
    def condition(self) -> str:
        """In words, of a 1C or 2C that the data set tells."""
        return "" if self.required is None else words(self.required)


@dataclass(frozen=True)
class Module:
    name: str
    section: str  # of PS3.3
    attributes: tuple[Attribute, ...]


def typed(type_: str, keywords: str, required: Condition | None = None) -> tuple[Attribute, ...]:
    """Attributes of one type, and of one condition where there is one."""
    return tuple(Attribute(keyword, type_, required) for keyword in keywords.split())


def copied(name: str) -> tuple[Attribute, ...]:
    """Type 3, as `dicom/attributes.py` copies them from the source: the table there is the one home."""
    table = MODULES[name]
    told = {*table.type_1, *table.type_2, *table.type_2c}
    return tuple(
        Attribute(keyword_for_tag(tag), "3", items=_needed(tag), more=True) for tag in table.tags if tag not in told
    )


def _needed(sequence: int) -> tuple[Attribute, ...]:
    """What an item of a sequence that is copied must have; without alternatives."""
    return tuple(Attribute(keyword, "1") for keyword in ITEM_REQUIRES.get(sequence, ()) if "|" not in keyword)


def module(name: str, section: str, *groups: tuple[Attribute, ...] | Attribute) -> Module:
    """A module of attributes and groups of them. Later mentions of a keyword give way to earlier ones."""
    found: dict[str, Attribute] = {}
    for group in groups:
        for attribute in (group,) if isinstance(group, Attribute) else group:
            found.setdefault(attribute.keyword, attribute)
    return Module(name, section, tuple(found.values()))
