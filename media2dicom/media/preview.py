"""A small picture of a 3D model: z-buffer, Lambert shading, isometric view, in numpy. For icons and for people's eyes.

Memory and time have bounds whatever the model is: of a model with more triangles than `TRIANGLES` one of every two,
of every four ... is taken, through the whole file, and drawn larger to cover for its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from media2dicom.media.payload import STL, Model

TRIANGLES: Final = 200_000  # as many are drawn at most
_LAYERS: Final = 60  # so many times the picture is gone over at most: a hostile model may pile up large triangles
_LEAST_FRAGMENTS: Final = 5_000_000
_FRAGMENTS_AT_A_TIME: Final = 250_000
_FINER: Final = 2  # points per pixel, each way, averaged in the end
_MARGIN: Final = 0.06  # of the picture, on each side
_AMBIENT: Final = 0.25
_SMALL: Final = 4.0  # points; larger triangles cover for nobody

# Isometric: from the patient's front left, above (PS3.3 C.7.6.2.1.1: x to the left, y to the back, z to the head).
_VIEW: Final = np.array([[1, 1, 0], [1, -1, -2], [1, -1, 1]]) / np.sqrt([[2.0], [6.0], [3.0]])  # right, down, near
_LIGHT: Final = np.array([-0.4, -0.6, 0.7]) / np.linalg.norm([-0.4, -0.6, 0.7])  # upper left, behind the viewer


def render_mesh(triangles: Iterable[NDArray[np.float32]], size_px: int) -> NDArray[np.uint8]:
    """The model in grey on black, (size_px, size_px). `triangles`: arrays (n, 3, 3) of vertices, in turn."""
    corners, stride = _sampled(triangles)
    side = size_px * _FINER
    if not len(corners):
        return np.zeros((size_px, size_px), np.uint8)
    seen = _projected(corners.astype(np.float64), side)
    shades = _shades(seen)
    _cover(seen, stride)
    points = _drawn(seen, shades, side)
    blocks = points.reshape(size_px, _FINER, size_px, _FINER)
    return np.asarray(blocks.mean(axis=(1, 3)).round(), np.uint8)


def _sampled(chunks: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float32], int]:
    """One triangle of `stride` (a power of two), TRIANGLES at most; by chance, so that no pattern shows."""
    dice = np.random.default_rng(0)  # the same picture each time
    kept: list[NDArray[np.float32]] = []
    stride, count = 1, 0
    for chunk in chunks:
        some = chunk if stride == 1 else chunk[dice.random(len(chunk)) < 1 / stride]
        some = some[np.isfinite(some).all(axis=(1, 2))]  # a file of others may hold any number
        kept.append(np.array(some, np.float32))
        count += len(some)
        while count > TRIANGLES:
            every = np.concatenate(kept)
            kept = [every[dice.random(len(every)) < 0.5]]
            count, stride = len(kept[0]), 2 * stride
    return (np.concatenate(kept) if kept else np.empty((0, 3, 3), np.float32)), stride


def _projected(corners: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """(n, 3, 3) as right, down, near, in points of the picture, in its middle, as large as fits."""
    largest = np.abs(corners).max()
    seen = (corners / (largest or 1.0)) @ _VIEW.T
    lowest, highest = seen.min(axis=(0, 1)), seen.max(axis=(0, 1))
    extent = (highest - lowest)[:2].max()
    scale = side * (1 - 2 * _MARGIN) / extent if extent > 0 else 1.0
    seen = (seen - (lowest + highest) / 2) * scale
    seen[..., :2] += side / 2
    return np.asarray(seen)


def _shades(seen: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey of each triangle, 1 to 255. The side that is seen is lit, whichever way the file turns it."""
    normals = np.cross(seen[:, 1] - seen[:, 0], seen[:, 2] - seen[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    lit = np.abs(normals[:, 2]) * _LIGHT[2] + np.sign(normals[:, 2]) * (normals[:, :2] @ _LIGHT[:2])
    lambert = np.clip(np.divide(lit, lengths, out=np.zeros_like(lit), where=lengths > 0), 0, 1)
    return np.asarray(255 * (_AMBIENT + (1 - _AMBIENT) * lambert), np.uint8)


def _cover(seen: NDArray[np.float64], stride: int) -> None:
    """Enlarge small triangles about their middle so that each covers the `stride` that it stands for, and some more."""
    if stride == 1:
        return
    small = np.ptp(seen[..., :2], axis=1).max(axis=1) < _SMALL
    middles = seen[small].mean(axis=1, keepdims=True)
    seen[small] = middles + (seen[small] - middles) * np.sqrt(4 * stride)


def _drawn(seen: NDArray[np.float64], shades: NDArray[np.uint8], side: int) -> NDArray[Any]:
    """The nearest triangle's shade at each point, (side, side)."""
    first = np.clip(np.floor(seen[..., :2].min(axis=1)), 0, side - 1).astype(np.int64)
    last = np.clip(np.ceil(seen[..., :2].max(axis=1)), 0, side - 1).astype(np.int64)
    widths, heights = (last - first + 1).T
    step = -(-int((widths * heights).sum()) // max(_LAYERS * side * side, _LEAST_FRAGMENTS))
    # Depth above shade in one number: the largest wins, by a single pass.
    depths = np.float64(2**31) * (1 + seen[..., 2] / (4 * side))
    buffer = np.zeros(side * side, np.uint64)
    chosen = np.arange(0, len(seen), step)
    ends = np.cumsum((widths * heights)[chosen])
    for part in np.split(chosen, np.flatnonzero(np.diff(ends // _FRAGMENTS_AT_A_TIME)) + 1):
        counts = (widths * heights)[part]
        of = np.repeat(part, counts)
        nth = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        x, y = first[of, 0] + nth % widths[of], first[of, 1] + nth // widths[of]
        inside, near = _interpolated(seen, depths, of, x + 0.5, y + 0.5)
        key = (near[inside].astype(np.uint64) << np.uint64(8)) | shades[of[inside]]
        np.maximum.at(buffer, y[inside] * side + x[inside], key)
    return (buffer & np.uint64(255)).reshape(side, side)


def _interpolated(
    seen: NDArray[np.float64], depths: NDArray[np.float64], of: NDArray[np.int64], x: Any, y: Any
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each point lies in its triangle, and how near the triangle is there (barycentric coordinates)."""
    (ax, ay), (bx, by), (cx, cy) = (seen[of, corner, :2].T for corner in range(3))
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    with np.errstate(divide="ignore", invalid="ignore"):
        v = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
        w = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
        u = 1 - v - w
        inside = (u >= 0) & (v >= 0) & (w >= 0)  # never, where a triangle is seen edge-on: NaN
        near = u * depths[of, 0] + v * depths[of, 1] + w * depths[of, 2]
    return inside, near


def preview(model: Model, size_px: int = 128) -> NDArray[np.uint8] | None:
    """The picture of a model; None where there is nothing to be seen, or too much of it to be held."""
    from media2dicom.media import mesh, obj

    picture = render_mesh((mesh if model.mime_type == STL else obj).triangles(model.path), size_px)
    return picture if picture.any() else None
