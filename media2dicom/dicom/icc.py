"""ICC profiles as DICOM wants them: of the input device class (PS3.3 C.11.15.1.1)."""

from __future__ import annotations

import struct
from functools import cache

from PIL import ImageCms

_HEADER_BYTES = 128
_SIZE = slice(0, 4)
_CLASS = slice(12, 16)
_DATE = slice(24, 36)
_COLOR_SPACE = slice(16, 20)
_SIGNATURE = slice(36, 40)
_PROFILE_ID = slice(84, 100)
_MATRIX_TAGS = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")


def as_input_profile(profile: bytes) -> bytes | None:
    """The RGB profile as class `scnr`, even length, without what follows it; None when it cannot be one.

    Cameras and editors embed display profiles (`mntr`). A matrix/TRC display profile has exactly the tags of a
    matrix/TRC input profile (ICC.1 8.3, 8.4), so the class alone changes, and the profile's checksum goes.
    """
    if len(profile) < _HEADER_BYTES + 4 or profile[_SIGNATURE] != b"acsp" or profile[_COLOR_SPACE] != b"RGB ":
        return None
    size_bytes = int.from_bytes(profile[_SIZE], "big")
    if not _HEADER_BYTES + 4 <= size_bytes <= len(profile):
        return None
    result = bytearray(profile[:size_bytes])
    if profile[_CLASS] == b"mntr" and all(tag in _tag_table(profile) for tag in _MATRIX_TAGS):
        result[_CLASS] = b"scnr"
        result[_PROFILE_ID] = bytes(16)
    elif profile[_CLASS] != b"scnr":
        return None
    return bytes(result) + b"\x00" * (len(result) % 2)


def _tag_table(profile: bytes) -> set[bytes]:
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4], "big")
    start = _HEADER_BYTES + 4
    return {profile[at : at + 4] for at in range(start, min(start + 12 * count, len(profile)), 12)}


@cache
def srgb_input_profile() -> bytes:
    """sRGB (IEC 61966-2-1) as a profile of class `scnr`; the same bytes each time."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # else the moment of the call
    input_profile = as_input_profile(bytes(profile))
    if input_profile is None:
        raise ValueError("the sRGB profile is no matrix profile")
    return input_profile
