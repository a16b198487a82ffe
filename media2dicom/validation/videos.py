"""A coded video kept whole, against its header: container, codec, profile, level, size (PS3.5 8.2.5 to 8.2.10)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, Final

from media2dicom.errors import MediaDamaged, OptionRefused
from media2dicom.media.kept_stream import transfer_syntaxes
from media2dicom.media.mp4 import configuration_record
from media2dicom.media.parameter_sets import Parameters, read_parameters
from media2dicom.media.stream_texts import parameter_sets, without_texts
from media2dicom.validation.findings import Finding
from media2dicom.validation.written import Fragment, Written

_HEAD_BYTES: Final = 1 << 18  # holds the parameters, where the index goes before the pictures
_START_CODE: Final = b"\0\0\0\1"
_CODECS: Final = {
    **dict.fromkeys(("100", "101"), "mpeg2video"),
    **dict.fromkeys(("102", "103", "104", "105", "106"), "h264"),
    **dict.fromkeys(("107", "108"), "hevc"),
}
_BLU_RAY, _HIGH_4_1 = "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.102"  # the former is some of the latter
_RECORDS: Final = {"mpeg2video": b"esds", "h264": b"avcC", "hevc": b"hvcC"}


def check_video(written: Written, table: Fragment, parts: list[Fragment], file: BinaryIO) -> Iterator[Finding]:
    """The stream in one fragment or more, without an offset table (PS3.5 A.4.4 to A.4.7); what it says of itself."""
    if table.length:
        yield Finding("PixelData", "has an offset table, which a video has not", "PS3.5 A.4")
    if not parts:
        yield Finding("PixelData", "holds no stream", "PS3.5 A.4")
        return
    file.seek(parts[0].offset)
    head = file.read(min(_HEAD_BYTES, parts[0].length))
    packets = head[:1] == b"\x47" and head[188:189] in (b"\x47", b"")
    if not (packets or head.startswith((_START_CODE, b"\0\0\1")) or head[4:8] == b"ftyp"):
        yield Finding("PixelData", "is no MPEG-4 or MPEG-2 stream", "PS3.5 8.2.7")
        return
    if written.text("PhotometricInterpretation") != "YBR_PARTIAL_420":
        yield Finding("PhotometricInterpretation", "is not that of a video", "PS3.5 8.2.7")
    if packets:
        return  # parameters are cut up into packets: not looked into
    codec = _CODECS[written.transfer_syntax_uid.rpartition(".")[2]]
    try:
        if head[4:8] == b"ftyp":
            record = _record(codec, parts[0], file)
            if without_texts(_RECORDS[codec], record) != record:
                yield Finding("PixelData", "says more of its stream than the pictures need", "PS3.5 8.2.7")
            if codec != "mpeg2video":
                head = b"".join(_START_CODE + unit for unit in parameter_sets(_RECORDS[codec], record))
        said = read_parameters(codec, head)
    except MediaDamaged:
        yield Finding("TransferSyntaxUID", "differs from the stream's coding", "PS3.5 8.2.7")
        return
    yield from _check_parameters(written, codec, said)


def _record(codec: str, stream: Fragment, file: BinaryIO) -> bytes:
    """What the sample entry of an MP4 file says of the stream. Raises MediaDamaged where it is another codec's."""
    box = configuration_record(file, stream.offset, stream.offset + stream.length)
    if box is None or box.name != _RECORDS[codec]:
        raise MediaDamaged("The record of the stream's parameters is not there.")
    file.seek(box.start)
    return file.read(box.end - box.start)


def _check_parameters(written: Written, codec: str, said: Parameters) -> Iterator[Finding]:
    for keyword, number in (("Rows", said.rows), ("Columns", said.columns)):
        if written.number(keyword) != number:
            yield Finding(keyword, "differs from the stream's own parameters", "PS3.5 8.2.7")
    if codec == "mpeg2video":
        return  # its levels hang on the rate
    asked = _HIGH_4_1 if written.transfer_syntax_uid == _BLU_RAY else written.transfer_syntax_uid
    try:
        fitting = transfer_syntaxes(codec, said, Fraction(1))
    except OptionRefused:
        fitting = ()
    if asked not in fitting:
        yield Finding("TransferSyntaxUID", "differs from the stream's profile or level", "PS3.5 8.2.7")
