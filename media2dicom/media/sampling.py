"""Which frames of a clip stand for which instants. Exact arithmetic; no file is opened here.

The rule: sample k stands for the instant start_s + k * frame_interval_s, times counted from the clip's first
displayed frame, as long as the instant lies before the clip's end and not after end_s. It takes the frame on display
at that instant: the last one whose time is not later. A frame is not taken twice: where the interval is shorter than
the distance of frames, each frame is taken once.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import fmean, median
from typing import Final

DEFAULT_FRAME_INTERVAL_S: Final = 1.0  # when a row gives no frame_interval_s
_USUAL_RATES: Final = tuple(
    Fraction(rate)
    for rate in ("24000/1001", 24, 25, "30000/1001", 30, 48, 50, "60000/1001", 60, 10, 12, 15, 20, 100, 120)
)
_USUAL_PERIODS_MS: Final = tuple(float(1000 / rate) for rate in _USUAL_RATES)
_FINE_TICKS: Final = 4  # a frame's distance, at least: a frame left out is then 2 ticks or more off any even rate


@dataclass(frozen=True)
class Timeline:
    """When the frames of a clip are displayed, in ticks of time_base seconds; ticks ascend, the first is not 0."""

    time_base: Fraction  # seconds
    ticks: Sequence[int]
    end: int  # when the last frame's display ends, > ticks[-1]

    @property
    def duration_s(self) -> Fraction:
        return (self.end - self.ticks[0]) * self.time_base

    def time_ms(self, tick: int) -> float:
        """The time of a frame from the clip's first one, rounded to microseconds."""
        return round((tick - self.ticks[0]) * self.time_base * 1_000_000) / 1000

    def evened_ms(self, times_ms: tuple[float, ...]) -> tuple[float, ...]:
        """Times that a constant rate explains but for rounding to ticks (1 ms in Matroska) as that rate has them.

        Where a tick is long (a whole frame in AVI), a step that differs by one is none of rounding.
        """
        tick_ms = float(self.time_base * 1000)
        is_fine = (times_ms[-1] - times_ms[0]) >= _FINE_TICKS * tick_ms * (len(times_ms) - 1)
        return evened(times_ms, tick_ms) if is_fine else times_ms


def decimal_fraction(seconds: float) -> Fraction:
    """The number as it was written: 0.7 is 7/10, not the binary number next to it."""
    return Fraction(repr(float(seconds)))


def evened(times_ms: tuple[float, ...], tolerance_ms: float) -> tuple[float, ...]:
    """The times at a constant rate, when each lies within the tolerance of it; else as they are."""
    steps = len(times_ms) - 1
    if steps < 1:
        return times_ms

    def error(period: float) -> float:
        return max(abs(time_ms - times_ms[0] - k * period) for k, time_ms in enumerate(times_ms))

    mean = (times_ms[-1] - times_ms[0]) / steps
    usual = [period for period in _USUAL_PERIODS_MS if abs(period - mean) * steps <= tolerance_ms]
    best = min((period for period in usual if error(period) <= tolerance_ms), key=error, default=mean)
    if error(best) > tolerance_ms:
        return times_ms
    return tuple(round(times_ms[0] + k * best, 3) for k in range(steps + 1))


def usual_rate(times_ms: Sequence[float], tick_ms: float) -> Fraction:
    """The frames a second that most of a clip has: of the steps that differ from the middle one by rounding alone."""
    steps = [later - earlier for earlier, later in pairwise(times_ms)]
    middle = median(steps)
    period = fmean(step for step in steps if abs(step - middle) <= min(tick_ms, middle / _FINE_TICKS))
    nearest = min(_USUAL_RATES, key=lambda rate: abs(float(1000 / rate) - period))
    is_rounded = abs(float(1000 / nearest) - period) <= min(tick_ms, period / 100)
    return nearest if is_rounded else Fraction(1000 / period).limit_denominator(1001)


def sampled_ticks(timeline: Timeline, interval_s: float, start_s: float, end_s: float | None) -> Iterator[int]:
    """The ticks of the frames to take, ascending, each once; none when start_s is not within the clip."""
    start, interval = decimal_fraction(start_s), decimal_fraction(interval_s)
    last = None if end_s is None else decimal_fraction(end_s)
    ticks, first = timeline.ticks, timeline.ticks[0]
    k = 0
    while True:
        instant = start + k * interval
        if instant >= timeline.duration_s or (last is not None and instant > last):
            return
        following = bisect_right(ticks, first + math.floor(instant / timeline.time_base))
        yield ticks[following - 1]
        if following == len(ticks):
            return
        # The next instant that does not fall on the same frame.
        next_s = (ticks[following] - first) * timeline.time_base
        k = max(k + 1, math.ceil((next_s - start) / interval))
