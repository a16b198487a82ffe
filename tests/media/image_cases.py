"""The table of image files: each kind, how one is made, and what becomes of it. docs/images.md is written from it.

    python -m tests.media.image_cases > docs/images.md

`pixels` are what a reader must give, worked out here without it; None where only the outcome matters.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import simplejpeg
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms

from media2dicom.errors import Media2DicomError, MediaDamaged, MediaUnsupported
from tests.media import making_images as making
from tests.real_media import real_image

Array = NDArray[Any]

# --- what is put into the files -----------------------------------------------------------------------------------

PHOTO = Image.fromarray(np.asarray(Image.open(real_image("rocket.jpg")).resize((47, 34))))  # without its profile
RGB: Array = np.asarray(PHOTO)
GREY: Array = np.asarray(PHOTO.convert("L"))
GREY16: Array = (GREY.astype(np.uint16) << 8) + np.arange(47, dtype=np.uint16)
RGB16: Array = (RGB.astype(np.uint16) << 8) + np.arange(47, dtype=np.uint16)[:, None]
ALPHA: Array = np.linspace(0, 255, GREY.size).astype(np.uint8).reshape(GREY.shape)
BLACK_WHITE: Array = np.where(GREY > 96, 255, 0).astype(np.uint8)
INDEX: Array = GREY // 8 % 16  # 0 to 15, all of them
PALETTE: Array = np.random.default_rng(5).integers(0, 256, (16, 3)).astype(np.uint8)
OF_PALETTE: Array = PALETTE[INDEX]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def over_white(colours: Array, alpha: Array, top: int = 255) -> Array:
    """By floating point, not as the reader does it."""
    share = (alpha / top)[..., None] if colours.ndim > alpha.ndim else alpha / top
    return np.rint(colours * share + top * (1 - share)).astype(colours.dtype)


def to_8_bits(pixels: Array, top: int) -> Array:
    return np.rint(pixels / top * 255).astype(np.uint8)


# --- the table ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One kind of file. `tolerance`: the largest difference of a sample; `refused`: the error and why, for people."""

    format: str
    suffix: str
    what: str
    make: Callable[[], bytes]
    pixels: Array | None = None
    tolerance: float = 0
    bits: int = 8
    kept: bool = False
    method: str = ""
    profile: bool = False
    warns: str = ""
    refused: type[Media2DicomError] | None = None
    why: str = ""

    @property
    def outcome(self) -> str:
        """What becomes of it, in words."""
        if self.refused is not None:
            return f"refused: {self.why}"
        samples = 1 if self.pixels is not None and self.pixels.ndim == 2 else 3
        form = f"{'grey' if samples == 1 else 'RGB'}, {self.bits} bits"
        parts = [f"its own bitstream ({form})" if self.kept else form]
        if self.method:
            parts.append(f"lossy history {self.method}")
        if self.profile:
            parts.append("ICC profile kept")
        if self.warns:
            parts.append(f"with a warning: {self.warns}")
        return ", ".join(parts) + (f"; {self.why}" if self.why else "")


def by_pillow(image: Image.Image, kind: str, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return make


def seen_by_pillow(make: Callable[[], bytes]) -> Array:
    with Image.open(io.BytesIO(make())) as image:
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))


# --- JPEG ---------------------------------------------------------------------------------------------------------

JPEG = "ISO_10918_1"


def _jpeg(what: str, make: Callable[[], bytes], **more: Any) -> Case:
    if "refused" not in more:
        more = {"method": JPEG, **more}
        if "pixels" not in more:
            more["pixels"] = seen_by_pillow(make)
    return Case("JPEG", ".jpg", what, make, **more)


def _sampled(subsampling: str) -> Callable[[], bytes]:
    return lambda: simplejpeg.encode_jpeg(RGB, colorsubsampling=subsampling, quality=95)


def _by_imagecodecs(pixels: Array, **options: Any) -> Callable[[], bytes]:
    return lambda: bytes(imagecodecs.jpeg8_encode(pixels, **options))


_CMYK = PHOTO.convert("CMYK")
_LOSSLESS = {"lossless": True, "colorspace": "RGB", "outcolorspace": "RGB"}
JPEG_CASES = (
    _jpeg("baseline, grey", by_pillow(PHOTO.convert("L"), "JPEG"), kept=True),
    *(
        _jpeg(f"baseline, {':'.join(subsampling)}", _sampled(subsampling), kept=True)
        for subsampling in ("444", "422", "420", "440", "411")
    ),
    _jpeg("baseline, RGB (Adobe transform 0)", by_pillow(PHOTO, "JPEG", keep_rgb=True), kept=True),
    _jpeg("baseline, restart markers", by_pillow(PHOTO, "JPEG", restart_marker_blocks=2), kept=True),
    _jpeg("baseline, optimised Huffman tables", by_pillow(PHOTO, "JPEG", optimize=True), kept=True),
    _jpeg("baseline, ICC profile of RGB", by_pillow(PHOTO, "JPEG", icc_profile=SRGB), kept=True, profile=True),
    _jpeg(
        "baseline, damaged ICC profile",
        by_pillow(PHOTO, "JPEG", icc_profile=SRGB[:132] + b"\xff" * (len(SRGB) - 132)),
        kept=True,
        why="the profile is dropped",
    ),
    _jpeg(
        "baseline, grey, ICC profile of RGB",
        by_pillow(PHOTO.convert("L"), "JPEG", icc_profile=SRGB),
        kept=True,
        why="the profile is dropped",
    ),
    _jpeg("progressive", by_pillow(PHOTO, "JPEG", progressive=True)),
    _jpeg("progressive, grey", by_pillow(PHOTO.convert("L"), "JPEG", progressive=True)),
    _jpeg(
        "extended (12 bits), grey",
        _by_imagecodecs(GREY16 >> 4, level=100, bitspersample=12),
        pixels=GREY16 >> 4,
        tolerance=12,
        bits=12,
    ),
    *(
        _jpeg(
            f"lossless, predictor {predictor}, RGB",
            _by_imagecodecs(RGB, predictor=predictor, **_LOSSLESS),
            pixels=RGB,
            method="",
        )
        for predictor in range(1, 8)
    ),
    _jpeg(
        "lossless, 16 bits, grey",
        _by_imagecodecs(GREY16, lossless=True, predictor=1, bitspersample=16),
        pixels=GREY16,
        bits=16,
        method="",
    ),
    _jpeg("arithmetic", lambda: making.arithmetic_jpeg(8, 8), pixels=np.full((8, 8), 128, np.uint8)),
    _jpeg("CMYK (Adobe transform 0)", by_pillow(_CMYK, "JPEG", quality=95), pixels=RGB, tolerance=60),
    _jpeg(
        "YCCK (Adobe transform 2)",
        _by_imagecodecs(255 - np.asarray(_CMYK), level=95, colorspace="CMYK", outcolorspace="YCCK"),
        pixels=RGB,
        tolerance=60,
    ),
    _jpeg(
        "several pictures (MPO)",
        by_pillow(PHOTO, "MPO", save_all=True, append_images=[PHOTO.resize((20, 20))]),
        kept=True,
        warns="several pictures",
    ),
    _jpeg(
        "hierarchical, or the height after the pixels (DNL)",
        lambda: making.with_segment(by_pillow(PHOTO, "JPEG")(), 0xDC, b"\0\x22"),
        refused=MediaUnsupported,
        why="the decoders of viewers do not read it",
    ),
    _jpeg("cut off", lambda: by_pillow(PHOTO, "JPEG")()[:-200], refused=MediaDamaged, why="it is cut off"),
)

# --- PNG ----------------------------------------------------------------------------------------------------------


def _png(what: str, make: Callable[[], bytes], pixels: Array | None, **more: Any) -> Case:
    return Case("PNG", ".png", what, make, pixels, **more)


def _png_forms(interlaced: bool) -> list[Case]:
    """Every colour type in every depth, plain or interlaced."""
    cases = []
    how = ", interlaced" if interlaced else ""

    def add(what: str, samples: Array, depth: int, colour_type: int, pixels: Array, *chunks: Any, **more: Any) -> None:
        if samples.ndim == 2:
            samples = samples[..., None]
        made = making.png(samples, depth, colour_type, *chunks, interlaced=interlaced)
        cases.append(_png(f"{what}, {depth} bits{how}", lambda: made, pixels, **more))

    for bits in (1, 2, 4, 8):
        levels = GREY >> (8 - bits)
        add("grey", levels, bits, 0, to_8_bits(levels, (1 << bits) - 1))
    add("grey", GREY16, 16, 0, GREY16, bits=16)
    for bits in (1, 2, 4, 8):
        index = INDEX & ((1 << bits) - 1)
        palette = (b"PLTE", PALETTE[: 1 << bits].tobytes())
        add("palette", index, bits, 3, PALETTE[index], palette)
    clear = over_white(PALETTE, np.array([0, 100, *[255] * 14]))
    add("palette with transparency", INDEX, 8, 3, clear[INDEX], (b"PLTE", PALETTE.tobytes()), (b"tRNS", b"\0\x64"))
    add("RGB", RGB, 8, 2, RGB)
    add("RGB", RGB16, 16, 2, to_8_bits(RGB16, 65_535))
    add("grey and alpha", np.dstack([GREY, ALPHA]), 8, 4, over_white(GREY, ALPHA))
    deep = ALPHA.astype(np.uint16) * 257
    add("grey and alpha", np.dstack([GREY16, deep]), 16, 4, over_white(GREY16, deep, 65_535), bits=16)
    add("RGB and alpha", np.dstack([RGB, ALPHA]), 8, 6, over_white(RGB, ALPHA))
    flat = to_8_bits(over_white(RGB16, deep, 65_535), 65_535)
    add("RGB and alpha", np.dstack([RGB16, deep]), 16, 6, flat)
    white_for_black = np.where(GREY[0, 0] == GREY, 255, GREY)
    add("grey, one transparent", GREY, 8, 0, white_for_black, (b"tRNS", bytes([0, GREY[0, 0]])))
    one = RGB[0, 0]
    white_for_one = np.where((one == RGB).all(axis=-1, keepdims=True), 255, RGB)
    add("RGB, one transparent", RGB, 8, 2, white_for_one, (b"tRNS", b"".join(bytes([0, v]) for v in one)))
    return cases


PNG_CASES = (
    *_png_forms(interlaced=False),
    *_png_forms(interlaced=True),
    _png("ICC profile of RGB", by_pillow(PHOTO, "PNG", icc_profile=SRGB), RGB, profile=True),
    _png(
        "animated",
        by_pillow(PHOTO, "PNG", save_all=True, append_images=[Image.new("RGB", PHOTO.size)]),
        RGB,
        warns="animated",
    ),
    _png("cut off", lambda: by_pillow(PHOTO, "PNG")()[:-40], None, refused=MediaDamaged, why="it is cut off"),
    _png(
        "a wrong checksum",
        lambda: by_pillow(PHOTO, "PNG")().replace(b"IDAT", b"IDAT\0", 1),
        None,
        refused=MediaDamaged,
        why="it is damaged",
    ),
)

# --- BMP ----------------------------------------------------------------------------------------------------------

_W, _H = PHOTO.size
_BGR = RGB[..., ::-1].reshape(_H, -1)
_BGRX = np.dstack([RGB[..., ::-1], np.full((_H, _W), 7, np.uint8)]).reshape(_H, -1)
_BGRA = np.dstack([RGB[..., ::-1], ALPHA]).reshape(_H, -1)
_BGR0 = np.dstack([RGB[..., ::-1], np.zeros((_H, _W), np.uint8)]).reshape(_H, -1)
_QUADS = np.hstack([PALETTE[:, ::-1], np.zeros((16, 1), np.uint8)]).tobytes()
_TRIPLES = PALETTE[:, ::-1].tobytes()
_RGB5 = RGB.astype(np.uint16) >> 3
_RGB565 = RGB.astype(np.uint16) >> np.array([3, 2, 3])
_OF_RGB5 = to_8_bits(_RGB5, 31)
_OF_RGB565 = np.dstack([to_8_bits(_RGB565[..., i], top) for i, top in enumerate((31, 63, 31))])
_555 = (_RGB5[..., 0] << 10 | _RGB5[..., 1] << 5 | _RGB5[..., 2]).astype(np.uint16)
_565 = (_RGB565[..., 0] << 11 | _RGB565[..., 1] << 5 | _RGB565[..., 2]).astype(np.uint16)
_8888 = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def _bmp(what: str, bits: int, pixel_bytes: bytes, pixels: Array | None, **more: Any) -> Case:
    told = {name: more.pop(name) for name in ("tolerance", "refused", "why", "profile") if name in more}
    rows = more.pop("rows", _H)
    profile = SRGB if told.get("profile") else b""
    return Case(
        "BMP", ".bmp", what, lambda: making.bmp(_W, rows, bits, pixel_bytes, profile=profile, **more), pixels, **told
    )


_ROWS8 = making.bmp_rows(INDEX)
_BMP_PALETTE = {"palette": _QUADS, "colors_used": 16}
_TWO = np.where(BLACK_WHITE[..., None] > 0, PALETTE[1], PALETTE[0])
_ONE_BIT = making.bmp_rows(BLACK_WHITE // 255, bits=1)
_REFUSED_VARIANT = {"refused": MediaUnsupported}
BMP_CASES = (
    _bmp("1 bit, black and white", 1, _ONE_BIT, BLACK_WHITE, palette=b"\0\0\0\0\xff\xff\xff\0"),
    _bmp("1 bit, two colours", 1, _ONE_BIT, _TWO, palette=_QUADS[:8]),
    _bmp("4 bits", 4, making.bmp_rows(INDEX, bits=4), OF_PALETTE, palette=_QUADS),
    _bmp("8 bits", 8, _ROWS8, OF_PALETTE, **_BMP_PALETTE),
    _bmp(
        "8 bits, grey palette",
        8,
        making.bmp_rows(GREY),
        GREY,
        palette=bytes(v for i in range(256) for v in (i, i, i, 0)),
    ),
    _bmp("8 bits, top-down", 8, making.bmp_rows(INDEX[::-1]), OF_PALETTE, rows=-_H, **_BMP_PALETTE),
    _bmp("4 bits, RLE4", 4, making.rle4(INDEX), OF_PALETTE, compression=2, palette=_QUADS),
    _bmp("8 bits, RLE8", 8, making.rle8(INDEX), OF_PALETTE, compression=1, **_BMP_PALETTE),
    _bmp("16 bits, 5-5-5", 16, making.bmp_rows(_555), _OF_RGB5, tolerance=1),
    _bmp(
        "16 bits, 5-5-5 by masks",
        16,
        making.bmp_rows(_555),
        _OF_RGB5,
        tolerance=1,
        compression=3,
        masks=(0x7C00, 0x3E0, 0x1F),
    ),
    _bmp(
        "16 bits, 5-6-5 by masks",
        16,
        making.bmp_rows(_565),
        _OF_RGB565,
        tolerance=1,
        compression=3,
        masks=(0xF800, 0x7E0, 0x1F),
    ),
    _bmp("24 bits", 24, making.bmp_rows(_BGR), RGB),
    _bmp("24 bits, top-down", 24, making.bmp_rows(_BGR[::-1]), RGB, rows=-_H),
    _bmp("32 bits, fourth byte unused", 32, making.bmp_rows(_BGRX), RGB),
    _bmp(
        "32 bits by masks",
        32,
        making.bmp_rows(_BGRX),
        RGB,
        compression=3,
        masks=(0xFF0000, 0xFF00, 0xFF),
    ),
    _bmp(
        "32 bits, V4 header, alpha",
        32,
        making.bmp_rows(_BGRA),
        over_white(RGB, ALPHA),
        compression=3,
        masks=_8888,
        header_bytes=108,
    ),
    _bmp(
        "32 bits, V5 header, alpha",
        32,
        making.bmp_rows(_BGRA),
        over_white(RGB, ALPHA),
        compression=3,
        masks=_8888,
        header_bytes=124,
    ),
    _bmp(
        "32 bits, alpha zero all over",
        32,
        making.bmp_rows(_BGR0),
        RGB,
        compression=3,
        masks=_8888,
        header_bytes=124,
        why="taken as opaque",
    ),
    _bmp("24 bits, V5 header, ICC profile", 24, making.bmp_rows(_BGR), RGB, header_bytes=124, profile=True),
    _bmp("OS/2 1.x, 8 bits", 8, _ROWS8, OF_PALETTE, header_bytes=12, palette=_TRIPLES + bytes(3 * 240)),
    _bmp("OS/2 1.x, 24 bits", 24, making.bmp_rows(_BGR), RGB, header_bytes=12),
    _bmp("OS/2 2.x (64-byte header), 8 bits", 8, _ROWS8, OF_PALETTE, header_bytes=64, **_BMP_PALETTE),
    _bmp(
        "OS/2 2.x with a header of 16 bytes",
        24,
        making.bmp_rows(_BGR),
        None,
        header_bytes=16,
        why="this header is not read",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "2 bits (Windows CE)",
        2,
        making.bmp_rows(INDEX & 3, bits=2),
        None,
        palette=_QUADS[:16],
        why="this depth is not read",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "16 or 32 bits by other masks",
        16,
        making.bmp_rows(_555),
        None,
        compression=3,
        masks=(0xF00, 0xF0, 0xF),
        why="these masks are not read",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "JPEG or PNG inside",
        24,
        by_pillow(PHOTO, "JPEG")(),
        None,
        compression=4,
        why="this coding is not read; the JPEG or PNG file itself is",
        **_REFUSED_VARIANT,
    ),
    _bmp(
        "a palette of more than 256 colours",
        8,
        _ROWS8,
        None,
        palette=_QUADS * 17,
        colors_used=272,
        refused=MediaDamaged,
        why="there is no such palette",
    ),
    _bmp(
        "a palette too short for its pixels",
        8,
        _ROWS8,
        None,
        palette=_QUADS[:20],
        colors_used=5,
        refused=MediaDamaged,
        why="its pixels name colours that are not there",
    ),
    _bmp("cut off", 24, making.bmp_rows(_BGR)[:-300], None, refused=MediaDamaged, why="it is cut off"),
    _bmp(
        "RLE8, cut off",
        8,
        making.rle8(INDEX)[:-300],
        None,
        compression=1,
        refused=MediaDamaged,
        why="it is cut off",
        **_BMP_PALETTE,
    ),
)

# --- TIFF ---------------------------------------------------------------------------------------------------------


def by_tifffile(
    pixels: Array, *more_pages: Array, byteorder: Any = "<", bigtiff: bool = False, **options: Any
) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer, byteorder=byteorder, bigtiff=bigtiff) as writer:
            for page in (pixels, *more_pages):
                writer.write(page, metadata=None, **options)
        return buffer.getvalue()

    return make


def _tiff(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("TIFF", ".tif", what, make, pixels, **more)


def _coded(what: str, pixels: Array, *, bits: int = 8, shown: Array | None = None, **options: Any) -> Case:
    return _tiff(what, by_tifffile(pixels, **options), pixels if shown is None else shown, bits=bits)


_RGBA = np.dstack([RGB, ALPHA])
_PREMULTIPLIED = np.dstack([np.rint(RGB * (ALPHA / 255)[..., None]).astype(np.uint8), ALPHA])
_COLORMAP = np.zeros((3, 256), np.uint16)
_COLORMAP[:, :16] = PALETTE.T.astype(np.uint16) * 257
_JPEG_TIFF = {"compression": "jpeg", "compressionargs": {"level": 100}}
TIFF_CASES = (
    _coded("grey, 1 bit", BLACK_WHITE > 0, shown=BLACK_WHITE, photometric="minisblack"),
    _coded("grey, 1 bit, white is zero", BLACK_WHITE == 0, shown=BLACK_WHITE, photometric="miniswhite"),
    _coded("grey, 4 bits", GREY >> 4, shown=to_8_bits(GREY >> 4, 15), bitspersample=4),
    _coded("grey, 8 bits", GREY),
    _coded("grey, 8 bits, white is zero", 255 - GREY, shown=GREY, photometric="miniswhite"),
    _coded("grey, 12 bits", GREY16 >> 4, bits=12, bitspersample=12),
    _coded("grey, 16 bits", GREY16, bits=16),
    _coded("grey, 16 bits, white is zero", 65_535 - GREY16, shown=GREY16, bits=16, photometric="miniswhite"),
    _coded("RGB, 8 bits", RGB, photometric="rgb"),
    _coded(
        "RGB, 8 bits, planes apart",
        np.moveaxis(RGB, -1, 0).copy(),
        shown=RGB,
        photometric="rgb",
        planarconfig="separate",
    ),
    _coded("RGB, 16 bits", RGB16, shown=to_8_bits(RGB16, 65_535), photometric="rgb"),
    _coded("RGB and alpha", _RGBA, shown=over_white(RGB, ALPHA), photometric="rgb", extrasamples=["unassalpha"]),
    _tiff(
        "RGB and premultiplied alpha",
        by_tifffile(_PREMULTIPLIED, photometric="rgb", extrasamples=["assocalpha"]),
        over_white(RGB, ALPHA),
        tolerance=1,
    ),
    _coded("palette", INDEX, shown=OF_PALETTE, photometric="palette", colormap=_COLORMAP),
    _tiff("CMYK", by_pillow(_CMYK, "TIFF"), RGB),
    _coded("LZW with predictor", RGB, photometric="rgb", compression="lzw", predictor=True),
    _coded("Deflate with predictor, 16 bits", GREY16, bits=16, compression="adobe_deflate", predictor=True),
    _coded("PackBits", RGB, photometric="rgb", compression="packbits"),
    *(
        _tiff(
            f"CCITT {name}",
            by_pillow(Image.fromarray(BLACK_WHITE).convert("1"), "TIFF", compression=coding),
            BLACK_WHITE,
        )
        for name, coding in (("RLE", "tiff_ccitt"), ("G3", "group3"), ("G4", "group4"))
    ),
    _coded("Zstandard", RGB, photometric="rgb", compression="zstd"),
    _tiff("JPEG, grey", by_tifffile(GREY, **_JPEG_TIFF), GREY, tolerance=3, method=JPEG),
    _tiff("JPEG, RGB", by_tifffile(RGB, photometric="rgb", **_JPEG_TIFF), RGB, tolerance=90, method=JPEG),
    _tiff(
        "JPEG, YCbCr",
        by_pillow(PHOTO.convert("YCbCr"), "TIFF", compression="jpeg", quality=100),
        RGB,
        tolerance=90,
        method=JPEG,
    ),
    _coded("tiled", RGB, photometric="rgb", tile=(16, 16), compression="lzw"),
    _coded("big-endian, 16 bits", GREY16, bits=16, byteorder=">"),
    _coded("BigTIFF", GREY16, bits=16, bigtiff=True),
    _coded("BigTIFF, big-endian", RGB, photometric="rgb", bigtiff=True, byteorder=">"),
    _tiff(
        "bits from the lowest (FillOrder 2)",
        lambda: making.tiff(
            8, 2, b"\x01\x03", {258: ("H", 1), 259: ("H", 1), 262: ("H", 1), 266: ("H", 2), 277: ("H", 1)}
        ),
        np.array([[255, 0, 0, 0, 0, 0, 0, 0], [255, 255, 0, 0, 0, 0, 0, 0]], np.uint8),
    ),
    _tiff("ICC profile of RGB", by_tifffile(RGB, photometric="rgb", iccprofile=SRGB), RGB, profile=True),
    _tiff(
        "a reduced picture beside the page",
        lambda: _with_thumbnail(),
        RGB,
        why="the reduced picture is passed over",
    ),
    _tiff(
        "several pages",
        by_tifffile(GREY, GREY),
        refused=MediaUnsupported,
        why="its other pages would be missed; export each page to a file of its own",
    ),
    _tiff(
        "floating-point samples",
        by_tifffile(GREY.astype(np.float32)),
        refused=MediaUnsupported,
        why="which greys are meant is not in the file",
    ),
    _tiff(
        "signed samples",
        by_tifffile(GREY.astype(np.int16)),
        refused=MediaUnsupported,
        why="which greys are meant is not in the file",
    ),
    _tiff("32 bits a sample", by_tifffile(GREY.astype(np.uint32)), refused=MediaUnsupported, why="too many bits"),
    _tiff(
        "channels besides colour and alpha",
        by_tifffile(np.dstack([RGB, ALPHA, ALPHA]), photometric="rgb", extrasamples=["unspecified", "unspecified"]),
        refused=MediaUnsupported,
        why="what they show is not known",
    ),
    _tiff(
        "CIELab, raw sensor data",
        by_tifffile(RGB, photometric="cielab"),
        refused=MediaUnsupported,
        why="these colours are not read",
    ),
    _tiff(
        "YCbCr that is not JPEG",
        by_pillow(PHOTO.convert("YCbCr"), "TIFF", compression="tiff_lzw"),
        refused=MediaUnsupported,
        why="these colours are not read",
    ),
    _tiff(
        "JPEG 2000, old-style JPEG and other codings inside",
        by_tifffile(RGB, photometric="rgb", compression="jpeg2000"),
        refused=MediaUnsupported,
        why="this coding is not read",
    ),
    _tiff("cut off", lambda: by_tifffile(RGB, photometric="rgb")()[:-500], refused=MediaDamaged, why="it is cut off"),
    _tiff(
        "rotten JPEG inside",
        lambda: _flipped(by_tifffile(np.tile(RGB, (4, 4, 1)), photometric="rgb", **_JPEG_TIFF)()),
        refused=MediaDamaged,
        why="it is damaged",
    ),
)


def _with_thumbnail() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(RGB, photometric="rgb", metadata=None)
        writer.write(RGB[::4, ::4].copy(), photometric="rgb", metadata=None, subfiletype=1)
    return buffer.getvalue()


def _flipped(data: bytes, share: float = 0.6, count: int = 40) -> bytes:
    at = int(len(data) * share)
    return data[:at] + bytes(byte ^ 0x5A for byte in data[at : at + count]) + data[at + count :]


# --- WebP, GIF, HEIC ----------------------------------------------------------------------------------------------

VP8, HEVC = "RFC_6386", "ISO_23008_2"


def _webp(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("WebP", ".webp", what, make, pixels, **more)


_TRANSPARENT = Image.fromarray(_RGBA, "RGBA")
WEBP_CASES = (
    _webp("lossless", by_pillow(PHOTO, "WEBP", lossless=True), RGB),
    _webp("lossless, alpha", by_pillow(_TRANSPARENT, "WEBP", lossless=True, exact=True), over_white(RGB, ALPHA)),
    _webp("lossy", by_pillow(PHOTO, "WEBP", quality=100), RGB, tolerance=90, method=VP8),
    _webp(
        "lossy, alpha", by_pillow(_TRANSPARENT, "WEBP", quality=100), over_white(RGB, ALPHA), tolerance=90, method=VP8
    ),
    _webp("ICC profile of RGB", by_pillow(PHOTO, "WEBP", lossless=True, icc_profile=SRGB), RGB, profile=True),
    _webp(
        "animated",
        by_pillow(PHOTO, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", PHOTO.size)]),
        RGB,
        warns="animated",
    ),
    _webp("cut off", lambda: by_pillow(PHOTO, "WEBP")()[:-40], refused=MediaDamaged, why="it is cut off"),
)


def _gif(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("GIF", ".gif", what, make, pixels, **more)


def _indexed() -> Image.Image:
    image = Image.fromarray(INDEX, "P")
    image.putpalette(PALETTE.tobytes())
    return image


GIF_CASES = (
    _gif("palette", by_pillow(_indexed(), "GIF"), OF_PALETTE),
    _gif("interlaced", by_pillow(_indexed(), "GIF", interlace=1), OF_PALETTE),
    _gif("grey palette", by_pillow(PHOTO.convert("L"), "GIF"), np.dstack([GREY] * 3)),
    _gif(
        "one colour transparent",
        by_pillow(_indexed(), "GIF", transparency=3),
        np.where((INDEX == 3)[..., None], 255, OF_PALETTE),
    ),
    _gif(
        "animated",
        by_pillow(_indexed(), "GIF", save_all=True, append_images=[Image.new("P", PHOTO.size)]),
        OF_PALETTE,
        warns="animated",
    ),
    _gif("cut off", lambda: by_pillow(_indexed(), "GIF")()[:-200], refused=MediaDamaged, why="it is cut off"),
)


def by_heif(*images: Image.Image, primary: int = 0, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        buffer = io.BytesIO()
        file = pillow_heif.HeifFile()
        for image in images:
            file.add_from_pillow(image)
        file.save(buffer, primary_index=primary, **{"quality": -1, "chroma": 444, "matrix_coefficients": 0, **options})
        return buffer.getvalue()

    return make


def heif_of_samples(mode: str, pixels: Array) -> Callable[[], bytes]:
    """A HEIC file of 16-bit samples, which it holds in 10 bits."""

    def make() -> bytes:
        buffer = io.BytesIO()
        size = (pixels.shape[1], pixels.shape[0])
        image = pillow_heif.from_bytes(mode, size, pixels.tobytes())
        image.save(buffer, quality=-1, chroma=444, matrix_coefficients=0 if mode != "I;16" else 1)
        return buffer.getvalue()

    return make


def _heic(what: str, make: Callable[[], bytes], pixels: Array | None = None, **more: Any) -> Case:
    return Case("HEIC", ".heic", what, make, pixels, method="" if "refused" in more else HEVC, **more)


HEIC_CASES = (
    _heic("RGB", by_heif(PHOTO), RGB),
    _heic("4:2:0", by_heif(PHOTO, quality=95, chroma=420, matrix_coefficients=1), RGB, tolerance=90),
    _heic("grey", by_heif(PHOTO.convert("L"), matrix_coefficients=1), GREY),
    _heic("grey, 10 bits", heif_of_samples("I;16", GREY16), GREY16 >> 6, bits=10),
    _heic("RGB, 10 bits", heif_of_samples("RGB;16", RGB16), to_8_bits(RGB16 >> 6, 1023)),
    _heic("alpha", by_heif(_TRANSPARENT), over_white(RGB, ALPHA)),
    _heic("ICC profile of RGB", by_heif(PHOTO, icc_profile=SRGB), RGB, profile=True),
    _heic("several pictures", by_heif(Image.new("RGB", (64, 64)), PHOTO, primary=1), RGB, warns="several pictures"),
    _heic("cut off", lambda: by_heif(PHOTO)()[:-200], refused=MediaDamaged, why="it is cut off"),
)

CASES = (*JPEG_CASES, *PNG_CASES, *BMP_CASES, *TIFF_CASES, *WEBP_CASES, *GIF_CASES, *HEIC_CASES)
