"""OBJ models with their material libraries (MTL). Looked at line by line, stored as they are; memory stays flat.

Materials are looked for beside the OBJ and below, nowhere else. With `convert_to_stl` the model becomes STL
(conversion.py). No repair of geometry; faces may have any number of corners, lines and curves are passed over.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import MediaDamaged, MediaMissing
from media2dicom.limits import refuse_over_limit
from media2dicom.media import conversion
from media2dicom.media.extent import Extent
from media2dicom.media.payload import DATASET_BYTES, OBJ, Material, MediaPlan, Model, Payload
from media2dicom.media.polygons import Polygons
from media2dicom.model import Options
from media2dicom.settings import MEGABYTE, Settings

_CHUNK_BYTES: Final = 2_000_000
_LONGEST_LINE_BYTES: Final = 4 * _CHUNK_BYTES
_LARGEST_LIBRARY_BYTES: Final = 16 * MEGABYTE
_MOST_LIBRARIES: Final = 64
_PREVIEWED_VERTICES: Final = 5_000_000  # 60 MB
_TEXTURE: Final = re.compile(rb"(?m)^[ \t]*(?:map_|bump|disp|decal|refl|norm)", re.IGNORECASE)
_NAME: Final = re.compile(r'"([^"]*)"|(\S+)')
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_REST_OF_CORNER: Final = re.compile(rb"/\S*")


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Raises MediaDamaged, MediaMissing, OverUploadLimit; what conversion.plan raises where the row wants STL."""
    if options.convert_to_stl:
        return conversion.plan(path, options, limits)
    size_bytes = path.stat().st_size
    refuse_over_limit(size_bytes, "The model")
    found, missing = _libraries(path)
    warnings = []
    if missing:
        warnings.append(
            f"{missing} of the material libraries that the OBJ file names are not in its folder, or hold no material: "
            "not stored."
        )
    if any(_TEXTURE.search(library.path.read_bytes()) for library in found):
        warnings.append("The materials name texture pictures; these are not stored.")
    sizes = [size_bytes, *(library.size_bytes for library in found)]
    return MediaPlan(
        kind="mesh",
        instances=len(sizes),
        estimated_bytes=sum(sizes) + DATASET_BYTES * len(sizes),
        largest_instance_bytes=size_bytes,
        warnings=tuple(warnings),
    )


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """The model, every line looked at. Raises as `plan`, and MediaDamaged naming the line's kind and number."""
    if options.convert_to_stl:
        return conversion.open_payload(path, options, limits, work_folder)
    size_bytes = path.stat().st_size
    refuse_over_limit(size_bytes, "The model")
    libraries, _missing = _libraries(path)
    extent = _checked(path)
    return Model(path, size_bytes, OBJ, libraries, extent.warnings(options.units))


def companions(path: Path) -> tuple[tuple[str, Path], ...]:
    """The files that belong to the model, by the names that it has for them: its material libraries."""
    return tuple((library.reference, library.path) for library in _libraries(path)[0])


def checked_triangles(path: Path) -> Iterator[NDArray[np.float32]]:
    """All triangles of a model of any size, all of it looked at before. Raises MediaDamaged."""
    _checked(path)
    return (faces.cut() for faces in _faces(path, sys.maxsize))


def triangles(path: Path) -> Iterator[NDArray[np.float32]]:
    """The faces of a sound model as triangles (n, 3, 3), some at a time; none of a model too large to be shown."""
    return (faces.fans() for faces in _faces(path, _PREVIEWED_VERTICES))


def _faces(path: Path, most_vertices: int) -> Iterator[Polygons]:
    count, vertices = 0, []
    for lines in _lines(path):
        vertices.append(_vertices(lines, 0))
        count += len(vertices[-1])
        if count > most_vertices:
            return
    known = np.concatenate(vertices) if vertices else np.empty((0, 3), np.float32)
    before = 0
    for lines in _lines(path):
        faces = []
        for word, line in lines:
            before += word == b"v"
            if word == b"f":
                faces.append(_corners(line, before))
        if faces:
            yield Polygons.of(known, faces)


# --- material libraries -----------------------------------------------------------------------------------------


def _libraries(path: Path) -> tuple[tuple[Material, ...], int]:
    """The material libraries beside the model or below, and how many it names that cannot be stored."""
    found: dict[Path, Material] = {}
    missing = 0
    for line in _library_lines(path):
        libraries = _named(path.parent, line)
        missing += libraries.count(None)
        found |= {one.path: one for one in libraries if one is not None and one.path not in found}
        if len(found) > _MOST_LIBRARIES:
            raise MediaDamaged(f"The OBJ file names more than {_MOST_LIBRARIES} material libraries.")
    return tuple(found.values()), missing


def _library_lines(path: Path) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for lines in _lines(path, only=b"mtllib"):
        for _word, line in lines:
            try:
                names.setdefault(line.decode("utf-8"))
            except UnicodeDecodeError:
                names.setdefault(line.decode("latin-1"))
    return tuple(names)


def _named(folder: Path, line: str) -> list[Material | None]:
    """What a line names: one library, or one with each of its words where there is none of the whole line's name.

    The format leaves that open; some write quotation marks, or a remark behind.
    """
    without_remark = line.partition("#")[0]
    for name in (line, without_remark):
        library = _library(folder, name.strip().strip('"'))
        if library is not None:
            return [library]
    return [_library(folder, quoted or word) for quoted, word in _NAME.findall(without_remark)]


def _library(folder: Path, name: str) -> Material | None:
    """None when it is not there, holds no material, or is not in the folder, links followed."""
    spelled = name.replace("\\", "/")
    if "\0" in spelled or spelled.startswith("/") or re.match(r"[A-Za-z]:", spelled):
        return None
    real_folder = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(real_folder / spelled))
    try:
        if not path.is_relative_to(real_folder) or not path.is_file():
            return None
    except OSError:  # such as a name longer than any file's
        return None
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _LARGEST_LIBRARY_BYTES:
            raise MediaDamaged("A material library that the OBJ file names is very large.")
        if b"newmtl" not in path.read_bytes():
            return None
    except OSError as error:
        raise MediaMissing(f"A material library of the model cannot be read: {error.strerror}.") from None
    return Material(path, size_bytes, quote(spelled, safe="/!$&'()*+,;=:@~"))


# --- geometry ---------------------------------------------------------------------------------------------------

_Lines = list[tuple[bytes, bytes]]  # (the first word, the rest)


def _checked(path: Path) -> Extent:
    """The model's size.

    Raises MediaDamaged: not finite, no face, one that refers to no vertex, all vertices in one place.
    """
    vertices = faces = highest = 0
    extent = Extent()
    for lines in _lines(path):
        here = _vertices(lines, vertices)
        if not np.isfinite(here).all():
            at = vertices + int(np.isfinite(here).all(axis=1).argmin()) + 1
            raise MediaDamaged(f"Vertex {at:,} of the OBJ file holds a number that is not finite.")
        extent.add(here)
        before = vertices
        for word, line in lines:
            before += word == b"v"
            if word != b"f":
                continue
            faces += 1
            try:
                corners = _corners(line, before)
            except ValueError:
                raise MediaDamaged(f"Face {faces:,} of the OBJ file is not written in numbers.") from None
            if len(corners) < 3 or min(corners) < 0:
                raise MediaDamaged(f"Face {faces:,} of the OBJ file has no three vertices of the file.")
            highest = max(highest, *corners)
        vertices += len(here)
    if not faces:
        raise MediaDamaged("The OBJ file holds no face.")
    if highest >= vertices:
        raise MediaDamaged("A face of the OBJ file refers to a vertex that the file does not have: it is cut off.")
    extent.refuse_point()
    return extent


def _corners(line: bytes, before: int) -> list[int]:
    """Indices of a face's vertices from 0; `before` vertices came earlier, which negative ones count back from."""
    numbers = [int(word) for word in _REST_OF_CORNER.sub(b"", line.partition(b"#")[0]).split()]
    return [number - 1 if number > 0 else before + number if number else -1 for number in numbers]


def _vertices(lines: _Lines, before: int) -> NDArray[np.float32]:
    words = [line.split()[:3] for word, line in lines if word == b"v"]
    try:
        with np.errstate(over="ignore"):
            return np.array(words, np.float64).astype(np.float32).reshape(-1, 3)
    except ValueError:
        raise MediaDamaged(f"A vertex after number {before:,} of the OBJ file is not three numbers.") from None


def _lines(path: Path, only: bytes = b"") -> Iterator[_Lines]:
    """The file's statements, a chunk at a time; those of one word where `only` names it. Raises MediaDamaged."""
    with path.open("rb") as file:
        if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
            file.seek(0)
        rest = b""
        while chunk := file.read(_CHUNK_BYTES):
            if chunk.endswith(b"\r"):
                chunk += file.read(1)
            text = rest + chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            if b"\0" in chunk:
                raise MediaDamaged("The file is no OBJ file: it is not text.")
            before = len(rest)  # no statement ends there
            end = text.rfind(b"\n", before) + 1
            while end and text.endswith(b"\\\n", 0, end):  # a line that goes on must not be cut
                end = text.rfind(b"\n", before, end - 1) + 1
            if end:
                yield _statements(text[:end], only)
            rest = text[end:]
            if len(rest) > _LONGEST_LINE_BYTES:
                raise MediaDamaged("The file is no OBJ file: it has no lines.")
        yield _statements(rest, only)


def _statements(text: bytes, only: bytes) -> _Lines:
    if only and only not in text:
        return []
    text = text.replace(b"\\\n", b" ")
    found: _Lines = []
    for line in text.splitlines():
        word, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
        if not only or word == only:
            found.append((word, rest))
    return found
