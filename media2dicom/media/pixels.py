"""Decoded pixels on their way to a Picture: transparency, depth, CMYK, profiles. The rules are in image.py."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms
from PIL.Image import Image

from media2dicom.media.payload import LossyHistory, Picture

_BAND_ROWS: Final = 512  # rows worked on at a time where intermediate values are wider than pixels


def picture_of(
    pixels: NDArray[Any], bits_stored: int = 8, lossy: LossyHistory | None = None, profile: bytes | None = None
) -> Picture:
    """The Picture of upright pixels, grey (rows, columns) or RGB (rows, columns, 3)."""
    samples = 1 if pixels.ndim == 2 else 3
    return Picture(
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=samples,
        bits_stored=bits_stored,
        pixels=np.ascontiguousarray(pixels),
        lossy=lossy,
        icc_profile=fitting_profile(profile, samples),
    )


def on_white(pixels: NDArray[Any], top: int, *, premultiplied: bool = False) -> NDArray[Any]:
    """Grey+alpha or RGBA pixels of 0 to `top` over white; the alpha goes."""
    colours = pixels.shape[2] - 1
    flat = np.empty((*pixels.shape[:2], colours), pixels.dtype)
    for row in range(0, len(pixels), _BAND_ROWS):
        band = pixels[row : row + _BAND_ROWS].astype(np.uint32)  # top squared, and half of top, fit 32 bits
        colour, alpha = band[..., :-1], band[..., -1:]
        if premultiplied:
            flat[row : row + _BAND_ROWS] = np.minimum(colour + (top - alpha), top)
        else:
            flat[row : row + _BAND_ROWS] = (colour * alpha + top * (top - alpha) + top // 2) // top
    return flat[..., 0] if colours == 1 else flat


def scaled_to_8_bits(pixels: NDArray[Any], top: int) -> NDArray[np.uint8]:
    """Pixels of 0 to `top` as 0 to 255, rounded."""
    scaled = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), _BAND_ROWS):
        band = pixels[row : row + _BAND_ROWS].astype(np.uint32)
        scaled[row : row + _BAND_ROWS] = (band * 255 + top // 2) // top
    return scaled


def rgb_of_cmyk(image: Image, profile: bytes | None) -> NDArray[np.uint8]:
    """A CMYK image of Pillow as sRGB, by its own profile where that works."""
    if profile is not None and profile[16:20] == b"CMYK":
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
            if converted is not None:
                return np.asarray(converted)
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile is no reason to refuse the pixels
    return np.asarray(image.convert("RGB"))


def fitting_profile(profile: bytes | None, samples_per_pixel: int) -> bytes | None:
    """The profile when it is of the pixels' colour space (ICC.1 7.2), whole, and Little CMS can convert by it."""
    if profile is None or len(profile) < 128 or profile[36:40] != b"acsp":
        return None
    if int.from_bytes(profile[:4], "big") != len(profile):
        return None
    space, mode = (b"GRAY", "L") if samples_per_pixel == 1 else (b"RGB ", "RGB")
    if profile[16:20] != space:
        return None
    try:
        ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    return profile
