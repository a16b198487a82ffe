"""The process that conversion.py runs: a model of another format in, a binary STL out, one line of JSON said of it.

No text of an exception leaves it: that may hold the file's. It imports little: it starts often.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from media2dicom.errors import MediaDamaged, MediaUnsupported
from media2dicom.media import glb, obj, off, ply, threemf
from media2dicom.media.records import has_area, write_binary_stl

_HINTS: Final = {  # what trimesh cannot tell from damage
    "ply": " (a binary PLY with faces of different numbers of corners: export it with triangles only)"
}
_HEADER: Final = b"Binary STL, converted from another format"  # no name from the file: it may be the patient's


def main(kind: str, path: str, target: str, scale: str, memory_bytes: str, seconds: str) -> dict[str, Any]:
    """What becomes of the file: {"lowest": [x, y, z], "highest": ..., "warnings": [text]}, or why nothing:
    {"refused": why}, {"damaged": message}, {"unsupported": message, "next_step": text}, {"disk": what is wrong} or
    {"memory": n}.
    """
    logging.disable()  # trimesh tells of the file's names
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    try:
        corners, warnings = _corners(kind, Path(path))
        with np.errstate(over="ignore"):
            corners = (corners * float(scale)).astype(np.float32)
    except MemoryError:
        return {"memory": 0}
    except MediaDamaged as error:  # our own words
        return {"damaged": error.message}
    except MediaUnsupported as error:
        return {"unsupported": error.message, "next_step": error.next_step}
    except Exception:  # noqa: BLE001 - whatever a broken file makes trimesh raise
        return {"refused": "is damaged, or written in a way that cannot be read" + _HINTS.get(kind, "")}
    if not len(corners):
        return {"refused": "holds no face"}
    if not np.isfinite(corners).all():
        return {"refused": "holds a vertex that is not finite"}
    if not has_area(corners):
        return {"refused": "holds no face with an area: its vertices are in one place or on one line"}
    try:
        write_binary_stl(Path(target), corners, _HEADER)
    except OSError as error:
        return {"disk": error.strerror}
    except MemoryError:
        return {"memory": len(corners)}
    lowest, highest = corners.min(axis=(0, 1)).tolist(), corners.max(axis=(0, 1)).tolist()
    return {"lowest": lowest, "highest": highest, "warnings": warnings}


def _corners(kind: str, path: Path) -> tuple[Any, tuple[str, ...]]:
    """Vertices (n, 3, 3) of all faces where the file's scene places them; warnings of what they are."""
    match kind:
        case "3mf":
            return threemf.corners_of(path)
        case "obj":
            return np.concatenate(list(obj.checked_triangles(path))), ()
        case "ply":
            return ply.read(path).cut(), ()
        case "off":
            return off.read(path).cut(), ()
        case _:
            warnings = glb.check(path)
            return _corners_of_glb(path), warnings


def _corners_of_glb(path: Path) -> Any:
    import trimesh

    with glb.with_bare_nodes(path) as file:
        scene = trimesh.load_scene(
            file, file_type="glb", resolver=_nothing_beside(trimesh), process=False, skip_materials=True
        )
    parts = []
    for mesh in scene.dump():
        if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):  # points, lines
            continue
        if not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
            raise ValueError("a face refers to no vertex")
        parts.append(np.asarray(mesh.vertices)[mesh.faces])
    return np.concatenate(parts) if parts else np.empty((0, 3, 3))


def _nothing_beside(trimesh: Any) -> Any:
    """A resolver of names that knows none: no other file is opened, no address asked."""

    class Nothing(trimesh.resolvers.Resolver):  # type: ignore[misc] # trimesh is untyped here
        def __init__(self) -> None: ...

        def get(self, name: str) -> bytes:
            raise FileNotFoundError

        def write(self, name: str, data: Any) -> None:
            raise PermissionError

        def namespaced(self, namespace: str) -> Any:
            return self

        def keys(self) -> Any:
            return []

    return Nothing()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201 - its answer
