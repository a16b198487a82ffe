"""The directories of TIFF 6.0 and BigTIFF files, in either byte order. Only the fields asked for are read."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from media2dicom.errors import MediaDamaged

Directory = Mapping[int, tuple[int, ...]]  # tag -> its values; bytes are numbers too

_MAX_DIRECTORIES: Final = 1000
_MAX_VALUE_BYTES: Final = 1 << 26  # a field larger than that is none of a real picture
_ORDERS: Final = {b"II": "<", b"MM": ">"}
_KINDS: Final = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}  # BYTE, SHORT, LONG, UNDEFINED, IFD, LONG8
_CLASSIC: Final = ("H", "I", "HHI", 4)  # count, offset, entry without its value, bytes of that value
_BIG: Final = ("Q", "Q", "HHQ", 8)


def read_directories(path: Path, tags: Collection[int]) -> Iterator[Directory]:
    """The main directories in turn (a page or a reduced picture each). Raises MediaDamaged."""
    with path.open("rb") as file:
        head = file.read(16)
        order = _ORDERS.get(head[:2], "<")
        big = head[2:4] in (b"\x2b\0", b"\0\x2b")
        form = _BIG if big else _CLASSIC
        try:
            (at,) = struct.unpack_from(order + form[1], head, 8 if big else 4)
            seen: set[int] = set()
            while at:
                if at in seen or len(seen) == _MAX_DIRECTORIES:
                    raise MediaDamaged("The TIFF file's directories are without end.")
                seen.add(at)
                directory, at = _directory(file, at, order, form, tags)
                yield directory
        except (struct.error, OverflowError, ValueError):
            raise MediaDamaged("The TIFF file is cut off: its directory is not in it.") from None


def _directory(
    file: BinaryIO, at: int, order: str, form: tuple[str, str, str, int], tags: Collection[int]
) -> tuple[Directory, int]:
    """The directory at `at`, and where the next one is."""
    count_form, offset_form, entry_form, value_bytes = form
    (count,) = _read(file, at, order + count_form)
    at += struct.calcsize(order + count_form)
    entry_bytes = struct.calcsize(order + entry_form)
    found = {}
    for _ in range(count):
        tag, kind, number = _read(file, at, order + entry_form)
        value_at = at + entry_bytes
        at = value_at + value_bytes
        if tag not in tags or kind not in _KINDS or number > _MAX_VALUE_BYTES:
            continue
        values_form = f"{order}{number}{_KINDS[kind]}"
        if struct.calcsize(values_form) > value_bytes:
            (value_at,) = _read(file, value_at, order + offset_form)
        found[tag] = _read(file, value_at, values_form)
    (following,) = _read(file, at, order + offset_form)
    return found, following


def _read(file: BinaryIO, at: int, form: str) -> tuple[int, ...]:
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))
