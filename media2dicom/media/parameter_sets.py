"""What a coded video says of itself: the sequence parameter set of H.264 (ISO/IEC 14496-10 7.3.2.1) and H.265
(ISO/IEC 23008-2 7.3.2.2), the sequence header of MPEG-2 (ISO/IEC 13818-2 6.2.2).

Which of them DICOM takes is kept_stream.py's knowledge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from media2dicom.errors import MediaDamaged

# The filter of ffmpeg that leaves of a stream what is read here, with start codes. Parameters that the container holds
# are put before the frames: ffmpeg alone does so for some.
PARAMETERS_ALONE: Final = {
    "h264": "h264_mp4toannexb,dump_extra,filter_units=pass_types=7",
    "hevc": "hevc_mp4toannexb,dump_extra,filter_units=pass_types=33",
    "mpeg2video": "dump_extra,filter_units=pass_types=179|181",
}
_EXTENDED_SAR: Final = 255
_WITH_CHROMA_FORMAT: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_SEQUENCE_HEADER, _EXTENSION = 0xB3, 0xB5
_SEQUENCE_EXTENSION_ID: Final = 1


@dataclass(frozen=True)
class Parameters:
    """A stream's form as it declares it. profile and level are the numbers of the codec's own specification."""

    profile: int
    level: int
    rows: int  # as displayed: cropped
    columns: int
    chroma_format: int  # 1: 4:2:0
    bit_depth: int
    interlaced: bool = False  # fields, or frames that may be fields
    square_pixels: bool = True  # no declaration is one of 1:1
    high_tier: bool = False  # H.265
    compatible_profiles: frozenset[int] = frozenset()  # H.265: general_profile_compatibility_flag
    display_aspect: int = 0  # MPEG-2: aspect_ratio_information


def read_parameters(codec: str, stream: bytes) -> Parameters:
    """The first ones, from the beginning of an elementary stream with start codes. Raises MediaDamaged."""
    try:
        return next(_declared(codec, _units([stream])))
    except (IndexError, StopIteration):
        raise MediaDamaged("The video is damaged: its stream does not begin with its parameters.") from None


def all_parameters(codec: str, stream: Iterable[bytes]) -> frozenset[Parameters]:
    """All different ones within an elementary stream, which comes in blocks of any size. Raises MediaDamaged."""
    try:
        return frozenset(_declared(codec, _units(stream)))
    except IndexError:
        raise MediaDamaged("The video is damaged: the parameters of its stream are cut off.") from None


def _declared(codec: str, units: Iterable[bytes]) -> Iterator[Parameters]:
    if codec == "mpeg2video":
        yield from _mpeg2(units)
    for unit in units:
        if codec == "h264" and unit[0] & 0x1F == 7:
            yield _h264(_Bits(unit[1:]))
        if codec == "hevc" and unit[0] >> 1 & 0x3F == 33:
            yield _hevc(_Bits(unit[2:]))


def _units(stream: Iterable[bytes]) -> Iterator[bytes]:
    """What stands between start codes (Annex B)."""
    before, rest = True, b""
    for block in stream:
        *whole, rest = (rest + block).split(b"\x00\x00\x01")
        yield from filter(None, whole[before:])
        before = before and not whole
    if rest and not before:
        yield rest


class _Bits:
    """A bit reader over a NAL unit; emulation prevention bytes are taken out (7.4.1)."""

    def __init__(self, unit: bytes) -> None:
        self._bytes = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._bytes[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def flag(self) -> bool:
        return bool(self.take(1))

    def unsigned(self) -> int:
        """ue(v), Exp-Golomb (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def _h264(bits: _Bits) -> Parameters:
    profile, _constraints, level = bits.take(8), bits.take(8), bits.take(8)
    bits.unsigned()  # seq_parameter_set_id
    chroma_format, bit_depth = 1, 8
    if profile in _WITH_CHROMA_FORMAT:
        chroma_format = bits.unsigned()
        if chroma_format == 3:
            bits.flag()  # separate_colour_plane_flag
        bit_depth = 8 + max(bits.unsigned(), bits.unsigned())
        bits.flag()  # qpprime_y_zero_transform_bypass_flag
        if bits.flag():
            for number in range(8 if chroma_format != 3 else 12):
                if bits.flag():
                    _skip_scaling_list(bits, 16 if number < 6 else 64)
    bits.unsigned()  # log2_max_frame_num_minus4
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.flag()
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()  # max_num_ref_frames
    bits.flag()  # gaps_in_frame_num_value_allowed_flag
    columns, map_rows = 16 * (bits.unsigned() + 1), 16 * (bits.unsigned() + 1)
    frames_only = bits.flag()
    if not frames_only:
        bits.flag()  # mb_adaptive_frame_field_flag
    bits.flag()  # direct_8x8_inference_flag
    rows = map_rows * (1 if frames_only else 2)
    if bits.flag():
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        across, down = (2 if chroma_format in (1, 2) else 1), (2 if chroma_format == 1 else 1)
        columns -= across * (left + right)
        rows -= down * (1 if frames_only else 2) * (top + bottom)
    square = True
    if bits.flag() and bits.flag():  # VUI, aspect_ratio_info_present_flag
        square = _is_square(bits)
    return Parameters(profile, level, rows, columns, chroma_format, bit_depth, not frames_only, square)


def _is_square(bits: _Bits) -> bool:
    aspect = bits.take(8)
    if aspect == _EXTENDED_SAR:
        return bits.take(16) == bits.take(16)
    return aspect in (0, 1)  # unspecified, 1:1


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _hevc(bits: _Bits) -> Parameters:
    bits.take(4)  # sps_video_parameter_set_id
    sub_layers = bits.take(3)
    bits.flag()  # sps_temporal_id_nesting_flag
    bits.take(2)  # general_profile_space
    high_tier, profile, compatible = bits.flag(), bits.take(5), bits.take(32)
    bits.take(1)
    interlaced = bits.flag()  # general_interlaced_source_flag
    bits.take(46)
    level = bits.take(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.take(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.take(88 * has_profile + 8 * has_level)
    bits.unsigned()  # sps_seq_parameter_set_id
    chroma_format = bits.unsigned()
    if chroma_format == 3:
        bits.flag()
    columns, rows = bits.unsigned(), bits.unsigned()
    if bits.flag():
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        columns -= (2 if chroma_format in (1, 2) else 1) * (left + right)
        rows -= (2 if chroma_format == 1 else 1) * (top + bottom)
    bit_depth = 8 + max(bits.unsigned(), bits.unsigned())
    flags = frozenset(number for number in range(32) if compatible >> (31 - number) & 1)
    return Parameters(profile, level, rows, columns, chroma_format, bit_depth, interlaced, True, high_tier, flags)


def _mpeg2(units: Iterable[bytes]) -> Iterator[Parameters]:
    rows = columns = aspect = 0
    for unit in units:
        if unit[0] == _SEQUENCE_HEADER:
            columns, rows = unit[1] << 4 | unit[2] >> 4, (unit[2] & 0x0F) << 8 | unit[3]
            aspect = unit[4] >> 4
        elif unit[0] == _EXTENSION and unit[1] >> 4 == _SEQUENCE_EXTENSION_ID and rows:
            profile_and_level = (unit[1] & 0x0F) << 4 | unit[2] >> 4
            yield Parameters(
                profile=profile_and_level >> 4,  # with the escape bit: 4 is Main
                level=profile_and_level & 0x0F,
                rows=rows | (unit[3] & 0x60) << 7,
                columns=columns | (unit[2] & 1) << 13 | (unit[3] & 0x80) << 5,
                chroma_format=unit[2] >> 1 & 3,
                bit_depth=8,
                interlaced=not unit[2] & 8,
                display_aspect=aspect,
            )
