"""STL: binary files as they are, text files converted, everything else refused with its reason."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from media2dicom.errors import Media2DicomError, MediaDamaged, MediaUnsupported
from media2dicom.media import media_sha256, open_media, plan_media
from media2dicom.media.payload import Model
from media2dicom.media.records import RECORD
from media2dicom.model import Options, Units
from media2dicom.settings import Settings
from tests.media.opening import opened, written
from tests.real_media import binary_stl, real_image, sphere, text_stl


def vertices_of(model: Model) -> NDArray[np.float32]:
    data = model.path.read_bytes()
    assert len(data) == model.size_bytes == 84 + 50 * int.from_bytes(data[80:84], "little")
    return np.frombuffer(data, RECORD, offset=84)["vertices"]


@pytest.mark.parametrize("header", [b"anything", b"solid facet of a binary file", b"BM", b"\xff\xd8\xff"])
def test_binary_file_is_its_own_payload(tmp_path: Path, header: bytes) -> None:
    path = written(tmp_path, "model.stl", binary_stl(sphere(), header))
    model = opened(path)
    assert (model.path, model.size_bytes) == (path, 84 + 50 * len(sphere()))
    assert plan_media(path, Options(), Settings()).largest_instance_bytes == path.stat().st_size


def variants() -> dict[str, bytes]:
    text = text_stl(sphere())
    return {
        "plain": text.encode(),
        "crlf": text.replace("\n", "\r\n").encode(),
        "carriage returns": text.replace("\n", "\r").encode(),
        "tabs": text.replace("  ", "\t").encode(),
        "upper case": text.upper().encode(),
        "scientific": text_stl(sphere(), form="{:+.8E}").encode(),
        "byte order mark": b"\xef\xbb\xbf" + text.encode(),
        "name of keywords": text_stl(sphere(), name="facet vertex 1 2 3 endfacet endsolid 7 solid").encode(),
        "name like a facet": text_stl(sphere(), name="facet normal 0 0 1").encode(),
        "no lines": text_stl(sphere(), name="my part").replace("\n", " ").encode(),
        "a facet a line": text_stl(sphere()).replace("\n", " ").replace("endfacet", "endfacet\n").encode(),
        "no name": text_stl(sphere(), name="").encode(),
        "nan normals": text.replace("normal 0 0 1", "normal nan NaN -nan(ind)").encode(),
        "microsoft nan normals": text.replace("normal 0 0 1", "normal -1.#IND 1.#QNAN 1.#INF").encode(),
        "no normals": text.replace("normal 0 0 1", "").encode(),
        "empty normals": text.replace("normal 0 0 1", "normal").encode(),
        "no line end at the end": text.rstrip("\n").encode(),
    }


@pytest.mark.parametrize("name", variants())
def test_every_way_to_write_a_text_file_gives_the_same_vertices(tmp_path: Path, name: str) -> None:
    model = opened(written(tmp_path, "model.stl", variants()[name]))
    np.testing.assert_array_equal(vertices_of(model), sphere())
    assert np.isfinite(np.frombuffer(model.path.read_bytes(), RECORD, offset=84)["normal"]).all()
    assert not model.path.read_bytes().startswith(b"solid")


def test_text_file_reads_bit_for_bit_as_trimesh_reads_it(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    vertices = (random.standard_normal((500, 3, 3)) * 10.0 ** random.integers(-6, 6, (500, 3, 3))).astype(np.float32)
    path = written(tmp_path, "model.stl", text_stl(vertices, form="{:.17g}"))
    theirs = trimesh.load_mesh(path, process=False).triangles.astype(np.float32)
    np.testing.assert_array_equal(vertices_of(opened(path)), theirs)


def test_several_solids_in_one_file_become_one_model(tmp_path: Path) -> None:
    path = written(tmp_path, "model.stl", text_stl(sphere(), "one") + text_stl(sphere() + 100, "two facet 3"))
    np.testing.assert_array_equal(vertices_of(opened(path)), np.concatenate([sphere(), sphere() + 100]))


def test_missing_normal_is_computed_by_the_right_hand_rule(tmp_path: Path) -> None:
    triangle = np.array([[[0, 0, 0], [2, 0, 0], [0, 3, 0]]], np.float32)
    path = written(tmp_path, "model.stl", text_stl(triangle).replace("normal 0 0 1", "normal nan nan nan"))
    records = np.frombuffer(opened(path).path.read_bytes(), RECORD, offset=84)
    assert records["normal"].tolist() == [[0, 0, 1]]


def test_text_file_of_many_chunks_is_converted_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vertices = sphere(40_000)
    path = written(tmp_path, "model.stl", text_stl(vertices))
    monkeypatch.setattr("media2dicom.media.text_stl._CHUNK_BYTES", 100_003)
    monkeypatch.setattr("media2dicom.media.mesh._RECORDS_AT_A_TIME", 1_000)
    tracemalloc.start()
    try:
        model = opened(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(vertices_of(model), vertices)
    assert peak_bytes < path.stat().st_size / 3


TRIANGLE = text_stl(sphere()[:2])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (binary_stl(sphere())[:-1], "cut off"),
        (binary_stl(sphere()) + b"\0", "count"),
        (binary_stl(sphere()[:0]), "no triangle"),
        (binary_stl(np.full((9, 3, 3), np.nan, np.float32)), "not finite"),
        (
            binary_stl(np.concatenate([sphere(), np.full((1, 3, 3), np.inf, np.float32)])),
            f"Triangle {len(sphere()) + 1}",
        ),
        (b"ply\nformat ascii 1.0\n"[4:], "neither"),
        (b"solid nothing\nendsolid nothing\n", "no triangle"),
        (TRIANGLE.partition("endsolid")[0], "endsolid"),
        (TRIANGLE[: len(TRIANGLE) // 2], "endsolid"),
        (TRIANGLE.replace("endloop", "vertex 1 2 3\n endloop", 1), "Facet 1 "),
        (TRIANGLE[::-1].replace("pooldne", "pooldne\n3 2 1 xetrev", 1)[::-1], "Facet 2 "),
        (TRIANGLE.replace("vertex", "vertex nan 0 0 #", 1).replace("#", ""), "Facet 1 "),
        (TRIANGLE.replace("vertex ", "vertex x", 1), "no facet"),
        (text_stl(sphere()[:1], form="{:.3f}").replace(".", ","), "no facet"),
        (text_stl(np.full((1, 3, 3), np.inf, np.float32)), "not finite"),
        (TRIANGLE.replace("0 0 1", "0 0", 1), "Facet 1 "),
        (binary_stl(np.ones((9, 3, 3), np.float32)), "one place"),
        (text_stl(np.ones((9, 3, 3), np.float32)), "one place"),
        (binary_stl(np.arange(9, dtype=np.float32).reshape(1, 3, 3)), "on one line"),
        (b"", "empty"),
        (b"solid", "endsolid|no triangle"),
    ],
)
def test_broken_model_is_refused_with_its_reason_and_nothing_is_left(
    tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(MediaDamaged, match=reason):
        opened(written(tmp_path, "model.stl", content))
    assert list((tmp_path / "work").iterdir()) == []


def test_photo_named_stl_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaUnsupported, match="JPEG"):
        opened(written(tmp_path, "model.stl", real_image("rocket.jpg").read_bytes()))


def test_size_that_does_not_fit_the_units_is_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, "model.stl", binary_stl(sphere()))
    assert plan_media(path, Options(), Settings()).warnings == ()
    assert "units" in plan_media(path, Options(units=Units.M), Settings()).warnings[0]
    assert "units" in plan_media(path, Options(units=Units.UM), Settings()).warnings[0]


def test_size_of_a_text_file_is_warned_of_when_it_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "model.stl", text_stl(sphere()))
    assert opened(path).warnings == ()
    assert "check the column units" in opened(path, Options(units=Units.M)).warnings[0]


def test_text_plan_is_close_to_what_becomes_of_it(tmp_path: Path) -> None:
    path = written(tmp_path, "model.stl", text_stl(sphere(20_000)))
    estimate = plan_media(path, Options(), Settings()).estimated_bytes
    assert estimate == pytest.approx(opened(path).size_bytes, rel=0.1)


def test_work_folder_that_is_not_there_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    with pytest.raises(Media2DicomError, match="cannot be written") as caught:
        open_media(written(tmp_path, "model.stl", TRIANGLE), Options(), Settings(), tmp_path / "missing")
    assert caught.value.code == "cache-failed"


def test_hash_is_that_of_the_whole_file(tmp_path: Path) -> None:
    assert media_sha256(written(tmp_path, "model.stl", b"abc")).startswith("ba7816bf8f01cfea")
