"""How the tests of image files take the picture of one."""

from __future__ import annotations

from pathlib import Path

from media2dicom.media import open_media, plan_media
from media2dicom.media.payload import Picture, Pictures
from media2dicom.model import Options
from media2dicom.settings import Settings


def opened(path: Path, options: Options | None = None, settings: Settings | None = None) -> Pictures:
    payload = open_media(path, options or Options(), settings or Settings(), path.parent)
    assert isinstance(payload, Pictures)
    return payload


def taken(path: Path, options: Options | None = None, settings: Settings | None = None) -> Picture:
    """The one picture of the file, of the size that the plan tells."""
    with opened(path, options, settings).open() as pictures:
        (picture,) = pictures
    plan = plan_media(path, options or Options(), settings or Settings())
    assert (plan.rows, plan.columns) == (picture.rows, picture.columns)
    assert (picture.pixels is None) != (picture.kept_jpeg is None)
    return picture
