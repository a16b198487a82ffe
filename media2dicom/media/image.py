"""Still images: JPEG, PNG and BMP files in, one upright Picture out.

Rules of this module:
- a sound baseline JPEG that is upright keeps its bitstream, when JPEG Baseline or nothing is asked for;
- transparency is laid over WHITE;
- 16-bit grey stays 16 bits; colour of more than 8 bits is rounded to 8;
- CMYK becomes sRGB, by the file's own profile where that works;
- an ICC profile is carried on only where it fits the final pixels;
- of several pictures in a file (animated PNG, MPO) the first is taken.
Files with any fault that a decoder can notice are refused. How pixels are encoded is for media2dicom.dicom.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np
import simplejpeg  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray
from PIL import BmpImagePlugin, ImageCms, JpegImagePlugin
from PIL.Image import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.limits import refuse_over_limit
from media2dicom.media.exif import UPRIGHT, upright
from media2dicom.media.jpeg import JpegFile, JpegHeader, Process, read_jpeg, read_jpeg_header
from media2dicom.media.payload import (
    DATASET_BYTES,
    MAX_SIDE,
    KeptJpeg,
    LossyHistory,
    MediaPlan,
    Payload,
    Picture,
    Pictures,
)
from media2dicom.media.png import read_png_header
from media2dicom.model import Options
from media2dicom.settings import Settings

LOSSLESS_RATIO: Final = 2.0  # what JPEG lossless makes of photographs, about
_HEADER_BYTES: Final = 262_144  # enough for most JPEG headers
_BAND_ROWS: Final = 512  # rows worked on at a time where intermediate values are wider than pixels
_HUFFMAN_8_BIT: Final = (Process.BASELINE, Process.EXTENDED, Process.PROGRESSIVE)
_ARITHMETIC: Final = (Process.EXTENDED_ARITHMETIC, Process.PROGRESSIVE_ARITHMETIC)


@dataclass(frozen=True)
class _Look:
    """What the header of an image file says."""

    rows: int  # as stored, before it is turned upright
    columns: int
    samples_per_pixel: int
    bytes_per_sample: int
    orientation: int = UPRIGHT
    keepable: bool = False
    warnings: tuple[str, ...] = ()


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Reads the header only. Raises MediaDamaged, MediaUnsupported, MediaTooLarge."""
    look = _look(path)
    _check_size(look.rows, look.columns, limits)
    rows, columns = (look.columns, look.rows) if look.orientation >= 5 else (look.rows, look.columns)
    raw_bytes = rows * columns * look.samples_per_pixel * look.bytes_per_sample
    largest = 0
    if options.transfer_syntax == ExplicitVRLittleEndian:
        estimate = largest = raw_bytes
    elif look.keepable and look.orientation == UPRIGHT and options.transfer_syntax in (None, JPEGBaseline8Bit):
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


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """One still. The file is read and decoded when the Pictures are opened."""
    look = _look(path)
    _check_size(look.rows, look.columns, limits)
    return Pictures(count=1, times_ms=None, opener=_opened(path, options))


@contextmanager
def _opened(path: Path, options: Options) -> Iterator[Iterator[Picture]]:
    yield iter((read_picture(path, options),))


def read_picture(path: Path, options: Options) -> Picture:
    """The one upright picture of an image file, its size already checked. Raises MediaDamaged, MediaUnsupported."""
    match _format(path):
        case "PNG":
            return _png_picture(path)
        case "BMP":
            return _bmp_picture(path)
        case _:
            return _jpeg_picture(read_jpeg(path.read_bytes()), options)


def _format(path: Path) -> str:
    with path.open("rb") as file:
        return {b"\x89P": "PNG", b"BM": "BMP"}.get(file.read(2), "JPEG")


def _look(path: Path) -> _Look:
    file_bytes = path.stat().st_size
    refuse_over_limit(file_bytes, "The image")
    match _format(path):
        case "PNG":
            png = read_png_header(path)
            wide = png.bit_depth == 16 and png.samples_per_pixel == 1
            warnings = ("The PNG is animated: only its first picture is filed.",) if png.animated else ()
            return _Look(
                png.rows, png.columns, png.samples_per_pixel, 2 if wide else 1, png.orientation, warnings=warnings
            )
        case "BMP":
            with _bitmap(path) as image:
                return _Look(image.height, image.width, 1 if image.mode in ("1", "L") else 3, 1)
        case _:
            with path.open("rb") as file:
                head = file.read(_HEADER_BYTES)
                header = read_jpeg_header(head) or read_jpeg_header(head + file.read())
            if header is None:
                raise MediaDamaged("The JPEG file ends before its pixels.")
            wide = header.precision > 8 and header.samples_per_pixel == 1
            return _Look(
                header.rows,
                header.columns,
                1 if header.samples_per_pixel == 1 else 3,
                2 if wide else 1,
                header.orientation,
                header.is_plain_baseline,
                ("The file holds several pictures (MPO): only the first is filed.",) if _is_mpo(head) else (),
            )


def _is_mpo(head: bytes) -> bool:
    return b"\xff\xe2" in head and b"MPF\0" in head[: head.find(b"\xff\xda") + 1 or None]


def _check_size(rows: int, columns: int, limits: Settings) -> None:
    if rows * columns > limits.max_pixels:
        raise MediaTooLarge(
            f"The image has {columns:,} x {rows:,} pixels; the limit is {limits.max_pixels:,}.",
            next_step="Export it in a smaller size, or raise max_pixels.",
        )
    if max(rows, columns) > MAX_SIDE:
        raise MediaTooLarge(
            f"The image has {columns:,} x {rows:,} pixels; DICOM allows {MAX_SIDE:,} a side.",
            next_step="Export it in a smaller size.",
        )


# --- JPEG ---------------------------------------------------------------------------------------------------------


def _jpeg_picture(file: JpegFile, options: Options) -> Picture:
    header = file.header
    _verify(file)
    if (
        header.is_plain_baseline
        and header.orientation == UPRIGHT
        and options.transfer_syntax in (None, JPEGBaseline8Bit)
    ):
        samples = header.samples_per_pixel
        return Picture(
            rows=header.rows,
            columns=header.columns,
            samples_per_pixel=samples,
            bits_stored=8,
            kept_jpeg=KeptJpeg(file.bitstream, header.photometric_interpretation),
            lossy=_jpeg_history(file),
            icc_profile=_fitting_profile(header.icc_profile, samples),
        )
    pixels, bits_stored = _decoded_jpeg(file)
    profile = None if header.samples_per_pixel == 4 else header.icc_profile
    return _picture(upright(pixels, header.orientation), bits_stored, _jpeg_history(file), profile)


def _jpeg_history(file: JpegFile) -> LossyHistory | None:
    header = file.header
    if header.process is Process.LOSSLESS:
        return None
    raw_bits = header.rows * header.columns * header.samples_per_pixel * header.precision
    return LossyHistory(raw_bits / 8 / len(file.bitstream), "ISO_10918_1")


def _verify(file: JpegFile) -> None:
    """Every entropy-coded bit is read once, by a decoder whose warnings are errors (others hide them).

    Decoding to an eighth of the size reads the whole stream at a quarter of the cost.
    """
    header = file.header
    if header.process not in _HUFFMAN_8_BIT or header.precision != 8:
        return
    colorspace = {1: "GRAY", 3: "RGB", 4: "CMYK"}.get(header.samples_per_pixel)
    if colorspace is None:
        raise MediaUnsupported(f"The JPEG file has {header.samples_per_pixel} components.")
    try:
        simplejpeg.decode_jpeg(file.bitstream, colorspace, min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        raise MediaDamaged(f"The JPEG file is damaged: {str(error).strip().rstrip('.')}.") from None


def _decoded_jpeg(file: JpegFile) -> tuple[NDArray[Any], int]:
    """Pixels as stored (not turned), and bits stored."""
    header = file.header
    if header.precision == 8 and header.process in (*_HUFFMAN_8_BIT, *_ARITHMETIC):
        with JpegImagePlugin.JpegImageFile(io.BytesIO(file.bitstream)) as image:
            return _loaded(image, header.icc_profile), 8
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
        return _scaled_to_8_bits(decoded, (1 << header.precision) - 1), 8
    if header.precision < 8:
        return _scaled_to_8_bits(decoded.astype(np.uint16), (1 << header.precision) - 1), 8
    return np.ascontiguousarray(decoded, dtype=np.uint8), 8


# --- PNG, BMP -----------------------------------------------------------------------------------------------------


def _png_picture(path: Path) -> Picture:
    header = read_png_header(path)
    try:
        decoded = imagecodecs.png_decode(path.read_bytes())  # libpng: checks every CRC and the number of rows
    except (imagecodecs.PngError, ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        raise MediaDamaged(f"The PNG file is damaged: {reason}.") from None
    if decoded.ndim == 3 and decoded.shape[2] in (2, 4):
        decoded = _on_white(decoded)
    if decoded.ndim == 3 and decoded.dtype == np.uint16:
        decoded = _scaled_to_8_bits(decoded, 65_535)
    bits_stored = 16 if decoded.dtype == np.uint16 else 8
    return _picture(upright(decoded, header.orientation), bits_stored, None, header.icc_profile)


@contextmanager
def _bitmap(path: Path) -> Iterator[Image]:
    with path.open("rb") as file:
        try:
            image = BmpImagePlugin.BmpImageFile(file)
        except (OSError, ValueError, SyntaxError) as error:  # Pillow's own OSErrors have no errno
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise MediaUnsupported(f"The BMP file is of a variant that cannot be read: {error}.") from None
        with image:
            if not image.width or not image.height:
                raise MediaDamaged("The BMP file declares a picture without pixels.")
            yield image


def _bmp_picture(path: Path) -> Picture:
    with _bitmap(path) as image:
        return _picture(_loaded(image, None), 8, None, None)


# --- pixels -------------------------------------------------------------------------------------------------------


def _loaded(image: Image, cmyk_profile: bytes | None) -> NDArray[np.uint8]:
    """An image of Pillow as grey or RGB pixels. Raises MediaDamaged."""
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, MemoryError) as error:
        raise MediaDamaged(f"The image file is damaged: {error}.") from None
    if image.mode == "CMYK":
        return np.asarray(_rgb_of_cmyk(image, cmyk_profile))
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode == "RGBA":
        pixels: NDArray[np.uint8] = np.asarray(image)
        # Some programs leave the alpha of a 32-bit BMP at zero all over and mean opaque.
        return _on_white(pixels) if pixels[..., 3].any() else np.ascontiguousarray(pixels[..., :3])
    return np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))


def _rgb_of_cmyk(image: Image, profile: bytes | None) -> Image:
    if profile is not None and profile[16:20] == b"CMYK":
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile is no reason to refuse the pixels
    return image.convert("RGB")


def _on_white(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey+alpha or RGBA pixels, uint8 or uint16, over white; the alpha goes."""
    top = int(np.iinfo(pixels.dtype).max)
    colours = pixels.shape[2] - 1
    flat = np.empty((*pixels.shape[:2], colours), pixels.dtype)
    for row in range(0, len(pixels), _BAND_ROWS):
        band = pixels[row : row + _BAND_ROWS].astype(np.uint32)  # top squared, and half of top, fit 32 bits
        alpha = band[..., -1:]
        flat[row : row + _BAND_ROWS] = (band[..., :-1] * alpha + top * (top - alpha) + top // 2) // top
    return flat[..., 0] if colours == 1 else flat


def _scaled_to_8_bits(pixels: NDArray[Any], top: int) -> NDArray[np.uint8]:
    """Pixels of 0 to top as 0 to 255, rounded."""
    scaled = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), _BAND_ROWS):
        band = pixels[row : row + _BAND_ROWS].astype(np.uint32)
        scaled[row : row + _BAND_ROWS] = (band * 255 + top // 2) // top
    return scaled


def _picture(pixels: NDArray[Any], bits_stored: int, lossy: LossyHistory | None, profile: bytes | None) -> Picture:
    samples = 1 if pixels.ndim == 2 else 3
    return Picture(
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=samples,
        bits_stored=bits_stored,
        pixels=np.ascontiguousarray(pixels),
        lossy=lossy,
        icc_profile=_fitting_profile(profile, samples),
    )


def _fitting_profile(profile: bytes | None, samples_per_pixel: int) -> bytes | None:
    """The profile when it is one (ICC.1 7.2: size, colour space, signature) and of the pixels' colour space."""
    if profile is None or len(profile) < 128 or profile[36:40] != b"acsp":
        return None
    if int.from_bytes(profile[:4], "big") != len(profile):
        return None
    return profile if profile[16:20] == (b"GRAY" if samples_per_pixel == 1 else b"RGB ") else None
