"""Which coded videos DICOM holds as they are, and in which transfer syntax (PS3.5 8.2.5 to 8.2.11).

The objects that the project writes hold 8 bits a sample in 4:2:0 (PS3.3 A.8.5.4, C.8.12.1.1), so HEVC Main 10 (.108),
which is for 10 bits, can be none of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from pydicom.uid import HEVCMP51, MPEG2MPHL, MPEG2MPML, MPEG4HP41, MPEG4HP41BD, MPEG4HP422D

from media2dicom.errors import OptionRefused
from media2dicom.media.parameter_sets import Parameters

ANOTHER_WAY: Final = "Choose video_mode transcode to have it coded anew, or frames or cine."
KEPT_CODECS: Final = frozenset({"h264", "hevc", "mpeg2video"})

_H264_HIGH: Final = 100
_HEVC_MAIN: Final = 1
_HEVC_LEVEL_51: Final = 153
_MPEG2_MAIN, _MPEG2_MAIN_LEVEL, _MPEG2_HIGH_LEVELS = 4, 8, (4, 6, 8)
_16_BY_9: Final = 3
# PS3.5 Table 8-4: rows, columns, rate, interlaced
_BD: Final = frozenset(
    (rows, columns, Fraction(rate), interlaced)
    for rows, columns, rates, interlaced in (
        (1080, 1920, ("25", "30000/1001"), True),
        (1080, 1920, ("24", "24000/1001"), False),
        (720, 1280, ("50", "60000/1001", "24", "24000/1001"), False),
    )
    for rate in rates
)


@dataclass(frozen=True)
class H264Level:
    """A level's bounds (ISO/IEC 14496-10 Table A-1)."""

    level: int  # level_idc
    transfer_syntax_uid: str
    macroblocks: int  # a frame
    macroblocks_per_s: int

    def holds(self, rows: int, columns: int, rate: Fraction) -> bool:
        across, down = -(-columns // 16), -(-rows // 16)
        longest_squared = 8 * self.macroblocks
        return (
            across * down <= self.macroblocks
            and across * down * rate <= self.macroblocks_per_s
            and max(across, down) ** 2 <= longest_squared
        )


H264_LEVELS: Final = (
    H264Level(41, str(MPEG4HP41), 8192, 245_760),
    H264Level(42, str(MPEG4HP422D), 8704, 522_240),
)
_HEVC_51_SAMPLES, _HEVC_51_SAMPLES_PER_S = 8_912_896, 534_773_760  # ISO/IEC 23008-2 Tables A.8, A.9


def transfer_syntaxes(codec: str, said: Parameters, rate: Fraction) -> tuple[str, ...]:
    """The transfer syntaxes that the stream conforms to, the usual one first. `rate`: its frames a second, at most.

    Raises OptionRefused with the reason when there is none.
    """
    if said.chroma_format != 1 or said.bit_depth != 8:
        chroma = {0: "grey", 1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}.get(said.chroma_format, "unknown")
        raise not_kept(f"it has {said.bit_depth} bits a sample in {chroma}; these objects hold 8 bits in 4:2:0")
    if not said.square_pixels:
        raise not_kept("its pixels are not square")
    if codec == "h264":
        return _h264(said, rate)
    if codec == "hevc":
        return _hevc(said, rate)
    return _mpeg2(said, rate)


def not_kept(reason: str) -> OptionRefused:
    """What refuses a stream for this reason."""
    return OptionRefused(f"The video's own stream cannot be kept: {reason}.", next_step=ANOTHER_WAY)


def _h264(said: Parameters, rate: Fraction) -> tuple[str, ...]:
    if said.profile != _H264_HIGH:
        raise not_kept(f"its H.264 profile is {said.profile}; DICOM knows {_H264_HIGH} (High) alone")
    found = [
        one.transfer_syntax_uid
        for one in H264_LEVELS
        if said.level <= one.level and one.holds(said.rows, said.columns, rate)
    ]
    if not found:
        raise not_kept(f"its H.264 level, {said.level / 10:g}, or its size and rate are above level 4.2")
    if H264_LEVELS[0].transfer_syntax_uid in found and _is_bd(said, rate):
        found.append(str(MPEG4HP41BD))
    return tuple(found)


def _is_bd(said: Parameters, rate: Fraction) -> bool:
    near = (one for one in _BD if (one[0], one[1], one[3]) == (said.rows, said.columns, said.interlaced))
    return any(abs(one[2] - rate) < Fraction(1, 100) for one in near)


def _hevc(said: Parameters, rate: Fraction) -> tuple[str, ...]:
    if said.profile != _HEVC_MAIN and _HEVC_MAIN not in said.compatible_profiles:
        raise not_kept(f"its H.265 profile is {said.profile}; these objects hold {_HEVC_MAIN} (Main)")
    samples = said.rows * said.columns
    if (
        said.high_tier
        or said.level > _HEVC_LEVEL_51
        or samples > _HEVC_51_SAMPLES
        or samples * rate > _HEVC_51_SAMPLES_PER_S
    ):
        raise not_kept("its H.265 level, tier, size or rate is above level 5.1 of the Main tier")
    return (str(HEVCMP51),)


def _mpeg2(said: Parameters, rate: Fraction) -> tuple[str, ...]:
    if said.profile != _MPEG2_MAIN:
        raise not_kept("its MPEG-2 profile is not Main")
    lines = 480 if rate > 26 else 576
    if said.level == _MPEG2_MAIN_LEVEL and said.rows <= lines and said.columns <= 720 and rate < Fraction(301, 10):
        return (str(MPEG2MPML),)
    high = (said.rows, said.columns) in ((720, 1280), (1080, 1920)) and said.display_aspect == _16_BY_9
    fast = rate > Fraction(301, 10)
    usual = any(abs(one - rate) < Fraction(1, 10) for one in (25, 30, 50, 60))
    if said.level in _MPEG2_HIGH_LEVELS and high and usual and not (fast and said.rows == 1080):
        return (str(MPEG2MPHL),)
    raise not_kept("its size, rate or aspect is none of MPEG-2 Main Profile at Main or High Level in DICOM")
