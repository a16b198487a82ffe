"""Text STL to binary STL, in chunks: memory does not grow with the file. Reading binary STL is mesh.py's.

Each chunk's keywords are replaced by numbers that no coordinate can be, the whole chunk is parsed by numpy at once,
and the numbers' places then show whether every facet is one triangle.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import CacheFailed, MediaDamaged
from media2dicom.limits import refuse_over_limit
from media2dicom.media.records import HEADER_BYTES, RECORD, normals_of

# No name from the text file: it may be the patient's. Must not begin with "solid".
_HEADER: Final = b"Binary STL, converted from a text STL".ljust(80, b" ")
_CHUNK_BYTES: Final = 2_000_000
_TAIL_BYTES: Final = 65_536
_LONGEST_RAGGED_BYTES: Final = 16 * _CHUNK_BYTES  # of text in which no facet ends
# Greater than any float32, so never a coordinate.
_FACET, _VERTEX, _END_FACET, _END_CHUNK = 1e301, 1e302, 1e303, 1e304
_WORDS: Final = (
    (b"endfacet", b" 1e303 "),
    (b"facet", b" 1e301 "),
    (b"normal", b" "),
    (b"outer", b" "),
    (b"endloop", b" "),
    (b"loop", b" "),
    (b"vertex", b" 1e302 "),
)
# A name may hold any words and numbers, up to the end of its line or, in a file without lines, to its first facet.
_NAME_LINE: Final = re.compile(
    rb"(?m)(?:^[ \t]*|(?<=endfacet)[ \t]+)(?:end[ \t]*)?solid[^\n]*?(?=facet[ \t]+normal[^\n]*?outer[ \t]+loop|$)"
)
_NOT_A_NUMBER: Final = re.compile(rb"[-+]?\d+\.#[a-z0-9]+")  # as Microsoft's runtime prints NaN and infinity
_BARE: Final = np.array([0, 1, 5, 9, 13])  # places of the words in a facet without a normal
_FULL: Final = np.array([0, 4, 8, 12, 16])  # ... and with one
_MARKS: Final = np.array([_FACET, _VERTEX, _VERTEX, _VERTEX, _END_FACET])


def convert(path: Path, work_folder: Path) -> Path:
    """A text STL as a new binary file in work_folder.

    Vertices are the nearest float32; a normal that is missing or not finite is computed from the vertices (zero for
    a degenerate triangle). Raises MediaDamaged naming the facet, MediaTooLarge, CacheFailed; leaves no file then.
    """
    try:
        with tempfile.NamedTemporaryFile(dir=work_folder, suffix=".stl", delete=False) as output:
            target = Path(output.name)
            try:
                _write(path, output.file)
            except BaseException:
                target.unlink()
                raise
    except OSError as error:
        raise CacheFailed(f"The converted model cannot be written: {error.strerror}.") from None
    return target


def _write(path: Path, output: Any) -> None:
    output.write(_HEADER + bytes(4))
    triangles = 0
    with path.open("rb") as file:
        _check_end(file)
        for text in _whole_facets(file):
            records = _parsed(text, triangles)
            triangles += len(records)
            refuse_over_limit(HEADER_BYTES + RECORD.itemsize * triangles, "The model", at_least=True)
            output.write(records.tobytes())
    if not triangles:
        raise MediaDamaged("The STL file holds no triangle.")
    output.seek(80)
    output.write(triangles.to_bytes(4, "little"))
    output.flush()


def _check_end(file: BinaryIO) -> None:
    """A file cut between two facets shows it only by its missing last line."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
    tail = file.read().lower()
    file.seek(0)
    if b"solid" not in tail[tail.rfind(b"endfacet") + 1 :]:
        raise MediaDamaged("The STL file is cut off: its last line (endsolid) is missing.")


def _whole_facets(file: BinaryIO) -> Iterator[bytes]:
    """The text in lower case without name lines, cut after the end of a facet. The last piece is what is left."""
    rest = file.read(3).removeprefix(b"\xef\xbb\xbf").lower()
    while chunk := file.read(_CHUNK_BYTES):
        text = rest + chunk.lower().replace(b"\r", b"\n")
        line_end = text.rfind(b"\n") + 1  # a name line must not be cut
        lines = _without_names(text[:line_end])
        facet_end = lines.rfind(b"endfacet") + len(b"endfacet") if b"endfacet" in lines else 0
        if facet_end:
            yield lines[:facet_end]
        rest = lines[facet_end:] + text[line_end:]
        if len(rest) > _LONGEST_RAGGED_BYTES:
            raise MediaDamaged("The STL file is no text STL: it has no lines or no facets.")
    yield _without_names(rest.lower().replace(b"\r", b"\n"))


def _without_names(lines: bytes) -> bytes:
    return _NAME_LINE.sub(b"", lines) if b"solid" in lines else lines


def _parsed(text: bytes, before: int) -> NDArray[Any]:
    """The facets of a text as records; `before` facets came earlier, which is for messages."""
    if b"#" in text:
        text = _NOT_A_NUMBER.sub(b"nan", text)
    for word, number in _WORDS:
        text = text.replace(word, number)
    numbers = _numbers(text)
    if numbers is None:
        raise MediaDamaged(f"The STL file holds something that is no facet, in or after facet {before + 1:,}.")
    if not len(numbers):
        return np.empty(0, RECORD)
    starts = np.flatnonzero(numbers == _FACET)
    if not len(starts) or starts[0] != 0:
        raise MediaDamaged(f"The STL file holds numbers outside of a facet, before facet {before + 1:,}.")
    lengths = np.diff(starts, append=len(numbers))
    with_normal = lengths == len(_MARKS) + 12
    _require(with_normal | (lengths == len(_MARKS) + 9), before)
    places = starts[:, np.newaxis] + np.where(with_normal[:, np.newaxis], _FULL, _BARE)
    _require((numbers[places] == _MARKS).all(axis=1), before)

    records = np.zeros(len(starts), RECORD)
    corners = places[:, 1:4, np.newaxis] + np.array([1, 2, 3])
    with np.errstate(over="ignore", invalid="ignore"):
        records["vertices"] = numbers[corners]
        finite = np.isfinite(records["vertices"]).all(axis=(1, 2))
        if not finite.all():
            facet = before + int(finite.argmin()) + 1
            raise MediaDamaged(f"Facet {facet:,} of the STL file holds a vertex that is not finite, or misses numbers.")
        records["normal"][with_normal] = numbers[starts[with_normal, np.newaxis] + np.array([1, 2, 3])]
        unknown = ~with_normal | ~np.isfinite(records["normal"]).all(axis=1)
    if unknown.any():
        records["normal"][unknown] = normals_of(records["vertices"][unknown])
    return records


def _numbers(text: bytes) -> NDArray[Any] | None:
    """All numbers of a text; None when anything else is in it. The mark at the end shows that all was read."""
    try:
        numbers = np.fromstring(text + b" 1e304", dtype=np.float64, sep=" ")
    except (ValueError, DeprecationWarning):  # the latter where warnings are errors
        return None
    if not len(numbers) or numbers[-1] != _END_CHUNK:
        return None
    return numbers[:-1]


def _require(sound: NDArray[np.bool_], before: int) -> None:
    if not sound.all():
        facet = before + int(sound.argmin()) + 1
        raise MediaDamaged(f"Facet {facet:,} of the STL file is not one whole triangle.")
