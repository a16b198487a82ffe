"""An image file of any size costs memory by its pixels only: what is far larger than those is refused unread."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from media2dicom.errors import MediaDamaged, MediaTooLarge
from media2dicom.media import open_media, plan_media
from media2dicom.media.payload import MediaPlan
from media2dicom.model import Options
from media2dicom.settings import Settings
from tests.media.image_cases import CASES

_WHOLE = {case.format: case for case in CASES if case.refused is None}


def planned_in_little_memory(path: Path) -> MediaPlan:
    tracemalloc.start()
    try:
        return plan_media(path, Options(), Settings())
    finally:
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("kind", _WHOLE)
def test_small_picture_with_gigabytes_behind_it_is_refused_unread(kind: str, tmp_path: Path) -> None:
    case = _WHOLE[kind]
    path = tmp_path / f"a{case.suffix}"
    path.write_bytes(case.make())
    with path.open("r+b") as file:
        file.truncate(3_000_000_000)  # holes, not bytes
    with pytest.raises(MediaTooLarge, match="file has 3,000 MB"):
        planned_in_little_memory(path)
    with pytest.raises(MediaTooLarge):
        open_media(path, Options(), Settings(), tmp_path)


@pytest.mark.parametrize("kind", _WHOLE)
def test_picture_with_a_little_behind_it_is_read(kind: str, tmp_path: Path) -> None:
    case = _WHOLE[kind]
    path = tmp_path / f"a{case.suffix}"
    path.write_bytes(case.make() + bytes(1_000_000))
    assert planned_in_little_memory(path).rows


def _png_with_a_great_chunk(path: Path, content: bytes, name: bytes) -> None:
    with path.open("wb") as file:
        file.write(content[:33] + struct.pack(">I", 900_000_000) + name)
        file.seek(900_000_004, 1)
        file.write(content[33:])


def _webp_with_a_great_chunk(path: Path, content: bytes, name: bytes) -> None:
    with path.open("wb") as file:
        file.write(content[:4] + struct.pack("<I", len(content) + 900_000_000) + content[8:])
        file.write(name + struct.pack("<I", 900_000_000))
        file.truncate(len(content) + 900_000_008)


@pytest.mark.parametrize(
    ("kind", "make", "name"),
    [
        ("PNG", _png_with_a_great_chunk, b"eXIf"),
        ("PNG", _png_with_a_great_chunk, b"iCCP"),
        ("WebP", _webp_with_a_great_chunk, b"EXIF"),
        ("WebP", _webp_with_a_great_chunk, b"ICCP"),
        ("WebP", _webp_with_a_great_chunk, b"XMP "),
    ],
)
def test_metadata_of_monstrous_size_is_not_read(
    kind: str, make: Callable[[Path, bytes, bytes], None], name: bytes, tmp_path: Path
) -> None:
    case = _WHOLE[kind]
    path = tmp_path / f"a{case.suffix}"
    make(path, case.make(), name)
    with pytest.raises(MediaTooLarge, match="file has 901 MB"):
        planned_in_little_memory(path)


def test_jpeg_header_is_read_to_a_limit(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.jpg", _WHOLE["JPEG"].make()
    comment = b"\xff\xfe\xff\xff" + bytes(65_533)
    path.write_bytes(whole[:2] + comment * 200 + whole[2:])
    assert planned_in_little_memory(path).rows
    path.write_bytes(whole[:2] + comment * 600 + whole[2:])
    with pytest.raises(MediaDamaged, match="too much before"):
        planned_in_little_memory(path)
