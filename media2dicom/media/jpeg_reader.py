"""JPEG files (ISO/IEC 10918-1): the file's own bitstream kept where it may be, else its decoded pixels.

- A sound baseline file that is upright keeps its bitstream, when JPEG Baseline or nothing is asked for.
- Extended, progressive, arithmetic and lossless files, CMYK and YCCK, and what must be turned are decoded.
The markers are read in jpeg.py.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import simplejpeg  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media.exif import upright
from media2dicom.media.image import ImageFormat, Look, keeps_bitstream
from media2dicom.media.jpeg import JpegFile, JpegHeader, Process, read_jpeg, read_jpeg_header
from media2dicom.media.jpeg_scan import refuse_broken_scans
from media2dicom.media.payload import JPEG, KeptJpeg, LossyHistory, Picture
from media2dicom.media.pillow import loaded
from media2dicom.media.pixels import fitting_profile, picture_of, scaled_to_8_bits
from media2dicom.model import Options

_HEADER_BYTES: Final = 262_144  # enough for most JPEG headers
_MAX_HEADER_BYTES: Final = 33_554_432  # an ICC profile has 16,707,345 at most


def look(path: Path) -> Look:
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
        header = read_jpeg_header(head) or read_jpeg_header(head + file.read(_MAX_HEADER_BYTES))
    if header is None:
        raise MediaDamaged("The JPEG file ends before its pixels, or has too much before them.")
    grey = header.samples_per_pixel == 1
    several = ("The file holds several pictures (MPO): only the first is filed.",)
    return Look(
        rows=header.rows,
        columns=header.columns,
        samples_per_pixel=1 if grey else 3,
        bytes_per_sample=2 if grey and header.precision > 8 else 1,
        orientation=header.orientation,
        keepable=header.is_plain_baseline,
        warnings=several if header.several_pictures else (),
    )


def read(path: Path, options: Options) -> Picture:
    file = read_jpeg(path.read_bytes())
    header = file.header
    refuse_rotten(file)
    if header.is_plain_baseline and keeps_bitstream(header.orientation, options):
        samples = header.samples_per_pixel
        return Picture(
            rows=header.rows,
            columns=header.columns,
            samples_per_pixel=samples,
            bits_stored=8,
            kept_jpeg=KeptJpeg(file.bitstream, header.photometric_interpretation),
            lossy=_history(file),
            icc_profile=fitting_profile(header.icc_profile, samples),
        )
    pixels, bits_stored = _decoded(file)
    profile = None if header.samples_per_pixel == 4 else header.icc_profile
    return picture_of(upright(pixels, header.orientation), bits_stored, _history(file), profile)


def refuse_rotten(file: JpegFile) -> None:
    """Every entropy-coded bit is read once, by a decoder whose warnings are errors (others hide them).

    Decoding to an eighth of the size reads the whole stream at a quarter of the cost. What that decoder does not know
    is walked through (jpeg_scan.py). Raises MediaDamaged, MediaUnsupported.
    """
    header = file.header
    if header.process is Process.LOSSLESS or (header.process is Process.EXTENDED and header.precision == 12):
        return refuse_broken_scans(file)
    if header.precision != 8:
        raise MediaUnsupported(
            f"The JPEG variant SOF{header.process - 0xC0} of {header.precision} bits cannot be checked for damage.",
            next_step="Export it as PNG or as lossless JPEG.",
        )
    colorspace = {1: "GRAY", 3: "RGB", 4: "CMYK"}.get(header.samples_per_pixel)
    if colorspace is None:
        raise MediaUnsupported(f"The JPEG file has {header.samples_per_pixel} components.")
    try:
        simplejpeg.decode_jpeg(file.bitstream, colorspace, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        raise MediaDamaged(f"The JPEG file is damaged: {str(error).strip().rstrip('.')}.") from None


def _history(file: JpegFile) -> LossyHistory | None:
    header = file.header
    if header.process is Process.LOSSLESS:
        return None
    raw_bits = header.rows * header.columns * header.samples_per_pixel * header.precision
    return LossyHistory(raw_bits / 8 / len(file.bitstream), JPEG)


def _decoded(file: JpegFile) -> tuple[NDArray[Any], int]:
    """Pixels as stored (not turned), and bits stored."""
    header = file.header
    if header.precision == 8 and header.process is not Process.LOSSLESS:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(file.bitstream)) as image:
            return loaded(image, header.icc_profile), 8
    if header.samples_per_pixel not in (1, 3):
        raise MediaUnsupported(f"The JPEG file has {header.samples_per_pixel} components of {header.precision} bits.")
    return _decoded_by_imagecodecs(file.bitstream, header)


def _decoded_by_imagecodecs(bitstream: bytes, header: JpegHeader) -> tuple[NDArray[Any], int]:
    try:
        decoded = imagecodecs.jpeg8_decode(bitstream)
    except (imagecodecs.Jpeg8Error, ValueError, RuntimeError) as error:
        raise MediaDamaged(f"The JPEG file cannot be decoded: {error}.") from None
    if header.samples_per_pixel == 1 and header.precision > 8:
        return np.ascontiguousarray(decoded, dtype=np.uint16), header.precision
    if header.precision > 8:
        return scaled_to_8_bits(decoded, (1 << header.precision) - 1), 8
    if header.precision < 8:
        return scaled_to_8_bits(decoded.astype(np.uint16), (1 << header.precision) - 1), 8
    return np.ascontiguousarray(decoded, dtype=np.uint8), 8


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
