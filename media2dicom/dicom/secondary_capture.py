"""Secondary Capture: a still or a frame (PS3.3 A.8.1), a cine as one multi-frame instance (A.8.3, A.8.5).

Modality stays the source's. One instance per picture unless the payload is a cine.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from media2dicom.dicom.attributes import add_equipment
from media2dicom.dicom.building import Build, as_instance, start_dataset
from media2dicom.dicom.encoding import NATIVE_SYNTAXES, EncodedFrame, default_transfer_syntax, encode
from media2dicom.dicom.icc import as_input_profile
from media2dicom.dicom.part10 import Bulk, encapsulated_bulk, native_bulk, spooled_frames, write_part10
from media2dicom.dicom.references import (
    add_referenced_series,
    add_source_instance,
    code_item,
    is_image,
    referenced_sop,
)
from media2dicom.dicom.values import valid_text
from media2dicom.errors import CacheFailed, MediaDamaged, OptionRefused
from media2dicom.limits import refuse_over_limit
from media2dicom.media.payload import LossyHistory, Picture, Pictures
from media2dicom.model import Instance

_MAX_16_BIT_LENGTH = 65534  # DS has a 16-bit length in Explicit VR (PS3.5 7.1.2)


def build_secondary_captures(payload: Pictures, build: Build) -> list[Instance]:
    """Write the payload's instances. A one-frame clip is a plain Secondary Capture."""
    with payload.open() as pictures:
        if payload.cine and payload.count > 1:
            return [_build_cine(pictures, payload.times_ms or (), build)]
        instances = [_build_single(picture, part, build) for part, picture in enumerate(pictures)]
    _refuse_other_count(len(instances), payload.count)
    return instances


def _refuse_other_count(pictures: int, told: int) -> None:
    if pictures != told:
        raise MediaDamaged(f"The media gave {pictures} pictures where {told} were found before.")


def _build_single(picture: Picture, part: int, build: Build) -> Instance:
    syntax = build.row.options.transfer_syntax or default_transfer_syntax(picture)
    frame = encode(picture, syntax, jpeg_quality=build.settings.jpeg_quality)
    dataset = _start(build, str(SecondaryCaptureImageStorage), part, from_video=picture.time_ms is not None)
    _add_pixel_attributes(dataset, frame, lossy=frame.lossy)
    _add_aspect_ratio(dataset, picture)
    if picture.time_ms is not None:
        _add_instant(dataset, picture.time_ms, build)
    if frame.samples_per_pixel == 3 and picture.icc_profile and (profile := as_input_profile(picture.icc_profile)):
        dataset.ICCProfile = profile
    path = build.instance_path(part)
    refuse_over_limit(len(frame.data), build.row.media)
    pixels = _pixel_bulk(io.BytesIO(frame.data), [len(frame.data)], frame, syntax)
    size_bytes = write_part10(path, dataset, syntax, pixels)
    return as_instance(dataset, syntax, path, size_bytes, part)


def _build_cine(pictures: Iterator[Picture], times_ms: tuple[float, ...], build: Build) -> Instance:
    """One multi-frame instance (PS3.3 C.8.6.3 and Cine C.7.6.5); frames are spooled, memory holds one."""
    path = build.instance_path(0)
    timing = _timing(times_ms)  # before anything is decoded: it may refuse
    syntax = build.row.options.transfer_syntax
    lengths: list[int] = []
    first: EncodedFrame | None = None
    ratios: list[tuple[LossyHistory, ...]] = []
    with _spooling(path.parent) as spool:
        for picture in pictures:
            syntax = syntax or default_transfer_syntax(picture)
            frame = encode(picture, syntax, jpeg_quality=build.settings.jpeg_quality)
            if first is None:
                first, first_picture = frame, picture
            if frame.form != first.form:
                raise OptionRefused("The clip's frames differ in size or colour and cannot form one instance.")
            spool.write(frame.data)
            lengths.append(len(frame.data))
            ratios.append(frame.lossy)
            refuse_over_limit(spool.tell(), build.row.media, at_least=True)
        _refuse_other_count(len(lengths), len(times_ms))
        if first is None or syntax is None:
            raise ValueError("a cine has at least one frame")
        color = first.samples_per_pixel == 3
        dataset = _start(
            build,
            str(MultiFrameTrueColorSecondaryCaptureImageStorage if color else _GREY_CINE),
            0,
            from_video=True,
        )
        _add_pixel_attributes(dataset, first, lossy=_mean(ratios))
        _add_aspect_ratio(dataset, first_picture)
        dataset.NumberOfFrames = len(lengths)
        dataset.update(timing)
        # Type 1 here; what a video shows is not known, so the value that makes a reader careful.
        burned_in = build.row.options.burned_in_annotation
        dataset.BurnedInAnnotation = "NO" if burned_in is False else "YES"
        if not color:
            dataset.PresentationLUTShape = "IDENTITY"
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        size_bytes = write_part10(path, dataset, syntax, _pixel_bulk(spool, lengths, first, syntax))
    return as_instance(dataset, syntax, path, size_bytes, 0)


_GREY_CINE = MultiFrameGrayscaleByteSecondaryCaptureImageStorage


@contextmanager
def _spooling(folder: Path) -> Iterator[BinaryIO]:
    """A nameless file for the frames. Raises CacheFailed when the disk does not take it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise CacheFailed(f"Writing below {folder} failed: {error.strerror or type(error).__name__}.") from None


def _pixel_bulk(spool: BinaryIO, lengths: list[int], frame: EncodedFrame, syntax: str) -> Bulk:
    if syntax not in NATIVE_SYNTAXES:
        return encapsulated_bulk(spool, lengths)
    frame_bytes = frame.rows * frame.columns * frame.samples_per_pixel * frame.bits_allocated // 8
    return native_bulk(spooled_frames(spool, lengths, frame_bytes), frame_bytes * len(lengths), frame.bits_allocated)


def _start(build: Build, sop_class_uid: str, part: int, *, from_video: bool) -> Dataset:
    options, source = build.row.options, build.source
    dataset = start_dataset(build, sop_class_uid=sop_class_uid, modality=build.modality, part=part)
    add_equipment(dataset, device_serial_number=build.device_serial_number)
    dataset.ConversionType = "DV" if from_video else "WSD"  # C.8.6.1: digitized video, workstation
    dataset.DateOfSecondaryCapture = f"{build.now:%Y%m%d}"
    dataset.TimeOfSecondaryCapture = f"{build.now:%H%M%S}"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = ""  # type 2C, unknown
    if body_part := options.body_part or valid_text(source, "BodyPartExamined"):
        dataset.BodyPartExamined = body_part
    # Image Laterality answers for Laterality (0020,0060), 2C; U where nobody knows.
    dataset.ImageLaterality = options.laterality or _laterality(source)
    if options.burned_in_annotation is not None:
        dataset.BurnedInAnnotation = "YES" if options.burned_in_annotation else "NO"
    if is_image(source):
        reference = referenced_sop(source)
        reference.PurposeOfReferenceCodeSequence = Sequence([code_item("121338", "DCM", "Anatomic image")])
        dataset.ReferencedImageSequence = Sequence([reference])
    else:
        add_source_instance(source, dataset)
    add_referenced_series(source, dataset)
    return dataset


def _laterality(source: Dataset) -> str:
    for keyword, allowed in (("ImageLaterality", "RLUB"), ("Laterality", "RL")):
        value = valid_text(source, keyword)
        if len(value) == 1 and value in allowed:
            return value
    return "U"


def _add_pixel_attributes(dataset: Dataset, frame: EncodedFrame, *, lossy: tuple[LossyHistory, ...]) -> None:
    """Image Pixel (PS3.3 C.7.6.3) and the lossy history (C.7.6.1.1.5)."""
    dataset.SamplesPerPixel = frame.samples_per_pixel
    dataset.PhotometricInterpretation = frame.photometric_interpretation
    if frame.samples_per_pixel > 1:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = frame.rows, frame.columns
    dataset.BitsAllocated, dataset.BitsStored = frame.bits_allocated, frame.bits_stored
    dataset.HighBit, dataset.PixelRepresentation = frame.bits_stored - 1, 0
    dataset.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        dataset.LossyImageCompressionRatio = [_decimal(step.ratio, 2 if step.ratio >= 1 else 6) for step in lossy]
        dataset.LossyImageCompressionMethod = [step.method for step in lossy]


def _add_aspect_ratio(dataset: Dataset, picture: Picture) -> None:
    """Pixel Aspect Ratio (0028,0034), vertical and horizontal, of pixels that are not square (PS3.3 C.7.6.3.1.7)."""
    if picture.pixel_aspect_ratio is not None:
        dataset.PixelAspectRatio = list(picture.pixel_aspect_ratio)


def _mean(histories: list[tuple[LossyHistory, ...]]) -> tuple[LossyHistory, ...]:
    """Per step, the ratio over all frames: their harmonic mean, as all frames have the same raw size."""
    steps = zip(*histories, strict=True)
    return tuple(LossyHistory(len(step) / sum(1 / one.ratio for one in step), step[0].method) for step in steps)


def _add_instant(dataset: Dataset, time_ms: float, build: Build) -> None:
    """The frame's instant within its clip.

    SC has no attribute of its own for it (Trigger Time and the Cine module are not in the IOD): it is told in
    Derivation Description (C.7.6.1), and Content Time runs on with it so that viewers sort the frames in time.
    """
    dataset.DerivationDescription = f"Video frame at {_decimal(time_ms / 1000, 6)} s of the clip"
    date, time = dataset.ContentDate, dataset.ContentTime
    if len(time) >= 6:
        start = datetime.strptime(date + time.partition(".")[0], "%Y%m%d%H%M%S")
        fraction = time.partition(".")[2]
        if fraction:
            start += timedelta(seconds=float("0." + fraction))
        instant = start + timedelta(milliseconds=time_ms)
        dataset.ContentDate, dataset.ContentTime = f"{instant:%Y%m%d}", f"{instant:%H%M%S.%f}"


def _timing(times_ms: tuple[float, ...]) -> Dataset:
    """Frame Time when the frames are evenly spaced, else Frame Time Vector (PS3.3 C.7.6.5.1.1), in ms.

    Both tell the frames' distances only: where in the clip they lie is told in Derivation Description (C.7.6.1).
    """
    timing = Dataset()
    first, last = (_decimal(time_ms / 1000, 6) for time_ms in (times_ms[0], times_ms[-1]))
    timing.DerivationDescription = f"Video frames from {first} s to {last} s of the clip"
    steps = [later - earlier for earlier, later in pairwise(times_ms)]
    if max(steps) - min(steps) <= 0.0015:  # times are rounded to microseconds
        timing.FrameTime = _decimal((times_ms[-1] - times_ms[0]) / len(steps), 6)
        timing.FrameIncrementPointer = Tag("FrameTime")
        return timing
    vector = ["0", *(_decimal(step, 3) for step in steps)]
    if len("\\".join(vector)) > _MAX_16_BIT_LENGTH:
        raise OptionRefused(
            f"The clip's {len(vector)} unevenly spaced frames are more than one cine instance can give the times of.",
            next_step="Choose video_mode frames, a longer frame_interval_s or fewer max_frames.",
        )
    timing.FrameTimeVector = vector
    timing.FrameIncrementPointer = Tag("FrameTimeVector")
    return timing


def _decimal(value: float, places: int) -> str:
    """A DS of at most 16 characters, without a tail of zeros."""
    text = f"{value:.{places}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text)[:16]
