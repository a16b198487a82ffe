"""Faces cut into triangles: what noise in the numbers does, and what many corners do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged
from media2dicom.media import polygons
from media2dicom.media.polygons import Polygons


def area(triangles: NDArray[np.float64]) -> float:
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    return float(np.linalg.norm(normals, axis=1).sum() / 2)


def test_narrow_face_whose_corners_are_on_one_line_but_for_rounding_is_no_crossing_one() -> None:
    random = np.random.default_rng(3)
    along = random.uniform(0, 1, (2000, 5, 1)) * random.standard_normal((2000, 1, 3))
    corners = (500 + along + random.normal(0, 1e-5, (2000, 5, 3))).astype(np.float32)
    assert len(Polygons.of(corners.reshape(-1, 3), np.arange(10_000).reshape(-1, 5)).cut()) == 3 * 2000


def test_comb_of_many_teeth_is_covered_once_and_a_warped_face_is_no_crossing_one() -> None:
    teeth = [
        (x, y)
        for tooth in range(40)
        for x, y in ((2 * tooth, 9), (2 * tooth + 1, 9), (2 * tooth + 1, 1), (2 * tooth + 2, 1))
    ]
    outline = [(0, 0), *((x, y) for x, y in teeth), (80, 0)][::-1]
    slanted = np.array([(x, 7, y) for x, y in outline], np.float64)
    assert area(Polygons.of(slanted, [range(len(outline))]).cut()) == pytest.approx(80 + 40 * 8)
    warped = np.array([(0, 0, 0), (1, 0, 1), (1, 1, 0), (0, 1, 1)], np.float64)
    assert len(Polygons.of(warped, [range(4)]).cut()) == 2


def test_rough_surface_of_quads_that_are_not_flat_is_covered_and_none_is_refused() -> None:
    random = np.random.default_rng(5)
    side = 60
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    vertices = np.column_stack([grid, random.uniform(0, 1.5, len(grid))])  # as scans are
    place = np.arange(side * side).reshape(side, side)
    quads = np.stack([place[:-1, :-1], place[:-1, 1:], place[1:, 1:], place[1:, :-1]], axis=-1).reshape(-1, 4)
    loose = vertices[quads] + random.normal(0, 0.2, (len(quads), 4, 3))
    assert len(Polygons.of(vertices, quads).cut()) == 2 * len(quads)
    assert len(Polygons.of(loose.reshape(-1, 3), np.arange(4 * len(quads)).reshape(-1, 4)).cut()) == 2 * len(quads)


def test_faces_are_cut_the_same_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    arrow = np.array([(0, 2, 0), (1, 1, 0), (0, 0, 0), (4, 1, 0)], np.float64)
    vertices = np.concatenate([arrow + shift for shift in random.uniform(0, 100, (50, 3))])
    faces = [range(start, start + (4 if start % 8 else 3)) for start in range(0, 200, 4)]
    whole = Polygons.of(vertices, faces).cut()
    assert area(whole) == pytest.approx(25 * 3 + 25 * 1)
    monkeypatch.setattr(polygons, "_FACES_AT_A_TIME", 7)
    assert area(Polygons.of(vertices, faces).cut()) == pytest.approx(area(whole))


@pytest.mark.parametrize(
    "outline",
    [
        [(0, 0), (1, 1), (1, 0), (0, 1)],
        [(0, 0), (4, 4), (4, 0), (0, 3)],
        [(0, 3), (0, 0), (4, 4), (4, 0)],
        [(0, 0), (6, 0), (6, 4), (2, -2), (0, 4)],
    ],
)
def test_face_that_crosses_itself_is_refused(outline: list[tuple[float, float]]) -> None:
    corners = np.array([(x, y, 0) for x, y in outline], np.float64)
    with pytest.raises(MediaDamaged, match="crosses itself"):
        Polygons.of(corners, [range(len(outline))]).cut()
