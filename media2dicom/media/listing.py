"""The first pass over a video: every packet of its stream listed by demuxing alone, nothing decoded.

What is listed is the first video stream that is no cover picture. Times are the stream's own.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media.containers import Container
from media2dicom.media.ffmpeg import running_ffmpeg
from media2dicom.media.payload import MAX_SIDE
from media2dicom.media.sampling import Timeline
from media2dicom.settings import Settings

# Lossy Image Compression Method: the defined terms of PS3.3 C.7.6.1.1.5.2, and for codecs that have none there, the
# name of their specification in the same form. None: without loss.
METHODS: Final[dict[str, str | None]] = {
    "h264": "ISO_14496_10",
    "hevc": "ISO_23008_2",
    "mpeg1video": "ISO_11172_2",
    "mpeg2video": "ISO_13818_2",
    "mpeg4": "ISO_14496_2",
    "mjpeg": "ISO_10918_1",
    "vp8": "RFC_6386",
    "vp9": "VP9",
    "av1": "AV1",
    "prores": "SMPTE_RDD_36",
    "dnxhd": "SMPTE_ST_2019_1",
    "dvvideo": "IEC_61834_2",
    **dict.fromkeys(("rawvideo", "ffv1", "huffyuv", "ffvhuff", "utvideo", "png", "qtrle")),
}
_UNKNOWN: Final = -(1 << 63)
_DISCARD: Final = 0x4  # a packet that is decoded but not displayed (before the start of an edit list)
_KEY: Final = 0x1  # a frame that needs no other; flags are told only where they are not this one alone
_LARGEST_GAP_S: Final = 10  # of a running clock; what is longer is another recording
_REORDERING: Final = ("h264", "hevc")
_MATRICES: Final = ("bt709", "bt470bg", "smpte170m", "bt2020", "smpte240m", "fcc", "ycgco", "gbr", "ictcp")
_HIGH_DYNAMIC_RANGE: Final = ("smpte2084", "arib-std-b67")  # perceptual quantizer, hybrid log-gamma
_ROTATION: Final = re.compile(r"rotation of (-?[\d.]+) degrees")


@dataclass
class Listing:
    """What demuxing alone tells of a clip's video stream."""

    container: Container  # as it is to be read again: times depend on its options
    codec: str = ""
    rows: int = 0  # as coded, before rotation
    columns: int = 0
    sample_aspect_ratio: Fraction = Fraction(1)  # width by height of a pixel, before rotation
    time_base: Fraction = Fraction(0)
    displayed: array[int] = field(default_factory=lambda: array("q"))  # ticks, in the order of the stream
    end: int = 0
    packets: int = 0
    hidden: int = 0  # of them, decoded but not displayed
    compressed_bytes: int = 0
    stream_line: str = ""  # how ffmpeg describes the stream: pixel format, range and matrix
    has_display_matrix: bool = False  # it is displayed rotated or mirrored
    quarter_turn: bool = False
    has_sound: bool = False
    begins_whole: bool = True  # with a frame that needs no other
    untimed: bool = False  # the time of a frame is not known
    last_dts: int = _UNKNOWN
    largest_gap: int = 0

    @property
    def timeline(self) -> Timeline:
        ticks = array("q", sorted(self.displayed))
        return Timeline(self.time_base, ticks, max(self.end, ticks[-1] + 1))

    @property
    def unspecified_matrix(self) -> str | None:
        """The colour matrix to assume, where the stream does not say."""
        specified = any(matrix in self.stream_line for matrix in _MATRICES)
        return None if specified else usual_matrix(self.rows)

    def warnings(self, *, squared: bool = False) -> tuple[str, ...]:
        """What is to be told of the stream; `squared`: its pixels are made square."""
        oblong = self.sample_aspect_ratio != 1 and not squared
        high_dynamic_range = any(transfer in self.stream_line for transfer in _HIGH_DYNAMIC_RANGE)
        return (
            *(["The video's pixels are not square."] if oblong else []),
            *(["The video has a high dynamic range: its colours look flat."] if high_dynamic_range else []),
        )

    @property
    def ratio(self) -> float:
        """Uncompressed bytes, three samples of 8 bits a pixel, by compressed bytes."""
        return self.rows * self.columns * 3 * self.packets / self.compressed_bytes


def usual_matrix(rows: int) -> str:
    return "bt709" if rows >= 720 else "bt601"


def list_video(path: Path, container: Container, limits: Settings) -> Listing:
    """Raises MediaDamaged (cut off, no frames), MediaUnsupported (codec, times), MediaTooLarge."""
    counts = container.sample_counts(path)
    listing = list_packets(path, container, limits)
    if not (listing.displayed or listing.untimed) or not listing.compressed_bytes or not listing.time_base:
        raise MediaDamaged("The video has no frames.")
    if listing.codec not in METHODS:
        raise MediaUnsupported(
            f"The video is coded as {listing.codec or 'something unknown'}.",
            next_step="Save it as MP4 with H.264.",
        )
    if listing.rows * listing.columns > limits.max_pixels or max(listing.rows, listing.columns) > MAX_SIDE:
        raise MediaTooLarge(
            f"The video has {listing.columns:,} x {listing.rows:,} pixels.", next_step="Export it in a smaller size."
        )
    if container.demuxer == "avi" and listing.codec in _REORDERING:
        # AVI has no times of display; those made from the order of decoding are wrong for these codecs (measured).
        listing = list_packets(path, replace(container, input_options=()), limits)
    _check_times(listing, container)
    if container.clock_may_jump and not listing.begins_whole:
        raise MediaDamaged("The video is cut off: it begins within a group of pictures.")
    # Fewer packets than the container's table has samples: an edit list may leave some out, damage must not.
    if counts and listing.packets not in counts:
        everything = list_packets(path, container, limits, "-ignore_editlist", "1").packets
        if everything not in counts:
            raise MediaDamaged(f"The video is damaged: {everything:,} of {max(counts):,} frames can be read.")
    return listing


def list_packets(path: Path, container: Container, limits: Settings, *input_options: str) -> Listing:
    listing = Listing(container)

    def on_line(line: str) -> None:
        if "Stream #0:" in line and ": Video:" in line:
            listing.stream_line = line  # the last such line is the output's, which is ours alone
        elif "Stream #0:" in line and ": Audio:" in line:
            listing.has_sound = True
        elif turned := _ROTATION.search(line):
            listing.has_display_matrix = True
            listing.quarter_turn = round(float(turned[1])) % 180 == 90

    output = ["-map", "0:V:0", "-c", "copy", "-copyinkf", "-copyts", "-avoid_negative_ts", "disabled"]
    with running_ffmpeg(
        path,
        container,
        [*output, "-f", "framecrc", "pipe:1"],
        on_line=on_line,
        max_pixels=limits.max_pixels,
        input_options=input_options,
    ) as ffmpeg:
        limit_s = Fraction(limits.max_video_hours) * 3600
        for raw in ffmpeg.stdout:
            line = raw.decode("ascii", "replace")
            if line.startswith("#"):
                _take_header(listing, line)
            else:
                _take_packet(listing, line)
                if listing.displayed and (listing.end - listing.displayed[0]) * listing.time_base > limit_s:
                    raise MediaTooLarge(
                        f"The video is longer than {limits.max_video_hours:g} hours.",
                        next_step="Cut it into parts, or raise max_video_hours.",
                    )
        try:
            ffmpeg.finish()
        except MediaDamaged as damage:
            if "Non-monotonic DTS" in damage.message:
                raise _clock_jumps() from None
            raise
    return listing


def _clock_jumps() -> MediaUnsupported:
    return MediaUnsupported(
        "The clock of the video jumps within the file, as where several recordings were joined.",
        next_step="Cut it into its parts, or save it as MP4.",
    )


def _take_header(listing: Listing, line: str) -> None:
    key, _, value = line[1:].partition(":")
    value = value.strip()
    match key.split()[0]:
        case "tb":
            listing.time_base = Fraction(value)
        case "codec_id":
            listing.codec = value
        case "dimensions":
            columns, _, rows = value.partition("x")
            listing.columns, listing.rows = int(columns), int(rows)
        case "sar":
            wide, _, high = value.partition("/")
            if int(wide) > 0 and int(high) > 0:
                listing.sample_aspect_ratio = Fraction(int(wide), int(high))


def _take_packet(listing: Listing, line: str) -> None:
    """stream, dts, pts, duration, size, checksum[, F=flags][, side data]"""
    fields = [part.strip() for part in line.split(",")]
    dts, pts, duration, size_bytes = (int(text) for text in fields[1:5])
    flags = int(fields[6][2:], 16) if len(fields) > 6 and fields[6].startswith("F=") else 0
    if not listing.packets:
        listing.begins_whole = len(fields) <= 6 or not fields[6].startswith("F=") or bool(flags & _KEY)
    listing.packets += 1
    listing.compressed_bytes += size_bytes
    if dts != _UNKNOWN:
        if listing.last_dts != _UNKNOWN:
            listing.largest_gap = max(listing.largest_gap, dts - listing.last_dts)
        listing.last_dts = dts
    if flags & _DISCARD:
        listing.hidden += 1
        return
    if pts == _UNKNOWN:
        listing.untimed = True
    else:
        listing.displayed.append(pts)
        listing.end = max(listing.end, pts + duration) if len(listing.displayed) > 1 else pts + duration


def _check_times(listing: Listing, container: Container) -> None:
    """A frame's time is what its container says; where that is nothing, or not clear, it is not guessed."""
    if container.clock_may_jump and listing.largest_gap * listing.time_base > _LARGEST_GAP_S:
        raise _clock_jumps()
    if listing.untimed or not np.diff(np.sort(listing.displayed)).all():
        raise MediaUnsupported(
            "The file does not tell when each frame of the video is displayed.",
            next_step="Save it as MP4 or MKV from its original.",
        )
