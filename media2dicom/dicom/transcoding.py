"""A prepared instance rewritten for a PACS that refuses its transfer syntax: same UIDs, native encoding.

JPEG frames are decoded one by one (memory holds one frame); an encapsulated document only changes its header's
encoding. Loss that happened stays told: Lossy Image Compression is never set back (PS3.3 C.7.6.1.1.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from media2dicom.dicom.encoding import decode
from media2dicom.dicom.part10 import ENCAPSULATED_DOCUMENT, PIXEL_DATA, document_bulk, native_bulk, write_part10
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES, VIDEO_SYNTAX_UIDS
from media2dicom.errors import NoPresentationContext
from media2dicom.limits import refuse_over_limit
from media2dicom.model import Instance

_DEFERRED_BYTES = 1 << 16  # larger values stay on disk


def native_size_bytes(header: Dataset) -> int:
    """Bytes of the native pixels that the header describes."""
    frames = int(header.get("NumberOfFrames") or 1)
    per_frame = header.Rows * header.Columns * header.SamplesPerPixel * header.BitsAllocated // 8
    return int(frames * per_frame)


def transcode(instance: Instance, transfer_syntax_uid: str, path: Path) -> Instance:
    """Write `instance` natively in Explicit or Implicit VR Little Endian to `path`.

    Raises NoPresentationContext for a video stream, which has no native form here, OverUploadLimit before writing
    when the native form is too large to be sent, CacheFailed.
    """
    if transfer_syntax_uid not in NATIVE_SYNTAXES:
        raise ValueError(f"{transfer_syntax_uid} is no native transfer syntax")
    if instance.transfer_syntax_uid in VIDEO_SYNTAX_UIDS:
        raise NoPresentationContext(
            f"The PACS does not accept the video's own stream ({UID(instance.transfer_syntax_uid).name}).",
            next_step="Choose video_mode cine or frames; or have the PACS accept this transfer syntax, then retry.",
        )
    header = dcmread(instance.path, defer_size=_DEFERRED_BYTES)
    bulk_tag = ENCAPSULATED_DOCUMENT if ENCAPSULATED_DOCUMENT in header else PIXEL_DATA
    offset = _value_offset(header, bulk_tag)
    del header[bulk_tag]
    if bulk_tag == ENCAPSULATED_DOCUMENT:
        length = int(header.EncapsulatedDocumentLength)
        bulk = document_bulk(instance.path, length, offset=offset)
    else:
        length = native_size_bytes(header)
        refuse_over_limit(length, "The instance without JPEG compression")
        photometric = str(header.PhotometricInterpretation)
        frames = _native_frames(instance, offset, photometric, int(header.get("NumberOfFrames") or 1), length)
        bulk = native_bulk(frames, length, int(header.BitsAllocated))
        if header.SamplesPerPixel == 3:
            header.PhotometricInterpretation = "RGB"
    size_bytes = write_part10(path, header, transfer_syntax_uid, bulk)
    return replace(instance, transfer_syntax_uid=transfer_syntax_uid, path=path, size_bytes=size_bytes)


def _value_offset(header: Dataset, tag: int) -> int:
    """Where in its file a deferred element's value begins."""
    element = header.get_item(tag, keep_deferred=True)
    offset = getattr(element, "value_tell", None)
    if not isinstance(offset, int):
        raise ValueError("an element read from a file knows its offset")
    return offset


def _native_frames(
    instance: Instance, offset: int, photometric_interpretation: str, count: int, length: int
) -> Iterator[bytes]:
    """The frames as native little endian bytes, read and decoded one by one; `length` bytes in all."""
    with instance.path.open("rb") as file:
        file.seek(offset)
        if not UID(instance.transfer_syntax_uid).is_encapsulated:
            for _ in range(count):
                yield file.read(length // count)
            return
        for data in generate_frames(file, number_of_frames=count):
            pixels = decode(data, photometric_interpretation)
            yield pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
