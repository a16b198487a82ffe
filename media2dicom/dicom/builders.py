"""Payload in, complete instances out: the one place that chooses between the builders.

`build_instances` is called by the pipeline and by `media2dicom convert` alike.
"""

from __future__ import annotations

from media2dicom.dicom.building import Build
from media2dicom.dicom.documents import build_document
from media2dicom.dicom.models import build_model
from media2dicom.dicom.native_video import build_native_video
from media2dicom.dicom.pictures import build_pictures
from media2dicom.errors import MediaChanged
from media2dicom.media.payload import Clip, Document, Model, Payload, Pictures
from media2dicom.model import Instance


def build_instances(payload: Payload, build: Build) -> list[Instance]:
    """Write every instance of the row's payload; all of them complete, or an error.

    Raises RowRefused (source, options, size, media) and CacheFailed. Warnings are left in `build.warnings`.
    """
    try:
        match payload:
            case Pictures():
                return build_pictures(payload, build)
            case Clip():
                return [build_native_video(payload, build)]
            case Model():
                return build_model(payload, build)
            case Document():
                return [build_document(payload, build)]
    except EOFError:
        raise MediaChanged("The media file became shorter while it was converted.") from None
