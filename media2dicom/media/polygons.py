"""Faces of any number of corners, and triangles of them: fans, or ears where a fan would turn a part of a face over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged

_NEGLIGIBLE: Final = 1e-3  # part of a face: what rounded numbers and faces not quite flat may turn over
_FLAT: Final = 0.01  # how thick a flat face may be, part of its length

_FACES_AT_A_TIME: Final = 500_000

_Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Polygons:
    """Faces, one after the other. Those of fewer than three corners are points or lines, and no triangles."""

    vertices: NDArray[Any]  # (n, 3)
    corners: _Indices  # of all faces: indices of vertices
    counts: _Indices  # corners of each face

    @classmethod
    def of(cls, vertices: NDArray[Any], faces: Sequence[Sequence[int]] | NDArray[Any]) -> Polygons:
        """`faces`: one by one, or an array of faces that are all alike."""
        if isinstance(faces, np.ndarray) and faces.ndim == 2:
            return cls(vertices, faces.ravel().astype(np.int64), np.full(len(faces), faces.shape[1]))
        counts = np.array([len(face) for face in faces], np.int64)
        return cls(vertices, np.fromiter(chain.from_iterable(faces), np.int64, counts.sum()), counts)

    def fans(self) -> NDArray[Any]:
        """Triangles (n, 3, 3) about the first corner of each face; right where that corner sees all of its face."""
        return self.vertices[self._fans()[0]]

    def cut(self) -> NDArray[Any]:
        """Triangles (n, 3, 3) that cover each face once. Raises MediaDamaged.

        A fan's normals add up to the face's own (Newell's); one that looks the other way is a part turned over.
        """
        if len(self.corners) and not 0 <= self.corners.min() <= self.corners.max() < len(self.vertices):
            raise MediaDamaged("A face of the model refers to a vertex that the file does not have.")
        return np.concatenate([self.vertices[:0].reshape(0, 3, 3), *(part._cut() for part in self._parts())])

    def _parts(self) -> Iterator[Polygons]:
        ends = np.concatenate([[0], np.cumsum(self.counts)])
        for start in range(0, len(self.counts), _FACES_AT_A_TIME):
            counts = self.counts[start : start + _FACES_AT_A_TIME]
            yield Polygons(self.vertices, self.corners[ends[start] : ends[start + len(counts)]], counts)

    def _cut(self) -> NDArray[Any]:
        fans, of = self._fans()
        if not (self.counts > 3).any():
            return self.vertices[fans]
        corners = self.vertices[fans].astype(np.float64)
        sides = corners[:, 1:] - corners[:, :1]
        normals = np.cross(sides[:, 0], sides[:, 1])
        own = np.stack([np.bincount(of, along, len(self.counts)) for along in normals.T], axis=1)
        lengths = np.linalg.norm(own, axis=1)
        areas = np.bincount(of, np.linalg.norm(normals, axis=1), len(self.counts))
        over = np.bincount(of, -np.minimum((normals * own[of]).sum(axis=1), 0), len(self.counts))
        wide = areas > _NEGLIGIBLE * np.bincount(of, np.square(sides).sum(axis=(1, 2)), len(self.counts))
        sided = lengths >= _NEGLIGIBLE * areas  # else what looks one way is as much as what looks the other way
        wrong = wide & (~sided | (over > _NEGLIGIBLE * lengths * areas))
        firsts = np.cumsum(self.counts) - self.counts
        ears = [
            self._ears(self.corners[firsts[one] : firsts[one] + self.counts[one]], own[one] if sided[one] else None)
            for one in np.flatnonzero(wrong)
        ]
        return np.asarray(self.vertices[np.concatenate([fans[~wrong[of]], *ears])])

    def _fans(self) -> tuple[_Indices, _Indices]:
        """Triangles as indices of vertices (n, 3), and the face that each is of."""
        parts = np.maximum(self.counts - 2, 0)
        of = np.repeat(np.arange(len(parts)), parts)
        first = (np.cumsum(self.counts) - self.counts)[of]
        second = first + 1 + np.arange(len(of)) - (np.cumsum(parts) - parts)[of]
        return self.corners[np.stack([first, second, second + 1], axis=1)], of

    def _ears(self, face: _Indices, normal: NDArray[np.float64] | None) -> _Indices:
        """Triangles of one face, as indices of vertices. Raises MediaDamaged.

        A face that is not flat, as scans and sculpted models have them, need not cross itself where its outline seems
        to, seen from one side: any triangles between its corners are as right as others.
        """
        if normal is not None:
            with suppress(MediaDamaged):
                return self._ears_of_flat(face, normal)
        if self._is_flat(face):
            raise _crossing()
        return np.stack([np.full(len(face) - 2, face[0]), face[1:-1], face[2:]], axis=1)

    def _is_flat(self, face: _Indices) -> bool:
        points = self.vertices[face].astype(np.float64)
        along, _, across = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        return bool(across <= _FLAT * along)

    def _ears_of_flat(self, face: _Indices, normal: NDArray[np.float64]) -> _Indices:
        away = int(np.abs(normal).argmax())
        across, up = ((away + 1) % 3, (away + 2) % 3) if normal[away] > 0 else ((away + 2) % 3, (away + 1) % 3)
        points = self.vertices[face][:, [across, up]].astype(np.float64)  # seen from the side that it is turned to
        negligible = _NEGLIGIBLE * abs(float(normal[away]))
        left, ears = list(range(len(face))), []
        while len(left) > 3:
            at = _ear(points[left], negligible)
            ears.append((left[at - 1], left[at], left[(at + 1) % len(left)]))
            del left[at]
        if _area(*points[left]) < -negligible:
            raise _crossing()
        return np.asarray(face[np.array([*ears, left])])


def _ear(points: NDArray[np.float64], negligible: float) -> int:
    """The corner that can be cut off: convex, and no other in the triangle; else one that is hardly any corner.

    Raises MediaDamaged where there is none: the line around the points crosses itself.
    """
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    areas = _area(before, points, after)
    for at in np.flatnonzero(areas > 0):
        ear = before[at], points[at], after[at]
        inside = np.all([_area(a, b, points) >= 0 for a, b in zip(ear, (*ear[1:], ear[0]), strict=True)], axis=0)
        if all((points[one] == ear).all(axis=1).any() for one in np.flatnonzero(inside)):
            return int(at)
    flattest = int(np.abs(areas).argmin())
    if abs(areas[flattest]) > negligible:
        raise _crossing()
    return flattest


def _area(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice that of the triangle; positive where it turns to the left."""
    first, second = b - a, c - a
    return np.asarray(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])


def _crossing() -> MediaDamaged:
    return MediaDamaged(
        "A face of the model crosses itself: which surface it means cannot be told.",
        next_step="Repair the mesh where it was made, or export it with triangles only.",
    )
