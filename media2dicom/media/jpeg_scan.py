"""The entropy-coded data of JPEG walked through code by code (ISO/IEC 10918-1 Annexes C, F.2 and H.2).

For the two processes whose damage every decoder at hand hides: lossless, and extended of more than 8 bits. Nothing is
decoded: each Huffman code tells how many bits follow it, and all codes together must end just where the data end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged
from media2dicom.media.jpeg import DHT, DRI, SOS, JpegFile, JpegHeader, Process, segments

_RESTART: Final = re.compile(rb"\xff+[\xd0-\xd7]")
_SECTION_BYTES: Final = 1 << 20  # looked up at a time
_MARGIN_BYTES: Final = 4096  # more than the longest MCU has: 10 blocks of 64 codes of 32 bits
_BLOCK: Final = 64  # coefficients
_END_OF_BLOCK: Final = 100  # any run beyond a block's end that no sum of real runs comes to


@dataclass(frozen=True)
class _Codes:
    """A Huffman table looked up by the next 16 bits."""

    bits: NDArray[np.uint8]  # of the code and what follows it; 0: no such code
    runs: NDArray[np.uint8] | None  # coefficients gone on by; of a table for AC

    def seen(self, ahead: NDArray[np.uint16]) -> tuple[bytes, bytes]:
        """Bits and runs, whatever code begins where."""
        return self.bits[ahead].tobytes(), b"" if self.runs is None else self.runs[ahead].tobytes()


@dataclass(frozen=True)
class _Scan:
    units: tuple[tuple[_Codes, _Codes | None], ...]  # tables of each sample or block of an MCU, in turn
    mcus: int


def refuse_broken_scans(file: JpegFile) -> None:
    """Of a lossless or sequential stream coded by Huffman. Raises MediaDamaged."""
    header, tables, interval = file.header, dict[int, _Codes](), 0
    seen = set[int]()
    try:
        for marker, payload, coded in segments(file.bitstream):
            if marker == DHT:
                tables |= _tables(payload, lossless=header.process is Process.LOSSLESS)
            elif marker == DRI:
                interval = int.from_bytes(payload[:2], "big")
            elif marker == SOS:
                named = payload[1 : 1 + 2 * payload[0]]
                seen |= set(named[::2])
                _walk_scan(_scan(named, header, tables), coded, interval)
    except (IndexError, KeyError, RuntimeError, ValueError):
        raise MediaDamaged("The JPEG file is damaged: its tables are not whole.") from None
    if seen != {component.identifier for component in header.components}:
        raise MediaDamaged("The JPEG file is damaged: components are missing.")


def _tables(payload: bytes, *, lossless: bool) -> Iterator[tuple[int, _Codes]]:
    """The tables of a DHT segment by class and destination (B.2.4.2), codes as of Annex C."""
    while payload:
        name, counts = payload[0], payload[1:17]
        symbols = iter(payload[17 : 17 + sum(counts)])
        bits, runs, code = np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, np.uint8), 0
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                symbol, room = next(symbols), slice(code << 16 - length, code + 1 << 16 - length)
                following = symbol & 15 if name >> 4 else 0 if lossless and symbol == 16 else symbol
                bits[room] = length + following if following < 16 else 0
                runs[room] = (symbol >> 4) + 1 if following or symbol == 0xF0 else _END_OF_BLOCK
                code += 1
            code <<= 1
        yield name, _Codes(bits, runs if name >> 4 else None)
        payload = payload[17 + sum(counts) :]


def _scan(named: bytes, header: JpegHeader, tables: dict[int, _Codes]) -> _Scan:
    """What the MCUs hold, and how many there are (A.2)."""
    lossless = header.process is Process.LOSSLESS
    known = {component.identifier: component for component in header.components}
    chosen = [(known[name], selectors) for name, selectors in zip(named[::2], named[1::2], strict=True)]
    units = []
    for component, selectors in chosen:
        pair = tables[selectors >> 4], None if lossless else tables[0x10 | selectors & 15]
        units += [pair] * (component.horizontal * component.vertical if len(chosen) > 1 else 1)
    widest = max(one.horizontal for one in header.components)
    highest = max(one.vertical for one in header.components)
    side = 1 if lossless else 8
    if len(chosen) == 1:
        columns = _up(header.columns * chosen[0][0].horizontal, widest)
        rows = _up(header.rows * chosen[0][0].vertical, highest)
        return _Scan(tuple(units), _up(columns, side) * _up(rows, side))
    return _Scan(tuple(units), _up(header.columns, side * widest) * _up(header.rows, side * highest))


def _up(number: int, step: int) -> int:
    """How many steps hold the number."""
    return -(-number // step)


def _walk_scan(scan: _Scan, coded: bytes, interval: int) -> None:
    """All restart intervals (E.2.4), each of which ends at a byte and, if none is lost, is the next in turn."""
    coded = coded.rstrip(b"\xff")  # fill before the next marker (B.1.1.2)
    marks = [mark[-1] & 7 for mark in _RESTART.findall(coded)]
    parts = _RESTART.split(coded)
    left = scan.mcus
    if marks != [number % 8 for number in range(len(marks))] or len(parts) != (_up(left, interval) if interval else 1):
        raise MediaDamaged("The JPEG file is damaged: a part between its restart markers is lost.")
    for part in parts:
        count = min(left, interval) if interval else left
        _walk(scan.units, part.replace(b"\xff\0", b"\xff"), count)
        left -= count


def _walk(units: tuple[tuple[_Codes, _Codes | None], ...], data: bytes, mcus: int) -> None:
    """`mcus` MCUs, section by section of the data. Raises MediaDamaged unless they end with the data."""
    at, left = 0, mcus  # `at`: bits from the beginning of the section
    for start in range(0, max(1, len(data)), _SECTION_BYTES):
        ahead = _ahead(data[start : start + _SECTION_BYTES + _MARGIN_BYTES])
        end = 8 * min(_SECTION_BYTES, len(data) - start)
        views = {id(codes): codes.seen(ahead) for pair in units for codes in pair if codes is not None}
        looked_up = [(views[id(first)][0], views[id(ac)] if ac is not None else None) for first, ac in units]
        while left and at < end:
            for bits, alternating in looked_up:
                at += bits[at] or _no_code()
                if alternating is not None:
                    at = _walk_block(*alternating, at)
            left -= 1
        at -= end
    if left or not -8 < at <= 0:
        raise MediaDamaged("The JPEG file is damaged: it holds other pixels than its header says.")


def _walk_block(bits: bytes, runs: bytes, at: int) -> int:
    """Where the AC coefficients (F.2.2.2) of a block end that begin at `at`."""
    passed = 1
    while passed < _BLOCK:
        passed += runs[at]
        at += bits[at] or _no_code()
    if _BLOCK < passed < _END_OF_BLOCK:
        raise MediaDamaged("The JPEG file is damaged: a block has more than 64 coefficients.")
    return at


def _no_code() -> int:
    raise MediaDamaged("The JPEG file is damaged: there is no such code.")


def _ahead(section: bytes) -> NDArray[np.uint16]:
    """The next 16 bits from every bit of the section on."""
    padded = np.frombuffer(section + bytes(_MARGIN_BYTES), np.uint8).astype(np.uint32)
    words = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    return (words[:, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16)
