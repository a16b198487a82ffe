"""Objects made of real image files of every format: both checkers, the lossy history, the ICC profile."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import ImageCms
from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.media import open_media
from media2dicom.model import Options
from media2dicom.settings import Settings
from media2dicom.validation import findings
from tests.checkers import check
from tests.dicom import making
from tests.dicom.making import BASELINE, EXPLICIT, SV1
from tests.media.image_cases import CASES, Case

_ONE_OF_EACH = {(case.format, case.method, case.bits, case.profile): case for case in CASES if case.refused is None}


def _object(case: Case, folder: Path, syntax: str | None = None) -> Path:
    path = folder / f"a{case.suffix}"
    path.write_bytes(case.make())
    payload = open_media(path, Options(), Settings(), folder)
    return making.build(payload, making.real_source("CT_small.dcm"), folder, Options(transfer_syntax=syntax))[0].path


@pytest.mark.parametrize("case", _ONE_OF_EACH.values(), ids=lambda case: f"{case.format}-{case.what}".replace(" ", "_"))
def test_object_of_each_kind_of_image_passes_both_checkers(case: Case, standard: Path, tmp_path: Path) -> None:
    path = _object(case, tmp_path)
    assert check(path, standard).clean, check(path, standard)
    assert findings(path) == ()
    written = dcmread(path)
    assert written.file_meta.TransferSyntaxUID == (BASELINE if case.kept else SV1)
    _assert_history(written, [case.method] if case.method else [])
    assert ("ICCProfile" in written) == case.profile
    if case.profile:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(written.ICCProfile)).profile
        assert (profile.device_class, profile.xcolor_space) == ("scnr", "RGB ")


def _assert_history(written: Dataset, methods: list[str]) -> None:
    """PS3.3 has no term for VP8: that step is told in Derivation Description."""
    assert written.LossyImageCompression == ("01" if methods else "00")
    defined = [method for method in methods if method.startswith("ISO_")]
    ratios = _values(written, "LossyImageCompressionRatio")
    assert _values(written, "LossyImageCompressionMethod") == defined
    assert len(ratios) == len(defined)
    assert all(float(ratio) > 0 for ratio in ratios)
    for other in set(methods) - set(defined):
        assert re.search(rf"{other} with ratio \d", written.DerivationDescription)


def _values(dataset: Dataset, keyword: str) -> list[str]:
    value = dataset.get(keyword) or []
    return [str(value)] if isinstance(value, (str, float)) else [str(one) for one in value]


@pytest.mark.parametrize("syntax", [BASELINE, EXPLICIT])
@pytest.mark.parametrize(
    ("format_", "method"), [("WebP", "RFC_6386"), ("HEIC", "ISO_23008_2"), ("TIFF", "ISO_10918_1")]
)
def test_past_loss_stays_told_in_every_encoding(format_: str, method: str, syntax: str, tmp_path: Path) -> None:
    case = _ONE_OF_EACH[format_, method, 8, False]
    path = _object(case, tmp_path, syntax)
    _assert_history(dcmread(path), [method, "ISO_10918_1"] if syntax == BASELINE else [method])
    assert findings(path) == ()
