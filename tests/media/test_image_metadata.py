"""What image files say beside their pixels: their text stays out of the object and of logs."""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from pydicom import dcmread

from media2dicom.errors import MediaTooLarge, RowRefused
from media2dicom.media import plan_media
from media2dicom.model import Options
from media2dicom.settings import Settings
from tests.dicom import making
from tests.media.image_cases import CASES, PHOTO, RGB
from tests.media.image_cases.table import SRGB
from tests.media.image_cases.taking import opened, taken
from tests.media.making_images import png_chunk, with_segment

CANARY = b"Canary^Clara"
TEXT = CANARY.decode()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d>' + CANARY + b"</d></x:xmpmeta>"


def exif(orientation: int) -> Image.Exif:
    """A camera's block: description, artist, maker note, place."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = block[0x013B] = TEXT
    block.get_ifd(0x8769)[0x927C] = CANARY  # MakerNote
    block.get_ifd(0x8825).update({1: "N", 2: (47.0, 3.0, 1.0), 29: TEXT})  # GPS
    return block


# --- canaries -----------------------------------------------------------------------------------------------------


def _jpeg(**options: Any) -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "JPEG", exif=exif(1), comment=CANARY, xmp=XMP, **options)
    thumbnail = b"JFXX\0\x13" + bytes([4, 3]) + CANARY * 3
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x10" + CANARY
    content = buffer.getvalue()
    for marker, payload in ((0xED, iptc), (0xEF, CANARY), (0xE0, thumbnail)):
        content = with_segment(content, marker, payload)
    return content + CANARY


def _png() -> bytes:
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Author", TEXT)
    text.add_itxt("Title", TEXT)
    PHOTO.save(buffer, "PNG", exif=exif(1), pnginfo=text)
    content = buffer.getvalue()
    return content[:33] + png_chunk(b"prVt", CANARY) + content[33:] + CANARY


def _bmp() -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "BMP")
    content = buffer.getvalue()
    at = int.from_bytes(content[10:14], "little") + len(CANARY)  # a gap before the pixels, and bytes after them
    return content[:10] + at.to_bytes(4, "little") + content[14:54] + CANARY + content[54:] + CANARY


def _tiff() -> bytes:
    buffer = io.BytesIO()
    tags = [(315, "s", 0, TEXT, True), (700, "B", len(XMP), XMP, True), (33723, "B", len(CANARY), CANARY, True)]
    tifffile.imwrite(buffer, RGB, photometric="rgb", description=TEXT, software=TEXT, metadata=None, extratags=tags)
    return buffer.getvalue()


def _webp(**options: Any) -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "WEBP", exif=exif(1), xmp=XMP, **options)
    return buffer.getvalue()


def _gif() -> bytes:
    buffer = io.BytesIO()
    PHOTO.quantize(64).save(buffer, "GIF", comment=CANARY)
    return buffer.getvalue() + CANARY


def _heic() -> bytes:
    image = PHOTO.copy()
    image.info.update(exif=exif(1).tobytes(), xmp=XMP)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("suffix", "make"),
    [
        ("jpg", _jpeg),
        ("jpg", lambda: _jpeg(progressive=True)),
        ("png", _png),
        ("bmp", _bmp),
        ("tif", _tiff),
        ("webp", _webp),
        ("webp", lambda: _webp(lossless=True)),
        ("gif", _gif),
        ("heic", _heic),
    ],
)
def test_nothing_of_a_files_metadata_reaches_the_object(suffix: str, make: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(make())
    assert CANARY in path.read_bytes()
    source = making.real_source("CT_small.dcm")

    (instance,) = making.build(opened(path), source, tmp_path / "out", Options())

    written = instance.path.read_bytes()
    assert dcmread(instance.path).Rows == PHOTO.height
    for trace in (CANARY, CANARY.lower(), "Canary".encode("utf-16-le"), b"Exif", b"GPS", b"xmpmeta", b"8BIM", b"JFXX"):
        assert trace not in written


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_png_whose_profile_is_at_fault_says_nothing_of_itself_in_a_log(
    mode: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    buffer = io.BytesIO()
    PHOTO.convert(mode).save(buffer, "PNG")
    content, profile = buffer.getvalue(), png_chunk(b"iCCP", CANARY + b"\0\0" + zlib.compress(SRGB))
    faulty = [profile, png_chunk(b"cHRM", CANARY), png_chunk(b"sPLT", CANARY), png_chunk(b"tIME", CANARY)]
    path = tmp_path / "a.png"
    path.write_bytes(content[:33] + b"".join(faulty) + content[33:-12] + png_chunk(b"hIST", CANARY) + content[-12:])
    plan_media(path, Options(), Settings())
    taken(path)
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


# --- hostile files ------------------------------------------------------------------------------------------------

_WHOLE = {case.format: case for case in CASES if case.refused is None}


@pytest.mark.parametrize("kind", _WHOLE)
def test_picture_over_the_cap_is_refused_before_it_is_decoded(kind: str, tmp_path: Path) -> None:
    case = _WHOLE[kind]
    assert case.pixels is not None
    rows, columns = case.pixels.shape[:2]
    path = tmp_path / f"a{case.suffix}"
    path.write_bytes(case.make())
    opened(path, settings=Settings(max_pixels=rows * columns))
    with pytest.raises(MediaTooLarge, match="the limit is"):
        opened(path, settings=Settings(max_pixels=rows * columns - 1))


@pytest.mark.parametrize(
    ("suffix", "content", "sides"),
    [
        ("gif", b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;", None),
        ("webp", b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\x7f\xff\xff\x7f", "8,388,608"),
        ("bmp", b"BM" + bytes(12) + b"\x28\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f\1\0\x18" + bytes(25), "2,147,483,647"),
    ],
)
def test_bomb_is_refused_from_its_header(suffix: str, content: bytes, sides: str | None, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(MediaTooLarge, match=sides):
        plan_media(path, Options(), Settings())


@pytest.mark.parametrize("kind", _WHOLE)
def test_damaged_file_is_read_or_refused_and_nothing_else(kind: str, tmp_path: Path) -> None:
    case = _WHOLE[kind]
    path = tmp_path / f"a{case.suffix}"
    whole, chance = case.make(), np.random.default_rng(7)
    for _ in range(60):
        content = bytearray(whole[: chance.integers(20, len(whole))] if chance.random() < 0.3 else whole)
        for at in chance.integers(12, len(content), chance.integers(1, 6)):
            content[at] = chance.integers(0, 256)
        path.write_bytes(content)
        with contextlib.suppress(RowRefused):
            taken(path)
