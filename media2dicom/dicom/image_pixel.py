"""What the header says of the pixels: Image Pixel (PS3.3 C.7.6.3), the history of lossy compression (C.7.6.1.1.5)."""

from __future__ import annotations

import io
from typing import BinaryIO, Final

from pydicom.dataset import Dataset

from media2dicom.dicom.derivation import compressed_before
from media2dicom.dicom.encoding import EncodedFrame
from media2dicom.dicom.part10 import Bulk, encapsulated_bulk, native_bulk, spooled_frames
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES
from media2dicom.dicom.values import decimal_string
from media2dicom.media.payload import H_264, H_265, JPEG, MPEG_2, LossyHistory, Picture

# C.7.6.1.1.5.1, with the additions of later editions
DEFINED_METHODS: Final = frozenset(
    {JPEG, "ISO_14495_1", "ISO_15444_1", "ISO_15444_2", "ISO_15444_15", "ISO_18181_1", MPEG_2, H_264, H_265}
)


def add_image_pixel(
    dataset: Dataset, picture: Picture, frame: EncodedFrame, *, lossy: tuple[LossyHistory, ...]
) -> None:
    """`picture` as it was encoded in `frame`; `lossy` has every lossy step, oldest first."""
    dataset.SamplesPerPixel = frame.samples_per_pixel
    dataset.PhotometricInterpretation = frame.photometric_interpretation
    if frame.samples_per_pixel > 1:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = frame.rows, frame.columns
    if picture.pixel_aspect_ratio is not None:  # vertical, horizontal (C.7.6.3.1.7)
        dataset.PixelAspectRatio = list(picture.pixel_aspect_ratio)
    dataset.BitsAllocated, dataset.BitsStored = frame.bits_allocated, frame.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = frame.bits_stored - 1, 0
    add_lossy_history(dataset, lossy)


def add_lossy_history(dataset: Dataset, lossy: tuple[LossyHistory, ...]) -> None:
    """Every lossy step, oldest first (PS3.3 C.7.6.1.1.5); a codec without a defined term in Derivation Description."""
    dataset.LossyImageCompression = "01" if lossy else "00"
    if defined := [step for step in lossy if step.method in DEFINED_METHODS]:
        dataset.LossyImageCompressionRatio = [_ratio(step) for step in defined]
        dataset.LossyImageCompressionMethod = [step.method for step in defined]
    if others := [(step.method, _ratio(step)) for step in lossy if step not in defined]:
        told = dataset.get("DerivationDescription")
        text = compressed_before(others)
        dataset.DerivationDescription = f"{told}. {text}" if told else text


def _ratio(step: LossyHistory) -> str:
    return decimal_string(step.ratio, 2 if step.ratio >= 1 else 6)


def mean_history(histories: list[tuple[LossyHistory, ...]]) -> tuple[LossyHistory, ...]:
    """Per step, the ratio over all frames: their harmonic mean, as all frames have the same raw size."""
    steps = zip(*histories, strict=True)
    return tuple(LossyHistory(len(step) / sum(1 / one.ratio for one in step), step[0].method) for step in steps)


def single_bulk(frame: EncodedFrame, transfer_syntax_uid: str) -> Bulk:
    """Pixel Data of one frame."""
    return spooled_bulk(io.BytesIO(frame.data), [len(frame.data)], frame, transfer_syntax_uid)


def spooled_bulk(spool: BinaryIO, lengths: list[int], frame: EncodedFrame, transfer_syntax_uid: str) -> Bulk:
    """Pixel Data of frames that lie one after the other in `spool`, all of the form of `frame`."""
    if transfer_syntax_uid not in NATIVE_SYNTAXES:
        return encapsulated_bulk(spool, lengths)
    frame_bytes = frame.rows * frame.columns * frame.samples_per_pixel * frame.bits_allocated // 8
    return native_bulk(spooled_frames(spool, lengths, frame_bytes), frame_bytes * len(lengths), frame.bits_allocated)
