"""ICC profiles as DICOM wants them: of the input device class (PS3.3 C.11.15.1.1)."""

from __future__ import annotations

import struct
from functools import cache

from PIL import ImageCms

_HEADER_BYTES = 128
_CLASS = slice(12, 16)
_COLOR_SPACE = slice(16, 20)
_DATE = slice(24, 36)
_SIGNATURE = slice(36, 40)
_BEHIND_CREATOR = slice(84, 128)  # profile ID, which may be zero, and reserved bytes
_MATRIX_TAGS = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
# What every profile has, and what an input profile converts by (ICC.1 8.2, 8.3). Other tags may hold any text.
_TAGS = (b"desc", b"cprt", b"wtpt", b"bkpt", b"chad", *_MATRIX_TAGS, b"A2B0", b"A2B1", b"A2B2")


def as_input_profile(profile: bytes) -> bytes | None:
    """The RGB profile as class `scnr`, with the tags of that class and no others; None when it cannot be one.

    Cameras and editors embed display profiles (`mntr`). A matrix/TRC display profile has exactly the tags of a
    matrix/TRC input profile (ICC.1 8.3, 8.4), so of what is kept the class alone changes.
    """
    if len(profile) < _HEADER_BYTES + 4 or profile[_SIGNATURE] != b"acsp" or profile[_COLOR_SPACE] != b"RGB ":
        return None
    tags = _tags(profile)
    by_matrix = tags.keys() >= {*_MATRIX_TAGS}
    by_table = profile[_CLASS] == b"scnr" and b"A2B0" in tags
    if profile[_CLASS] not in (b"scnr", b"mntr") or not (by_matrix or by_table):
        return None
    header = bytearray(profile[:_HEADER_BYTES])
    header[_CLASS] = b"scnr"
    header[_BEHIND_CREATOR] = bytes(44)
    return _assembled(header, {name: tags[name] for name in _TAGS if name in tags})


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The tagged elements (ICC.1 7.3); none of a profile that is not whole."""
    table = _HEADER_BYTES + 4
    end, count = int.from_bytes(profile[:4], "big"), int.from_bytes(profile[_HEADER_BYTES:table], "big")
    first = table + 12 * count
    if not first <= end <= len(profile):
        return {}
    entries = list(struct.iter_unpack(">4sII", profile[table:first]))
    if any(at < first or at + size_bytes > end for _, at, size_bytes in entries):
        return {}
    return {name: profile[at : at + size_bytes] for name, at, size_bytes in entries}


def _assembled(header: bytearray, tags: dict[bytes, bytes]) -> bytes:
    """A whole profile; equal elements are there once, each begins at a multiple of four (ICC.1 7.3)."""
    table, elements, places = b"", b"", dict[bytes, int]()
    first = _HEADER_BYTES + 4 + 12 * len(tags)
    for name, element in tags.items():
        if element not in places:
            places[element] = first + len(elements)
            elements += element + bytes(-len(element) % 4)
        table += struct.pack(">4sII", name, places[element], len(element))
    header[:4] = (first + len(elements)).to_bytes(4, "big")
    return bytes(header) + len(tags).to_bytes(4, "big") + table + elements


@cache
def srgb_input_profile() -> bytes:
    """sRGB (IEC 61966-2-1) as a profile of class `scnr`; the same bytes each time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # else the moment of the call
    input_profile = as_input_profile(bytes(profile))
    if input_profile is None:
        raise ValueError("the sRGB profile is no matrix profile")
    return input_profile
