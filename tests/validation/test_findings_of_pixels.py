"""Each rule for pixels, frames and bytes, broken on purpose in an object that is good in all else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dicom.making import BASELINE, EXPLICIT, EXTENDED, P14, SV1
from tests.validation.breaking import (
    DEEP,
    EVEN,
    GREY,
    KEPT,
    KEPT_RGB,
    STILL,
    TWELVE,
    UNEVEN,
    Broken,
    drop,
    frames_of,
    in_meta,
    put,
    put_profile,
)
from tests.validation.objects import dataset_start, good, said, with_attributes, with_bytes

LOSSY, RATIO, METHOD = "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"
LOSSY_RULE = "3 C.7.6.1.1.5"

BROKEN: Broken = {
    # the lossy history
    "a lossy stream that says it is none": (
        KEPT,
        BASELINE,
        put(**{LOSSY: "00"}),
        {(LOSSY, LOSSY_RULE), (RATIO, LOSSY_RULE)},
    ),
    "a lossy stream that says nothing": (
        *(KEPT, BASELINE, drop(LOSSY, RATIO, METHOD)),
        {(LOSSY, LOSSY_RULE)},
    ),
    "no ratio": (KEPT, BASELINE, drop(RATIO), {(RATIO, LOSSY_RULE), (METHOD, LOSSY_RULE)}),
    "no method": (KEPT, BASELINE, drop(METHOD), {(METHOD, LOSSY_RULE)}),
    "two ratios, one method": (EVEN, BASELINE, put(**{METHOD: "ISO_10918_1"}), {(METHOD, LOSSY_RULE)}),
    "another method": (KEPT, BASELINE, put(**{METHOD: "ISO_15444_1"}), {(METHOD, LOSSY_RULE)}),
    "another ratio": (KEPT, BASELINE, put(**{RATIO: "30"}), {(RATIO, LOSSY_RULE)}),
    # the module with itself and with the stream
    "other rows": (STILL, SV1, put(Rows=25), {("Rows", "5 8.2.1")}),
    "other columns": (STILL, SV1, put(Columns=36), {("Columns", "5 8.2.1")}),
    "another precision": (TWELVE, SV1, put(BitsStored=13, HighBit=12), {("BitsStored", "5 8.2.1")}),
    "another high bit": (DEEP, SV1, put(HighBit=14), {("HighBit", "3 C.7.6.3")}),
    "more bits stored than allocated": (
        *(STILL, EXPLICIT, put(BitsStored=9, HighBit=8)),
        {("BitsStored", "3 C.7.6.3")},
    ),
    "grey that is said to be colour": (
        *(GREY, SV1, put(SamplesPerPixel=3, PlanarConfiguration=0)),
        {("SamplesPerPixel", "3 C.7.6.3"), ("SamplesPerPixel", "5 8.2.1")},
    ),
    "planes of one sample": (GREY, SV1, put(PlanarConfiguration=0), {("PlanarConfiguration", "3 C.7.6.3")}),
    "a YCbCr stream as RGB": (
        KEPT,
        BASELINE,
        put(PhotometricInterpretation="RGB"),
        {("PhotometricInterpretation", "5 8.2.1")},
    ),
    "an RGB stream as YCbCr": (
        *(KEPT_RGB, BASELINE, put(PhotometricInterpretation="YBR_FULL_422")),
        {("PhotometricInterpretation", "5 8.2.1")},
    ),
    "a lossless RGB stream as YCbCr": (
        *(STILL, SV1, put(PhotometricInterpretation="YBR_FULL_422")),
        {("PhotometricInterpretation", "5 8.2.1")},
    ),
    "native pixels as YCbCr": (
        *(STILL, EXPLICIT, put(PhotometricInterpretation="YBR_FULL_422")),
        {("PhotometricInterpretation", "5 8.2")},
    ),
    "native pixels too few": (STILL, EXPLICIT, put(PixelData=b"\0" * 100), {("PixelData", "5 8.1.1")}),
    "a baseline stream as extended": (
        KEPT,
        BASELINE,
        in_meta(TransferSyntaxUID=EXTENDED),
        {("TransferSyntaxUID", "5 8.2.1")},
    ),
    "an extended stream as baseline": (
        TWELVE,
        EXTENDED,
        in_meta(TransferSyntaxUID=BASELINE),
        {("TransferSyntaxUID", "5 8.2.1")},
    ),
    "another predictor as first order": (
        STILL,
        P14,
        in_meta(TransferSyntaxUID=SV1),
        {("TransferSyntaxUID", "5 8.2.1, 10.4")},
    ),
    "first order as another predictor": (
        STILL,
        SV1,
        in_meta(TransferSyntaxUID=P14),
        {("TransferSyntaxUID", "5 8.2.1, 10.4")},
    ),
    "a frame without its end": (STILL, SV1, frames_of(lambda frames: [frames[0][:-4]]), {("PixelData", "5 A.4.1")}),
    "a frame that is no JPEG": (
        STILL,
        SV1,
        frames_of(lambda frames: [b"\0\1" + frames[0][2:]]),
        {("PixelData", "5 A.4.1")},
    ),
    "a frame of another size among many": (
        *(
            EVEN,
            BASELINE,
            frames_of(lambda frames: [*frames[:2], frames[2].replace(b"\0\x18\0\x24", b"\0\x18\0\x28", 1), frames[3]]),
        ),
        {("Columns", "5 8.2.1")},
    ),
    # frames and times
    "a frame too few": (
        UNEVEN,
        BASELINE,
        frames_of(lambda frames: frames[:-1]),
        {("NumberOfFrames", "5 A.4"), (RATIO, LOSSY_RULE)},
    ),
    "a time too few": (
        *(UNEVEN, BASELINE, lambda dataset: put(FrameTimeVector=list(dataset.FrameTimeVector)[:-1])(dataset)),
        {("FrameTimeVector", "3 C.7.6.5.1.2")},
    ),
    "times that do not begin with zero": (
        *(UNEVEN, BASELINE, put(FrameTimeVector=["5", "1", "1", "1"])),
        {("FrameTimeVector", "3 C.7.6.5.1.2")},
    ),
    "no time from frame to frame": (EVEN, BASELINE, put(FrameTime="0"), {("FrameTime", "3 C.7.6.5.1.1")}),
    "a pointer to what is not there": (
        *(EVEN, BASELINE, put(FrameIncrementPointer=[0x00181063, 0x00182001])),
        {("FrameIncrementPointer", "3 C.7.6.6.1.2")},
    ),
    # the ICC profile
    "a display profile": (STILL, SV1, put_profile(profile_class=b"mntr"), {("ICCProfile", "3 C.11.15.1.1")}),
    "a profile of a printer's colours": (STILL, SV1, put_profile(b"CMYK"), {("ICCProfile", "3 C.11.15.1.1")}),
    "a profile of a cine": (EVEN, BASELINE, put_profile(), {("ICCProfile", "3 A.8.5")}),
    "a profile of a model without colours": ("STL", EXPLICIT, put_profile(), {("ICCProfile", "3 A.85.1")}),
    "a profile cut off": (STILL, SV1, put_profile(size=400), {("ICCProfile", "3 C.11.15")}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_rule_that_is_broken_is_found_and_no_other(what: str, tmp_path: Path) -> None:
    name, syntax, change, expected = BROKEN[what]
    assert said(with_attributes(good(name, syntax), change, tmp_path)) == expected


# --- bytes changed ----------------------------------------------------------------------------------------------


def _element(tag: tuple[int, int], vr: bytes) -> bytes:
    return struct.pack("<HH", *tag) + vr


def _odd_length(data: bytes) -> bytes:
    head = _element((0x0010, 0x0020), b"LO")
    at = data.index(head) + len(head)
    (length,) = struct.unpack("<H", data[at : at + 2])
    return data[:at] + struct.pack("<H", length - 1) + data[at + 2 : at + 1 + length] + data[at + 2 + length :]


def _group_length(data: bytes) -> bytes:
    start = dataset_start(data)
    return data[:start] + struct.pack("<HH2sHL", 0x0008, 0, b"UL", 4, 0) + data[start:]


def _meta_length(data: bytes) -> bytes:
    return data[:140] + struct.pack("<L", struct.unpack("<L", data[140:144])[0] - 8) + data[144:]


def _offset_table(data: bytes) -> bytes:
    at = data.rindex(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)) + 12
    return data[: at + 12] + b"\7" + data[at + 13 :]


BYTES: dict[str, tuple[str, str, Callable[[bytes], bytes], set[tuple[str, str]]]] = {
    "text that does not decode": (
        *(STILL, SV1, lambda data: data.replace(b"CompressedSamples", b"Compress\xffdSamples")),
        {("PatientName", "5 6.1")},
    ),
    "an odd length": (STILL, SV1, _odd_length, {("PatientID", "5 7.1")}),
    "a group length": (STILL, SV1, _group_length, {("(0008,0000)", "5 7.2")}),
    "another VR": (
        *(STILL, SV1, lambda data: data.replace(_element((0x0028, 0x0010), b"US"), _element((0x0028, 0x0010), b"SS"))),
        {("Rows", "6 6")},
    ),
    "a file meta of another length": (STILL, SV1, _meta_length, {("FileMetaInformationGroupLength", "10 7.1")}),
    "an offset table to nowhere": (EVEN, BASELINE, _offset_table, {("PixelData", "5 A.4")}),
    "a file cut off": (EVEN, BASELINE, lambda data: data[:-100], {("PixelData", "5 A.4"), (RATIO, LOSSY_RULE)}),
    "a file cut off in its model": (
        *("STL", EXPLICIT, lambda data: data[: data.index(b"made for a test") + 200]),
        {
            *(("EncapsulatedDocument", "3 C.24.2"), ("file", "10 7")),
            *(("MIMETypeOfEncapsulatedDocument", "3 C.24.2"), ("SourceInstanceSequence", "3 C.24.2")),  # behind it
        },
    ),
    "a file cut off in its icon": (
        *("STL", EXPLICIT, lambda data: data[:-200]),
        {("IconImageSequence", "5 7.1"), ("IconImageSequence[1].PixelData", "5 7.1"), ("file", "10 7")},
    ),
    "native pixels cut off": (STILL, EXPLICIT, lambda data: data[:-200], {("file", "10 7")}),
    "more behind the pixels": (STILL, SV1, lambda data: data + b"\0" * 8, {("file", "10 7")}),
    "a progressive stream": (
        *(KEPT, BASELINE, lambda data: data.replace(b"\xff\xc0\0\x11", b"\xff\xc2\0\x11")),
        {("TransferSyntaxUID", "5 8.2.1")},
    ),
}


@pytest.mark.parametrize("what", BYTES)
def test_each_rule_that_is_broken_in_the_bytes_is_found(what: str, tmp_path: Path) -> None:
    name, syntax, change, expected = BYTES[what]
    assert said(with_bytes(good(name, syntax), change, tmp_path)) == expected
