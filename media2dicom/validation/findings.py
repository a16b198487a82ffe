"""What the validator says: which attribute, what is wrong with it, and where the standard says so. Never a value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One rule that an object breaks."""

    attribute: str  # its keyword, below the sequences that hold it; "file" for the file as a whole
    text: str  # what is wrong, as the end of a sentence that begins with the attribute
    rule: str  # the standard's section

    def __str__(self) -> str:
        return f"{self.attribute} {self.text} ({self.rule})"
