"""A Part 10 file as it lies on disk: header and file meta read, the one bulk element only located (PS3.10 7.1).

Memory and time do not grow with the bulk element, but for a look at the header of each fragment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset, read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from media2dicom.dicom.part10 import ENCAPSULATED_DOCUMENT, PIXEL_DATA, UNDEFINED_LENGTH

_BULK: Final = frozenset({PIXEL_DATA, ENCAPSULATED_DOCUMENT, 0x7FE00008, 0x7FE00009})
_ITEM, _SEQUENCE_DELIMITER = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_NUMBER_VRS: Final = frozenset({"US", "SS", "UL", "SL", "FL", "FD", "AT"})
_LONG_VRS: Final = frozenset({b"OB", b"OW", b"OD", b"OF", b"OL", b"OV", b"UN"})


@dataclass(frozen=True)
class Bulk:
    """Where the large element's value is. `length` may be UNDEFINED_LENGTH; `vr` is empty in Implicit VR."""

    tag: int
    vr: str
    length: int
    offset: int


@dataclass(frozen=True)
class Written:
    """One object on disk. `header` has every element but the bulk one."""

    path: Path
    size_bytes: int
    header: FileDataset
    bulk: Bulk | None
    end: int  # where the data set ends

    @property
    def transfer_syntax_uid(self) -> str:
        return str(self.header.file_meta.get("TransferSyntaxUID", ""))

    @property
    def sop_class_uid(self) -> str:
        return str(self.header.get("SOPClassUID", ""))

    def text(self, keyword: str) -> str:
        """The value of a single-valued attribute as text; empty when it is absent."""
        value = self.header.get(keyword)
        return "" if value is None else str(value)

    def number(self, keyword: str) -> int:
        return number_in(self.header, keyword)

    @property
    def frames(self) -> int:
        return self.number("NumberOfFrames") or 1


def open_written(path: Path) -> Written:
    """Raises what pydicom makes of a file that is none of DICOM: InvalidDicomError, EOFError, OSError, ValueError."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        header = read_partial(file, stop_when=_is_bulk)
        if not isinstance(header, FileDataset):
            raise ValueError("a DICOMDIR is no stored object")
        if header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            return Written(path, size_bytes, dcmread(path), None, size_bytes)  # of another maker: read whole
        implicit, little = header.original_encoding
        bulk = _bulk_here(file, implicit=bool(implicit), little=bool(little))
        if bulk is None:
            return Written(path, size_bytes, header, None, file.tell())
        if bulk.length == UNDEFINED_LENGTH:
            return Written(path, size_bytes, header, bulk, size_bytes)
        end = bulk.offset + bulk.length
        file.seek(end)
        if end < size_bytes:
            rest = read_dataset(file, bool(implicit), bool(little))
            end = max([end, *(_end_of(rest.get_item(tag), file.tell()) for tag in list(rest.keys()))])
            header.update(rest)
        return Written(path, size_bytes, header, bulk, end)


def number_in(dataset: Dataset, keyword: str) -> int:
    """The value of a single-valued integer attribute; 0 when it is absent or none."""
    try:
        return int(dataset.get(keyword) or 0)
    except (TypeError, ValueError):
        return 0


def _end_of(element: RawDataElement | DataElement, otherwise: int) -> int:
    return element.value_tell + element.length if isinstance(element, RawDataElement) else otherwise


def _is_bulk(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) in _BULK


def _bulk_here(file: BinaryIO, *, implicit: bool, little: bool) -> Bulk | None:
    """The data element header at the file's position (PS3.5 7.1); None at the end of the file."""
    order = "<" if little else ">"
    head = file.read(8)
    if len(head) < 8:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    tag = int(Tag(group, element))
    if implicit:
        return Bulk(tag, "", struct.unpack(order + "L", head[4:])[0], file.tell())
    vr = head[4:6]
    length = file.read(4) if vr in _LONG_VRS else head[6:8] + b"\0\0"
    return Bulk(tag, vr.decode("ascii", "replace"), struct.unpack(order + "L", length)[0], file.tell())


@dataclass(frozen=True)
class Fragment:
    offset: int  # of its bytes in the file
    length: int


def fragments(written: Written, file: BinaryIO) -> Iterator[Fragment | None]:
    """The items of encapsulated pixels (PS3.5 A.4), the Basic Offset Table first; None where the chain breaks.

    After the last one the file stands behind the Sequence Delimiter.
    """
    if written.bulk is None:
        return
    at = written.bulk.offset
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            yield None
            return
        group, element, length = struct.unpack("<HHL", head)
        if (group, element) == _SEQUENCE_DELIMITER:
            return
        if (group, element) != _ITEM or length == UNDEFINED_LENGTH or at + 8 + length > written.size_bytes:
            yield None
            return
        yield Fragment(at + 8, length)
        at += 8 + length


def item_paths(dataset: Dataset, keyword: str) -> Iterator[tuple[str, Dataset]]:
    """The items of a sequence with what a finding calls each."""
    for number, item in enumerate(dataset.get(keyword) or (), start=1):
        yield f"{keyword}[{number}]", item


def all_items(dataset: Dataset, path: str = "") -> Iterator[tuple[str, str, Dataset]]:
    """Path, sequence and item of every item, nested ones too. Other elements are not decoded: they may be broken."""
    for tag in list(dataset.keys()):
        if _is_sequence(dataset.get_item(tag)):
            keyword = keyword_for_tag(tag) or str(tag)
            for number, item in enumerate(dataset[tag].value or (), start=1):
                yield f"{path}{keyword}[{number}]", keyword, item
                yield from all_items(item, f"{path}{keyword}[{number}].")


def _is_sequence(element: RawDataElement | DataElement) -> bool:
    return vr_of(element) == "SQ"


def vr_of(element: RawDataElement | DataElement) -> str:
    """By the file, else (Implicit VR) by the dictionary."""
    if element.VR is not None:
        return str(element.VR)
    return dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else "UN"


def is_empty(dataset: Dataset, keyword: str) -> bool:
    """Whether an attribute that is there has no value; text is not decoded."""
    element = dataset.get_item(keyword)
    if isinstance(element, RawDataElement):
        value = element.value or b""
        return not (value if vr_of(element) in _NUMBER_VRS else value.strip(b" \0"))
    return bool(element.is_empty)
