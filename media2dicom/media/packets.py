"""Every packet of a video stream, listed by demuxing alone, nothing decoded. Times are the stream's own.

Which stream of a file is listed, and what may be made of it, is listing.py's.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media.containers import Container
from media2dicom.media.ffmpeg import PixelFormat, log_not_understood, pixel_format, running_ffmpeg
from media2dicom.media.ffmpeg_log import InputStreams, Stream
from media2dicom.media.sampling import Timeline
from media2dicom.settings import Settings

ANOTHER_FILE: Final = "Save it anew as MP4 with another program."
_UNKNOWN: Final = -(1 << 63)
_DISCARD: Final = 0x4  # a packet that is decoded but not displayed (before the start of an edit list)
_KEY: Final = 0x1  # a frame that needs no other; flags are told only where they are not this one alone


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
    stream: Stream = field(default_factory=lambda: Stream(0, "Video", ""))  # as ffmpeg describes it
    videos: tuple[Stream, ...] = ()  # all of the file
    has_sound: bool = False
    begins_whole: bool = True  # with a frame that needs no other
    first: int = _UNKNOWN  # the tick of the frame that stands first in the stream
    led: int = 0  # frames left out, of those displayed before it: they need others that are not there
    in_fields: bool = False  # the two fields of a frame are packets of their own; the first one is listed
    untimed: bool = False  # the time of a frame is not known
    last_dts: int = _UNKNOWN
    largest_gap: int = 0

    @property
    def selector(self) -> tuple[str, str]:
        """ffmpeg's option to take this stream alone."""
        return "-map", f"0:{self.stream.index}"

    @property
    def timeline(self) -> Timeline:
        ticks = array("q", sorted(self.displayed))
        return Timeline(self.time_base, ticks, max(self.end, ticks[-1] + 1))

    @property
    def unspecified_matrix(self) -> str | None:
        """The colour matrix to assume, where the stream does not say."""
        return None if self.stream.tells_matrix else usual_matrix(self.rows)

    @property
    def pixel_format(self) -> PixelFormat:
        return pixel_format(self.stream.pixel_format)

    def warnings(self, *, squared: bool = False) -> tuple[str, ...]:
        """What is to be told of the stream; `squared`: its pixels are made square."""
        others, bits = len(self.videos) - 1, self.pixel_format.bits
        told = {
            f"The file holds {others + 1} videos: number {self._number} is filed, the others are left out.": others > 0,
            "The video's pixels are not square.": self.sample_aspect_ratio != 1 and not squared,
            "The video has a high dynamic range: its colours look flat.": self.stream.has_high_dynamic_range,
            f"The video has {bits} bits a sample: 8 of them are filed.": bits > 8,
            "The video has transparent parts: they are filed as if they were not.": self.pixel_format.has_alpha,
        }
        return tuple(text for text, so in told.items() if so)

    @property
    def ratio(self) -> float:
        """Uncompressed bytes, three samples of 8 bits a pixel, by compressed bytes."""
        return self.rows * self.columns * 3 * self.packets / self.compressed_bytes

    @property
    def _number(self) -> int:
        """Among the file's videos, from 1 on."""
        return 1 + sum(video.index < self.stream.index for video in self.videos)


def usual_matrix(rows: int) -> str:
    return "bt709" if rows >= 720 else "bt601"


def list_packets(
    path: Path, container: Container, limits: Settings, *input_options: str, index: int | None = None
) -> Listing:
    """Of the stream of this index, else the first that is no cover. Raises MediaDamaged, MediaUnsupported."""
    listing, found = Listing(container), InputStreams()
    output = ["-map", "0:V:0" if index is None else f"0:{index}", "-c", "copy", "-copyinkf", "-copyts"]
    with running_ffmpeg(
        path,
        container,
        [*output, "-avoid_negative_ts", "disabled", "-f", "framecrc", "pipe:1"],
        on_line=found.take,
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
            if found.streams and not found.videos:
                raise MediaUnsupported("The file holds no video stream.") from None
            if "Non-monotonic DTS" in damage.message:
                raise _times_run_back(container) from None
            raise
    described = [video for video in found.videos if index is None or video.index == index]
    if not described:
        raise log_not_understood()
    listing.stream, listing.videos, listing.has_sound = described[0], tuple(found.videos), found.has_sound
    return listing


def clock_jumps() -> MediaUnsupported:
    return MediaUnsupported(
        "The clock of the video jumps within the file, as where several recordings were joined.",
        next_step="Cut it into its parts, or save it as MP4.",
    )


def _times_run_back(container: Container) -> MediaUnsupported:
    if container.clock_may_jump:
        return clock_jumps()
    return MediaUnsupported(
        "The times of the video run back within the file, as where an edit list repeats or reorders its parts.",
        next_step=ANOTHER_FILE,
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
        listing.first = pts
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
