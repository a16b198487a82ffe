"""Pictures to instances: one for each still or frame, a cine as one multi-frame instance.

Secondary Capture (PS3.3 A.8), Ultrasound (A.6, A.7), Computed Radiography (A.2), Visible Light (A.32): which of them
is `picture_classes.py`'s to say.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from media2dicom.dicom.building import Build, as_instance
from media2dicom.dicom.encoding import EncodedFrame, decode, default_transfer_syntax, encode
from media2dicom.dicom.frame_times import add_instant, cine_timing
from media2dicom.dicom.icc import as_input_profile
from media2dicom.dicom.image_pixel import add_image_pixel, mean_history, single_bulk, spooled_bulk
from media2dicom.dicom.images import refuse_cine_without_region, start_image
from media2dicom.dicom.part10 import write_part10
from media2dicom.dicom.picture_classes import Family, Kind, kind_of, sop_class_of
from media2dicom.errors import CacheFailed, MediaDamaged, OptionRefused
from media2dicom.limits import refuse_over_limit
from media2dicom.media.payload import JPEG, LossyHistory, Picture, Pictures
from media2dicom.model import Instance


def build_pictures(payload: Pictures, build: Build) -> list[Instance]:
    """Write the payload's instances. A one-frame clip is a single picture."""
    kind = kind_of(build)
    with payload.open() as pictures:
        if payload.cine and payload.count > 1:
            return [_build_cine(pictures, payload.times_ms or (), kind, build)]
        instances = [_build_single(picture, part, kind, build) for part, picture in enumerate(pictures)]
    _refuse_other_count(len(instances), payload.count)
    return instances


def _refuse_other_count(pictures: int, told: int) -> None:
    if pictures != told:
        raise MediaDamaged(f"The media gave {pictures} pictures where {told} were found before.")


def _build_single(picture: Picture, part: int, kind: Kind, build: Build) -> Instance:
    picture = _decoded_if_rgb(picture) if kind.family is not Family.SECONDARY_CAPTURE else picture
    color = picture.samples_per_pixel == 3
    sop_class_uid = sop_class_of(kind, multi_frame=False, color=color, bits_stored=picture.bits_stored)
    syntax = build.row.options.transfer_syntax or default_transfer_syntax(picture)
    frame = encode(picture, syntax, jpeg_quality=build.settings.jpeg_quality)
    dataset = start_image(build, kind, sop_class_uid, part, from_video=picture.time_ms is not None)
    if picture.time_ms is not None:
        add_instant(dataset, picture.time_ms)
    add_image_pixel(dataset, picture, frame, lossy=frame.lossy)
    if color and picture.icc_profile and (profile := as_input_profile(picture.icc_profile)):
        dataset.ICCProfile = profile
    path = build.instance_path(part)
    refuse_over_limit(len(frame.data), build.row.media)
    size_bytes = write_part10(path, dataset, syntax, single_bulk(frame, syntax))
    return as_instance(dataset, syntax, path, size_bytes, part)


def _decoded_if_rgb(picture: Picture) -> Picture:
    """A JPEG stream of RGB components as pixels: US and VL have RGB without loss only (C.8.5.6.1.2, C.8.12.1.1.1)."""
    kept = picture.kept_jpeg
    if kept is None or kept.photometric_interpretation != "RGB":
        return picture
    pixels = decode(kept.bitstream, kept.photometric_interpretation)
    past = LossyHistory(pixels.nbytes / len(kept.bitstream), JPEG)
    return replace(picture, pixels=pixels, kept_jpeg=None, lossy=past)


def _build_cine(pictures: Iterator[Picture], times_ms: tuple[float, ...], kind: Kind, build: Build) -> Instance:
    """One multi-frame instance (PS3.3 C.7.6.6 and Cine C.7.6.5); frames are spooled, memory holds one."""
    path = build.instance_path(0)
    refuse_cine_without_region(kind, build)  # before anything is decoded
    timing = cine_timing(times_ms)
    syntax = build.row.options.transfer_syntax
    lengths: list[int] = []
    first: EncodedFrame | None = None
    histories: list[tuple[LossyHistory, ...]] = []
    with _spooling(path.parent) as spool:
        for picture in pictures:
            syntax = syntax or default_transfer_syntax(picture)
            frame = encode(picture, syntax, jpeg_quality=build.settings.jpeg_quality)
            if first is None:
                first, first_picture = frame, picture
                color = picture.samples_per_pixel == 3
                uid = sop_class_of(kind, multi_frame=True, color=color, bits_stored=picture.bits_stored)
            if frame.form != first.form:
                raise OptionRefused("The clip's frames differ in size or colour and cannot form one instance.")
            spool.write(frame.data)
            lengths.append(len(frame.data))
            histories.append(frame.lossy)
            refuse_over_limit(spool.tell(), build.row.media, at_least=True)
        _refuse_other_count(len(lengths), len(times_ms))
        if first is None or syntax is None:
            raise ValueError("a cine has at least one frame")
        dataset = start_image(build, kind, uid, 0, from_video=True, multi_frame=True)
        dataset.NumberOfFrames = len(lengths)
        dataset.update(timing)
        add_image_pixel(dataset, first_picture, first, lossy=mean_history(histories))
        if kind.family is Family.SECONDARY_CAPTURE and not color:  # SC Multi-frame Image (C.8.6.3)
            dataset.PresentationLUTShape = "IDENTITY"
            dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        size_bytes = write_part10(path, dataset, syntax, spooled_bulk(spool, lengths, first, syntax))
    return as_instance(dataset, syntax, path, size_bytes, 0)


@contextmanager
def _spooling(folder: Path) -> Iterator[BinaryIO]:
    """A nameless file for the frames. Raises CacheFailed when the disk does not take it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise CacheFailed(f"Writing below {folder} failed: {error.strerror or type(error).__name__}.") from None
