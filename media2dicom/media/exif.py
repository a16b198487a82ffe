"""EXIF orientation (CIPA DC-008, tag 0112H) of JPEG, PNG and WebP, and how pixels are turned upright by it.

Nothing else of EXIF is read: it may hold the patient's or the photographer's data. What cannot be read is no
orientation; a picture is not refused for its metadata.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

UPRIGHT: Final = 1
EXIF_MARK: Final = b"Exif\0\0"
_XMP_ORIENTATION: Final = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>\s*)([1-8])")
_KINDS: Final = {1: "B", 3: "H", 4: "I"}  # SHORT by the standard; some programs write BYTE or LONG


def exif_orientation(block: bytes) -> int | None:
    """Orientation 1 to 8 of the first directory of an EXIF block, with its mark or without; None without one."""
    tiff = block.removeprefix(EXIF_MARK)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for index in range(entries):
            entry = directory + 2 + 12 * index
            tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == 0x0112 and kind in _KINDS:
                (value,) = struct.unpack_from(order + _KINDS[kind], tiff, entry + 8)
                if 1 <= value <= 8:
                    return int(value)
    except struct.error:
        return None
    return None


def xmp_orientation(xmp: bytes) -> int | None:
    """What an XMP packet says; it counts only where EXIF is silent, as in Pillow's exif_transpose."""
    found = _XMP_ORIENTATION.search(xmp)
    return int(found[1]) if found else None


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (rows, columns[, samples]) turned so that orientation 1 describes them. C-contiguous."""
    match orientation:
        case 2:
            turned = pixels[:, ::-1]
        case 3:
            turned = pixels[::-1, ::-1]
        case 4:
            turned = pixels[::-1]
        case 5:
            turned = pixels.swapaxes(0, 1)
        case 6:
            turned = np.rot90(pixels, -1)
        case 7:
            turned = pixels[::-1, ::-1].swapaxes(0, 1)
        case 8:
            turned = np.rot90(pixels)
        case _:
            turned = pixels
    return np.ascontiguousarray(turned)
