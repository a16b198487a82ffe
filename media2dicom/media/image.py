"""Still images: what every format shares. One image file in, one upright Picture out.

Rules of all formats:
- pixel limits are checked from the header, before anything is decoded;
- a file far larger than its pixels is refused before it is read whole, and a header is read to a limit;
- transparency is laid over WHITE;
- grey of more than 8 bits keeps its bits; colour of more than 8 bits is rounded to 8; CMYK becomes sRGB;
- an ICC profile is carried on only where it is whole and fits the final pixels;
- of an animation or a burst the first (HEIC: the primary) picture is taken, with a warning; a document of several
  pages (TIFF) is refused, as its other pages would be missed;
- nothing else of a file's metadata is read but its orientation.
Files with any fault that a decoder can notice are refused. A format is a module with `look` and `read`; how pixels
are encoded is for media2dicom.dicom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from media2dicom.errors import MediaTooLarge
from media2dicom.limits import megabytes, refuse_over_limit
from media2dicom.media.exif import UPRIGHT
from media2dicom.media.payload import DATASET_BYTES, MAX_SIDE, MediaPlan, Payload, Picture, Pictures
from media2dicom.model import Options
from media2dicom.settings import Settings

LOSSLESS_RATIO: Final = 2.0  # what JPEG lossless makes of photographs, about
MAX_METADATA_BYTES: Final = 16_000_000  # of one block of it: larger profiles and EXIF blocks are passed over
_MAX_UNSEEN_BYTES: Final = 256_000_000
# 16-bit RGBA has 2.7 times the bytes of the final picture, and a coding may swell it; phones append short videos.
_MAX_RATIO: Final = 4
_MAX_BESIDE_BYTES: Final = 64_000_000


@dataclass(frozen=True)
class Look:
    """What the header of an image file says."""

    rows: int  # as stored, before it is turned upright
    columns: int
    samples_per_pixel: int  # of the final picture: 1 or 3
    bytes_per_sample: int = 1
    orientation: int = UPRIGHT
    keepable: bool = False  # a baseline JPEG, whose own bitstream may be kept
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFormat:
    """The reader (media.Reader) of one format, made of its two functions.

    look: the header only. read: the upright picture of a file whose size is checked. Both raise MediaDamaged,
    MediaUnsupported.
    """

    look: Callable[[Path], Look]
    read: Callable[[Path, Options], Picture]

    def plan(self, path: Path, options: Options, limits: Settings) -> MediaPlan:
        """Reads the header only. Raises MediaDamaged, MediaUnsupported, MediaTooLarge."""
        look = self._checked_look(path, limits)
        rows, columns = (look.columns, look.rows) if look.orientation >= 5 else (look.rows, look.columns)
        raw_bytes = rows * columns * look.samples_per_pixel * look.bytes_per_sample
        largest = 0
        if options.transfer_syntax == ExplicitVRLittleEndian:
            estimate = largest = raw_bytes
        elif look.keepable and keeps_bitstream(look.orientation, options):
            estimate = path.stat().st_size
        else:
            estimate = int(raw_bytes / LOSSLESS_RATIO)
        return MediaPlan(
            kind="image",
            instances=1,
            frames=1,
            rows=rows,
            columns=columns,
            estimated_bytes=estimate + DATASET_BYTES,
            largest_instance_bytes=largest,
            warnings=look.warnings,
        )

    def open_payload(self, path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
        """One still. The file is read and decoded when the Pictures are opened."""
        self._checked_look(path, limits)
        return Pictures(count=1, times_ms=None, opener=self._opened(path, options))

    @contextmanager
    def _opened(self, path: Path, options: Options) -> Iterator[Iterator[Picture]]:
        yield iter((self.read(path, options),))

    def _checked_look(self, path: Path, limits: Settings) -> Look:
        refuse_over_limit(path.stat().st_size, "The image")
        look = self.look(path)
        if look.rows * look.columns > limits.max_pixels:
            raise MediaTooLarge(
                f"The image has {look.columns:,} x {look.rows:,} pixels; the limit is {limits.max_pixels:,}.",
                next_step="Export it in a smaller size, or raise max_pixels.",
            )
        if max(look.rows, look.columns) > MAX_SIDE:
            raise MediaTooLarge(
                f"The image has {look.columns:,} x {look.rows:,} pixels; viewers of DICOM open {MAX_SIDE:,} a side.",
                next_step="Export it in a smaller size.",
            )
        size_bytes = path.stat().st_size
        raw_bytes = look.rows * look.columns * look.samples_per_pixel * look.bytes_per_sample
        if size_bytes > _MAX_RATIO * raw_bytes + _MAX_BESIDE_BYTES:
            raise MediaTooLarge(
                f"The image file has {megabytes(size_bytes)}, far more than its {look.columns:,} x {look.rows:,} "
                "pixels can fill.",
                next_step="Export the picture alone, to a file of its own.",
            )
        return look


def refuse_unseen(path: Path, name: str) -> None:
    """For formats whose header is read by a library, with as much of the file as that likes. Raises MediaTooLarge."""
    size_bytes = path.stat().st_size
    if size_bytes > _MAX_UNSEEN_BYTES:
        raise MediaTooLarge(
            f"The {name} file has {megabytes(size_bytes)}; the limit is {megabytes(_MAX_UNSEEN_BYTES)}.",
            next_step="Export the picture alone, to a file of its own.",
        )


def keeps_bitstream(orientation: int, options: Options) -> bool:
    """Whether a sound baseline JPEG keeps its bitstream: upright, and JPEG Baseline or nothing asked for."""
    return orientation == UPRIGHT and options.transfer_syntax in (None, JPEGBaseline8Bit)
