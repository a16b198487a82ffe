"""A video stream kept as it is: one multi-frame instance of the class that a colour cine of the row would have."""

from __future__ import annotations

from media2dicom.dicom.building import Build, as_instance
from media2dicom.dicom.frame_times import cine_timing
from media2dicom.dicom.image_pixel import add_lossy_history
from media2dicom.dicom.images import refuse_cine_without_region, start_image
from media2dicom.dicom.part10 import stream_bulk, write_part10
from media2dicom.dicom.picture_classes import kind_of
from media2dicom.errors import OptionRefused
from media2dicom.limits import refuse_over_limit
from media2dicom.media.payload import Clip
from media2dicom.model import Instance


def build_native_video(clip: Clip, build: Build) -> Instance:
    """Write the instance. Raises OptionRefused, OverUploadLimit before anything is written, and CacheFailed."""
    refuse_over_limit(clip.size_bytes, build.row.media)
    kind = kind_of(build)
    if kind.video is None:
        raise OptionRefused(
            "sop_class_policy native: the class of the source has no term for the colours of a video's own stream.",
            next_step="Leave sop_class_policy empty (secondary-capture), or choose video_mode cine or frames.",
        )
    refuse_cine_without_region(kind, build)
    dataset = start_image(build, kind, kind.video, 0, from_video=True, multi_frame=True)

    # Image Pixel (PS3.3 C.7.6.3): the values that these transfer syntaxes demand (PS3.5 8.2.5 to 8.2.10).
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_PARTIAL_420"
    dataset.Rows, dataset.Columns = clip.rows, clip.columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    if clip.pixel_aspect_ratio is not None:
        dataset.PixelAspectRatio = list(clip.pixel_aspect_ratio)

    # Multi-frame (C.7.6.6), Cine (C.7.6.5)
    dataset.NumberOfFrames = len(clip.times_ms)
    dataset.update(cine_timing(clip.times_ms))
    add_lossy_history(dataset, clip.lossy)
    rate = round((len(clip.times_ms) - 1) * 1000 / clip.times_ms[-1])
    if rate > 0:  # whole frames a second; Frame Time is exact
        dataset.CineRate = dataset.RecommendedDisplayFrameRate = rate

    syntax = clip.transfer_syntaxes[0]
    path = build.instance_path(0)
    size_bytes = write_part10(path, dataset, syntax, stream_bulk(clip.path, clip.size_bytes))
    return as_instance(dataset, syntax, path, size_bytes, 0)
