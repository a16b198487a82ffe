"""Models and documents written for a test; models opened, what is converted into a folder of its own."""

from __future__ import annotations

from pathlib import Path

from media2dicom.media import open_media
from media2dicom.media.payload import Model
from media2dicom.model import Options
from media2dicom.settings import Settings


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """`name` may have folders in it, which are made."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(path: Path, options: Options | None = None) -> Model:
    work_folder = path.parent / "work"
    work_folder.mkdir(exist_ok=True)
    payload = open_media(path, options or Options(), Settings(), work_folder)
    assert isinstance(payload, Model)
    return payload
