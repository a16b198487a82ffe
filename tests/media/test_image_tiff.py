"""TIFF files: of several directories the one page is decoded, wherever it stands; pixels that are not square."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from pydicom import dcmread

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported
from media2dicom.media import open_media, plan_media
from media2dicom.model import Options, SopClassPolicy
from media2dicom.settings import Settings
from tests.checkers import check
from tests.dicom import making as dicom_making
from tests.media import making_images as making
from tests.media.image_cases import PHOTO, RGB
from tests.media.image_cases.table import SRGB
from tests.media.image_cases.taking import taken

CMYK = np.asarray(PHOTO.convert("CMYK"))
GREY = np.asarray(PHOTO.convert("L"))
REDUCED, MASK = {"subfiletype": 1}, {"subfiletype": 4}


def chain(*pages: tuple[NDArray[Any], dict[str, Any]], byteorder: Literal["<", ">"] = "<", big: bool = False) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=big) as writer:
        for pixels, options in pages:
            writer.write(pixels, metadata=None, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("page", ["rgb", "separated", "minisblack"])
@pytest.mark.parametrize("before", ["thumbnail", "grey mask", "mask in no colour"])
@pytest.mark.parametrize(("byteorder", "big"), [("<", True), (">", False)])
def test_page_behind_a_reduced_picture_or_mask_is_the_one_decoded(
    page: str, before: str, byteorder: Literal["<", ">"], big: bool, tmp_path: Path
) -> None:
    pixels = {"rgb": RGB, "separated": CMYK, "minisblack": GREY}[page]
    first = {
        "thumbnail": (pixels[:8, :8].copy(), {"photometric": page, **REDUCED}),
        "grey mask": (np.zeros(pixels.shape[:2], bool), {"photometric": "minisblack", **MASK}),
        "mask in no colour": (np.zeros(pixels.shape[:2], bool), {"photometric": "mask", **MASK}),
    }[before]
    path = tmp_path / "a.tif"
    path.write_bytes(chain(first, (pixels, {"photometric": page}), byteorder=byteorder, big=big))
    np.testing.assert_array_equal(taken(path).pixels, GREY if page == "minisblack" else RGB)
    plan = plan_media(path, Options(), Settings())
    assert (plan.rows, plan.columns) == pixels.shape[:2]


def test_page_in_cmyk_behind_a_thumbnail_is_turned_by_its_own_orientation(tmp_path: Path) -> None:
    turned = [(274, "H", 1, 6, True)]
    path = tmp_path / "a.tif"
    first = (CMYK[:8, :8].copy(), {"photometric": "separated", **REDUCED})
    path.write_bytes(chain(first, (CMYK, {"photometric": "separated", "extratags": turned})))
    np.testing.assert_array_equal(taken(path).pixels, np.rot90(RGB, -1))


@pytest.mark.parametrize(("byteorder", "big"), [("<", True), (">", False), (">", True)])
def test_jpeg_in_every_form_of_tiff_is_turned_once(byteorder: Literal["<", ">"], big: bool, tmp_path: Path) -> None:
    turned = {"extratags": [(274, "H", 1, 6, True)], "photometric": "minisblack", "compression": "jpeg"}
    path = tmp_path / "a.tif"
    path.write_bytes(chain((GREY, turned), byteorder=byteorder, big=big))
    np.testing.assert_allclose(taken(path).pixels, np.rot90(GREY, -1), atol=12)


@pytest.mark.parametrize("page", ["rgb", "separated"])
def test_reduced_picture_of_monstrous_size_is_never_decoded(page: str, tmp_path: Path) -> None:
    pixels = {"rgb": RGB, "separated": CMYK}[page]
    content = bytearray(chain((GREY[:8, :8].copy(), REDUCED), (pixels, {"photometric": page})))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        for tag in (256, 257):
            struct.pack_into("<I", content, file.pages[0].tags[tag].valueoffset, 60_000)  # type: ignore[union-attr]
            struct.pack_into("<H", content, file.pages[0].tags[tag].offset + 2, 4)  # type: ignore[union-attr]
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    np.testing.assert_array_equal(taken(path).pixels, RGB)


@pytest.mark.parametrize(("photometric", "samples", "kind"), [(1, 1, 4), (5, 4, 4), (1, 1, 9)])
def test_size_given_twice_is_refused_before_the_larger_one_is_decoded(
    photometric: int, samples: int, kind: int, tmp_path: Path
) -> None:
    fields = {254: ("I", 60_000), 258: ("H", 8), 259: ("H", 1), 262: ("H", photometric), 277: ("H", samples)}
    content = making.tiff(8, 60_000, bytes(480_000 * samples), fields)
    path = tmp_path / "a.tif"
    path.write_bytes(content.replace(struct.pack("<HH", 254, 4), struct.pack("<HH", 256, kind)))
    with pytest.raises((MediaDamaged, MediaTooLarge), match=r"not what its directory says|the limit is"):
        taken(path)


# --- pixels that are not square -----------------------------------------------------------------------------------


def fax(path: Path, across: float, down: float, orientation: int = 1, mode: str = "1", unit: int = 2) -> Path:
    PHOTO.convert(mode).save(path, "TIFF", tiffinfo={274: orientation, 282: across, 283: down, 296: unit})
    return path


@pytest.mark.parametrize(
    ("across", "down", "ratio"),
    [
        (204, 98, (102, 49)),
        (204, 391, (12, 23)),
        (80.4, 38.6, (25, 12)),
        (204, 196, None),
        (300, 300, None),
        (300, 1, None),
        (300, 0, None),
    ],
)
@pytest.mark.parametrize("unit", [1, 2, 3])
def test_ratio_of_a_faxs_pixels_is_told(
    across: float, down: float, ratio: tuple[int, int] | None, unit: int, tmp_path: Path
) -> None:
    told = taken(fax(tmp_path / "a.tif", across, down, unit=unit)).pixel_aspect_ratio
    assert (told is None) == (ratio is None)
    assert told is None or ratio is None or told[0] / told[1] == pytest.approx(ratio[0] / ratio[1], rel=0.002)
    assert told is None or max(told) < 1000


@pytest.mark.parametrize("mode", ["1", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_ratio_is_turned_with_the_picture(orientation: int, mode: str, tmp_path: Path) -> None:
    picture = taken(fax(tmp_path / "a.tif", 200, 100, orientation, mode))
    assert picture.pixel_aspect_ratio == ((1, 2) if orientation >= 5 else (2, 1))


def test_page_without_a_resolution_has_square_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(making.tiff(8, 1, bytes(8), {258: ("H", 8), 259: ("H", 1), 262: ("H", 1), 277: ("H", 1)}))
    assert taken(path).pixel_aspect_ratio is None


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_page_whose_resolution_is_not_in_the_file_is_read(mode: str, tmp_path: Path) -> None:
    path = fax(tmp_path / "a.tif", 204, 98, mode=mode)
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<HHI", 282, 5, 1))
    struct.pack_into("<I", content, at + 8, 0x7FFF_FFFF)
    path.write_bytes(content)
    np.testing.assert_array_equal(taken(path).pixels, RGB)
    assert taken(path).pixel_aspect_ratio is None


# --- what is beside or inside a page ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["rgb", "separated"])
def test_page_whose_profile_is_not_in_the_file_is_read(page: str, tmp_path: Path) -> None:
    content = bytearray(chain((RGB if page == "rgb" else CMYK, {"photometric": page, "iccprofile": SRGB})))
    struct.pack_into("<I", content, content.index(struct.pack("<HHI", 34675, 7, len(SRGB))) + 8, 0x7FFF_FFFF)
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    np.testing.assert_array_equal(taken(path).pixels, RGB)
    assert taken(path).icc_profile is None


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_lossless_jpeg_inside_is_another_coding_and_no_damage(photometric: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"photometric": photometric, "compression": "jpeg", "compressionargs": {"lossless": True, "predictor": 1}}
    path.write_bytes(chain((GREY if photometric == "minisblack" else RGB, options)))
    with pytest.raises(MediaUnsupported, match="lossless"):
        taken(path)


@pytest.mark.parametrize(
    ("source_class", "modality", "options"),
    [
        ("1.2.840.10008.5.1.4.1.1.2", "CT", Options()),
        ("1.2.840.10008.5.1.4.1.1.6.1", "US", Options(sop_class_policy=SopClassPolicy.NATIVE)),
        ("1.2.840.10008.5.1.4.1.1.1", "CR", Options(sop_class_policy=SopClassPolicy.NATIVE)),
        (
            "1.2.840.10008.5.1.4.1.1.2",
            "CT",
            Options(sop_class_policy=SopClassPolicy.VISIBLE_LIGHT, body_part="HAND", laterality="L"),
        ),
    ],
    ids=["Secondary Capture", "ultrasound", "CR", "photograph"],
)
def test_object_of_a_fax_tells_the_ratio_and_passes_both_checkers(
    source_class: str, modality: str, options: Options, standard: Path, tmp_path: Path
) -> None:
    payload = open_media(fax(tmp_path / "a.tif", 204, 98), options, Settings(), tmp_path)
    source = dicom_making.made_source(source_class, modality)
    (instance,) = dicom_making.build(payload, source, tmp_path / "out", options)
    assert list(dcmread(instance.path).PixelAspectRatio) == [102, 49]
    said = check(instance.path, standard)
    assert said.clean, said
