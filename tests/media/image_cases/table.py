"""A line of the table of image files, and what is put into the files."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from media2dicom.errors import Media2DicomError
from tests.real_media import real_image

Array = NDArray[Any]

# --- what is put into the files -----------------------------------------------------------------------------------

PHOTO = Image.fromarray(np.asarray(Image.open(real_image("rocket.jpg")).resize((47, 34))))  # without its profile
RGB: Array = np.asarray(PHOTO)
GREY: Array = np.asarray(PHOTO.convert("L"))
GREY16: Array = (GREY.astype(np.uint16) << 8) + np.arange(47, dtype=np.uint16)
RGB16: Array = (RGB.astype(np.uint16) << 8) + np.arange(47, dtype=np.uint16)[:, None]
ALPHA: Array = np.linspace(0, 255, GREY.size).astype(np.uint8).reshape(GREY.shape)
BLACK_WHITE: Array = np.where(GREY > 96, 255, 0).astype(np.uint8)
INDEX: Array = GREY // 8 % 16  # 0 to 15, all of them
PALETTE: Array = np.random.default_rng(5).integers(0, 256, (16, 3)).astype(np.uint8)
OF_PALETTE: Array = PALETTE[INDEX]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def over_white(colours: Array, alpha: Array, top: int = 255) -> Array:
    """By floating point, not as the reader does it."""
    share = (alpha / top)[..., None] if colours.ndim > alpha.ndim else alpha / top
    return np.rint(colours * share + top * (1 - share)).astype(colours.dtype)


def to_8_bits(pixels: Array, top: int) -> Array:
    return np.rint(pixels / top * 255).astype(np.uint8)


# --- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One kind of file. `tolerance`: the largest difference of a sample; `refused`: the error and why, for people."""

    format: str
    suffix: str
    what: str
    make: Callable[[], bytes]
    pixels: Array | None = None
    tolerance: float = 0
    bits: int = 8
    kept: bool = False
    method: str = ""
    profile: bool = False
    warns: str = ""
    refused: type[Media2DicomError] | None = None
    why: str = ""

    @property
    def outcome(self) -> str:
        """What becomes of it, in words."""
        if self.refused is not None:
            return f"refused: {self.why}"
        samples = 1 if self.pixels is not None and self.pixels.ndim == 2 else 3
        form = f"{'grey' if samples == 1 else 'colour' if self.kept else 'RGB'}, {self.bits} bits"
        parts = [f"its own bitstream ({form})" if self.kept else form]
        if self.method:
            parts.append(f"lossy history {self.method}")
        if self.profile:
            parts.append("ICC profile kept")
        if self.warns:
            parts.append(f"with a warning: {self.warns}")
        return ", ".join(parts) + (f"; {self.why}" if self.why else "")


def by_pillow(image: Image.Image, kind: str, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make


def seen_by_pillow(make: Callable[[], bytes]) -> Array:
    with Image.open(io.BytesIO(make())) as image:
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))
