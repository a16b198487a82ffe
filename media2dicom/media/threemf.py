"""3MF to triangles: objects, the parts that they are made of, and where the build places them (3MF Core 3, 4).

Read here and not by trimesh, which leaves parts out where one object holds another several times. The archive's sizes
were looked at before (conversion.py).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, iterparse

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import MediaUnsupported
from media2dicom.media import opc
from media2dicom.media.extent import MILLIMETRES
from media2dicom.model import Units

_MILLIMETRES: Final = {  # ST_Unit
    "micron": MILLIMETRES[Units.UM],
    "millimeter": MILLIMETRES[Units.MM],
    "centimeter": MILLIMETRES[Units.CM],
    "meter": MILLIMETRES[Units.M],
    "inch": 25.4,
    "foot": 304.8,
}
_MOST_TRIANGLES: Final = 80_000_000  # what fits the upload limit as STL
_DEEPEST: Final = 64
_EXTENSIONS: Final = "http://schemas.microsoft.com/3dmanufacturing"
_KNOWN_EXTENSIONS: Final = {f"{_EXTENSIONS}/production/2015/06", f"{_EXTENSIONS}/material/2015/02"}
_OTHER_SHAPES: Final = {"beamlattice", "booleanshape", "displacementmesh", "volumetricstack"}
_NOT_BUILT, _SUPPORTS = "other", ("support", "solidsupport")  # ST_ObjectType
_SUPPORTED: Final = "The 3MF file builds support structures besides the model; they are stored as a part of it."

_Key = tuple[str, str]  # (part of the archive, object's id in it)
_Placed = tuple[_Key, NDArray[np.float64]]  # an object and its transform (4, 3): v' = (v, 1) @ transform


@dataclass
class _Object:
    type: str = "model"
    vertices: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    faces: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))
    components: list[_Placed] = field(default_factory=list)
    triangles: int | None = None  # with all its parts


def corners_of(path: Path) -> tuple[Any, tuple[str, ...]]:
    """The triangles (n, 3, 3) of all that the build places, in the file's own unit, and warnings of what they are.

    Raises ValueError, KeyError for a broken file, MemoryError for one that unfolds to more than can be sent,
    MediaUnsupported for one that asks for an extension that is not known here, or builds what is not to be built.
    """
    with zipfile.ZipFile(path) as archive:
        name = opc.main_part(archive)
        objects: dict[_Key, _Object] = {}
        build = _read(archive, name, objects)
        left = {part for one in objects.values() for (part, _), _ in one.components}
        left |= {part for (part, _), _ in build}
        for part in sorted(left - {name}):  # the production extension keeps objects in parts of their own
            _read(archive, part, objects)
    if sum(_count(key, objects, 0) for key, _ in build) > _MOST_TRIANGLES:
        raise MemoryError
    types = {one.type for one in objects.values() if one.triangles is not None}  # of those that the build leads to
    if _NOT_BUILT in types:
        raise MediaUnsupported(
            "The 3MF file builds an object that it says is neither model nor support (type other).",
            next_step="Export the model alone, or save it as STL.",
        )
    parts = [part for key, transform in build for part in _placed(key, transform, objects)]
    corners = np.concatenate(parts) if parts else np.empty((0, 3, 3))
    return corners, (_SUPPORTED,) if types & set(_SUPPORTS) else ()


def unit_in_millimetres(path: Path) -> float:
    """Of the coordinates; the millimetre where the file does not say. Raises KeyError for an unknown one."""
    with zipfile.ZipFile(path) as archive, archive.open(opc.main_part(archive)) as file:
        for _, element in iterparse(file, events=("start",)):  # noqa: S314 - looked at before: no entities
            return _MILLIMETRES[element.get("unit", "millimeter")]
    raise KeyError


def _read(archive: zipfile.ZipFile, part: str, objects: dict[_Key, _Object]) -> list[_Placed]:
    """The objects of a part, by reference into `objects`; what its build places."""
    build: list[_Placed] = []
    vertices: list[tuple[float, ...]] = []
    faces: list[tuple[int, ...]] = []
    components: list[_Placed] = []
    prefixes: dict[str, str] = {}
    opc.check_xml(archive, part)
    with archive.open(part) as file:
        for event, found in iterparse(file, events=("start-ns", "start", "end")):  # noqa: S314 - looked at before
            if event == "start-ns":
                prefixes.setdefault(*found)  # those of the root come first
                continue
            element: Element = found
            name = element.tag.rpartition("}")[2]
            if event == "start":
                if name == "model" or name in _OTHER_SHAPES:
                    _refuse_unknown(name, element.get("requiredextensions", ""), prefixes)
                continue
            match name:
                case "vertex":
                    vertices.append(tuple(float(element.attrib[axis]) for axis in "xyz"))
                case "triangle":
                    faces.append(tuple(int(element.attrib[corner]) for corner in ("v1", "v2", "v3")))
                case "component":
                    components.append(_placing(element, part))
                case "item":
                    build.append(_placing(element, part))
                case "object":
                    objects[part, element.attrib["id"]] = _object(element, vertices, faces, components)
                    vertices, faces, components = [], [], []
                case "vertices" | "triangles" | "resources":
                    pass
                case _:
                    continue
            element.clear()
    return build


def _refuse_unknown(name: str, required: str, prefixes: dict[str, str]) -> None:
    """A consumer refuses what it does not know and has to (3MF Core 2.3.1); shapes by other means are never read."""
    if name in _OTHER_SHAPES or not {prefixes.get(prefix, prefix) for prefix in required.split()} <= _KNOWN_EXTENSIONS:
        raise MediaUnsupported(
            "The 3MF file describes its shape by an extension of 3MF that is not known here.",
            next_step="Export it as a plain mesh (no lattices, boolean, volumetric or displaced shapes), or as STL.",
        )


def _object(element: Element, vertices: list[Any], faces: list[Any], components: list[_Placed]) -> _Object:
    places, triangles = np.array(vertices).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)
    found = _Object(element.get("type", "model"), places, triangles, components)
    if len(faces) and not 0 <= found.faces.min() <= found.faces.max() < len(vertices):
        raise ValueError("a triangle refers to no vertex")
    return found


def _placing(element: Element, part: str) -> _Placed:
    """The object that a component or item names, and its transform (3MF Core 3.3)."""
    elsewhere = next((value for name, value in element.attrib.items() if name.endswith("}path")), "")
    numbers = [float(number) for number in element.get("transform", "1 0 0 0 1 0 0 0 1 0 0 0").split()]
    key = elsewhere.strip("/") or part, element.attrib["objectid"]
    return key, np.array(numbers).reshape(4, 3)


def _count(key: _Key, objects: dict[_Key, _Object], depth: int) -> int:
    """Triangles of an object with all its parts, each object counted once. Raises ValueError for one within itself."""
    if depth > _DEEPEST:
        raise ValueError("parts of parts without end")
    found = objects[key]
    if found.triangles is None:
        found.triangles = len(found.faces) + sum(_count(part, objects, depth + 1) for part, _ in found.components)
    return found.triangles


def _placed(key: _Key, transform: NDArray[np.float64], objects: dict[_Key, _Object]) -> Iterator[Any]:
    found = objects[key]
    if len(found.faces):
        corners = (found.vertices @ transform[:3] + transform[3])[found.faces]
        # A mirroring transform would turn the triangles inside out.
        yield corners[:, ::-1] if np.linalg.det(transform[:3]) < 0 else corners
    for part, inner in found.components:
        if objects[part].triangles:
            both = np.vstack([inner[:3] @ transform[:3], inner[3] @ transform[:3] + transform[3]])
            yield from _placed(part, both, objects)
