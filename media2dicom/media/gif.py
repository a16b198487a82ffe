"""GIF: the first picture on its screen, transparency over white; of an animation a warning says so."""

from __future__ import annotations

from pathlib import Path

from PIL import GifImagePlugin
from PIL.Image import Image

from media2dicom.media.image import ImageFormat, Look, refuse_unseen
from media2dicom.media.payload import Picture
from media2dicom.media.pillow import loaded, opened
from media2dicom.media.pixels import picture_of
from media2dicom.model import Options


def look(path: Path) -> Look:
    refuse_unseen(path, "GIF")
    with opened(GifImagePlugin.GifImageFile, path, "GIF") as image:
        warnings = ("The GIF is animated: only its first picture is filed.",) if _is_animated(image) else ()
        return Look(image.height, image.width, 1 if image.mode == "L" else 3, warnings=warnings)


def read(path: Path, options: Options) -> Picture:
    with opened(GifImagePlugin.GifImageFile, path, "GIF") as image:
        return picture_of(loaded(image))


def _is_animated(image: Image) -> bool:
    return bool(getattr(image, "is_animated", False))


_FORMAT = ImageFormat(look, read)
plan, open_payload = _FORMAT.plan, _FORMAT.open_payload
