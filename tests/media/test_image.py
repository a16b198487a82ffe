"""Still images: kept bitstreams, decoded pixels, orientation, profiles, and files that are refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from media2dicom.errors import Media2DicomError, MediaDamaged, MediaMissing, MediaTooLarge, MediaUnsupported
from media2dicom.media import media_type_of, plan_media
from media2dicom.media.bmp import look as bmp_look
from media2dicom.media.jpeg import read_jpeg
from media2dicom.media.payload import Picture
from media2dicom.model import Options
from media2dicom.settings import Settings
from tests.media.image_cases.taking import taken
from tests.media.making_images import png_of as png
from tests.media.making_images import with_segment
from tests.real_media import real_image, real_images

BASELINE = "1.2.840.10008.1.2.4.50"
LOSSLESS = "1.2.840.10008.1.2.4.70"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels_of(picture: Picture) -> NDArray[np.uint8] | NDArray[np.uint16]:
    assert picture.pixels is not None
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.shape[:2] == (picture.rows, picture.columns)
    return picture.pixels


def kept(picture: Picture) -> bytes:
    assert picture.kept_jpeg is not None
    return picture.kept_jpeg.bitstream


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image)


def photo(size: tuple[int, int] = (97, 61)) -> Image.Image:
    return Image.open(real_image("rocket.jpg")).convert("RGB").resize(size)


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = "Doe^John"
    return block.tobytes()


# --- JPEG: the bitstream kept -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", real_images(), ids=lambda path: path.name)
def test_real_images_are_read_as_pillow_reads_them(path: Path) -> None:
    picture = taken(path)
    with Image.open(path) as image:
        mode = image.mode
        on_white = Image.new("RGBA", image.size, "white")
        on_white.alpha_composite(image.convert("RGBA"))
        expected = np.asarray(on_white.convert("L" if mode in ("1", "L") else "RGB"))
    if picture.kept_jpeg is None:
        assert abs(pixels_of(picture).astype(int) - expected).max() <= (1 if "A" in mode else 0)
    else:
        np.testing.assert_array_equal(decoded(kept(picture)), expected)


def test_baseline_jpeg_keeps_its_bits_and_loses_its_metadata(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", photo(), exif=exif(1), comment=b"Doe^John", icc_profile=SRGB)
    path.write_bytes(with_segment(path.read_bytes(), 0xEC, b"Doe^John") + b"Doe^John after the end")
    picture = taken(path)
    assert b"Doe" not in kept(picture)
    assert b"ICC_PROFILE" not in kept(picture)
    assert kept(picture).startswith(b"\xff\xd8\xff\xe0\x00\x10JFIF")
    assert kept(picture).endswith(b"\xff\xd9")
    scan = path.read_bytes().index(b"\xff\xda")
    assert (
        kept(picture)[kept(picture).index(b"\xff\xda") :] == path.read_bytes()[scan : -len(b"Doe^John after the end")]
    )
    assert picture.icc_profile == SRGB
    assert picture.lossy is not None
    assert picture.lossy.ratio == pytest.approx(97 * 61 * 3 / len(kept(picture)))
    assert taken(path, Options(transfer_syntax=BASELINE)).kept_jpeg == picture.kept_jpeg


def test_thumbnail_of_the_jfif_segment_is_dropped(tmp_path: Path) -> None:
    content = saved(tmp_path / "a.jpg", photo()).read_bytes()
    jfif_with_thumbnail = b"JFIF\0\1\1\0\0\1\0\1\1\1" + b"\x77\x66\x55"
    file = read_jpeg(b"\xff\xd8" + with_segment(b"\xff\xd8" + content[20:], 0xE0, jfif_with_thumbnail)[2:])
    assert b"\x77\x66\x55" not in file.bitstream
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(file.bitstream))), np.asarray(Image.open(io.BytesIO(content)))
    )


@pytest.mark.parametrize(
    ("mode", "options", "photometric"),
    [
        ("L", {}, "MONOCHROME2"),
        ("RGB", {"subsampling": "4:4:4"}, "YBR_FULL"),
        ("RGB", {"subsampling": "4:2:2"}, "YBR_FULL_422"),
        ("RGB", {"subsampling": "4:2:0"}, "YBR_FULL_422"),
        ("RGB", {"keep_rgb": True}, "RGB"),
    ],
)
def test_photometric_interpretation_of_a_kept_stream(
    tmp_path: Path, mode: str, options: dict[str, object], photometric: str
) -> None:
    picture = taken(saved(tmp_path / "a.jpg", photo().convert(mode), **options))
    assert picture.kept_jpeg is not None
    assert picture.kept_jpeg.photometric_interpretation == photometric


def test_adobe_marker_tells_rgb_only_without_jfif(tmp_path: Path) -> None:
    content = saved(tmp_path / "a.jpg", photo(), subsampling="4:4:4").read_bytes()
    adobe = b"Adobe\0\x64\0\0\0\0\0"
    assert read_jpeg(with_segment(content, 0xEE, adobe)).header.photometric_interpretation == "YBR_FULL"
    without_jfif = content[:2] + content[20:]
    assert read_jpeg(with_segment(without_jfif, 0xEE, adobe)).header.photometric_interpretation == "RGB"
    assert read_jpeg(without_jfif).header.photometric_interpretation == "YBR_FULL"


def test_of_several_pictures_in_a_file_the_first_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photo().save(path, format="MPO", save_all=True, append_images=[photo((50, 40))])
    assert (taken(path).columns, taken(path).rows) == (97, 61)
    assert kept(taken(path)).count(b"\xff\xd8\xff") == 1
    assert "several" in plan_media(path, Options(), Settings()).warnings[0]


@pytest.mark.parametrize("before", [b"a camera's own thumbnail \xff\xd8 \xff\xda \xff\xd9", bytes(65_533)])
def test_several_pictures_are_told_of_whatever_stands_before_their_mark(before: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    photo().save(path, format="MPO", save_all=True, append_images=[photo((50, 40))])
    content = path.read_bytes()
    for _ in range(5):
        content = with_segment(content, 0xED, before)
    path.write_bytes(content)
    assert "several" in plan_media(path, Options(), Settings()).warnings[0]


# --- JPEG: decoded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", photo(), exif=exif(orientation))
    picture = taken(path, Options(transfer_syntax=LOSSLESS))
    np.testing.assert_array_equal(pixels_of(picture), np.asarray(ImageOps.exif_transpose(Image.open(path))))
    assert (picture.lossy is not None) == (suffix == "jpg")
    if suffix == "jpg":
        assert (taken(path).kept_jpeg is not None) == (orientation == 1)


@pytest.mark.parametrize("broken", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_is_no_reason_to_refuse_a_photo(tmp_path: Path, broken: bytes) -> None:
    path = saved(tmp_path / "a.jpg", photo())
    path.write_bytes(with_segment(path.read_bytes(), 0xE1, broken))
    assert taken(path).kept_jpeg is not None


def test_progressive_jpeg_is_decoded_and_its_history_kept(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", photo(), progressive=True)
    picture = taken(path)
    np.testing.assert_array_equal(pixels_of(picture), np.asarray(Image.open(path)))
    assert picture.lossy is not None
    assert picture.lossy.method == "ISO_10918_1"


def test_cmyk_jpeg_becomes_rgb_that_looks_the_same(tmp_path: Path) -> None:
    picture = taken(saved(tmp_path / "a.jpg", photo().convert("CMYK"), quality=95, icc_profile=SRGB))
    assert picture.icc_profile is None
    assert abs(pixels_of(picture).astype(int) - np.asarray(photo())).mean() < 6


@pytest.mark.parametrize("precision", [12, 16])
def test_grey_of_many_bits_stays_so(tmp_path: Path, precision: int) -> None:
    ramp = np.linspace(0, (1 << precision) - 1, 64 * 48).astype(np.uint16).reshape(48, 64)
    path = tmp_path / "a.jpg"
    lossless = precision == 16
    path.write_bytes(imagecodecs.jpeg8_encode(ramp, level=98, bitspersample=precision, lossless=lossless, predictor=1))
    picture = taken(path)
    assert picture.bits_stored == precision
    assert abs(pixels_of(picture).astype(int) - ramp).max() <= (0 if lossless else 40)
    assert (picture.lossy is None) == lossless


def test_profile_of_another_colour_space_is_dropped(tmp_path: Path) -> None:
    assert taken(saved(tmp_path / "a.jpg", photo().convert("L"), icc_profile=SRGB)).icc_profile is None
    assert taken(saved(tmp_path / "b.png", photo(), icc_profile=SRGB)).icc_profile == SRGB
    assert taken(saved(tmp_path / "c.jpg", photo(), icc_profile=SRGB[:-1])).icc_profile is None


# --- PNG and BMP --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(4, 1, 1, 0, b"\0\xa0"), [[255, 0, 255, 0]]),
        (png(4, 1, 2, 0, b"\0\x1b"), [[0, 85, 170, 255]]),
        (png(2, 1, 4, 0, b"\0\x0f"), [[0, 255]]),
        (png(2, 1, 2, 3, b"\0\x10", (b"PLTE", bytes([9, 8, 7, 6, 5, 4]))), [[[9, 8, 7], [6, 5, 4]]]),
        (
            png(2, 1, 8, 3, b"\0\0\1", (b"PLTE", bytes([9, 8, 7, 6, 5, 4])), (b"tRNS", b"\0")),
            [[[255, 255, 255], [6, 5, 4]]],
        ),
        (png(2, 1, 8, 0, b"\0\x07\x08", (b"tRNS", b"\0\x07")), [[255, 8]]),
        (png(2, 1, 8, 4, b"\0\x64\xff\x64\x80"), [[100, 177]]),
        (png(1, 1, 8, 6, b"\0\x64\x00\xff\x80"), [[[177, 127, 255]]]),
        (
            png(2, 1, 16, 2, b"\0" + struct.pack(">6H", 0, 128, 129, 65535, 65407, 65406)),
            [[[0, 0, 1], [255, 255, 254]]],
        ),
    ],
)
def test_png_of_every_colour_type_becomes_grey_or_rgb_on_white(
    tmp_path: Path, content: bytes, expected: list[object]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    picture = taken(path)
    assert picture.bits_stored == 8
    np.testing.assert_array_equal(pixels_of(picture), np.array(expected, np.uint8))


def test_16_bit_grey_png_keeps_its_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(3, 1, 16, 0, b"\0" + struct.pack(">3H", 1, 300, 65535)))
    picture = taken(path)
    assert picture.bits_stored == 16
    np.testing.assert_array_equal(pixels_of(picture), np.array([[1, 300, 65535]], np.uint16))
    path.write_bytes(png(2, 1, 16, 4, b"\0" + struct.pack(">4H", 300, 65535, 300, 0)))
    np.testing.assert_array_equal(pixels_of(taken(path)), np.array([[300, 65535]], np.uint16))


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("how", ["cut", "cut with an end", "bits flipped", "bytes lost"])
def test_rotten_jpeg_is_refused_and_never_kept(tmp_path: Path, how: str, progressive: bool) -> None:
    path = saved(tmp_path / "a.jpg", Image.open(real_image("rocket.jpg")), progressive=progressive)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    match how:
        case "cut":
            del content[middle:]
        case "cut with an end":
            content[middle:] = b"\xff\xd9"
        case "bits flipped":
            content[middle : middle + 64] = bytes(byte ^ 0x5A for byte in content[middle : middle + 64])
        case _:
            del content[middle : middle + 500]
    path.write_bytes(content)
    with pytest.raises(MediaDamaged):
        taken(path)


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_rotten_png_is_refused(tmp_path: Path, position: float) -> None:
    content = bytearray(real_image("coffee.png").read_bytes())
    path = tmp_path / "a.png"
    content[int(len(content) * position)] ^= 1
    path.write_bytes(content)
    with pytest.raises(MediaDamaged):
        taken(path)
    path.write_bytes(content[: int(len(content) * position)])
    with pytest.raises(MediaDamaged):
        taken(path)


def test_png_with_fewer_rows_than_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(4, 4, 8, 0, b"\0\1\2\3\4" * 2))
    with pytest.raises(MediaDamaged):
        taken(path)


def test_png_with_a_second_header_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path, small = tmp_path / "a.png", png(10, 10, 8, 0, b"")[8:33]
    content = png(500, 400, 8, 0, bytes(501 * 400))
    path.write_bytes(content[:-12] + small + content[-12:])
    with pytest.raises(MediaDamaged, match="two headers"):
        plan_media(path, Options(), Settings(max_pixels=1000))


def test_bmp_that_may_not_be_opened_is_no_fault_of_its_variant(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bmp_look(tmp_path / "removed meanwhile.bmp")


def test_cut_bmp_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.bmp", photo())
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(MediaDamaged):
        taken(path)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n", MediaUnsupported),
        ("a.jpg", b"a letter", MediaUnsupported),
        ("a.jpg", b"", MediaDamaged),
        ("a.jpg", b"\xff\xd8\xff", MediaDamaged),
        ("a.png", b"\x89PNG\r\n\x1a\n", MediaDamaged),
        ("a.bmp", b"BMW is a car, and this is a text", MediaUnsupported),
        ("a.bmp", b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(36), Media2DicomError),
        ("a.gif", b"GIF89a", Media2DicomError),
        ("a.webp", b"RIFF\x0c\0\0\0WEBPVP8X\0\0\0\0", MediaDamaged),
        ("a.webp", b"RIFF\x16\0\0\0WEBPVP8X\x04\0\0\0" + bytes(12), MediaDamaged),
        ("a", b"\xff\xd8\xff", MediaUnsupported),
        ("a.mp4", b"\0\0\0\x18ftypheic" + bytes(12), MediaUnsupported),
        ("a.png", b"\0\0\0\x18ftypisom" + bytes(12), MediaUnsupported),
    ],
)
def test_content_and_name_must_agree_and_be_whole(
    tmp_path: Path, name: str, content: bytes, error: type[Exception]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error):
        taken(path)


def test_png_named_jpg_is_read_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.JPG"
    path.write_bytes(real_image("coffee.png").read_bytes())
    assert media_type_of(path).name == "PNG"
    assert taken(path).lossy is None


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(MediaMissing):
        taken(tmp_path / "a.jpg")


def test_picture_wider_than_viewers_open_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(65_501, 1, 8, 0, bytes(1 + 65_501)))
    with pytest.raises(MediaTooLarge, match="65,500"):
        taken(path)
