"""One picture to the bytes of one frame in the transfer syntax asked for, and back.

Which syntax holds which pixels, and the Image Pixel values that go with the stream (PS3.5 8.2, PS3.3 C.7.6.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES
from media2dicom.errors import OptionRefused
from media2dicom.media.payload import JPEG, MAX_SIDE, LossyHistory, Picture, Pixels

# 2 to 7, as 1 belongs to .70 (PS3.5 A.4.1). Of these 4 and 6 make pictures smallest, 6 most photographs (measured).
PREDICTOR_OF_57: Final = 6


@dataclass(frozen=True)
class EncodedFrame:
    """The bytes of a frame (even length) and what the Image Pixel module must say of them."""

    data: bytes
    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    bits_allocated: int
    bits_stored: int
    lossy: tuple[LossyHistory, ...]  # every lossy step the pixels went through, oldest first

    @property
    def form(self) -> tuple[int, int, int, str, int, int]:
        """What must be equal in all frames of one instance."""
        return (
            self.rows,
            self.columns,
            self.samples_per_pixel,
            self.photometric_interpretation,
            self.bits_allocated,
            self.bits_stored,
        )


def default_transfer_syntax(picture: Picture) -> str:
    """A baseline JPEG's own stream and video frames go as .50, everything else as lossless .70."""
    if picture.kept_jpeg is not None or picture.time_ms is not None:
        return str(JPEGBaseline8Bit)
    return str(JPEGLosslessSV1)


def encode(picture: Picture, transfer_syntax_uid: str, *, jpeg_quality: int) -> EncodedFrame:
    """Encode one picture. Raises OptionRefused when the syntax cannot hold its pixels."""
    if max(picture.rows, picture.columns) > MAX_SIDE:
        raise OptionRefused(
            f"The picture is {picture.columns} x {picture.rows} pixels; viewers of DICOM open {MAX_SIDE} a side.",
            next_step="Scale the picture down or cut it into parts.",
        )
    if picture.kept_jpeg is not None:
        kept = picture.kept_jpeg
        if transfer_syntax_uid != JPEGBaseline8Bit:
            raise OptionRefused("The file's own JPEG stream is baseline and cannot be relabelled.")
        history = (LossyHistory(_ratio(picture, len(kept.bitstream)), JPEG),)
        # The one YCbCr value that lossy JPEG has in DICOM, whatever the stream's own subsampling (PS3.5 8.2.1);
        # every decoder goes by the stream.
        said = kept.photometric_interpretation
        photometric = "YBR_FULL_422" if said == "YBR_FULL" else said
        return _frame(picture, kept.bitstream, photometric, 8, history)
    if picture.pixels is None:
        raise ValueError("a Picture has a kept JPEG or pixels")
    pixels: Pixels = picture.pixels if picture.pixels.flags.c_contiguous else picture.pixels.copy(order="C")
    past = (picture.lossy,) if picture.lossy is not None else ()
    color = picture.samples_per_pixel == 3
    plain = "RGB" if color else "MONOCHROME2"
    if transfer_syntax_uid in NATIVE_SYNTAXES:
        data = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
        return _frame(picture, data, plain, picture.bits_stored, past)
    if transfer_syntax_uid in (JPEGLosslessSV1, JPEGLossless):
        predictor = 1 if transfer_syntax_uid == JPEGLosslessSV1 else PREDICTOR_OF_57
        return _frame(picture, _lossless(picture, pixels, predictor), plain, picture.bits_stored, past)
    if transfer_syntax_uid in (JPEGBaseline8Bit, JPEGExtended12Bit):
        data, bits = _lossy(picture, pixels, transfer_syntax_uid, jpeg_quality)
        now = LossyHistory(_ratio(picture, len(data)), JPEG)
        return _frame(picture, data, "YBR_FULL_422" if color else plain, bits, (*past, now))
    raise OptionRefused(f"Transfer syntax {transfer_syntax_uid} is not one that the project writes.")


def _frame(picture: Picture, data: bytes, photometric: str, bits: int, lossy: tuple[LossyHistory, ...]) -> EncodedFrame:
    return EncodedFrame(
        data=data + b"\x00" * (len(data) % 2),  # PS3.5 A.4: fragments have even length
        rows=picture.rows,
        columns=picture.columns,
        samples_per_pixel=picture.samples_per_pixel,
        photometric_interpretation=photometric,
        bits_allocated=16 if bits > 8 else 8,
        bits_stored=bits,
        lossy=lossy,
    )


def _ratio(picture: Picture, compressed_bytes: int) -> float:
    bytes_per_sample = 2 if picture.bits_stored > 8 else 1
    return picture.rows * picture.columns * picture.samples_per_pixel * bytes_per_sample / compressed_bytes


def _lossless(picture: Picture, pixels: Pixels, predictor: int) -> bytes:
    # Unsaid, 16-bit pixels get a header that claims 12, and are lost.
    bits: dict[str, Any] = {"bitspersample": picture.bits_stored} if pixels.dtype == np.uint16 else {}
    colorspace: dict[str, Any] = {"colorspace": "RGB", "outcolorspace": "RGB"} if pixels.ndim == 3 else {}
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, **bits, **colorspace))


def _lossy(picture: Picture, pixels: Pixels, transfer_syntax_uid: str, quality: int) -> tuple[bytes, int]:
    """The stream and its bits stored: baseline, or extended (8-bit Process 2, 12-bit grey Process 4)."""
    extended = transfer_syntax_uid == JPEGExtended12Bit
    if pixels.dtype == np.uint16:
        if not extended or picture.bits_stored > 12:
            raise OptionRefused(
                f"The picture has {picture.bits_stored}-bit grey levels; transfer syntax {transfer_syntax_uid} "
                f"holds {12 if extended else 8}.",
                next_step="Leave transfer_syntax empty (lossless) or choose .70, .57 or Explicit VR Little Endian.",
            )
        return bytes(imagecodecs.jpeg8_encode(pixels, level=quality, bitspersample=12)), 12
    # 4:2:2 is what YBR_FULL_422 says (PS3.3 C.7.6.3.1.2), and all that multi-frame true colour SC allows.
    color: dict[str, Any] = (
        {"colorspace": "RGB", "outcolorspace": "YCBCR", "subsampling": "422"} if pixels.ndim == 3 else {}
    )
    stream = bytes(imagecodecs.jpeg8_encode(pixels, level=quality, **color))
    return (_as_extended(stream) if extended else stream), 8


def _as_extended(stream: bytes) -> bytes:
    """Baseline remarked as extended sequential: a superset (ISO/IEC 10918-1 Annex B), so only SOF0 turns SOF1."""
    position = 2
    while stream[position + 1] != 0xC0:
        position += 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
    return stream[: position + 1] + b"\xc1" + stream[position + 2 :]


def decode(data: bytes, photometric_interpretation: str) -> Pixels:
    """A JPEG frame as native pixels: RGB for colour, else grey. What a PACS that refuses JPEG is sent."""
    if photometric_interpretation.startswith("YBR"):
        return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="YCBCR", outcolorspace="RGB"))
    if photometric_interpretation == "RGB":
        return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB"))
    return np.asarray(imagecodecs.jpeg8_decode(data))
