"""PLY, text and binary, read by trimesh: vertices, and faces before it cuts them into triangles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from media2dicom.errors import MediaDamaged
from media2dicom.media.polygons import Polygons

_NAMES: Final = ("vertex_indices", "vertex_index")


def read(path: Path) -> Polygons:
    """Raises MediaDamaged for a file that is cut off; whatever trimesh raises for what is broken."""
    from trimesh.exchange.ply import load_ply

    with path.open("rb") as file:
        said = load_ply(file, fix_texture=False, skip_materials=True)
    element = said["metadata"]["_ply_raw"].get("face", {})
    faces = _faces(element.get("data"))
    if len(faces) < element.get("length", 0):
        raise MediaDamaged("The PLY file is cut off: it holds fewer faces than it says.")
    return Polygons.of(np.asarray(said["vertices"]), faces)


def _faces(data: Any) -> Any:
    """By trimesh's ways to hold them: columns of a text, records of a binary file; one face may be a bare array."""
    if data is None:
        return []
    names = list(data) if isinstance(data, dict) else list(data.dtype.names)
    name = next((name for name in _NAMES if name in names), names[0])
    found = data[name] if isinstance(data, dict) else data[name]["f1"]
    return found if found.dtype == object else np.atleast_2d(found)
