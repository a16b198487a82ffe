"""The orientation that image files tell is obeyed once, wherever programs write it."""

from __future__ import annotations

import functools
import io
import struct
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, PngImagePlugin

from media2dicom.media import plan_media
from media2dicom.model import Options
from media2dicom.settings import Settings
from tests.media.image_cases import PHOTO, RGB
from tests.media.image_cases.taking import taken
from tests.media.making_images import png_chunk


def turned(pixels: Any, orientation: int) -> Any:
    """Pixel by pixel as TIFF 6.0 says: which side of the scene row 0 and column 0 are."""
    rows, columns = pixels.shape[:2]
    r, c = np.mgrid[0:rows, 0:columns]
    top, left = {
        1: (r, c),
        2: (r, columns - 1 - c),
        3: (rows - 1 - r, columns - 1 - c),
        4: (rows - 1 - r, c),
        5: (c, r),
        6: (c, rows - 1 - r),
        7: (columns - 1 - c, rows - 1 - r),
        8: (columns - 1 - c, r),
    }[orientation]
    upright = np.empty((int(top.max()) + 1, int(left.max()) + 1, *pixels.shape[2:]), pixels.dtype)
    upright[top, left] = pixels
    return upright


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def oriented(kind: str, orientation: int) -> bytes:
    buffer = io.BytesIO()
    match kind:
        case "tif" | "CMYK tif":
            image = PHOTO.convert("CMYK") if kind == "CMYK tif" else PHOTO
            image.save(buffer, "TIFF", tiffinfo={274: orientation}, compression="tiff_lzw")
        case "JPEG tif" | "grey JPEG tif":
            image = PHOTO.convert("L") if kind == "grey JPEG tif" else PHOTO
            image.save(buffer, "TIFF", tiffinfo={274: orientation}, compression="jpeg")
        case "heic":
            image = pillow_heif.from_pillow(PHOTO)
            how = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}  # without loss
            image.save(buffer, exif=exif(orientation).tobytes(), **how)  # irot, imir, and EXIF says the same
        case _:
            options = {"jpg": {}, "png": {}, "webp": {"lossless": True}}[kind]
            PHOTO.save(buffer, "JPEG" if kind == "jpg" else kind, exif=exif(orientation), **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "CMYK tif", "JPEG tif", "grey JPEG tif", "webp", "heic"])
def test_picture_is_turned_upright_once(kind: str, orientation: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind.split()[-1]}"
    path.write_bytes(oriented(kind, orientation))
    lossy = kind == "jpg" or "JPEG" in kind
    stored = np.asarray(Image.open(io.BytesIO(oriented(kind, 1)))) if lossy else RGB
    picture, plan = taken(path), plan_media(path, Options(), Settings())
    if picture.kept_jpeg is not None:
        assert orientation == 1
        return
    np.testing.assert_array_equal(picture.pixels, turned(stored, orientation))
    assert (plan.rows, plan.columns) == (picture.rows, picture.columns)


def by_raw_text(orientation: int, packed: bool) -> bytes:
    """As ImageMagick writes EXIF into PNG."""
    block = exif(orientation).tobytes()
    text = f"\nexif\n{len(block):8d}\n" + "\n".join(textwrap.wrap(block.hex(), 72)) + "\n"
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", text, zip=packed)
    return saved("PNG", pnginfo=info)


def by_png_xmp(orientation: int, packed: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", f'<r tiff:Orientation="{orientation}"/>', "en", "xmp", zip=packed)
    return saved("PNG", pnginfo=info)


def by_kind(orientation: int, order: str, kind: int) -> bytes:
    """EXIF whose orientation is a BYTE, SHORT or LONG."""
    value = struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], orientation).ljust(4, b"\0")
    head = b"II*\0" if order == "<" else b"MM\0*"
    block = head + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)
    return saved("PNG", exif=b"Exif\0\0" + block)


def saved(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "made",
    [
        *(functools.partial(by_kind, order=order, kind=kind) for order in "<>" for kind in (1, 3, 4)),
        *(functools.partial(by_raw_text, packed=packed) for packed in (False, True)),
        *(functools.partial(by_png_xmp, packed=packed) for packed in (False, True)),
        lambda value: saved("WEBP", lossless=True, xmp=f'<r tiff:Orientation="{value}"/>'.encode()),
        lambda value: saved("WEBP", lossless=True, xmp=f"<r tiff:Orientation = '{value}'/>".encode()),
        lambda value: saved("WEBP", lossless=True, xmp=f"<tiff:Orientation>\n{value}</tiff:Orientation>".encode()),
    ],
)
@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_is_found_wherever_programs_write_it(
    made: Callable[[int], bytes], orientation: int, tmp_path: Path
) -> None:
    path = tmp_path / "a"
    path.write_bytes(made(orientation))
    path = path.rename(path.with_suffix(".webp" if path.read_bytes().startswith(b"RIFF") else ".png"))
    np.testing.assert_array_equal(taken(path).pixels, turned(RGB, orientation))


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("content", [b"", b"\0", b"\0\1\0\0\0rotten", b"\0\n\n\n\n0x", b"\0exif\n2\n1\nzz\n"])
def test_broken_text_of_a_png_is_no_reason_to_refuse_it(name: bytes, content: bytes, tmp_path: Path) -> None:
    keyword = b"XML:com.adobe.xmp" if name == b"iTXt" else b"Raw profile type exif"
    whole = saved("PNG")
    path = tmp_path / "a.png"
    path.write_bytes(whole[:33] + png_chunk(name, keyword + content) + whole[33:])
    np.testing.assert_array_equal(taken(path).pixels, RGB)


def test_orientation_in_exif_of_heic_counts_for_nothing(tmp_path: Path) -> None:
    upright, turned_by_8 = (b"\x01\x12\x00\x03\x00\x00\x00\x01\x00" + bytes([value]) for value in (1, 8))
    content = oriented("heic", 1)
    if upright not in content:  # the other byte order
        upright, turned_by_8 = (b"\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([value, 0]) for value in (1, 8))
    assert upright in content
    path = tmp_path / "a.heic"
    path.write_bytes(content.replace(upright, turned_by_8))
    np.testing.assert_array_equal(taken(path).pixels, RGB)
