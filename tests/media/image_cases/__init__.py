"""The table of image files: each kind, how one is made, and what becomes of it. docs/images.md is written from it.

    python -m tests.media.image_cases > docs/images.md

The pixels that a reader must give are worked out here without it.
"""

from __future__ import annotations

from tests.media.image_cases.bmp import BMP_CASES
from tests.media.image_cases.jpeg import JPEG_CASES
from tests.media.image_cases.phones import GIF_CASES, HEIC_CASES, WEBP_CASES
from tests.media.image_cases.png import PNG_CASES
from tests.media.image_cases.table import PHOTO, RGB, Case
from tests.media.image_cases.tiff import TIFF_CASES

__all__ = ["CASES", "PHOTO", "RGB", "Case"]

CASES = (*JPEG_CASES, *PNG_CASES, *BMP_CASES, *TIFF_CASES, *WEBP_CASES, *GIF_CASES, *HEIC_CASES)
