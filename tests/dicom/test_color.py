"""Colours and colour profiles as DICOM stores them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ImageCms
from pydicom import dcmread

from media2dicom.dicom.color import rgb_to_cielab_us, rgb_to_lab
from media2dicom.dicom.icc import as_input_profile
from media2dicom.dicom.transcoding import transcode
from media2dicom.model import Options
from tests.dicom import making

TABLE = {
    (255, 255, 255): [65535, 32896, 32896],
    (0, 0, 0): [0, 32896, 32896],
    (255, 0, 0): [35580, 53665, 50856],
    (0, 255, 0): [57552, 12519, 53710],
    (0, 0, 255): [19377, 50449, 4104],
    (200, 30, 40): [28904, 49322, 43621],
}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SOURCE = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")


@pytest.mark.parametrize(("rgb", "encoded"), TABLE.items())
def test_colours_are_the_cielab_values_of_the_reference_table(rgb: tuple[int, int, int], encoded: list[int]) -> None:
    assert rgb_to_cielab_us(rgb) == encoded


def test_colours_agree_with_another_colour_engine() -> None:
    from PIL import Image

    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        "RGB",
        "LAB",
        renderingIntent=ImageCms.Intent.ABSOLUTE_COLORIMETRIC,
    )
    for rgb in [(r, g, b) for r in (0, 60, 200) for g in (10, 128, 255) for b in (0, 77, 230)]:
        seen = ImageCms.applyTransform(Image.new("RGB", (1, 1), rgb), to_lab)
        assert seen is not None
        lightness, a, b = seen.getpixel((0, 0))
        ours = rgb_to_lab(rgb)
        assert abs(ours[0] - lightness * 100 / 255) < 1
        assert abs(ours[1] - (a - 128)) < 1.5
        assert abs(ours[2] - (b - 128)) < 1.5


def test_display_profile_becomes_an_input_profile_that_still_opens() -> None:
    assert SRGB[12:16] == b"mntr"
    profile = as_input_profile(SRGB)
    assert profile is not None
    assert profile[12:16] == b"scnr"
    assert len(profile) % 2 == 0
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    assert opened.profile.device_class == "scnr"
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), "RGB", "RGB")
    from PIL import Image

    seen = ImageCms.applyTransform(Image.new("RGB", (1, 1), (200, 30, 40)), transform)
    assert seen is not None
    assert all(abs(one - wanted) <= 1 for one, wanted in zip(seen.getpixel((0, 0)), (200, 30, 40), strict=True))


def tagged(profile: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """The profile with further tags behind its own; `tags` are name and element."""
    count = int.from_bytes(profile[128:132], "big")
    entries = [struct.unpack(">4sII", profile[at : at + 12]) for at in range(132, 132 + 12 * count, 12)]
    elements = [(name, profile[at : at + size_bytes]) for name, at, size_bytes in entries] + list(more)
    at, table, data = 132 + 12 * len(elements), b"", b""
    for name, element in elements:
        table += struct.pack(">4sII", name, at + len(data), len(element))
        data += element
    whole = profile[4:128] + struct.pack(">I", len(elements)) + table + data
    return struct.pack(">I", len(whole) + 4) + whole


def test_profile_holds_the_tags_of_an_input_profile_and_no_further_text() -> None:
    text = b"text\0\0\0\0Canary^Clara\0"
    display = tagged(SRGB, (b"meta", text), (b"dmdd", text), (b"XYZ1", text))
    display = display[:100] + b"Canary^Clara" + display[112:]  # reserved bytes of the header
    assert as_input_profile(display) == as_input_profile(SRGB)
    for profile_class in (b"mntr", b"scnr"):
        profile = as_input_profile(display[:12] + profile_class + display[16:])
        assert profile is not None
        assert b"Canary" not in profile
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile
        assert opened.profile_description == ImageCms.ImageCmsProfile(io.BytesIO(SRGB)).profile.profile_description
        assert (opened.device_class, len(profile) % 2) == ("scnr", 0)


def test_profile_by_tables_of_a_scanner_is_kept() -> None:
    no_matrix = tagged(SRGB.replace(b"rXYZ", b"none"), (b"A2B0", b"mft2" + bytes(40)))
    scanner = as_input_profile(no_matrix[:12] + b"scnr" + no_matrix[16:])
    assert scanner is not None
    assert b"A2B0" in scanner
    assert b"none" not in scanner


@pytest.mark.parametrize("place", [lambda size: size - 8, lambda size: 8, lambda size: 0xFFFF_FFF0])
def test_profile_with_an_element_outside_of_it_is_dropped(place: Callable[[int], int]) -> None:
    entry = SRGB.index(b"desc", 128)
    assert as_input_profile(SRGB[: entry + 4] + struct.pack(">I", place(len(SRGB))) + SRGB[entry + 8 :]) is None


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"not a profile",
        SRGB[:100],
        SRGB[:16] + b"GRAY" + SRGB[20:],
        SRGB[:16] + b"CMYK" + SRGB[20:],
        SRGB[:12] + b"prtr" + SRGB[16:],
        SRGB[:12] + b"link" + SRGB[16:],
        SRGB[:36] + b"xxxx" + SRGB[40:],
        SRGB.replace(b"rXYZ", b"rQQQ"),
    ],
    # A profile holds the second in which it was made: workers that collect apart would name the test differently.
    ids=["nothing", "no profile", "cut off", "grey", "CMYK", "printer", "link", "no signature", "no matrix"],
)
def test_what_cannot_be_an_input_profile_is_dropped(profile: bytes) -> None:
    assert as_input_profile(profile) is None


def test_profile_goes_with_colour_and_not_with_grey(tmp_path: Path) -> None:
    color = making.still(making.picture(making.pixels(), icc_profile=SRGB))
    (instance,) = making.build(color, SOURCE, tmp_path)
    assert dcmread(instance.path).ICCProfile == as_input_profile(SRGB)
    grey = making.still(making.picture(making.pixels(color=False), icc_profile=SRGB))
    assert "ICCProfile" not in dcmread(making.build(grey, SOURCE, tmp_path)[0].path)


def test_large_profile_survives_native_rewriting(tmp_path: Path) -> None:
    large = SRGB + b"\x00" * 200_000
    payload = making.still(making.picture(making.pixels(), icc_profile=large))
    (instance,) = making.build(payload, SOURCE, tmp_path, Options(transfer_syntax=making.SV1))
    native = transcode(instance, making.EXPLICIT, tmp_path / "native.dcm")
    assert dcmread(native.path).ICCProfile == as_input_profile(large)
