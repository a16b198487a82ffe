"""The directories of TIFF 6.0 and BigTIFF files, in either byte order. Only the fields asked for are read."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from media2dicom.errors import MediaDamaged

Directory = Mapping[int, tuple[int, ...]]  # tag -> its values; bytes are numbers too, a rational is two

_MAX_DIRECTORIES: Final = 1000
_MAX_FIELDS: Final = 4096  # of a directory, as in libtiff
_MAX_VALUES: Final = 1 << 22  # a field of more is none of a real picture
_ORDERS: Final = {b"II": "<", b"MM": ">"}
_SHORT: Final = 3
# BYTE, SHORT, LONG, RATIONAL, UNDEFINED, IFD, LONG8, IFD8
_KINDS: Final = {1: "B", _SHORT: "H", 4: "I", 5: "II", 7: "B", 13: "I", 16: "Q", 18: "Q"}


class _Form(NamedTuple):
    """How a file is laid out: byte order, and the fields whose size differs between TIFF and BigTIFF."""

    order: str
    first_at: int  # where the offset of the first directory is
    number: str
    offset: str
    entry: str  # without its value
    value_bytes: int


def read_directories(path: Path, tags: Collection[int]) -> Iterator[tuple[int, Directory]]:
    """The main directories in turn (a page, a reduced picture or a mask each), and where. Raises MediaDamaged."""
    with _opened(path) as (file, form):
        (at,) = _read(file, form.first_at, form.order + form.offset)
        seen: set[int] = set()
        while at:
            if at in seen or len(seen) == _MAX_DIRECTORIES:
                raise MediaDamaged("The TIFF file's directories are without end.")
            seen.add(at)
            directory, following = _directory(file, at, form, tags)
            yield at, directory
            at = following


def read_directory(path: Path, at: int, tags: Collection[int]) -> Directory:
    """The one directory at `at`. Raises MediaDamaged."""
    with _opened(path) as (file, form):
        return _directory(file, at, form, tags)[0]


def read_beginning_with(path: Path, at: int) -> bytearray:
    """The whole file, with the directory at `at` made its first, which is the one that decoders take."""
    data = bytearray(path.stat().st_size)
    with path.open("rb") as file:
        file.readinto(data)
    form = _form(data)
    struct.pack_into(form.order + form.offset, data, form.first_at, at)
    return data


def set_short(data: bytearray, at: int, tag: int, value: int) -> None:
    """Let the field `tag`, where the directory at `at` (which has been read) has it, be one SHORT of `value`."""
    form = _form(data)
    (count,) = struct.unpack_from(form.order + form.number, data, at)
    first = at + struct.calcsize(form.order + form.number)
    step = struct.calcsize(form.order + form.entry) + form.value_bytes
    for entry in range(first, first + step * count, step):
        if struct.unpack_from(form.order + "H", data, entry) == (tag,):
            struct.pack_into(f"{form.order}{form.entry}H", data, entry, tag, _SHORT, 1, value)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, _Form]]:
    with path.open("rb") as file:
        try:
            yield file, _form(file.read(4))
        except (struct.error, OverflowError, ValueError):
            raise MediaDamaged("The TIFF file is cut off: its directory is not in it.") from None


def _form(head: bytes | bytearray) -> _Form:
    order = _ORDERS.get(bytes(head[:2]), "<")
    if head[2:4] in (b"\x2b\0", b"\0\x2b"):
        return _Form(order, 8, "Q", "Q", "HHQ", 8)
    return _Form(order, 4, "H", "I", "HHI", 4)


def _directory(file: BinaryIO, at: int, form: _Form, tags: Collection[int]) -> tuple[Directory, int]:
    """The directory at `at`, and where the next one is. Of a tag given twice the first counts, as in libtiff."""
    (count,) = _read(file, at, form.order + form.number)
    if count > _MAX_FIELDS:
        raise MediaDamaged("The TIFF file's directory is without end.")
    at += struct.calcsize(form.order + form.number)
    entry_bytes = struct.calcsize(form.order + form.entry)
    found: dict[int, tuple[int, ...]] = {}
    for _ in range(count):
        tag, kind, number = _read(file, at, form.order + form.entry)
        value_at = at + entry_bytes
        at = value_at + form.value_bytes
        if tag not in tags or tag in found or kind not in _KINDS or number > _MAX_VALUES:
            continue
        values_form = f"{form.order}{number * len(_KINDS[kind])}{_KINDS[kind][0]}"
        if struct.calcsize(values_form) > form.value_bytes:
            (value_at,) = _read(file, value_at, form.order + form.offset)
        found[tag] = _read(file, value_at, values_form)
    (following,) = _read(file, at, form.order + form.offset)
    return found, following


def _read(file: BinaryIO, at: int, form: str) -> tuple[int, ...]:
    file.seek(at)
    return struct.unpack(form, file.read(struct.calcsize(form)))
