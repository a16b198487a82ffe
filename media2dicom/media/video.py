"""Videos in, the sampled frames out as RGB Pictures with their exact times, or the whole clip as one stream.

Two passes of ffmpeg: one lists the presentation times of all packets without decoding (listing.py), one decodes
and hands over exactly the chosen frames through a pipe. Which frames are chosen is sampling.py's rule. Colours are
converted by the matrix and range that the stream declares; without a declaration BT.709 from 720 lines on, BT.601
below. Rotation metadata is applied; audio and data streams are passed over. Encoding is for media2dicom.dicom.
The whole clip (video_mode native and transcode) is clip.py's.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported, OptionRefused
from media2dicom.media import clip as whole_clip
from media2dicom.media.containers import container_of
from media2dicom.media.ffmpeg import EXACT, running_ffmpeg
from media2dicom.media.ffmpeg_log import LogLine
from media2dicom.media.listing import METHODS, list_video
from media2dicom.media.packets import Listing
from media2dicom.media.payload import DATASET_BYTES, LossyHistory, MediaPlan, Payload, Picture, Pictures
from media2dicom.media.sampling import DEFAULT_FRAME_INTERVAL_S, Timeline, sampled_ticks
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings

JPEG_RATIO: Final = 8.0  # what JPEG at the project's quality makes of video frames, about
_SHOWN: Final = re.compile(r"n: *\d+ pts: *(-?\d+) .*\bsar:(\d+)/(\d+) s:(\d+)x(\d+)\b")
_WHOLE: Final = (VideoMode.NATIVE, VideoMode.TRANSCODE)


@dataclass(frozen=True)
class _Clip:
    """A clip's stream, and the frames of it that a row wants."""

    listing: Listing
    rows: int  # upright
    columns: int
    timeline: Timeline
    chosen: Sequence[int]  # ticks
    lossy: LossyHistory | None  # None: coded without loss
    warnings: tuple[str, ...]


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Demuxes, and decodes a first frame. Raises MediaDamaged, MediaUnsupported, MediaTooLarge, OptionRefused."""
    if options.video_mode in _WHOLE:
        return whole_clip.plan(path, options, limits)
    clip = _clip(path, options, limits)
    frames = len(clip.chosen)
    raw_bytes = clip.rows * clip.columns * 3
    native = options.transfer_syntax == ExplicitVRLittleEndian
    cine = options.video_mode is VideoMode.CINE
    per_frame = raw_bytes if native else int(raw_bytes / JPEG_RATIO)
    instances = 1 if cine else frames
    return MediaPlan(
        kind="video",
        instances=instances,
        frames=frames,
        rows=clip.rows,
        columns=clip.columns,
        estimated_bytes=frames * per_frame + instances * DATASET_BYTES,
        largest_instance_bytes=(frames if cine else 1) * raw_bytes if native else 0,
        warnings=clip.warnings,
    )


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """The chosen frames; they are decoded one by one while the opened Pictures are iterated.

    Iterating raises MediaDamaged where the stream is damaged, MediaUnsupported where the size changes.
    """
    if options.video_mode in _WHOLE:
        return whole_clip.open_payload(path, options, limits, work_folder)
    clip = _clip(path, options, limits)
    cine = options.video_mode is VideoMode.CINE
    times_ms = tuple(clip.timeline.time_ms(tick) for tick in clip.chosen)
    return Pictures(
        count=len(clip.chosen),
        times_ms=clip.timeline.evened_ms(times_ms) if cine else times_ms,
        opener=_decoded(path, clip, limits.max_pixels),
        cine=cine,
    )


# --- which frames are there ---------------------------------------------------------------------------------------


def _clip(path: Path, options: Options, limits: Settings) -> _Clip:
    listing = list_video(path, container_of(path), limits)
    timeline = listing.timeline
    chosen, capped = _chosen(timeline, options, limits)
    rows, columns = listing.rows, listing.columns
    method = METHODS[listing.codec]
    if method is None and listing.pixel_format.bits > 8:
        raise MediaUnsupported(
            f"The video is without loss and has {listing.pixel_format.bits} bits a sample; video frames hold 8.",
            next_step="Save it with 8 bits a sample, or its pictures as 16-bit PNG or TIFF.",
        )
    warnings = [
        *(["max_frames leaves out frames at the end of the clip."] if capped else []),
        *listing.warnings(),
    ]
    return _Clip(
        listing=listing,
        rows=columns if listing.stream.quarter_turn else rows,
        columns=rows if listing.stream.quarter_turn else columns,
        timeline=timeline,
        chosen=chosen,
        lossy=LossyHistory(listing.ratio, method) if method else None,
        warnings=tuple(warnings),
    )


def _chosen(timeline: Timeline, options: Options, limits: Settings) -> tuple[array[int], bool]:
    """The ticks to take, and whether max_frames left some out."""
    start_s = options.start_s or 0.0
    interval_s = options.frame_interval_s or DEFAULT_FRAME_INTERVAL_S
    chosen = array("q")
    for tick in sampled_ticks(timeline, interval_s, start_s, options.end_s):
        if options.max_frames is not None and len(chosen) == options.max_frames:
            return chosen, True
        if len(chosen) == limits.max_video_frames:
            raise MediaTooLarge(
                f"More than {limits.max_video_frames:,} frames would be taken.",
                next_step="Raise frame_interval_s, or set end_s or max_frames.",
            )
        chosen.append(tick)
    if not chosen:
        raise OptionRefused(
            f"start_s is {start_s:g}, but the video lasts {float(timeline.duration_s):.3f} s.",
            next_step="Correct start_s and end_s.",
        )
    return chosen, False


# --- their pixels -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shown:
    """What ffmpeg's showinfo says of a frame on its way to us."""

    tick: int
    rows: int
    columns: int
    sample_aspect_ratio: tuple[int, int]  # width, height of a pixel


@contextmanager
def _decoded(path: Path, clip: _Clip, max_pixels: int) -> Iterator[Iterator[Picture]]:
    shown: SimpleQueue[_Shown | None] = SimpleQueue()

    def on_line(line: LogLine) -> None:
        if line.speaker.startswith("Parsed_showinfo") and (found := _SHOWN.match(line.text)):
            tick, wide, high, columns, rows = map(int, found.groups())
            shown.put(_Shown(tick, rows, columns, (wide, high)))

    assumed = clip.listing.unspecified_matrix
    matrix = f":in_color_matrix={assumed}" if assumed else ""
    script = f"select='{_one_of(clip.chosen)}',showinfo=checksum=0,scale={EXACT}{matrix},format=rgb24"
    output = [*clip.listing.selector, "-copyts", "-fps_mode", "passthrough", "-frames:v", str(len(clip.chosen))]
    output += ["-enc_time_base", "demux"]  # in ticks of the nominal rate, frames close together would collide
    with running_ffmpeg(
        path,
        clip.listing.container,
        [*output, "-f", "rawvideo", "pipe:1"],
        on_line=on_line,
        on_end=lambda: shown.put(None),
        max_pixels=max_pixels,
        filter_script=script,
    ) as ffmpeg:

        def pictures() -> Iterator[Picture]:
            first: _Shown | None = None
            for number, tick in enumerate(clip.chosen, start=1):
                frame = shown.get()
                if frame is None:
                    ffmpeg.finish()
                    raise MediaDamaged(f"The video is damaged: frame {number:,} of the wanted ones does not come.")
                first = first or frame
                if (frame.rows, frame.columns) != (first.rows, first.columns):
                    raise MediaUnsupported("The size of the video's frames changes within the clip.")
                size_bytes = frame.rows * frame.columns * 3
                raw = ffmpeg.stdout.read(size_bytes)
                if len(raw) != size_bytes:
                    ffmpeg.finish()  # it has no more to say; where it has, waiting for its end would be for ever
                if len(raw) != size_bytes or frame.tick != tick:
                    raise MediaDamaged(f"The video is damaged: frame {number:,} of the wanted ones is not whole.")
                if number == len(clip.chosen):  # before the last picture goes out, all must have gone well
                    _expect_end(ffmpeg.stdout.read(1))
                    ffmpeg.finish()
                yield _picture(raw, frame, clip)

        yield pictures()


def _expect_end(surplus: bytes) -> None:
    if surplus:
        raise MediaDamaged("The video is damaged: more frames come than are wanted.")


def _picture(raw: bytes, frame: _Shown, clip: _Clip) -> Picture:
    wide, high = frame.sample_aspect_ratio
    return Picture(
        rows=frame.rows,
        columns=frame.columns,
        samples_per_pixel=3,
        bits_stored=8,
        pixels=np.frombuffer(raw, np.uint8).reshape(frame.rows, frame.columns, 3),
        lossy=clip.lossy,
        time_ms=clip.timeline.time_ms(frame.tick),
        pixel_aspect_ratio=(high, wide) if wide != high and wide and high else None,
    )


def _one_of(ticks: Sequence[int]) -> str:
    """An expression of ffmpeg that is true for these pts alone; balanced, so that its cost per frame is log2(n)."""
    if len(ticks) == 1:
        return f"eq(pts,{ticks[0]})"
    middle = len(ticks) // 2
    return f"if(lt(pts,{ticks[middle]}),{_one_of(ticks[:middle])},{_one_of(ticks[middle:])})"
