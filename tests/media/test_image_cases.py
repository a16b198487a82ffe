"""Every line of the table of image files is true, and docs/images.md is that table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media2dicom.media import plan_media
from media2dicom.model import Options
from media2dicom.settings import Settings
from tests.media.image_cases import CASES, Case
from tests.media.image_cases.page import page
from tests.media.image_cases.taking import taken


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.format}-{case.what}".replace(" ", "_"))
def test_file_becomes_what_the_table_says(case: Case, tmp_path: Path) -> None:
    path = tmp_path / f"a{case.suffix}"
    path.write_bytes(case.make())
    if case.refused is not None:
        with pytest.raises(case.refused):
            taken(path)
        return
    picture, plan = taken(path), plan_media(path, Options(), Settings())
    assert case.pixels is not None
    assert (plan.rows, plan.columns) == (picture.rows, picture.columns) == case.pixels.shape[:2]
    assert picture.samples_per_pixel == (1 if case.pixels.ndim == 2 else 3)
    assert picture.bits_stored == case.bits
    assert (picture.kept_jpeg is not None) == case.kept
    if picture.kept_jpeg is not None:
        (tmp_path / "kept.jpg").write_bytes(picture.kept_jpeg.bitstream)
        seen = np.asarray(Image.open(tmp_path / "kept.jpg"))
    else:
        assert picture.pixels is not None
        assert picture.pixels.dtype == (np.uint8 if case.bits == 8 else np.uint16)
        seen = picture.pixels
    difference = np.abs(seen.astype(int) - case.pixels.astype(int))
    assert difference.max() <= case.tolerance
    assert case.tolerance <= 1 or difference.mean() <= case.tolerance / 10
    assert (picture.lossy.method if picture.lossy else "") == case.method
    assert picture.lossy is None or picture.lossy.ratio > 0.2
    assert (picture.icc_profile is not None) == case.profile
    assert (case.warns in " ".join(plan.warnings)) if case.warns else not plan.warnings


def test_page_of_the_documentation_is_this_table() -> None:
    written = Path(__file__).parents[2] / "docs" / "images.md"
    assert written.read_text(encoding="utf-8") == page(), "python -m tests.media.image_cases > docs/images.md"
