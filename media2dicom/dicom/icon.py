"""Icon Image Sequence (0088,0200): one item, a small picture of the object (PS3.3 C.7.6.1.1.6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

_SHADES = 256
_HIGHLIGHT = 240  # from black to the colour, then to white: the table has to reach its largest value (C.7.6.3.1.6)


def icon_item(picture: NDArray[np.uint8], color: tuple[int, int, int] | None) -> Dataset:
    """The grey `picture` (rows, columns) as MONOCHROME2, or tinted as PALETTE COLOR. 8 bits, not compressed."""
    item = Dataset()
    item.SamplesPerPixel = 1
    item.PhotometricInterpretation = "MONOCHROME2"
    item.Rows, item.Columns = picture.shape
    item.BitsAllocated = item.BitsStored = 8
    item.HighBit = 7
    item.PixelRepresentation = 0
    if color is not None:
        item.PhotometricInterpretation = "PALETTE COLOR"
        for name, channel in zip(("Red", "Green", "Blue"), color, strict=True):
            # C.7.6.3.1.5: entries, first value mapped, bits. 16-bit entries: readers agree on those.
            setattr(item, f"{name}PaletteColorLookupTableDescriptor", [_SHADES, 0, 16])
            table = np.interp(np.arange(_SHADES), (0, _HIGHLIGHT, _SHADES - 1), (0, channel * 257, 0xFFFF))
            setattr(item, f"{name}PaletteColorLookupTableData", table.astype("<u2").tobytes())
    data = picture.tobytes()
    item.add_new("PixelData", "OW", data + bytes(len(data) % 2))  # as in Implicit VR, where it has to be (PS3.5 A.1)
    return item
