"""When a frame was taken: the instant of a single one, the intervals of a cine (PS3.3 C.7.6.5)."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from media2dicom.dicom.derivation import frame_at, frames_between
from media2dicom.dicom.values import decimal_string
from media2dicom.errors import OptionRefused

_MAX_16_BIT_LENGTH = 65534  # DS has a 16-bit length in Explicit VR (PS3.5 7.1.2)


def add_instant(dataset: Dataset, time_ms: float) -> None:
    """The frame's instant within its clip.

    SC has no attribute of its own for it (Trigger Time and the Cine module are not in the IOD): it is told in
    Derivation Description (C.7.6.1), and Content Time runs on with it so that viewers sort the frames in time.
    """
    dataset.DerivationDescription = frame_at(time_ms)
    date, time = dataset.ContentDate, dataset.ContentTime
    if len(time) >= 6:
        start = datetime.strptime(date + time.partition(".")[0], "%Y%m%d%H%M%S")
        fraction = time.partition(".")[2]
        if fraction:
            start += timedelta(seconds=float("0." + fraction))
        instant = start + timedelta(milliseconds=time_ms)
        dataset.ContentDate, dataset.ContentTime = f"{instant:%Y%m%d}", f"{instant:%H%M%S.%f}"


def evenly_spaced(times_ms: tuple[float, ...]) -> bool:
    """Whether one Frame Time will do. Of two frames or more."""
    steps = [later - earlier for earlier, later in pairwise(times_ms)]
    return max(steps) - min(steps) <= 0.0015  # times are rounded to microseconds


def frame_time_vector(times_ms: tuple[float, ...]) -> list[str] | None:
    """The intervals as values of a DS, None where they are too many for it."""
    steps = (later - earlier for earlier, later in pairwise(times_ms))
    vector = ["0", *(decimal_string(step, 3) for step in steps)]
    return vector if len("\\".join(vector)) <= _MAX_16_BIT_LENGTH else None


def cine_timing(times_ms: tuple[float, ...]) -> Dataset:
    """Frame Time when the frames are evenly spaced, else Frame Time Vector (PS3.3 C.7.6.5.1.1), in ms.

    Both tell the frames' distances only: where in the clip they lie is told in Derivation Description (C.7.6.1).
    Raises OptionRefused for more unequal intervals than the vector can hold.
    """
    timing = Dataset()
    timing.DerivationDescription = frames_between(times_ms[0], times_ms[-1])
    if evenly_spaced(times_ms):
        timing.FrameTime = decimal_string((times_ms[-1] - times_ms[0]) / (len(times_ms) - 1), 6)
        timing.FrameIncrementPointer = Tag("FrameTime")
        return timing
    vector = frame_time_vector(times_ms)
    if vector is None:
        raise OptionRefused(
            f"The clip's {len(times_ms)} unevenly spaced frames are more than one cine instance can give the times of.",
            next_step="Choose video_mode frames, a longer frame_interval_s or fewer max_frames.",
        )
    timing.FrameTimeVector = vector
    timing.FrameIncrementPointer = Tag("FrameTimeVector")
    return timing
