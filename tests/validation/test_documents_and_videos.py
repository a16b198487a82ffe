"""Documents, OBJ with MTL and coded videos: good ones have no finding, each that is broken has its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_fragments

from media2dicom.dicom.builders import build_instances
from media2dicom.media import open_media
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from media2dicom.validation import findings
from tests import real_media
from tests.dicom import making
from tests.media import making_models
from tests.validation.objects import said, with_attributes

_FOLDER = TemporaryDirectory()
_H265 = ("-c:v", "libx265", "-pix_fmt", "yuv420p", "-x265-params", "log-level=none")
OBJ, MTL = "model.obj", "model.mtl"
H264_41, H264_42, HEVC = (f"1.2.840.10008.1.2.4.{number}" for number in (102, 104, 107))


@cache
def _objects(name: str) -> tuple[Path, ...]:
    """Of a file made on the fly: the instances, which have no finding."""
    folder = Path(_FOLDER.name) / name
    folder.mkdir()
    media, options = folder / name, Options()
    if name == "letter.pdf":
        media.write_bytes(making_models.pdf())
    elif name == "summary.xml":
        media.write_text(making_models.cda())
    elif name == OBJ:
        making_models.obj_with_mtl(folder)
    else:
        real_media.make_video(media, seconds=1, codec=_H265 if "265" in name else ("-c:v", "libx264"))
        options = Options(video_mode=VideoMode.NATIVE)
    source = making.real_source("CT_small.dcm")
    source.PatientName = "Doe^Jane"  # whom the CDA names
    build = making.a_build(source, folder, options)
    instances = build_instances(open_media(media, options, Settings(), folder), build)
    return tuple(instance.path for instance in instances)


@pytest.mark.parametrize(
    ("name", "count"), [("letter.pdf", 1), ("summary.xml", 1), (OBJ, 2), ("h264.mp4", 1), ("h265.mp4", 1)]
)
def test_good_ones_have_no_finding(name: str, count: int) -> None:
    assert [findings(path) for path in _objects(name)] == [()] * count


def _stream(dataset: FileDataset) -> bytes:
    _table, stream = generate_fragments(dataset.PixelData)
    return stream


def _other_stream(dataset: FileDataset) -> None:
    stream = _stream(dataset)
    dataset.PixelData = encapsulate([b"RIFF\0\0\0\0AVI " + stream[12:]], has_bot=False)


def _offset_table(dataset: FileDataset) -> None:
    dataset.PixelData = encapsulate([_stream(dataset)], has_bot=True)


def _texts_in_its_head(dataset: FileDataset) -> None:
    stream = _stream(dataset)
    at = stream.index(b"hvcC") + 4 + 23  # the first array's type: video parameter set
    assert stream[at] & 0x3F == 32
    dataset.PixelData = encapsulate([stream[:at] + b"\x27" + stream[at + 1 :]], has_bot=False)  # now 39, SEI


def _other_document(dataset: FileDataset) -> None:
    dataset.EncapsulatedDocument = b"no such thing, and a zero: \0"
    dataset.EncapsulatedDocumentLength = 28


_RATIO = ("LossyImageCompressionRatio", "3 C.7.6.1.1.5")
_METHOD = ("LossyImageCompressionMethod", "3 C.7.6.1.1.5")
_DOCUMENT = {("EncapsulatedDocument", "3 C.24.2")}
BROKEN = {
    "no PDF": ("letter.pdf", _other_document, _DOCUMENT),
    "no CDA": ("summary.xml", _other_document, _DOCUMENT),
    "no OBJ": (OBJ, _other_document, _DOCUMENT),
    "a CDA without identifier": (
        *("summary.xml", lambda dataset: delattr(dataset, "HL7InstanceIdentifier")),
        {("HL7InstanceIdentifier", "3 C.24.2")},
    ),
    "a CDA with an identifier that is no UID": (
        *("summary.xml", lambda dataset: setattr(dataset, "HL7InstanceIdentifier", "mine^1")),
        {("HL7InstanceIdentifier", "3 C.24.2")},
    ),
    "a PDF without how it was made": (
        *("letter.pdf", lambda dataset: delattr(dataset, "ConversionType")),
        {("ConversionType", "3 C.8.6.1")},
    ),
    "an OBJ without the profile of its colours": (
        *(OBJ, lambda dataset: [delattr(dataset, keyword) for keyword in ("ICCProfile", "ColorSpace")]),
        {("ICCProfile", "3 C.11.15")},
    ),
    "a profile of another class": (
        *(OBJ, lambda dataset: setattr(dataset, "ICCProfile", dataset.ICCProfile.replace(b"scnr", b"mntr"))),
        {("ICCProfile", "3 C.11.15.1.1")},
    ),
    "a stream in another container": ("h264.mp4", _other_stream, {("PixelData", "5 8.2.7")}),
    "a stream with an offset table": ("h264.mp4", _offset_table, {("PixelData", "5 A.4")}),
    "a stream with texts": ("h265.mp4", _texts_in_its_head, {("PixelData", "5 8.2.7")}),
    "a video's rows": ("h264.mp4", lambda dataset: setattr(dataset, "Rows", 46), {("Rows", "5 8.2.7"), _RATIO}),
    "a video in RGB": (
        *("h264.mp4", lambda dataset: setattr(dataset, "PhotometricInterpretation", "RGB")),
        {("PhotometricInterpretation", "5 8.2.7")},
    ),
    "H.264 as H.265": (
        *("h264.mp4", lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", HEVC)),
        {("TransferSyntaxUID", "5 8.2.7"), _METHOD},
    ),
    "H.265 as H.264": (
        *("h265.mp4", lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", H264_41)),
        {("TransferSyntaxUID", "5 8.2.7"), _METHOD},
    ),
    "a video's ratio": ("h264.mp4", lambda dataset: setattr(dataset, "LossyImageCompressionRatio", "2"), {_RATIO}),
    "a video without loss": (
        *("h265.mp4", lambda dataset: setattr(dataset, "LossyImageCompression", "00")),
        {("LossyImageCompression", "3 C.7.6.1.1.5"), _RATIO},
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_rule_that_is_broken_is_found(what: str, tmp_path: Path) -> None:
    name, change, expected = BROKEN[what]
    assert said(with_attributes(_objects(name)[0], change, tmp_path)) == expected


def test_stream_of_a_higher_profile_than_its_transfer_syntax_is_found(tmp_path: Path) -> None:
    def main_profile(dataset: FileDataset) -> None:
        stream = _stream(dataset)
        at = stream.index(b"avcC") + 13  # the sequence parameter set's profile_idc
        assert stream[at] == 100
        dataset.PixelData = encapsulate([stream[:at] + b"\x4d" + stream[at + 1 :]], has_bot=False)

    broken = with_attributes(_objects("h264.mp4")[0], main_profile, tmp_path)
    assert ("TransferSyntaxUID", "5 8.2.7") in said(broken)


def test_level_4_2_holds_what_level_4_1_holds(tmp_path: Path) -> None:
    higher = with_attributes(
        _objects("h264.mp4")[0], lambda dataset: setattr(dataset.file_meta, "TransferSyntaxUID", H264_42), tmp_path
    )
    assert findings(higher) == ()
