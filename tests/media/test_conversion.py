"""PLY, OBJ, OFF, 3MF and GLB converted to STL: the same vertices, the row's units, nothing from outside the file."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged, MediaTooLarge, MediaUnsupported, OptionRefused, RowRefused
from media2dicom.media import conversion, open_media, plan_media
from media2dicom.media.records import RECORD
from media2dicom.model import Options, Units
from media2dicom.settings import Settings
from tests.media import making_models
from tests.media.making_models import exported
from tests.media.opening import opened, written
from tests.real_media import sphere

AS_STL = Options(convert_to_stl=True)


def converted(path: Path, options: Options = AS_STL) -> NDArray[np.float32]:
    """The vertices of the STL that the file becomes."""
    plan = plan_media(path, options, Settings())
    assert (plan.kind, plan.instances) == ("mesh", 1)
    model = opened(path, options)
    assert (model.mime_type, model.path.parent) == ("model/stl", path.parent / "work")
    data = model.path.read_bytes()
    assert len(data) == model.size_bytes == 84 + 50 * int.from_bytes(data[80:84], "little")
    assert not data.startswith(b"solid")
    return np.frombuffer(data, RECORD, offset=84)["vertices"]


@pytest.mark.parametrize("suffix", ["ply", "off", "3mf", "glb", "obj"])
def test_each_format_becomes_stl_when_the_row_says_so_and_only_then(tmp_path: Path, suffix: str) -> None:
    path = exported(tmp_path, suffix)
    units = Units.M if suffix == "glb" else Units.MM
    np.testing.assert_allclose(converted(path, Options(convert_to_stl=True, units=units)), sphere(256), atol=1e-4)
    if suffix != "obj":  # which DICOM has an object for
        for ask in (plan_media, lambda *asked: open_media(*asked, tmp_path)):
            with pytest.raises(OptionRefused, match=f"no object for {suffix.upper()}") as refusal:
                ask(path, Options(), Settings())
            assert "convert_to_stl to yes" in refusal.value.next_step


@pytest.mark.parametrize("change", [(" ", "\t"), ("\n", "\r"), ("/1/1\n", "/1/1 # a face\n")])
def test_obj_is_converted_however_it_is_written(tmp_path: Path, change: tuple[str, str]) -> None:
    path = written(tmp_path, "model.obj", making_models.obj().replace(*change).encode())
    np.testing.assert_array_equal(converted(path), sphere(256))


def test_scene_is_converted_as_it_is_placed_and_in_the_rows_units(tmp_path: Path) -> None:
    path = exported(tmp_path, "glb")
    place_node(path, {"translation": [1, 0, 0], "scale": [2, 2, 2]})
    np.testing.assert_allclose(converted(path), (sphere(256) * 2 + [1, 0, 0]) * 1000, rtol=1e-4, atol=0.1)


def test_unit_and_parts_of_a_3mf_are_brought_to_the_rows_units_and_all_placed(tmp_path: Path) -> None:
    path = tmp_path / "parts.3mf"
    moved = ' transform="0 -1 0 1 0 0 0 0 1 5 0 0"'  # a quarter turn, then five to the right
    model = (
        nested(2)
        .replace("millimeter", "inch")
        .replace('<component objectid="2"/>', f'<component objectid="2"{moved}/>')
    )
    path.write_bytes(archive(tmp_path, model))
    found = converted(path, Options(convert_to_stl=True, units=Units.CM))
    assert found.shape == (100, 3, 3)
    np.testing.assert_allclose(found[0] / 2.54, [[5, 0, 0], [5, -1, 0], [6, 0, 0]], atol=1e-6)


EXTENSIONS = "http://schemas.microsoft.com/3dmanufacturing"


@pytest.mark.parametrize(
    "change",
    [
        ("<model", f'<model requiredextensions="p b" xmlns:p="{EXTENSIONS}/production/2015/06" xmlns:b="urn:other"'),
        ("<model", '<model requiredextensions="undeclared"'),
        ("</triangles>", f'</triangles><b:beamlattice xmlns:b="{EXTENSIONS}/beamlattice/2017/02"/>'),
        ("<components>", "<booleanshape/><components>"),
    ],
)
def test_3mf_that_needs_an_extension_that_is_not_known_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    path = written(tmp_path, "extended.3mf", archive(tmp_path, nested(1).replace(*change)))
    with pytest.raises(MediaUnsupported, match="extension of 3MF"):
        converted(path)


def test_3mf_that_needs_materials_or_production_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "extended.3mf"
    known = f'xmlns:p="{EXTENSIONS}/production/2015/06" xmlns:m="{EXTENSIONS}/material/2015/02"'
    path.write_bytes(archive(tmp_path, nested(1).replace("<model", f'<model requiredextensions="p m" {known}')))
    assert len(converted(path)) == 10


def test_first_part_of_a_3mf_is_the_one_that_its_relationships_name(tmp_path: Path) -> None:
    named = {"_rels/.rels": RELATIONSHIPS, "3D/My part.model": nested(1)}
    assert len(converted(of_parts(tmp_path / "a.3mf", model=nested(2), **named))) == 10
    with pytest.raises(MediaDamaged, match="no model"):
        converted(of_parts(tmp_path / "b.3mf", model=nested(2), **{"_rels/.rels": RELATIONSHIPS}))
    with pytest.raises(MediaDamaged, match="damaged"):
        converted(of_parts(tmp_path / "c.3mf", model=nested(2), **{"_rels/.rels": RELATIONSHIPS[:-30]}))
    with pytest.raises(MediaDamaged, match="no model"):
        plan_media(
            of_parts(tmp_path / "d.3mf", **named | {"_rels/.rels": RELATIONSHIPS + " " * 2**20}), AS_STL, Settings()
        )


def test_part_of_a_3mf_is_looked_at_whatever_its_name(tmp_path: Path) -> None:
    elsewhere = f'<item p:path="/3D/x.xml" xmlns:p="{EXTENSIONS}/production/2015/06"'
    first = nested(1).replace("<item", elsewhere)
    assert len(converted(of_parts(tmp_path / "a.3mf", model=first, **{"3D/x.xml": nested(1)}))) == 10
    with pytest.raises(MediaUnsupported, match="entities"):
        converted(of_parts(tmp_path / "b.3mf", model=first, **{"3D/x.xml": f"<!DOCTYPE a>{nested(1)}"}))


def test_object_of_a_3mf_that_is_no_model_is_refused_or_warned_of(tmp_path: Path) -> None:
    def typed(kind: str) -> Path:
        text = nested(1).replace('id="1" type="model"', f'id="1" type="{kind}"')
        return of_parts(tmp_path / f"{kind}.3mf", model=text)

    with pytest.raises(MediaUnsupported, match="type other"):
        converted(typed("other"))
    model = opened(typed("support"), AS_STL)
    assert ["support structures" in warning for warning in model.warnings] == [True]
    unused = nested(1).replace("</resources>", '<object id="9" type="other"/></resources>')
    assert len(converted(of_parts(tmp_path / "unused.3mf", model=unused))) == 10


def test_mirrored_part_of_a_3mf_is_not_turned_inside_out(tmp_path: Path) -> None:
    path = tmp_path / "mirrored.3mf"
    mirror = '<item objectid="2" transform="-1 0 0 0 1 0 0 0 1 0 0 0"/>'
    path.write_bytes(archive(tmp_path, nested(1).replace('<item objectid="2"/>', mirror)))
    triangle = converted(path)[0]
    assert sorted(triangle.tolist()) == [[-1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert np.cross(triangle[1] - triangle[0], triangle[2] - triangle[0])[2] > 0


def test_mesh_placed_several_times_in_a_glb_is_there_several_times(tmp_path: Path) -> None:
    path = exported(tmp_path, "glb")
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    header = json.loads(data[20 : 20 + length])
    leaf = {"mesh": 0, "name": "same", "translation": [1, 0, 0]}
    header |= {"nodes": [{"children": [1, 2]}, leaf, {"children": [3, 4], "name": "same"}, leaf, leaf]}
    header |= {"scene": 0, "scenes": [{"nodes": [0]}]}
    path.write_bytes(glb(header, data[28 + length :]))
    assert len(converted(path)) == 3 * len(sphere(256))


@pytest.mark.parametrize("what", [{"name": "world"}, {"camera": 0}])
def test_node_of_a_glb_is_placed_whatever_its_name_and_with_a_camera(tmp_path: Path, what: dict[str, object]) -> None:
    node = {"mesh": 0, "scale": [0.001] * 3} | what
    scene = {"nodes": [node], "scenes": [{"nodes": [0]}], "scene": 0, "cameras": [PERSPECTIVE]}
    path = changed(exported(tmp_path, "glb"), lambda header: header.update(scene))
    np.testing.assert_allclose(converted(path), sphere(256), rtol=1e-4, atol=1e-3)


L_SHAPE = [(2, 0), (2, 1), (1, 1), (1, 2), (0, 2), (0, 0)]  # whose first corner does not see all of it
U_SHAPE = [(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]  # no corner sees all of it
ARROW = [(0, 2), (1, 1), (0, 0), (4, 1)]
WITH_A_HOLE = [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]  # a cut leads to it
BOW_TIE = [(0, 0), (1, 1), (1, 0), (0, 1)]


def face(suffix: str, outline: list[tuple[int, int]], *, more: bool = False) -> bytes:
    """A model of one face in a slanted plane (of area 2 for 1), and a triangle beside it."""
    corners = [(x, y, x + y * 2**0.5) for x, y in outline] + [(9, 9, 9), (10, 9, 9), (9, 10, 9)] * more
    places = [" ".join(map(str, corner)) for corner in corners]
    faces = [list(range(len(outline)))] + [[len(outline), len(outline) + 1, len(outline) + 2]] * more
    counted = [" ".join(map(str, [len(one), *one])) for one in faces]
    match suffix:
        case "obj":
            lines = [f"v {place}" for place in places] + [f"f {' '.join(str(one + 1) for one in f)}" for f in faces]
        case "off":
            lines = ["OFF", f"{len(corners)} {len(faces)} 0", *places, *counted]
        case _:
            said = PLY_HEAD.format(len(corners), len(faces))
            lines = [*said.splitlines(), *places, *counted]
    return "\n".join([*lines, ""]).encode()


PLY_HEAD = "ply\nformat ascii 1.0\nelement vertex {}\nproperty double x\nproperty double y\nproperty double z\n"
PLY_HEAD += "element face {}\nproperty list uchar int vertex_indices\nend_header\n"


@pytest.mark.parametrize(
    ("suffix", "outline", "area", "more"),
    [
        *((suffix, L_SHAPE, 6, more) for suffix in ("obj", "off", "ply") for more in (False, True)),
        ("obj", U_SHAPE, 14, False),
        ("obj", ARROW, 6, True),
        ("obj", WITH_A_HOLE, 16, False),
    ],
)
def test_face_that_is_not_convex_is_cut_into_triangles_that_cover_it_once(
    tmp_path: Path, suffix: str, outline: list[tuple[int, int]], area: float, more: bool
) -> None:
    path = written(tmp_path, f"model.{suffix}", face(suffix, outline, more=more))
    corners = converted(path).astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    assert np.linalg.norm(normals, axis=1).sum() == pytest.approx(area + 0.5 * more)
    assert (normals[:, 2] >= 0).all()


# --- GLB that asks for more than is read ---------------------------------------------------------------------------


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The GLB with another header."""
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    header = json.loads(data[20 : 20 + length])
    change(header)
    path.write_bytes(glb(header, data[28 + length :]))
    return path


def primitive(header: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = header["meshes"][0]["primitives"][0]
    return found


def positions(header: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = header["accessors"][primitive(header)["attributes"]["POSITION"]]
    return found


PERSPECTIVE = {"type": "perspective", "perspective": {"yfov": 1, "znear": 1, "aspectRatio": 1}}
INSTANCES = {"EXT_mesh_gpu_instancing": {"attributes": {}}}
NOT_READ: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "compressed": (lambda header: header.update(extensionsRequired=["KHR_draco_mesh_compression"]), "extension"),
    "quantized": (lambda header: positions(header).update(componentType=5122, normalized=True), "quantized"),
    "sparse": (lambda header: positions(header).update(sparse={"count": 1}), "sparse"),
    "without numbers": (lambda header: positions(header).pop("bufferView"), "sparse"),
    "instances": (lambda header: header["nodes"][-1].update(extensions=INSTANCES), "many times"),
    "skin": (lambda header: header["nodes"][-1].update(skin=0), "skeleton"),
    "morph of a node": (lambda header: header["nodes"][-1].update(weights=[0, 0.5]), "morph"),
    "morph of a mesh": (lambda header: header["meshes"][0].update(weights=[1]), "morph"),
    "fans": (lambda header: primitive(header).update(mode=6), "fans"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_glb_whose_geometry_would_come_out_wrong_is_refused(tmp_path: Path, name: str) -> None:
    change, reason = NOT_READ[name]
    with pytest.raises(MediaUnsupported, match=reason) as refusal:
        converted(changed(exported(tmp_path, "glb"), change))
    assert "plain meshes" in refusal.value.next_step


def test_points_of_a_glb_are_left_out_with_a_warning(tmp_path: Path) -> None:
    def add_points(header: dict[str, Any]) -> None:
        header["meshes"][0]["primitives"].append({"attributes": primitive(header)["attributes"], "mode": 0})

    path = changed(exported(tmp_path, "glb"), add_points)
    model = opened(path, AS_STL)
    assert model.size_bytes == 84 + 50 * len(sphere(256))
    assert "points or lines" in model.warnings[-1]


@pytest.mark.parametrize("suffix", ["ply", "off", "3mf", "glb", "obj"])
def test_size_that_does_not_fit_the_units_is_warned_of_in_each_format(tmp_path: Path, suffix: str) -> None:
    def said(units: Units) -> tuple[str, ...]:
        path = exported(tmp_path, suffix, factor=1000 if units is Units.M else 1)
        return opened(path, Options(convert_to_stl=True, units=units)).warnings

    assert [("check the column units" in text) for text in said(Units.M)] == [True]
    assert said(Units.MM) == () or suffix == "glb"  # which is in metres: the sphere is 50 m


# --- broken and hostile files -----------------------------------------------------------------------------------


def glb(header: dict[str, object], buffer: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if buffer:
        chunks += struct.pack("<I4s", len(buffer), b"BIN\0") + buffer
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def place_node(path: Path, how: dict[str, object]) -> None:
    """Give the node of a GLB that holds the mesh another place."""
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    header = json.loads(data[20 : 20 + length])
    for node in header["nodes"]:
        if "mesh" in node:
            node.pop("matrix", None)
            node |= how
    path.write_bytes(glb(header, data[28 + length :]))


def one_mesh(**accessor: object) -> dict[str, object]:
    """The header of a GLB whose only mesh has the accessor's vertices."""
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"componentType": 5126, "type": "VEC3", **accessor}],
    }


def external(folder: Path) -> bytes:
    (folder / "outside.bin").write_bytes(bytes(36))
    buffers = {"buffers": [{"uri": "outside.bin", "byteLength": 36}], "bufferViews": [{"buffer": 0, "byteLength": 36}]}
    return glb(one_mesh(count=3, bufferView=0) | buffers)


def archive(folder: Path, model: str, name: str = "3D/3dmodel.model") -> bytes:
    path = folder / "made.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, model)
    return path.read_bytes()


RELATIONSHIPS = """<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="a" Target="/Thumb.png" Type="http://schemas.openxmlformats.org/package/2006/relationships/thumbnail"/>
<Relationship Id="b" Target="/3d/My%20part.model" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>
</Relationships>"""


def of_parts(path: Path, **parts: str) -> Path:
    """A 3MF whose usual first part, and parts of these names, are like this."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr({"model": "3D/3dmodel.model"}.get(name, name), content)
    return path


def nested(levels: int) -> str:
    """A 3MF whose parts hold ten parts each, that many levels deep."""
    namespace = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
    mesh = (
        '<mesh><vertices><vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="1" z="0"/></vertices>'
    )
    mesh += '<triangles><triangle v1="0" v2="1" v3="2"/></triangles></mesh>'
    objects = f'<object id="1" type="model">{mesh}</object>'
    for level in range(2, levels + 2):
        parts = f'<component objectid="{level - 1}"/>' * 10
        objects += f'<object id="{level}" type="model"><components>{parts}</components></object>'
    build = f'<build><item objectid="{levels + 1}"/></build>'
    return f'<model unit="millimeter" xmlns="{namespace}"><resources>{objects}</resources>{build}</model>'


PLY = "ply\nformat ascii 1.0\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
PLY += "property list uchar int vertex_indices\nend_header\n{} 0 0\n1 0 0\n0 1 0\n3 0 1 {}\n"

MIXED = PLY.partition("{} 0 0")[0].format(4).replace("ascii", "binary_little_endian").replace("face 1", "face 2")
MIXED = MIXED.replace("uchar int", "uchar uchar")

REFUSED_UNREAD: dict[str, tuple[str, Callable[[Path], bytes], type[RowRefused], str]] = {
    "3MF that is cut off": ("3mf", lambda _: archive(_, nested(1))[:-30], MediaDamaged, "damaged"),
    "3MF that declares entities": (
        "3mf",
        lambda _: archive(_, '<!DOCTYPE model [<!ENTITY a "b">]>' + nested(1)),
        RowRefused,
        "entities",
    ),
    "3MF in another encoding": (
        "3mf",
        lambda _: archive(_, '<?xml version="1.0" encoding="utf-7"?>' + nested(1)),
        RowRefused,
        "UTF-8",
    ),
    "archive without a model": ("3mf", lambda _: archive(_, "hello", "word/document.xml"), MediaDamaged, "no model"),
    "3MF of an unknown unit": (
        "3mf",
        lambda _: archive(_, nested(1).replace("millimeter", "furlong")),
        MediaDamaged,
        "unit",
    ),
    "PLY that is no PLY": ("ply", lambda _: b"hello", RowRefused, "does not hold PLY"),
}
REFUSED_IN_THE_PROCESS: dict[str, tuple[str, Callable[[Path], bytes], type[RowRefused], str]] = {
    "GLB with an external buffer": ("glb", external, MediaDamaged, "cannot be read"),
    "GLB with more vertices than there is memory": (
        "glb",
        lambda _: glb(one_mesh(count=10**12)),
        RowRefused,
        "plain numbers|memory",
    ),
    "3MF whose parts unfold to millions": ("3mf", lambda _: archive(_, nested(9)), MediaTooLarge, "memory or time"),
    "PLY that promises more than it holds": (
        "ply",
        lambda _: PLY.format(4_000_000_000, 0, 2).encode(),
        MediaDamaged,
        "cut off",
    ),
    "binary PLY of triangles and quads": (
        "ply",
        lambda _: MIXED.encode() + np.arange(12, dtype="<f4").tobytes() + bytes([3, 0, 1, 2, 4, 0, 1, 2, 3]),
        MediaDamaged,
        "triangles only",
    ),
    "OBJ with a face of no vertex": ("obj", lambda _: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", MediaDamaged, "refers"),
    "PLY with a vertex that is not finite": ("ply", lambda _: PLY.format(3, "nan", 2).encode(), MediaDamaged, "finite"),
    "PLY with a face of no vertex": ("ply", lambda _: PLY.format(3, 0, 7).encode(), MediaDamaged, "does not have"),
    "PLY without a face": (
        "ply",
        lambda _: PLY.format(3, 0, 2).replace("face 1", "face 0").rsplit("3 0", 1)[0].encode(),
        MediaDamaged,
        "no face|cannot be read",
    ),
    "model whose vertices are in one place": (
        "off",
        lambda _: b"OFF\n3 1 0\n1 2 3\n1 2 3\n1 2 3\n3 0 1 2\n",
        MediaDamaged,
        "no face with an area",
    ),
    "face that crosses itself": ("obj", lambda _: face("obj", BOW_TIE), MediaDamaged, "crosses itself"),
    "OFF that is cut off": ("off", lambda _: exported(_, "off").read_bytes()[:-300], MediaDamaged, "cut off"),
}


@pytest.mark.parametrize("name", REFUSED_UNREAD | REFUSED_IN_THE_PROCESS)
def test_broken_or_hostile_model_is_refused_with_its_reason(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_MEMORY_BYTES", 2_000_000_000)
    suffix, content, error, reason = (REFUSED_UNREAD | REFUSED_IN_THE_PROCESS)[name]
    path = written(tmp_path, f"CANARY.{suffix}", content(tmp_path))
    with pytest.raises(error, match=reason) as refusal:
        converted(path)
    assert "CANARY" not in refusal.value.message


@pytest.mark.parametrize("zip64", [False, True])
def test_archive_of_very_many_parts_is_refused_before_they_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zip64: bool
) -> None:
    path = tmp_path / "parts.3mf"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(100 if not zip64 else 70_000):  # more than 65,535 need ZIP64
            file.writestr(zipfile.ZipInfo(f"{number}.model"), b"")
    with pytest.raises(MediaDamaged, match="no model"):  # of a few MB at most: it is listed
        plan_media(path, AS_STL, Settings())
    monkeypatch.setattr(conversion, "_LARGEST_DIRECTORY_BYTES", 1000)
    with pytest.raises(MediaTooLarge):
        plan_media(path, AS_STL, Settings())


def test_archive_that_unfolds_to_very_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "_LARGEST_BYTES", 1_000_000)
    path = written(tmp_path, "bomb.3mf", archive(tmp_path, " " * 2_000_000))
    with pytest.raises(MediaTooLarge, match="too large to be converted"):
        plan_media(path, AS_STL, Settings())
    path = written(tmp_path, "large.obj", making_models.obj(triangles=20_000))
    with pytest.raises(MediaTooLarge, match="OBJ"):
        plan_media(path, AS_STL, Settings())
