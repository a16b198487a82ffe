"""A coded video kept whole, against its header: container, codec, profile, level, size (PS3.5 8.2.5 to 8.2.10)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, Final

from media2dicom.errors import MediaDamaged, OptionRefused
from media2dicom.media.kept_stream import transfer_syntaxes
from media2dicom.media.parameter_sets import Parameters, read_parameters
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
_HEVC_SPS: Final = 33


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
        said = read_parameters(codec, _parameter_sets(head, codec))
    except MediaDamaged:
        yield Finding("TransferSyntaxUID", "differs from the stream's coding", "PS3.5 8.2.7")
        return
    yield from _check_parameters(written, codec, said)


def _parameter_sets(head: bytes, codec: str) -> bytes:
    """With start codes: as the stream has them, or from the record of an MP4 file (ISO/IEC 14496-15 5.3.3, 8.3.3)."""
    if head[4:8] != b"ftyp" or codec == "mpeg2video":
        return head
    _, found, record = head.partition(b"avcC" if codec == "h264" else b"hvcC")
    if not found:
        return b""
    at = 6  # version, profile, compatibility, level, length size, count
    if codec == "hevc":
        at = 23
        while at + 5 <= len(record) and record[at] & 0x3F != _HEVC_SPS:
            for _ in range(int.from_bytes(record[at + 1 : at + 3], "big")):
                at += 2 + int.from_bytes(record[at + 3 : at + 5], "big")
            at += 3
        at += 3
    length = int.from_bytes(record[at : at + 2], "big")
    return _START_CODE + record[at + 2 : at + 2 + length]


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
