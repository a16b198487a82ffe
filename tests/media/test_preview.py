"""The preview of a model: what it shows, and that it costs little whatever the model is."""

from __future__ import annotations

import time

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from media2dicom.media import preview
from media2dicom.media.preview import render_mesh
from tests.real_media import sphere


def box(*sides: float) -> NDArray[np.float32]:
    return np.asarray(trimesh.creation.box(sides).triangles, np.float32)


def test_cube_shows_three_faces_of_three_shades_and_fills_the_picture() -> None:
    picture = render_mesh([box(1, 1, 1)], 96)
    assert (picture.shape, picture.dtype) == ((96, 96), np.uint8)
    _, counts = np.unique(picture[picture > 0], return_counts=True)
    assert sum(counts > 500) == 3
    seen = np.flatnonzero(picture.any(axis=1))
    assert 80 < seen[-1] - seen[0] < 92
    # The upper face is the brightest, that on the left brighter than that on the right.
    assert picture[30, 48] > picture[60, 30] > picture[60, 66] > 0


def test_what_is_nearer_hides_what_is_behind_whatever_the_order_in_the_file() -> None:
    near, far = box(1, 1, 1) * 10 + [-20, -20, 20], box(1, 1, 1) * 30
    one, other = render_mesh([near.astype(np.float32), far], 64), render_mesh([far, near.astype(np.float32)], 64)
    np.testing.assert_array_equal(one, other)
    assert (one != render_mesh([far], 64)).any()


def test_triangles_turned_inside_out_look_the_same() -> None:
    np.testing.assert_allclose(render_mesh([sphere()], 64), render_mesh([sphere()[:, ::-1].copy()], 64), atol=1)


def test_large_model_is_sampled_and_looks_as_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    triangles = sphere(100_000)
    whole = render_mesh([triangles], 64).astype(float)
    monkeypatch.setattr(preview, "TRIANGLES", 10_000)
    sampled = render_mesh(iter(np.array_split(triangles, 20)), 64).astype(float)
    assert np.abs(whole - sampled).mean() < 8
    assert ((whole > 0) != (sampled > 0)).mean() < 0.03


@pytest.mark.parametrize(
    "triangles",
    [
        np.zeros((3, 3, 3), np.float32),
        np.empty((0, 3, 3), np.float32),
        np.full((1, 3, 3), 3e38, np.float32),
        np.full((1, 3, 3), np.nan, np.float32),
        sphere() * np.float32(1e36),
        sphere() * np.float32(1e-40),
    ],
)
def test_model_of_any_size_has_a_picture(triangles: NDArray[np.float32]) -> None:
    assert render_mesh([triangles], 32).shape == (32, 32)


def test_heap_of_large_triangles_takes_no_longer_than_any_model() -> None:
    heap = np.random.default_rng(1).normal(size=(150_000, 3, 3)).astype(np.float32)
    started = time.process_time()
    assert render_mesh([heap], 64).any()
    assert time.process_time() - started < 5
