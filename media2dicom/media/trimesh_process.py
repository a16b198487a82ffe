"""The process that conversion.py runs: a model of another format in, a binary STL out, one line of JSON said of it.

No text of an exception leaves it: that may hold the file's. Nothing but numpy, trimesh and `records` is imported.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from media2dicom.media.records import write_binary_stl

_HEADER: Final = b"Binary STL, converted from another format"  # no name from the file: it may be the patient's


def main(kind: str, path: str, target: str, scale: str, memory_bytes: str, seconds: str) -> dict[str, Any]:
    """What becomes of the file: {"triangles": n}, {"refused": why}, {"disk": what is wrong} or {"memory": n}."""
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    try:
        corners = _corners(kind, path, float(scale))
    except MemoryError:
        return {"memory": 0}
    except Exception:  # noqa: BLE001 - whatever a broken file makes trimesh raise
        return {"refused": "is damaged, or written in a way that cannot be read"}
    if not len(corners):
        return {"refused": "holds no face"}
    if not np.isfinite(corners).all():
        return {"refused": "holds a vertex that is not finite"}
    try:
        write_binary_stl(Path(target), corners, _HEADER)
    except OSError as error:
        return {"disk": error.strerror}
    except MemoryError:
        return {"memory": len(corners)}
    return {"triangles": len(corners)}


def _corners(kind: str, path: str, scale: float) -> Any:
    """Vertices (n, 3, 3) of all faces where the file's scene places them, as float32."""
    import trimesh

    logging.disable()
    how: dict[str, Any] = {} if kind in ("3mf", "off") else {"skip_materials": True}
    with Path(path).open("rb") as file:
        scene = trimesh.load_scene(file, file_type=kind, resolver=_nothing_beside(trimesh), process=False, **how)
    scene.geometry = {name: one for name, one in scene.geometry.items() if isinstance(one, trimesh.Trimesh)}
    for mesh in scene.geometry.values():
        if len(mesh.faces) and not 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices):
            raise ValueError("a face refers to no vertex")
    placed = scene.dump()
    parts = [np.asarray(mesh.vertices)[mesh.faces] * scale for mesh in placed if len(mesh.faces)]
    with np.errstate(over="ignore"):
        return np.concatenate(parts).astype(np.float32) if parts else np.empty((0, 3, 3), np.float32)


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
