"""Videos whose every frame shows its own number as bars, black for 0 and white for 1: the pixels prove the frame."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from media2dicom.media.payload import Picture
from tests.real_media import ffmpeg

RATE = 25
BITS, BAR = 8, 32
ROWS, COLUMNS = 128, BITS * BAR


def numbered_video(
    path: Path, *output: str, count: int = 50, before: Sequence[str] = (), rate: int | str = RATE
) -> Path:
    """`count` frames of 256 x 128 pixels; `before` are ffmpeg's options before the input, `output` those after it."""
    path.write_bytes(_encoded(path.suffix, output, count, tuple(before), str(rate)))
    return path


@lru_cache(maxsize=64)
def _encoded(suffix: str, output: tuple[str, ...], count: int, before: tuple[str, ...], rate: str) -> bytes:
    """Each video is made once in a process."""
    bits = np.arange(count)[:, None] >> np.arange(BITS) & 1
    frames = np.repeat(np.repeat(bits[:, None, :], ROWS, axis=1), BAR, axis=2).astype(np.uint8) * 255
    form = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{COLUMNS}x{ROWS}", "-r", rate)
    with TemporaryDirectory() as folder:
        raw, made = Path(folder) / "raw.gray", Path(folder) / f"made{suffix}"
        raw.write_bytes(frames.tobytes())
        ffmpeg(*before, *form, "-i", raw, *output, made)
        return made.read_bytes()


def number_of(picture: Picture, quarter_turns: int = 0) -> int:
    """The number that a frame shows, after so many quarter turns counter-clockwise."""
    assert picture.pixels is not None
    grey = np.rot90(picture.pixels.mean(axis=2), quarter_turns)
    middle = grey[grey.shape[0] // 2 - 8 : grey.shape[0] // 2 + 8].mean(axis=0)
    return sum(int(bar.mean() > 128) << bit for bit, bar in enumerate(np.array_split(middle, BITS)))
