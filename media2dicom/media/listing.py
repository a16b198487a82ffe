"""The first pass over a video: which stream is taken, when its frames are displayed, whether the file is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media.containers import Container
from media2dicom.media.packets import Listing, clock_jumps, list_packets
from media2dicom.media.payload import MAX_SIDE
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
_LARGEST_GAP_S: Final = 10  # of a running clock; what is longer is another recording
_REORDERING: Final = ("h264", "hevc")


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
    if container.clock_may_jump and not listing.begins_whole:
        raise MediaDamaged("The video is cut off: it begins within a group of pictures.")
    # Fewer packets than the container's table has samples: an edit list may leave some out, damage must not.
    if counts and listing.packets not in counts:
        everything = list_packets(path, container, limits, "-ignore_editlist", "1", index=listing.stream.index).packets
        if everything not in counts:
            raise MediaDamaged(f"The video is damaged: {everything:,} of {max(counts):,} frames can be read.")
    return listing


def _list_main_video(path: Path, container: Container, limits: Settings) -> Listing:
    """The one that is marked as the default, where no other is; else the first. A still picture gives way."""
    first = list_packets(path, container, limits)
    defaults = [video.index for video in first.videos if video.is_default]
    order = sorted(first.videos, key=lambda video: defaults != [video.index])
    for video in order:
        listing = (
            first if video.index == first.stream.index else list_packets(path, container, limits, index=video.index)
        )
        if listing.packets > 1:
            return listing
    return first


def _check_times(listing: Listing, container: Container) -> None:
    """A frame's time is what its container says; where that is nothing, or not clear, it is not guessed."""
    if container.clock_may_jump and listing.largest_gap * listing.time_base > _LARGEST_GAP_S:
        raise clock_jumps()
    if listing.untimed or not np.diff(np.sort(listing.displayed)).all():
        raise MediaUnsupported(
            "The file does not tell when each frame of the video is displayed.",
            next_step="Save it as MP4 or MKV from its original.",
        )
