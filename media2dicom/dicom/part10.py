"""The streaming Part 10 writer (PS3.10 7): header by pydicom, bulk data by copying, memory flat.

The bulk element (pixels, document) never becomes a Python value: elements before it are written, then its header
and its bytes straight from their source, then the elements after it, in tag order.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import UID

from media2dicom.cache import atomic_write
from media2dicom.dicom.uids import IMPLEMENTATION_CLASS_UID

IMPLEMENTATION_VERSION_NAME: Final = "MEDIA2DICOM"
PIXEL_DATA: Final = 0x7FE00010
ENCAPSULATED_DOCUMENT: Final = 0x00420011
UNDEFINED_LENGTH: Final = 0xFFFFFFFF  # PS3.5 7.1.1
_COPY_CHUNK_BYTES: Final = 8 << 20


@dataclass(frozen=True)
class Bulk:
    """The one large element of an instance. `length` is even, or UNDEFINED_LENGTH for encapsulated pixels."""

    tag: int
    vr: str
    length: int
    write: Callable[[BinaryIO], None]


def write_part10(path: Path, dataset: Dataset, transfer_syntax_uid: str, bulk: Bulk) -> int:
    """Write the instance to `path`, complete or not at all; return its size in bytes.

    `dataset` holds every element but the bulk one. Raises CacheFailed when the disk is full or not writable.
    """
    syntax = UID(transfer_syntax_uid)
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME

    with atomic_write(path) as file:
        fp = DicomIO(file)
        fp.is_little_endian = True
        fp.write(b"\x00" * 128 + b"DICM")
        fp.is_implicit_VR = False
        write_file_meta_info(fp, meta)
        fp.is_implicit_VR = syntax.is_implicit_VR
        write_dataset(fp, dataset[Tag(0x00080000) : Tag(bulk.tag)], "utf8")
        _write_bulk_header(file, bulk, implicit=syntax.is_implicit_VR)
        bulk.write(file)
        write_dataset(fp, dataset[Tag(bulk.tag + 1) :], "utf8")
        return file.tell()


def _write_bulk_header(file: BinaryIO, bulk: Bulk, *, implicit: bool) -> None:
    """Data element header with a 32-bit length (PS3.5 7.1.2, 7.1.3)."""
    tag = struct.pack("<HH", bulk.tag >> 16, bulk.tag & 0xFFFF)
    file.write(tag + (b"" if implicit else bulk.vr.encode() + b"\x00\x00") + struct.pack("<L", bulk.length))


def copy_bytes(source: BinaryIO, target: BinaryIO, count: int) -> None:
    """Copy exactly `count` bytes, in the kernel where it can be. Raises EOFError when the source ends early."""
    target.flush()
    left = count
    while left and hasattr(os, "copy_file_range"):
        try:
            done = os.copy_file_range(source.fileno(), target.fileno(), min(left, 1 << 30), source.tell(), None)
        except OSError:  # across file systems, or a file system that cannot
            break
        if done == 0:
            raise EOFError("the source file became shorter while it was copied")
        source.seek(done, os.SEEK_CUR)
        left -= done
    target.seek(0, os.SEEK_END)
    while left:
        chunk = source.read(min(left, _COPY_CHUNK_BYTES))
        if not chunk:
            raise EOFError("the source file became shorter while it was copied")
        target.write(chunk)
        left -= len(chunk)


def document_bulk(source: Path, length: int, *, offset: int = 0) -> Bulk:
    """`length` bytes of a file from `offset`, padded to an even length with one zero byte (PS3.5 8.1.1)."""

    def write(target: BinaryIO) -> None:
        with source.open("rb") as file:
            file.seek(offset)
            copy_bytes(file, target, length)
        target.write(b"\x00" * (length % 2))

    return Bulk(ENCAPSULATED_DOCUMENT, "OB", length + length % 2, write)


def native_bulk(frames: Iterable[bytes], length: int, bits_allocated: int) -> Bulk:
    """Native pixel data: the frames one after the other, `length` bytes in all, padded to even."""

    def write(target: BinaryIO) -> None:
        written = sum(target.write(frame) for frame in frames)
        if written != length:
            raise EOFError(f"{written} bytes of pixels instead of {length}")
        target.write(b"\x00" * (length % 2))

    return Bulk(PIXEL_DATA, "OW" if bits_allocated > 8 else "OB", length + length % 2, write)


def spooled_frames(spool: BinaryIO, lengths: list[int], frame_bytes: int) -> Iterator[bytes]:
    """The spool's frames without the padding that encapsulation would want."""
    spool.seek(0)
    for length in lengths:
        yield spool.read(length)[:frame_bytes]


def encapsulated_bulk(spool: BinaryIO, lengths: list[int]) -> Bulk:
    """Encapsulated pixel data (PS3.5 A.4): filled Basic Offset Table, one fragment per frame.

    `spool` holds the frames one after the other, each already padded to its even length in `lengths`. The offsets
    are 32-bit: the upload limit lies below 2^32 bytes.
    """

    def write(target: BinaryIO) -> None:
        offsets, position = [], 0
        for length in lengths:
            offsets.append(position)
            position += 8 + length
        target.write(struct.pack("<HHL", 0xFFFE, 0xE000, 4 * len(offsets)))
        target.write(struct.pack(f"<{len(offsets)}L", *offsets))
        spool.seek(0)
        for length in lengths:
            target.write(struct.pack("<HHL", 0xFFFE, 0xE000, length))
            copy_bytes(spool, target, length)
        target.write(struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))

    return Bulk(PIXEL_DATA, "OB", UNDEFINED_LENGTH, write)


def stream_bulk(source: Path, length: int) -> Bulk:
    """A video stream as encapsulated pixel data (PS3.5 8.2.5 to 8.2.11): empty Basic Offset Table, one fragment."""
    padding = length % 2

    def write(target: BinaryIO) -> None:
        target.write(struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE000, length + padding))
        with source.open("rb") as file:
            copy_bytes(file, target, length)
        target.write(b"\x00" * padding + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))

    return Bulk(PIXEL_DATA, "OB", UNDEFINED_LENGTH, write)
