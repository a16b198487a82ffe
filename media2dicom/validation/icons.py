"""The icon of an object: its own Image Pixel module in small, grey or in a palette, not compressed (PS3.3 C.7.6.1.1.6).

Which attributes its item has is `modules.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset

from media2dicom.validation import conditions as when
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import IOD
from media2dicom.validation.written import Written, item_paths, number_in

_ICON: Final = "PS3.3 C.7.6.1.1.6"
_TABLE: Final = "PS3.3 C.7.6.3.1.5"
_NUMBERS: Final = {"SamplesPerPixel": 1, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
_COLORS: Final = ("MONOCHROME2", "PALETTE COLOR")


def check_icon(written: Written, _iod: IOD) -> Iterator[Finding]:
    """What the icon says of its pixels against how many there are; nothing for an object without one."""
    for path, icon in item_paths(written.header, "IconImageSequence"):
        for finding in _check(icon):
            yield Finding(f"{path}.{finding.attribute}", finding.text, finding.rule)


def _check(icon: Dataset) -> Iterator[Finding]:
    for keyword, number in _NUMBERS.items():
        if number_in(icon, keyword) != number:
            yield Finding(keyword, "is not that of an icon", _ICON)
    if icon.get("PhotometricInterpretation") not in _COLORS:
        yield Finding("PhotometricInterpretation", "is not that of an icon", _ICON)
    pixels = number_in(icon, "Rows") * number_in(icon, "Columns")
    if not pixels or len(icon.get("PixelData") or b"") != pixels + pixels % 2:
        yield Finding("PixelData", "has not the length that Rows and Columns give", _ICON)
    if when.in_palette(icon):
        for color in ("Red", "Green", "Blue"):
            yield from _check_table(icon, f"{color}PaletteColorLookupTable")


def _check_table(icon: Dataset, name: str) -> Iterator[Finding]:
    """A table of one entry for each value of 8 bits, as long as its descriptor says."""
    descriptor = list(icon.get(f"{name}Descriptor") or ())
    if descriptor not in ([256, 0, 8], [256, 0, 16]):
        yield Finding(f"{name}Descriptor", "is not that of 256 entries of 8 or 16 bits", _TABLE)
    elif f"{name}Data" in icon and len(icon[f"{name}Data"].value) != 256 * descriptor[2] // 8:
        yield Finding(f"{name}Data", "has not the length that its descriptor gives", _TABLE)
