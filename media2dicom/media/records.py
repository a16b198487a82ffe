"""The binary STL as numpy sees it: the record of a triangle, normals, and a file written from vertices."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RECORD: Final = np.dtype([("normal", "<f4", (3,)), ("vertices", "<f4", (3, 3)), ("attribute", "<u2")])
HEADER_BYTES: Final = 84  # 80 free ones and the count of triangles
_AT_A_TIME: Final = 160_000  # triangles, 8 MB
_LOOKED_AT: Final = 10_000  # triangles; the first of them mostly tell


def normals_of(vertices: NDArray[np.float32]) -> NDArray[Any]:
    """Unit normals of triangles (n, 3, 3) by the right-hand rule; zero where there is none."""
    corners = vertices.astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0))


def has_area(vertices: NDArray[np.float32]) -> bool:
    """Whether any of the triangles (n, 3, 3) is more than a point or a line."""
    parts = (vertices[start : start + _LOOKED_AT] for start in range(0, len(vertices), _LOOKED_AT))
    return any(normals_of(part).any() for part in parts)


def write_binary_stl(path: Path, corners: NDArray[np.float32], header: bytes) -> None:
    """`corners`: finite vertices (n, 3, 3). `header`: at most 80 bytes that do not begin with "solid"."""
    with path.open("wb") as output:
        output.write(header.ljust(80, b" ") + len(corners).to_bytes(4, "little"))
        for start in range(0, len(corners), _AT_A_TIME):
            part = corners[start : start + _AT_A_TIME]
            records = np.zeros(len(part), RECORD)
            records["vertices"], records["normal"] = part, normals_of(part)
            output.write(records.tobytes())
