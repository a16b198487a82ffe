"""The first pass over a video: which stream is taken, when its frames are displayed, whether the file is whole."""

from __future__ import annotations

import re
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media.containers import Container
from media2dicom.media.ffmpeg import running_ffmpeg
from media2dicom.media.packets import ANOTHER_FILE, Listing, clock_jumps, list_packets
from media2dicom.media.payload import H_264, H_265, JPEG, MAX_SIDE, MPEG_2, VP8
from media2dicom.settings import Settings

# Lossy Image Compression Method: the defined terms of PS3.3 C.7.6.1.1.5.1, and for codecs that have none there, the
# name of their specification in the same form. None: without loss.
METHODS: Final[dict[str, str | None]] = {
    "h264": H_264,
    "hevc": H_265,
    "mpeg1video": "ISO_11172_2",
    "mpeg2video": MPEG_2,
    "mpeg4": "ISO_14496_2",
    "mjpeg": JPEG,
    "vp8": VP8,
    "vp9": "VP9",
    "av1": "AV1",
    "prores": "SMPTE_RDD_36",
    "dnxhd": "SMPTE_ST_2019_1",
    "dvvideo": "IEC_61834_2",
    **dict.fromkeys(("rawvideo", "ffv1", "huffyuv", "ffvhuff", "utvideo", "png", "qtrle")),
}
_LARGEST_GAP_S: Final = 10  # of a running clock; what is longer is another recording
_REORDERING: Final = ("h264", "hevc")
_FIELDS_APART: Final = ("mpegts", "matroska")  # where the two fields of a frame may come as two packets
_FRAMES_OF_FIELDS: Final = 25  # that are decoded to see that they are
_PACKED: Final = re.compile(rb"DivX\d+(?:b|Build)\d+p")  # what coders write into the stream (user data)


def list_video(path: Path, container: Container, limits: Settings) -> Listing:
    """Raises MediaDamaged (cut off, no frames), MediaUnsupported (codec, times), MediaTooLarge."""
    counts = container.sample_counts(path)
    listing = _list_main_video(path, container, limits)
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
        listing = list_packets(path, replace(container, input_options=()), limits, index=listing.stream.index)
    _check_times(listing, container)
    if container.demuxer == "avi" and listing.codec == "mpeg4" and _is_packed(path, listing, limits):
        raise MediaUnsupported(
            "The AVI file packs two frames of the video into one (packed B-frames): their times are not told.",
            next_step=ANOTHER_FILE,
        )
    if container.clock_may_jump and not listing.begins_whole:
        raise MediaDamaged("The video is cut off: it begins within a group of pictures.")
    # Fewer packets than the container's table has samples: an edit list may leave some out, damage must not.
    if counts and listing.packets not in counts:
        everything = list_packets(path, container, limits, "-ignore_editlist", "1", index=listing.stream.index).packets
        if everything not in counts:
            raise MediaDamaged(f"The video is damaged: {everything:,} of {max(counts):,} frames can be read.")
    if listing.codec == "h264" and container.demuxer in _FIELDS_APART and listing.stream.is_interlaced:
        _pair_fields(listing)
    if listing.codec == "h264" or listing.hidden or listing.first > min(listing.displayed):
        _leave_out_what_does_not_decode(path, listing, limits)
    return listing


def _list_main_video(path: Path, container: Container, limits: Settings) -> Listing:
    """The one that is marked as the default, where no other is; else the first. A still picture gives way."""
    first = list_packets(path, container, limits)
    defaults = [video.index for video in first.videos if video.is_default]
    order = sorted(first.videos, key=lambda video: defaults != [video.index])
    for index in (video.index for video in order):
        listing = first if index == first.stream.index else list_packets(path, container, limits, index=index)
        if listing.packets > 1:
            return listing
    return first


def _check_times(listing: Listing, container: Container) -> None:
    """A frame's time is what its container says; where that is nothing, or not clear, it is not guessed."""
    if container.clock_may_jump and listing.largest_gap * listing.time_base > _LARGEST_GAP_S:
        raise clock_jumps()
    if listing.untimed or not np.diff(np.sort(listing.displayed)).all():
        raise _untimed()


def _untimed() -> MediaUnsupported:
    return MediaUnsupported(
        "The file does not tell when each frame of the video is displayed.",
        next_step="Save it as MP4 or MKV from its original.",
    )


def _is_packed(path: Path, listing: Listing, limits: Settings) -> bool:
    output = [*listing.selector, "-c", "copy", "-frames:v", "1", "-f", "data", "pipe:1"]
    with running_ffmpeg(path, listing.container, output, max_pixels=limits.max_pixels) as ffmpeg:
        return _PACKED.search(ffmpeg.stdout.read()) is not None


def _pair_fields(listing: Listing) -> None:
    """Frames of two fields (ISO/IEC 14496-10 7.4.3: field_pic_flag): a frame's time is its first field's."""
    rate = listing.stream.frames_per_s
    if not rate:
        return
    field_ticks = 1 / (2 * rate * listing.time_base)
    frames = array("q")
    paired = False
    for tick in sorted(listing.displayed):
        if frames and not paired and abs(tick - frames[-1] - field_ticks) <= max(1, field_ticks / 100):
            paired = True
            continue
        frames.append(tick)
        paired = False
    fields = len(listing.displayed) - len(frames)
    if fields:
        listing.in_fields = True
        listing.displayed, listing.packets = frames, listing.packets - fields
        listing.end = max(listing.end, frames[-1] + round(2 * field_ticks))


def _leave_out_what_does_not_decode(path: Path, listing: Listing, limits: Settings) -> None:
    """A clip cut out of a longer one may begin with frames that need those before the cut. Raises MediaDamaged."""
    output = [*listing.selector, "-copyts", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-frames:v"]
    looked_at = _FRAMES_OF_FIELDS if listing.in_fields else 1
    with running_ffmpeg(
        path, listing.container, [*output, str(looked_at), "-f", "framecrc", "pipe:1"], max_pixels=limits.max_pixels
    ) as ffmpeg:
        shown = [int(line.split(b",")[2]) for line in ffmpeg.stdout if not line.startswith(b"#")]
    earliest = min(listing.displayed)
    if not shown or shown[0] not in (earliest, listing.first):
        raise MediaDamaged(
            "The video cannot be decoded from its beginning: it begins in an open group of pictures, or is damaged.",
            next_step=ANOTHER_FILE,
        )
    if shown[0] > earliest:
        kept = array("q", (tick for tick in listing.displayed if tick >= shown[0]))
        listing.led = len(listing.displayed) - len(kept)
        listing.displayed, listing.packets = kept, listing.packets - listing.led
    if shown != sorted(listing.displayed)[: len(shown)]:  # what was taken for two fields is something else
        raise _untimed()
