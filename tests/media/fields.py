"""H.264 whose every frame is coded as two fields (PAFF), as 1080i recorders do it; no coder at hand makes it.

Samples stand in it as they are (I_PCM, ISO/IEC 14496-10 7.3.5), and each frame shows its number as numbered.py's do.
"""

from __future__ import annotations

from tests.media.numbered import BITS, COLUMNS, ROWS

_ACROSS, _DOWN = COLUMNS // 16, ROWS // 32  # macroblocks of a field
_DELIMITER = b"\0\0\0\1\x09\x10"


class _Writer:
    def __init__(self) -> None:
        self.bits = ""

    def fixed(self, *values: tuple[int, int]) -> None:
        """Each value with its number of bits."""
        self.bits += "".join(f"{value:0{count}b}" for value, count in values)

    def exp_golomb(self, *values: int) -> None:
        for value in values:
            self.bits += f"{value + 1:b}".zfill(2 * (value + 1).bit_length() - 1)

    def align(self) -> None:
        self.bits += "0" * (-len(self.bits) % 8)

    def unit(self, header: int) -> bytes:
        self.bits += "1"
        self.align()
        payload = int(self.bits, 2).to_bytes(len(self.bits) // 8, "big")
        escaped = bytearray()
        for byte in payload:
            if byte <= 3 and escaped[-2:] == b"\0\0":
                escaped.append(3)
            escaped.append(byte)
        return b"\0\0\0\1" + bytes([header]) + escaped


def _parameters() -> bytes:
    sequence = _Writer()
    sequence.fixed((100, 8), (0, 8), (40, 8))  # High Profile, level 4
    sequence.exp_golomb(0, 1, 0, 0)
    sequence.fixed((0, 2))
    sequence.exp_golomb(4, 0, 4, 1)  # frame_num and picture order count of 8 bits, one reference
    sequence.fixed((0, 1))
    sequence.exp_golomb(_ACROSS - 1, _DOWN - 1)
    sequence.fixed((0b0010_1, 5), (0b0000_1, 5), (1, 32), (50, 32), (1, 1), (0, 4))  # fields; 50 of them a second
    picture = _Writer()
    picture.exp_golomb(0, 0)
    picture.fixed((0, 2))
    picture.exp_golomb(0, 0, 0)
    picture.fixed((0, 3))
    picture.exp_golomb(0, 0, 0)
    picture.fixed((0, 3))
    return sequence.unit(0x67) + picture.unit(0x68)


def _field(number: int, *, bottom: bool) -> bytes:
    refreshes = number == 0 and not bottom
    slices = _Writer()
    slices.exp_golomb(0, 7, 0)
    slices.fixed((number, 8), (1, 1), (bottom, 1))
    if refreshes:
        slices.exp_golomb(0)
    slices.fixed((2 * number + bottom, 8), (0, 2 if refreshes else 1))
    slices.exp_golomb(0)
    for column in list(range(_ACROSS)) * _DOWN:
        slices.exp_golomb(25)  # I_PCM
        slices.align()
        shade = 235 if number >> column * BITS // _ACROSS & 1 else 16
        slices.bits += f"{shade:08b}" * 256 + f"{128:08b}" * 128
    return slices.unit(0x65 if refreshes else 0x61)


def numbered_fields(count: int) -> bytes:
    """An elementary stream of so many frames, at most 128."""
    frames = (_DELIMITER + _parameters() * (number % 10 == 0) + _pair(number) for number in range(count))
    return b"".join(frames)


def _pair(number: int) -> bytes:
    return _field(number, bottom=False) + _DELIMITER + _field(number, bottom=True)
