"""A whole video as one stream in an MP4 container: its own where DICOM holds it, or coded anew when a row asks so.

The own stream is copied bit by bit into a new MP4 file without sound, titles, comments, places or other metadata;
what it says besides its pictures, which may be any text, is taken out (stream_texts.py). Every frame of what comes
out is decoded once: their number is counted, not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from media2dicom.dicom.frame_times import evenly_spaced, frame_time_vector
from media2dicom.errors import MediaDamaged, MediaUnsupported, OptionRefused
from media2dicom.media.containers import CONTAINERS, container_of
from media2dicom.media.ffmpeg import EXACT, running_ffmpeg
from media2dicom.media.kept_stream import H264_LEVELS, KEPT_CODECS, H264Level, not_kept, transfer_syntaxes
from media2dicom.media.listing import METHODS, list_video
from media2dicom.media.packets import Listing, list_packets, usual_matrix
from media2dicom.media.parameter_sets import PARAMETERS_ALONE, Parameters, all_parameters
from media2dicom.media.payload import DATASET_BYTES, Clip, LossyHistory, MediaPlan
from media2dicom.media.sampling import usual_rate
from media2dicom.media.stream_texts import PICTURES_ALONE, take_texts_out
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings

_MP4: Final = CONTAINERS[0]
_CLEAN: Final = ("-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact")
_OUTPUT: Final = ("-flags:v", "+bitexact", "-movflags", "+faststart", "-f", "mp4")
_BLOCK_BYTES: Final = 1 << 16
_NO_SOUND: Final = "The video's sound is left out."
_FASTEST: Final = 60  # frames a second, of a clip that is coded anew at a constant rate
_QUALITY: Final = ("-preset", "medium", "-crf", "18")  # as good as can be told by eye
_THREADS: Final = "4"  # fixed: what comes out depends on it


@dataclass(frozen=True)
class _Way:
    """How a clip goes into DICOM."""

    listing: Listing
    times_ms: tuple[float, ...]
    syntaxes: tuple[str, ...]  # that the stream may have, the usual one first
    level: H264Level | None = None  # to be coded anew at; None: the own stream is kept
    constant_rate: Fraction | None = None  # frames are taken at, when coded anew; None: each frame is
    rows: int = 0  # upright
    columns: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """As expected: at a constant rate, one more than its periods between the first and the last."""
        if self.constant_rate is None:
            return len(self.times_ms)
        return round((self.times_ms[-1] - self.times_ms[0]) / 1000 * self.constant_rate) + 1


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Demuxes, and decodes a first frame. Raises MediaDamaged, MediaUnsupported, MediaTooLarge, OptionRefused."""
    way = _way(path, options, limits)
    return MediaPlan(
        kind="video",
        instances=1,
        frames=way.frames,
        rows=way.rows,
        columns=way.columns,
        estimated_bytes=way.listing.compressed_bytes + DATASET_BYTES,
        largest_instance_bytes=0 if way.level else way.listing.compressed_bytes,
        warnings=(*way.warnings, *([_NO_SOUND] if way.listing.has_sound else [])),
        video_transfer_syntax=way.syntaxes[0],
    )


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Clip:
    """The clip as one stream in `work_folder`. Raises as `plan` does, MediaDamaged for rot, CacheFailed."""
    way = _way(path, options, limits)
    out = work_folder / "clip.mp4"
    if way.level is None:
        output = ["-c", "copy", "-bsf:v", PICTURES_ALONE[way.listing.codec]]
    else:
        output = _coding(way, way.level)
    _write(path, way.listing, [*_CLEAN, *output, *_OUTPUT, str(out)], limits)
    take_texts_out(out)
    made = list_packets(out, _MP4, limits)
    frames = _decoded_frames(out, limits)
    if frames != len(made.displayed) or (way.constant_rate is None and frames != len(way.times_ms)):
        raise MediaDamaged(f"The video is damaged: {frames:,} of {len(way.times_ms):,} frames can be decoded.")
    times_ms = way.times_ms if way.level is None else _times_ms(made)
    size_bytes = out.stat().st_size
    method = METHODS[way.listing.codec]
    history = [LossyHistory(way.listing.ratio, method)] if method and way.level is not None else []
    history.append(LossyHistory(made.rows * made.columns * 3 * frames / size_bytes, METHODS[made.codec] or ""))
    aspect = way.listing.sample_aspect_ratio if way.level is None else Fraction(1)
    return Clip(
        path=out,
        size_bytes=size_bytes,
        transfer_syntaxes=way.syntaxes,
        rows=made.rows,
        columns=made.columns,
        times_ms=times_ms,
        lossy=tuple(history),
        pixel_aspect_ratio=None if aspect == 1 else (aspect.denominator, aspect.numerator),
    )


# --- which way ----------------------------------------------------------------------------------------------------


def _way(path: Path, options: Options, limits: Settings) -> _Way:
    if any((options.frame_interval_s, options.start_s, options.end_s, options.max_frames)):
        raise OptionRefused(
            "video_mode native and transcode file the whole clip: no frames can be chosen from it.",
            next_step="Clear frame_interval_s, start_s, end_s and max_frames, or choose video_mode frames or cine.",
        )
    listing = list_video(path, container_of(path), limits)
    times_ms = _times_ms(listing)
    try:
        syntaxes = _own_syntaxes(path, listing, times_ms, limits)
        way = _Way(listing, times_ms, syntaxes, None, None, listing.rows, listing.columns, listing.warnings())
    except OptionRefused as refusal:
        if options.video_mode is VideoMode.NATIVE:
            raise
        way = _anew(listing, times_ms, refusal.message)
    wanted = options.transfer_syntax
    if wanted is None:
        return way
    if wanted not in way.syntaxes:
        raise OptionRefused(
            f"The clip cannot be stored in transfer syntax {wanted}; it may have {', '.join(way.syntaxes)}.",
            next_step="Clear the row's transfer_syntax.",
        )
    return _Way(**{**vars(way), "syntaxes": (wanted,)})


def _own_syntaxes(path: Path, listing: Listing, times_ms: tuple[float, ...], limits: Settings) -> tuple[str, ...]:
    """What the clip's own stream conforms to. Raises OptionRefused with the reason when it may not be kept."""
    reason = None
    if not evenly_spaced(times_ms) and frame_time_vector(times_ms) is None:
        reason = "its unevenly spaced frames are more than DICOM can give the times of"
    elif listing.codec not in KEPT_CODECS:
        reason = f"it is coded as {listing.codec}"
    elif listing.stream.has_display_matrix:
        reason = "the clip is to be rotated or mirrored, which DICOM cannot say"
    elif listing.hidden:
        reason = "the clip's edit list hides a part of it, which DICOM cannot say"
    elif listing.led:
        reason = "it begins in an open group of pictures, whose first frames cannot be decoded"
    elif listing.in_fields:
        reason = "the two fields of its frames stand apart in the file"
    elif listing.stream.is_full_range:
        reason = "its colours have the full range, DICOM knows the partial one (YBR_PARTIAL_420)"
    elif listing.codec != "mpeg2video" and listing.sample_aspect_ratio != 1:
        reason = "its pixels are not square"
    if reason is not None:
        raise not_kept(reason)
    return transfer_syntaxes(listing.codec, _parameters(path, listing, limits), _rate(times_ms))


def _parameters(path: Path, listing: Listing, limits: Settings) -> Parameters:
    """Of every part of the stream. Raises MediaDamaged, OptionRefused where they change."""
    output = [*listing.selector, "-c", "copy", "-copyinkf", "-bsf:v", PARAMETERS_ALONE[listing.codec]]
    with running_ffmpeg(
        path, listing.container, [*output, "-f", "data", "pipe:1"], max_pixels=limits.max_pixels
    ) as ffmpeg:
        found = all_parameters(listing.codec, iter(lambda: ffmpeg.stdout.read(_BLOCK_BYTES), b""))
        ffmpeg.finish()
    if not found:
        raise MediaDamaged("The video is damaged: its stream does not tell its parameters.")
    if len(found) > 1:
        raise not_kept("its form (profile, level, size, colours or fields) changes within the clip")
    (said,) = found
    if (said.rows, said.columns) != (listing.rows, listing.columns):
        raise MediaDamaged("The video is damaged: container and stream tell different sizes.")
    return said


# --- coding anew --------------------------------------------------------------------------------------------------


def _anew(listing: Listing, times_ms: tuple[float, ...], reason: str) -> _Way:
    """High Profile at level 4.1, at 4.2 where size and rate are above it; smaller only where both are too low.

    Frames at a constant rate keep their number and times; else the frame on display is taken at the rate that is
    usual in the clip.
    """
    rate = min(usual_rate(times_ms, float(listing.time_base * 1000)), Fraction(_FASTEST))
    keeps_frames = evenly_spaced(times_ms) and _rate(times_ms) <= _FASTEST
    wide = listing.columns * listing.sample_aspect_ratio
    rows, columns = (round(wide), listing.rows) if listing.stream.quarter_turn else (listing.rows, round(wide))
    shrunk, factor = (_even(rows), _even(columns)), Fraction(1)
    while not any(level.holds(*shrunk, rate) for level in H264_LEVELS):
        factor *= Fraction(99, 100)
        shrunk = _even(rows * factor), _even(columns * factor)
    level = next(level for level in H264_LEVELS if level.holds(*shrunk, rate))
    smaller = "" if factor == 1 else f", scaled down to {shrunk[1]} x {shrunk[0]} pixels"
    return _Way(
        listing,
        times_ms,
        (level.transfer_syntax_uid,),
        level,
        None if keeps_frames else rate,
        *shrunk,
        (f"{reason} It is coded anew as H.264{smaller}.", *listing.warnings(squared=True)),
    )


def _even(side: int | Fraction) -> int:
    return max(2, round(side / 2) * 2)


def _coding(way: _Way, level: H264Level) -> list[str]:
    rate = way.constant_rate
    timing = f"fps={rate.numerator}/{rate.denominator}," if rate else ""
    matrix, assumed = usual_matrix(way.rows), way.listing.unspecified_matrix
    colors = f"out_range=tv:out_color_matrix={matrix}" + (f":in_color_matrix={assumed}" if assumed else "")
    picture = f"scale={way.columns}:{way.rows}:{EXACT}:{colors}"
    coder = ["-c:v", "libx264", "-profile:v", "high", "-level:v", f"{level.level / 10:g}", "-threads", _THREADS]
    bounds = ["-maxrate", "62500k", "-bufsize", "78125k"]  # of both levels (ISO/IEC 14496-10 Tables)
    texts = ["-bsf:v", PICTURES_ALONE["h264"], "-colorspace", "bt709" if matrix == "bt709" else "smpte170m"]
    filters = ["-vf", f"{timing}{picture},format=yuv420p,setsar=1", "-fps_mode", "passthrough"]
    return [*filters, *coder, *_QUALITY, *bounds, *texts]


# --- what came out ------------------------------------------------------------------------------------------------


def _write(path: Path, listing: Listing, output: Sequence[str], limits: Settings) -> None:
    """What is made begins with the first frame on display, though the file's sound may begin earlier."""
    first_s = listing.timeline.ticks[0] * listing.time_base
    with running_ffmpeg(
        path,
        listing.container,
        [*listing.selector, "-copyts", *output],
        max_pixels=limits.max_pixels,
        input_options=("-itsoffset", f"{float(-first_s):.6f}"),
    ) as ffmpeg:
        ffmpeg.finish()


def _decoded_frames(path: Path, limits: Settings) -> int:
    """How many frames can be decoded, all of one size. Raises MediaDamaged, MediaUnsupported."""
    output = ["-map", "0:v:0", "-noautoscale", "-fps_mode", "passthrough", "-enc_time_base", "demux"]
    sizes: dict[int, int] = {}
    with running_ffmpeg(path, _MP4, [*output, "-f", "framecrc", "pipe:1"], max_pixels=limits.max_pixels) as ffmpeg:
        for line in ffmpeg.stdout:
            if not line.startswith(b"#"):
                size_bytes = int(line.split(b",")[4])
                sizes[size_bytes] = sizes.get(size_bytes, 0) + 1
        ffmpeg.finish()
    if len(sizes) > 1:
        raise MediaUnsupported("The size of the video's frames changes within the clip.")
    return sum(sizes.values())


def _times_ms(listing: Listing) -> tuple[float, ...]:
    """Of each frame on display. Raises OptionRefused where there is one only: it has no interval (C.7.6.5)."""
    timeline = listing.timeline
    if len(timeline.ticks) == 1:
        raise OptionRefused("The video is a single frame, which is no clip.", next_step="Choose video_mode frames.")
    return timeline.evened_ms(tuple(timeline.time_ms(tick) for tick in timeline.ticks))


def _rate(times_ms: tuple[float, ...]) -> Fraction:
    """Frames a second, on average."""
    return Fraction((len(times_ms) - 1) * 1000 / (times_ms[-1] - times_ms[0])).limit_denominator(1001)
