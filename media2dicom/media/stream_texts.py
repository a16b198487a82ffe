"""What a coded video may say besides its pictures, which may be any text: taken out of a stream that is kept.

It stands as units of its own: supplemental enhancement information (ISO/IEC 14496-10 Annex D, 23008-2 Annex D), user
data (ISO/IEC 13818-2 6.3.4.1), private units. ffmpeg takes those between the pictures out. Those of the stream's head
stand in the sample entry of an MP4 file as well, and ffmpeg leaves them there: in the decoder configuration record of
H.264 (avcC, ISO/IEC 14496-15 5.3.3) and H.265 (hvcC, 8.3.3), and in the elementary stream descriptor (esds, ISO/IEC
14496-14 5.6). They are taken out in place, as the file's index tells where each picture begins. Slices and parameter
sets are kept whole: bits that somebody hid within one of them would not be found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from media2dicom.errors import MediaDamaged
from media2dicom.media.mp4 import configuration_record

# What passes, by nal_unit_type or start code: slices, parameters and what parts or ends the stream.
PICTURES_ALONE: Final = {
    "h264": "filter_units=pass_types=1-5|7-11",
    "hevc": "filter_units=pass_types=0-37",
    "mpeg2video": "filter_units=pass_types=0-175|179|181|183-184",
}
_HEVC_PARAMETER_SETS: Final = (32, 33, 34)  # video, sequence, picture
_LAST_DESCRIPTOR: Final = rb"\x06\x80\x80\x80\x01\x02\Z"  # of esds as ffmpeg writes it
_START_CODE: Final = rb"\x00\x00\x01"
_USER_DATA: Final = re.compile(
    _START_CODE + rb"\xb2.*?(?=" + _START_CODE + b"|" + _LAST_DESCRIPTOR + rb"|\Z)", re.DOTALL
)
_BOX_HEADER: Final = 8


def take_texts_out(path: Path) -> None:
    """Out of the sample entry of an MP4 file, in place; what becomes free is a box of its own (14496-12 8.1.2).

    Raises MediaDamaged.
    """
    with path.open("r+b") as file:
        box = configuration_record(file, 0, path.stat().st_size)
        if box is None:
            return
        file.seek(box.start)
        record = file.read(box.end - box.start)
        kept = without_texts(box.name, record)
        if kept == record:
            return
        spare = len(record) - len(kept)
        if 0 < spare < _BOX_HEADER:
            raise MediaDamaged("The video is damaged: its head has a unit that holds nothing.")
        file.seek(box.start - _BOX_HEADER)
        file.write((_BOX_HEADER + len(kept)).to_bytes(4, "big") + box.name + kept)
        if spare:
            file.write(spare.to_bytes(4, "big") + b"free" + bytes(spare - _BOX_HEADER))


def without_texts(name: bytes, record: bytes) -> bytes:
    """What such a box may hold: parameter sets alone. Raises MediaDamaged."""
    if name == b"esds":
        return _USER_DATA.sub(lambda found: bytes(len(found[0])), record)  # zeros may stand before a start code
    try:
        if name == b"hvcC":
            arrays = [(kind, units) for kind, units in _arrays(record) if kind & 0x3F in _HEVC_PARAMETER_SETS]
            return record[:22] + bytes([len(arrays)]) + b"".join(_array(*array) for array in arrays)
        end = _end_of_sets(record)
    except IndexError:
        raise MediaDamaged("The video is damaged: the record of its parameters is cut off.") from None
    return record[:end] + (record[end : end + 3] + b"\0" if record[end:] else b"")  # no extensions


def parameter_sets(name: bytes, record: bytes) -> list[bytes]:
    """The sequence parameter sets and their like. Raises MediaDamaged."""
    try:
        if name == b"hvcC":
            return [unit for _kind, units in _arrays(record) for unit in units]
        return _units(record, 6, record[5] & 0x1F)[0]
    except IndexError:
        raise MediaDamaged("The video is damaged: the record of its parameters is cut off.") from None


def _units(record: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """So many units, each behind its length, and where they end."""
    units = []
    for _ in range(count):
        length = record[at] << 8 | record[at + 1]
        units.append(record[at + 2 : at + 2 + length])
        at += 2 + length
    return units, at


def _end_of_sets(record: bytes) -> int:
    """Of avcC: where the sequence and picture parameter sets end."""
    _, at = _units(record, 6, record[5] & 0x1F)
    return _units(record, at + 1, record[at])[1]


def _arrays(record: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Of hvcC: the units by their type, which is the lower six bits of the first number."""
    at = 23
    for _ in range(record[22]):
        kind, count = record[at], record[at + 1] << 8 | record[at + 2]
        units, at = _units(record, at + 3, count)
        yield kind, units


def _array(kind: int, units: list[bytes]) -> bytes:
    behind_lengths = (len(unit).to_bytes(2, "big") + unit for unit in units)
    return bytes([kind]) + len(units).to_bytes(2, "big") + b"".join(behind_lengths)
