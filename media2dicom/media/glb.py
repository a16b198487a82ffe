"""What a GLB asks of its reader (glTF 2.0), looked at before trimesh reads it: that passes over what it does not know.

Geometry that it would leave out, misplace or make up refuses the file; points and lines are told of.
"""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from media2dicom.errors import MediaUnsupported

_LARGEST_JSON_BYTES: Final = 64_000_000
_FLOAT: Final = 5126
_LINE_STRIP, _TRIANGLES, _TRIANGLE_STRIP = 3, 4, 5  # points and lines come before
_PLACING: Final = ("mesh", "children", "matrix", "translation", "rotation", "scale")
_INSTANCES: Final = "EXT_mesh_gpu_instancing"
_PLAIN: Final = "Export it with plain meshes: no compression, no skeleton, no instances; or save it as STL."
_LEFT_OUT: Final = "The model holds points or lines besides its faces; these are not stored."


def check(path: Path) -> tuple[str, ...]:
    """Warnings of what is left out. Raises MediaUnsupported; LookupError, TypeError, ValueError for what is no glTF."""
    with path.open("rb") as file:
        header = _header(file)
    if header.get("extensionsRequired"):
        raise _unsupported("asks for an extension of glTF that is not known here, such as a compression")
    for node in header.get("nodes", []):
        _check_node(node)
    if any(any(mesh.get("weights", [])) for mesh in header.get("meshes", [])):
        raise _unsupported("holds a mesh that is changed by morph targets")
    left_out = False
    for primitive in _primitives(header):
        left_out |= _is_of_points_or_lines(primitive, header)
    return (_LEFT_OUT,) if left_out else ()


def with_bare_nodes(path: Path) -> BinaryIO:
    """The file, its nodes with nothing but their meshes and places, to be read by trimesh.

    That takes a node named "world" for the scene itself, and passes over a node that has a camera. Raises as `check`.
    """
    with path.open("rb") as file:
        header = _header(file)
        bare = [{key: node[key] for key in _PLACING if key in node} for node in header.get("nodes", [])]
        text = json.dumps(header | {"nodes": bare}).encode()
        text += b" " * (-len(text) % 4)
        total = 20 + len(text) + path.stat().st_size - file.tell()
        copy = io.BytesIO()
        copy.write(struct.pack("<4sIII4s", b"glTF", 2, total, len(text), b"JSON") + text)
        shutil.copyfileobj(file, copy)
    copy.seek(0)
    return copy


def _header(file: BinaryIO) -> dict[str, Any]:
    """The chunk of JSON, which is the first (glTF 2.0, 4.4.3); the file stands behind it then."""
    start = file.read(20)
    length = int.from_bytes(start[12:16], "little")
    if start[16:20] != b"JSON" or length > _LARGEST_JSON_BYTES:
        raise ValueError("no JSON")
    header: dict[str, Any] = json.loads(file.read(length))
    return header


def _primitives(header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for mesh in header.get("meshes", []):
        yield from mesh["primitives"]


def _check_node(node: dict[str, Any]) -> None:
    if "skin" in node:
        raise _unsupported("holds a mesh that is moved by a skeleton (skin)")
    if any(node.get("weights", [])):
        raise _unsupported("holds a mesh that is changed by morph targets")
    if _INSTANCES in node.get("extensions", {}):
        raise _unsupported("holds a mesh that is placed many times by an extension of glTF")


def _is_of_points_or_lines(primitive: dict[str, Any], header: dict[str, Any]) -> bool:
    mode = primitive.get("mode", _TRIANGLES)
    if mode not in range(_TRIANGLE_STRIP + 1):
        raise _unsupported("holds triangles in fans")
    if mode <= _LINE_STRIP:
        return True
    positions = header["accessors"][primitive["attributes"]["POSITION"]]
    used = [positions, *([header["accessors"][primitive["indices"]]] if "indices" in primitive else [])]
    plain = all("bufferView" in one and "sparse" not in one and not one.get("normalized") for one in used)
    if not plain or positions["componentType"] != _FLOAT:
        raise _unsupported("holds vertices or faces that are not written as plain numbers (sparse or quantized)")
    return False


def _unsupported(what: str) -> MediaUnsupported:
    return MediaUnsupported(f"The GLB file {what}.", next_step=_PLAIN)
