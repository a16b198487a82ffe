"""OBJ with its material libraries: stored as they are, every line looked at, nothing taken from outside the folder."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from media2dicom.errors import MediaDamaged, RowRefused
from media2dicom.media import content_sha256, media_sha256, obj, plan_media
from media2dicom.model import Options, Units
from media2dicom.settings import Settings
from tests.media import making_models
from tests.media.making_models import MTL, obj_with_mtl
from tests.media.opening import opened, written


def references(path: Path) -> list[str]:
    return [one.reference for one in opened(path).materials]


def warnings(path: Path) -> tuple[str, ...]:
    return plan_media(path, Options(), Settings()).warnings


def test_model_and_its_materials_are_their_own_payload(tmp_path: Path) -> None:
    path = obj_with_mtl(tmp_path)
    model = opened(path)
    plan = plan_media(path, Options(), Settings())
    assert (model.path, model.mime_type) == (path, "model/obj")
    assert [(one.path, one.size_bytes) for one in model.materials] == [(tmp_path / "model.mtl", len(MTL))]
    assert (plan.instances, plan.warnings) == (2, ())


def test_library_is_found_by_its_whole_line_below_the_folder_and_else_by_its_words(tmp_path: Path) -> None:
    for name in ("lib/my bones.mtl", "a.mtl", "b.mtl"):
        written(tmp_path, name, MTL)
    path = written(
        tmp_path, "model.obj", making_models.obj("mtllib lib\\my bones.mtl\nmtllib a.mtl b.mtl\nmtllib ./a.mtl")
    )
    assert references(path) == ["lib/my%20bones.mtl", "a.mtl", "b.mtl"]
    assert warnings(path) == ()


@pytest.mark.parametrize(
    "name", ["../secret.mtl", "lib/../../secret.mtl", "link.mtl", "folder/secret.mtl", "{absolute}"]
)
def test_library_outside_the_folder_is_not_opened(tmp_path: Path, name: str) -> None:
    outside = written(tmp_path, "secret.mtl", MTL)
    folder = tmp_path / "models"
    (folder / "lib").mkdir(parents=True)
    (folder / "link.mtl").symlink_to(outside)
    (folder / "folder").symlink_to(tmp_path)
    path = written(folder, "model.obj", making_models.obj(f"mtllib {name.format(absolute=outside)}"))
    assert references(path) == []
    assert "not in its folder" in warnings(path)[0]


def test_missing_library_and_textures_are_warned_of(tmp_path: Path) -> None:
    written(tmp_path, "model.mtl", MTL + "map_Kd skin.jpg\n")
    found = warnings(written(tmp_path, "model.obj", making_models.obj("mtllib model.mtl\nmtllib gone.mtl")))
    assert "1 of the material libraries" in found[0]
    assert "texture" in found[1]


def test_library_whose_name_is_longer_than_any_files_is_only_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, "model.obj", making_models.obj(f"mtllib {'a' * 300}.mtl"))
    assert references(path) == []
    assert "not in its folder" in warnings(path)[0]


def test_file_of_nothing_but_lines_that_go_on_is_refused_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "model.obj", making_models.obj() + "\\\n" * 6_000_000)
    before = time.process_time()
    with pytest.raises(MediaDamaged, match="no lines"):
        plan_media(path, Options(), Settings())
    assert time.process_time() - before < 10


def test_size_that_does_not_fit_the_units_is_warned_of(tmp_path: Path) -> None:
    path = written(tmp_path, "model.obj", making_models.obj())
    assert opened(path).warnings == ()
    assert "check the column units" in opened(path, Options(units=Units.M)).warnings[0]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"# nothing\n"])
def test_library_without_a_material_is_left_out_with_a_warning(tmp_path: Path, content: bytes) -> None:
    written(tmp_path, "model.mtl", content)
    path = written(tmp_path, "model.obj", making_models.obj("mtllib model.mtl"))
    assert references(path) == []
    assert "hold no material" in warnings(path)[0]


def test_very_large_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obj, "_LARGEST_LIBRARY_BYTES", 10)
    with pytest.raises(MediaDamaged, match="material library"):
        plan_media(obj_with_mtl(tmp_path), Options(), Settings())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mtllib a.mtl # of the skull", ["a.mtl"]),
        ("mtllib my bones.mtl # a.mtl", ["my%20bones.mtl"]),
        ("mtllib number #1.mtl", ["number%20%231.mtl"]),
        ('mtllib "a.mtl"', ["a.mtl"]),
        ('mtllib "my bones.mtl" a.mtl', ["my%20bones.mtl", "a.mtl"]),
        ("mtllib lib/../a.mtl", ["lib/../a.mtl"]),
        ("mtllib \\\n a.mtl", ["a.mtl"]),
        ("mtllib # none", []),
    ],
)
def test_library_is_found_however_its_name_is_written(tmp_path: Path, line: str, expected: list[str]) -> None:
    for name in ("a.mtl", "my bones.mtl", "number #1.mtl"):
        written(tmp_path, name, MTL)
    path = written(tmp_path, "model.obj", making_models.obj(line))
    assert (references(path), warnings(path)) == (expected, ())


def test_byte_order_mark_hides_neither_library_nor_vertex(tmp_path: Path) -> None:
    written(tmp_path, "a.mtl", MTL)
    for text in (f"mtllib a.mtl\n{VARIANTS['plain']}", f"{VARIANTS['plain']}mtllib a.mtl\n"):
        path = written(tmp_path, "model.obj", b"\xef\xbb\xbf" + text.encode())
        assert references(path) == ["a.mtl"]
        assert np.concatenate(list(obj.triangles(path)))[0].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


def test_content_is_that_of_the_model_and_of_its_materials(tmp_path: Path) -> None:
    path = obj_with_mtl(tmp_path)
    before = content_sha256(path)
    assert before != media_sha256(path)
    (tmp_path / "model.mtl").write_text(MTL.replace("0.9", "0.8"))
    assert content_sha256(path) not in (before, media_sha256(path))
    (tmp_path / "model.mtl").unlink()
    assert content_sha256(path) == media_sha256(path)


def test_content_of_any_other_file_is_the_file_alone(tmp_path: Path) -> None:
    for name, content in (("a.obj", making_models.obj()), ("b.txt", "mtllib model.mtl\n"), ("c.stl", "solid\n")):
        path = written(tmp_path, name, content)
        assert content_sha256(path) == media_sha256(path)


SQUARE = "v 0 0 0\nv 1 0 0 1.0\nv 1 1 0 0.5 0.5 0.5\nv 0 1 0\n"
VARIANTS = {
    "plain": SQUARE + "f 1 2 3 4\n",
    "texture and normal": SQUARE + "vt 0 0\nvn 0 0 1\nf 1/1/1 2/1/1 3//1 4/1\n",
    "counted back": SQUARE + "f -4 -3 -2 -1\n",
    "crlf and tabs": (SQUARE + "f 1 2 3 4\n").replace("\n", "\r\n").replace(" ", "\t"),
    "line that goes on": SQUARE + "f 1 2 \\\n 3 4\n",
    "no line end at the end": SQUARE + "f 1 2 3 4",
    "two triangles": SQUARE + "f 1 2 3\ns off\ng back\nf 1 3 4\n",
    "vertices behind": "f 1 2 3 4\n" + SQUARE,
    "carriage returns": (SQUARE + "f 1 2 \\\n 3 4\n").replace("\n", "\r"),
    "crlf and a line that goes on": (SQUARE + "f 1 2 \\\n 3 4\n").replace("\n", "\r\n"),
    "remarks": SQUARE.replace("v 1 0 0 1.0\n", "v 1 0 0 # second\n") + "f 1 2 3 4 # a face\n",
    "lines and points": SQUARE + "p 1\nl 1 2\nf 1 2 3 4\ncurv2 1 2\n",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_way_to_write_a_face_is_read(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "model.obj", VARIANTS[name])
    for chunk_bytes in (2_000_000, 7):
        monkeypatch.setattr(obj, "_CHUNK_BYTES", chunk_bytes)
        opened(path)
        corners = np.concatenate(list(obj.triangles(path)))
        assert corners.tolist() == [[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (SQUARE, "no face"),
        (SQUARE + "f 1 2 5\n", "refers to a vertex"),
        (SQUARE + "f 1 2\n", "Face 1 "),
        ("v 1 2 3\n" * 3 + "f 1 2 3\n", "one place"),
        (SQUARE + "f 1 2 3\nf 0 1 2\n", "Face 2 "),
        (SQUARE + "f 1 2 -5\n", "Face 1 "),
        (SQUARE + "f 1 2 three\n", "Face 1 "),
        (SQUARE + "f 1 2 3.5\n", "Face 1 "),
        (SQUARE.replace("v 1 1", "v nan 1") + "f 1 2 3\n", "Vertex 3 "),
        (SQUARE.replace("v 1 1", "v 1e99 1") + "f 1 2 3\n", "Vertex 3 "),
        (SQUARE + "v 1 2\nf 1 2 3\n", "three numbers"),
        (SQUARE.replace("0.5 0.5", "0,5 0,5").replace("v 1 1 0", "v 1,0 1 0") + "f 1 2 3\n", "three numbers"),
        (making_models.obj()[:-100], "|".join(["refers", "Face"])),
        (SQUARE.encode() + b"f 1 2 3\n\0\0", "not text"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"", "empty"),
    ],
)
def test_broken_model_is_refused_with_its_reason(tmp_path: Path, content: str | bytes, reason: str) -> None:
    if content == making_models.obj()[:-100]:  # cut between two lines, a model looks whole: only the faces are fewer
        content = making_models.obj()[: making_models.obj().rindex("/1/1")] + "/1/1 99999"
    with pytest.raises(RowRefused, match=reason):
        opened(written(tmp_path, "model.obj", content))


def test_large_model_is_looked_at_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "model.obj", making_models.obj(triangles=20_000))
    monkeypatch.setattr(obj, "_CHUNK_BYTES", 50_000)
    tracemalloc.start()
    try:
        opened(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < path.stat().st_size / 2


def test_model_too_large_to_be_shown_has_no_preview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = obj_with_mtl(tmp_path)
    monkeypatch.setattr(obj, "_PREVIEWED_VERTICES", 10)
    assert list(obj.triangles(path)) == []
