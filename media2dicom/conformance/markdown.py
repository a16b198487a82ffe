"""A document as a tree of numbered sections, written as Markdown: contents, headings, tables, references."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_REFERENCE: Final = re.compile(r"\[\[(.+?)\]\]")
_IN_CONTENTS: Final = 3  # levels
_DEEPEST_HEADING: Final = 4  # deeper ones are shown smaller than text


@dataclass(frozen=True)
class Section:
    """One section. `[[title]]` in a text refers to the section of that title."""

    title: str
    text: str = ""
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True)
class _Numbered:
    section: Section
    number: str

    @property
    def heading(self) -> str:
        return f"{self.number} {self.section.title}"

    @property
    def level(self) -> int:
        return self.number.count(".") + 1

    @property
    def link(self) -> str:
        """To the heading, by the anchor that GitHub makes of it."""
        anchor = re.sub(r"[^\w\- ]", "", self.heading.lower()).replace(" ", "-")
        return f"[{self.heading}](#{anchor})"


def document(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The whole document. Raises ValueError when two sections have one title, KeyError for a reference to none."""
    numbered = list(_numbered(sections, ""))
    links = {one.section.title: one.link for one in numbered}
    if len(links) < len(numbered):
        raise ValueError("two sections have one title")
    contents = "\n".join(f"{'  ' * (one.level - 1)}- {one.link}" for one in numbered if one.level <= _IN_CONTENTS)
    blocks = [f"# {title}", introduction, contents]
    for one in numbered:
        blocks.append(f"{'#' * min(one.level + 1, _DEEPEST_HEADING)} {one.heading}")
        if one.section.text:
            blocks.append(_REFERENCE.sub(lambda found: links[found[1]], one.section.text.strip()))
    return "\n\n".join(blocks) + "\n"


def _numbered(sections: Iterable[Section], prefix: str) -> Iterator[_Numbered]:
    for position, section in enumerate(sections, start=1):
        number = f"{prefix}{position}"
        yield _Numbered(section, number)
        yield from _numbered(section.parts, f"{number}.")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a `|` in a cell is kept from ending it."""
    lines = [_line(header), _line(["---"] * len(header)), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    return "| " + " | ".join(" ".join(str(cell).replace("|", "\\|").split()) for cell in cells) + " |"


def bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def text(*blocks: str) -> str:
    """Paragraphs and tables, a blank line between them."""
    return "\n\n".join(block.strip() for block in blocks)
