"""JPEG streams that are kept: what they say of their colours is said so that every decoder sees the file's colours."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import JPEGBaseline8Bit

from media2dicom import validation
from media2dicom.errors import MediaUnsupported
from media2dicom.media.payload import MAX_SIDE
from media2dicom.model import Options
from tests.dicom import making
from tests.media.image_cases.table import PHOTO, by_pillow
from tests.media.image_cases.taking import opened, taken
from tests.media.making_images import with_segment
from tests.peers import binary

CANARY = b"Canary^Clara"
ADOBE = b"Adobe\0\x64\0\0\0\0"  # the transform follows
YCBCR = by_pillow(PHOTO, "JPEG", quality=95)()
RGB = by_pillow(PHOTO, "JPEG", quality=95, keep_rgb=True)()


def without_marker(jpeg: bytes) -> bytes:
    return jpeg[:2] + jpeg[4 + int.from_bytes(jpeg[4:6], "big") :]


def named(jpeg: bytes, identifiers: bytes) -> bytes:
    """Other identifiers for the components, in the frame and in the scan."""
    content = bytearray(jpeg)
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        at = content.index(marker) + first
        content[at : at + 3 * step : step] = identifiers
    return bytes(content)


FILES = {
    "JFIF": YCBCR,
    "Photoshop: APP14 that tells of YCbCr": with_segment(without_marker(YCBCR), 0xEE, ADOBE + b"\1" + CANARY),
    "JFIF and an APP14 that tells of RGB": with_segment(YCBCR, 0xEE, ADOBE + b"\0" + CANARY),
    "YCbCr without a marker": without_marker(YCBCR),
    "YCbCr called RGB": with_segment(without_marker(named(YCBCR, b"RGB")), 0xEE, ADOBE + b"\1"),
    "RGB with APP14": with_segment(without_marker(RGB), 0xEE, ADOBE + b"\0" + CANARY),
    "RGB by its identifiers": without_marker(named(RGB, b"RGB")),
    "grey without a marker": without_marker(by_pillow(PHOTO.convert("L"), "JPEG")()),
}


def by_pydicom(plugin: str) -> Callable[[Path], NDArray[np.uint8]]:
    def decode(path: Path) -> NDArray[np.uint8]:
        dataset = dcmread(path)
        decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
        # of the lossless syntax, to which what cannot be kept comes, Pillow's plugin knows nothing
        lossless = dataset.file_meta.TransferSyntaxUID != JPEGBaseline8Bit
        used = "pylibjpeg" if lossless and plugin == "pillow" else plugin
        return np.asarray(decoder.as_array(dataset, decoding_plugin=used, as_rgb=True)[0])

    return decode


def by_dcmtk(path: Path) -> NDArray[np.uint8]:
    native = path.with_suffix(".native.dcm")
    subprocess.run([binary("dcmdjpeg"), path, native], check=True, capture_output=True)
    return np.asarray(dcmread(native).pixel_array)


DECODERS = {
    "Pillow": by_pydicom("pillow"),
    "pylibjpeg": by_pydicom("pylibjpeg"),
    "GDCM": by_pydicom("gdcm"),
    "DCMTK": by_dcmtk,
}


@pytest.mark.parametrize("markers", FILES)
def test_every_decoder_sees_the_colours_of_the_file(markers: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(FILES[markers])
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    (instance,) = making.build(opened(path), source, tmp_path / "out", Options())
    expected = np.asarray(Image.open(io.BytesIO(FILES[markers]))).astype(int)
    for name, decode in DECODERS.items():
        assert np.abs(decode(instance.path) - expected).mean() < 1, name
    assert CANARY not in instance.path.read_bytes()
    assert not validation.findings(instance.path)


def test_every_decoder_opens_the_longest_side(tmp_path: Path) -> None:
    pixels = np.arange(MAX_SIDE).astype(np.uint8)[None]
    source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
    (instance,) = making.build(making.still(making.picture(pixels)), source, tmp_path, Options())
    for plugin in ("pylibjpeg", "gdcm"):
        np.testing.assert_array_equal(by_pydicom(plugin)(instance.path), pixels)
    np.testing.assert_array_equal(by_dcmtk(instance.path), pixels)


@pytest.mark.parametrize("marker", [0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE])
@pytest.mark.parametrize("beginning", [b"", b"Adobe\0\x64\0\0\0\0\1", b"JFIF\0\1\1\0\0\1\0\1\0\0", b"JFXX\0\x13"])
def test_no_segment_that_decoding_does_not_need_is_kept(marker: int, beginning: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(with_segment(YCBCR, marker, beginning + CANARY))
    picture = taken(path)
    assert picture.kept_jpeg is not None
    assert CANARY not in picture.kept_jpeg.bitstream


@pytest.mark.parametrize("marker", [0xC8, 0xDE, 0xDF, 0xF0, 0xF7, 0xFD])
def test_extension_of_jpeg_is_refused(marker: int, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(with_segment(YCBCR, marker, CANARY))
    with pytest.raises(MediaUnsupported, match="extension"):
        taken(path)
