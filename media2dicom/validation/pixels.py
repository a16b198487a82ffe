"""The Image Pixel module with itself, native pixels, the lossy history, frames and their times, the ICC profile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.multival import MultiValue
from pydicom.uid import UID

from media2dicom.dicom.part10 import PIXEL_DATA
from media2dicom.dicom.transfer_syntaxes import VIDEO_SYNTAX_UIDS
from media2dicom.media.payload import H_264, H_265, JPEG, MPEG_2
from media2dicom.validation import conditions as when
from media2dicom.validation.findings import Finding
from media2dicom.validation.iods import IOD
from media2dicom.validation.streams import check_streams, compressed_bytes
from media2dicom.validation.written import Written

_GREY: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})
_METHODS: Final = {  # of the syntaxes that lose something themselves (PS3.3 C.7.6.1.1.5.1)
    **dict.fromkeys(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"), JPEG),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (100, 101)), MPEG_2),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in range(102, 107)), H_264),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (107, 108)), H_265),
}
_LOSSY: Final = "PS3.3 C.7.6.1.1.5"


def check_pixels(written: Written, _iod: IOD) -> Iterator[Finding]:
    """All that concerns pixels, and the ICC profile, which models may have too."""
    yield from _check_profile(written)
    if written.bulk is None or written.bulk.tag != PIXEL_DATA:
        return
    yield from _check_module(written)
    if UID(written.transfer_syntax_uid).is_encapsulated:
        yield from check_streams(written)
    else:
        yield from _check_native(written)
    yield from _check_lossy(written)
    yield from _check_times(written)


def _check_module(written: Written) -> Iterator[Finding]:
    """PS3.3 C.7.6.3: the values that hang together."""
    section = "PS3.3 C.7.6.3"
    samples, photometric = written.number("SamplesPerPixel"), written.text("PhotometricInterpretation")
    if (samples, photometric in _GREY) not in ((1, True), (3, False)):
        yield Finding("SamplesPerPixel", "does not fit PhotometricInterpretation", section)
    allocated, stored = written.number("BitsAllocated"), written.number("BitsStored")
    if allocated not in (8, 16) or not allocated - 8 < stored <= allocated:
        yield Finding("BitsStored", "does not fit BitsAllocated", section)
    if written.number("HighBit") != stored - 1:
        yield Finding("HighBit", "is not one less than BitsStored", section)
    if samples == 1 and "PlanarConfiguration" in written.header:
        yield Finding("PlanarConfiguration", "is there for one sample per pixel", section)
    if not written.number("Rows") or not written.number("Columns"):
        yield Finding("Rows", "or Columns is none", section)


def _check_native(written: Written) -> Iterator[Finding]:
    if written.bulk is None:
        return
    if written.bulk.length != _raw_bytes(written) + _raw_bytes(written) % 2:
        yield Finding("PixelData", "has not the length that its attributes give", "PS3.5 8.1.1")
    if written.number("BitsAllocated") > 8 and written.bulk.vr not in ("OW", ""):
        yield Finding("PixelData", "has more than 8 bits and is not of VR OW", "PS3.5 8.1.2")
    if written.text("PhotometricInterpretation") not in (*_GREY, "RGB"):
        yield Finding("PhotometricInterpretation", "is that of a compressed stream", "PS3.5 8.2")


def _raw_bytes(written: Written) -> int:
    """The pixels without compression."""
    per_pixel = written.number("SamplesPerPixel") * (written.number("BitsAllocated") // 8)
    return written.frames * written.number("Rows") * written.number("Columns") * per_pixel


def _check_lossy(written: Written) -> Iterator[Finding]:
    """01, method and ratio stand and fall together; the last step is the stream's own (PS3.3 C.7.6.1.1.5).

    A loss before, by a codec that has no defined term, is told in Derivation Description instead.
    """
    ratios = _values(written, "LossyImageCompressionRatio")
    methods = _values(written, "LossyImageCompressionMethod")
    method = _METHODS.get(written.transfer_syntax_uid)
    told = written.text("LossyImageCompression")
    if method is not None and told != "01":
        yield Finding("LossyImageCompression", "is not 01 though the stream is lossy", _LOSSY)
    in_words = method is None and bool(written.text("DerivationDescription"))
    if (told == "01") != bool(ratios) and not (told == "01" and in_words):
        yield Finding("LossyImageCompressionRatio", "does not go with LossyImageCompression", _LOSSY)
    if len(ratios) != len(methods):
        yield Finding("LossyImageCompressionMethod", "has not as many values as the ratio", _LOSSY)
    try:
        numbers = [float(ratio) for ratio in ratios]
    except ValueError:
        return  # told with its value representation
    if any(number <= 0 for number in numbers):
        yield Finding("LossyImageCompressionRatio", "is not above zero", _LOSSY)
    if method is None or not ratios or not methods:
        return
    if methods[-1] != method:
        yield Finding("LossyImageCompressionMethod", "does not end with the stream's own", _LOSSY)
    actual = _raw_bytes(written) / max(1, compressed_bytes(written))
    # A video's ratio may be told against pixels with subsampled colour; a fragment's padding is one byte.
    least, most = (0.49, 1.02) if written.transfer_syntax_uid in VIDEO_SYNTAX_UIDS else (0.98, 1.02)
    if not actual * least - 0.01 <= numbers[-1] <= actual * most + 0.01:
        yield Finding("LossyImageCompressionRatio", "differs from the stream's actual size", _LOSSY)


def _values(written: Written, keyword: str) -> list[str]:
    value = written.header.get(keyword)
    if value is None or value == "":
        return []
    return [str(one) for one in (value if isinstance(value, MultiValue | list) else [value])]


def _check_times(written: Written) -> Iterator[Finding]:
    """What Frame Increment Pointer names is there, and gives each frame its time (PS3.3 C.7.6.5, C.7.6.6)."""
    header = written.header
    if "NumberOfFrames" not in header:
        return
    if written.number("NumberOfFrames") < 1:
        yield Finding("NumberOfFrames", "is not above zero", "PS3.3 C.7.6.6")
    pointer = header.get("FrameIncrementPointer")
    tags = [pointer] if isinstance(pointer, int) else list(pointer or ())
    if any(tag not in header for tag in tags):
        yield Finding("FrameIncrementPointer", "names an attribute that is not there", "PS3.3 C.7.6.6.1.2")
    vector = _values(written, "FrameTimeVector")
    if when.with_frame_time_vector(header) and len(vector) != written.frames:
        yield Finding("FrameTimeVector", "has not one value per frame", "PS3.3 C.7.6.5.1.2")
    if vector and (float(vector[0]) != 0 or any(float(step) < 0 for step in vector)):
        yield Finding("FrameTimeVector", "does not begin with zero, or runs backwards", "PS3.3 C.7.6.5.1.2")
    if when.with_frame_time(header) and not float(header.get("FrameTime") or 0) > 0:
        yield Finding("FrameTime", "is not above zero", "PS3.3 C.7.6.5.1.1")


def _check_profile(written: Written) -> Iterator[Finding]:
    """The ICC profile is of an input device and of the pixels' colour space (PS3.3 C.11.15.1.1)."""
    profile = written.header.get("ICCProfile")
    if not isinstance(profile, bytes) or not profile:
        return
    told = int.from_bytes(profile[:4], "big")
    if profile[36:40] != b"acsp" or len(profile) != told + told % 2:
        yield Finding("ICCProfile", "is no whole profile", "PS3.3 C.11.15")
    if profile[12:16] != b"scnr":
        yield Finding("ICCProfile", "is not of the input device class", "PS3.3 C.11.15.1.1")
    if profile[16:20] != (b"GRAY" if written.number("SamplesPerPixel") == 1 else b"RGB "):
        yield Finding("ICCProfile", "is of another colour space than the pixels", "PS3.3 C.11.15.1.1")
