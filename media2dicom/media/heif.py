"""HEIC, HEVC pictures in HEIF (ISO/IEC 23008-12), decoded by libheif: the primary picture, of several with a warning.

- The file's own turns and mirrors (irot, imir) are applied once, by libheif; an orientation in EXIF says nothing
  here (ISO/IEC 23008-12 A.2.1) and is not read.
- HEVC is taken as lossy always: whether a stream was coded without loss is not in the file.
- HEVC has no checksums: a file that is cut is refused, single flipped bits may not be noticed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif  # type: ignore[import-untyped, unused-ignore]

from media2dicom.errors import MediaDamaged
from media2dicom.media.image import ImageFormat, Look, refuse_unseen
from media2dicom.media.payload import H_265, LossyHistory, Picture
from media2dicom.media.pixels import on_white, picture_of, scaled_to_8_bits
from media2dicom.model import Options

_FAULTS = (ValueError, EOFError, SyntaxError, RuntimeError, OSError, MemoryError)


def look(path: Path) -> Look:
    refuse_unseen(path, "HEIC")
    file = _opened(path)
    image = file[file.primary_index]
    columns, rows = image.size  # upright
    grey = _channels(image) < 3
    warnings = ("The HEIC file holds several pictures: only its primary one is filed.",) if len(file) > 1 else ()
    return Look(rows, columns, 1 if grey else 3, 2 if grey and _bits(image) > 8 else 1, warnings=warnings)


def read(path: Path, options: Options) -> Picture:
    file = _opened(path)
    image = file[file.primary_index]
    bits, top = _bits(image), (1 << _bits(image)) - 1
    try:
        pixels = np.asarray(image)
    except _FAULTS as error:
        raise MediaDamaged(f"The HEIC file is damaged or of a coding that cannot be read: {_reason(error)}.") from None
    if image.has_alpha:
        pixels = on_white(pixels, top, premultiplied=image.premultiplied_alpha)
    if pixels.ndim == 3 and bits > 8:
        pixels = scaled_to_8_bits(pixels, top)
    raw_bytes = pixels.size * bits / 8
    return picture_of(
        pixels,
        bits if pixels.dtype == np.uint16 else 8,
        LossyHistory(raw_bytes / path.stat().st_size, H_265),
        image.info.get("icc_profile"),
    )


def _opened(path: Path) -> Any:  # pillow_heif has no types
    data = path.read_bytes()
    try:
        file = pillow_heif.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    except _FAULTS as error:
        raise MediaDamaged(f"The HEIC file is damaged: {_reason(error)}.") from None
    if not len(file) or not all(file.size):
        raise MediaDamaged("The HEIC file declares a picture without pixels.")
    return file


def _bits(image: Any) -> int:
    return int(image.info["bit_depth"])


def _channels(image: Any) -> int:
    name = image.mode.partition(";")[0]
    return 1 if name == "I" else len(name)


def _reason(error: BaseException) -> str:
    return str(error).strip().rstrip(".")


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
