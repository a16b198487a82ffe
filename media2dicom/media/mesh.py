"""STL models: binary or text in, a complete binary STL file out.

A binary file is its own payload, after every number in it was looked at; a text file is converted (text_stl.py).
Nothing here holds a file in memory. Units are what the row says; an STL has none. No repair of geometry.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from media2dicom.errors import MediaChanged, MediaDamaged
from media2dicom.limits import refuse_over_limit
from media2dicom.media.extent import Extent
from media2dicom.media.payload import DATASET_BYTES, MediaPlan, Model, Payload
from media2dicom.media.records import HEADER_BYTES, RECORD, has_area
from media2dicom.media.signatures import HEAD_BYTES, binary_stl_bytes, is_binary_stl
from media2dicom.media.text_stl import convert
from media2dicom.model import Options
from media2dicom.settings import MEGABYTE, Settings

_RECORDS_AT_A_TIME: Final = 160_000  # 8 MB
_MEASURED_BYTES: Final = 64 * MEGABYTE  # up to here a plan looks at the size of a binary model


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Binary: by the header, and the size of the model where that is quick. Text: an estimate from its beginning.

    Raises MediaDamaged, MediaTooLarge.
    """
    size_bytes = path.stat().st_size
    head = _head(path)
    if is_binary_stl(head, size_bytes):
        _require_triangles(head)
        _check_limit(size_bytes)
        certain = estimate = size_bytes
        warnings = _extent(path).warnings(options.units) if size_bytes <= _MEASURED_BYTES else ()
    else:
        _check_text(head, size_bytes)
        certain, warnings = 0, ()
        estimate = HEADER_BYTES + RECORD.itemsize * _estimated_text_triangles(path, size_bytes)
    return MediaPlan(
        kind="mesh",
        estimated_bytes=estimate + DATASET_BYTES,
        largest_instance_bytes=certain,
        warnings=warnings,
    )


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """The model as a binary file: the submitter's own, or a converted copy below work_folder.

    Raises MediaDamaged (count and size disagree, not finite, not triangles, no triangle), MediaTooLarge,
    CacheFailed.
    """
    size_bytes = path.stat().st_size
    head = _head(path)
    if is_binary_stl(head, size_bytes):
        _require_triangles(head)
        _check_limit(size_bytes)
        extent = _checked(path)
        return Model(path, size_bytes, warnings=extent.warnings(options.units))
    _check_text(head, size_bytes)
    converted = convert(path, work_folder)
    try:
        extent = _checked(converted)
    except MediaDamaged:
        converted.unlink()
        raise
    return Model(converted, converted.stat().st_size, warnings=extent.warnings(options.units))


def triangles(path: Path) -> Iterator[NDArray[np.float32]]:
    """The vertices (n, 3, 3) of a binary STL, some triangles at a time."""
    return (records["vertices"] for records in _records(path))


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _require_triangles(head: bytes) -> None:
    if not int.from_bytes(head[80:84], "little"):
        raise MediaDamaged("The STL file holds no triangle.")


def _check_limit(size_bytes: int) -> None:
    refuse_over_limit(size_bytes, "The model")


def _check_text(head: bytes, size_bytes: int) -> None:
    """Say what is wrong with a file that is no binary STL, unless it begins like a text one."""
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:5].lower() == b"solid" and b"\0" not in head:
        return
    if len(head) >= HEADER_BYTES and b"\0" in head:
        raise MediaDamaged(
            f"The STL file has {size_bytes:,} bytes, but its count of triangles asks for {binary_stl_bytes(head):,}: "
            "it is cut off, or the count is wrong."
        )
    raise MediaDamaged("The file is neither a binary nor a text STL.")


def _records(path: Path) -> Iterator[NDArray[Any]]:
    """The triangles of a binary STL, some at a time. Read, not mapped: a file cut meanwhile must not kill us."""
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        while chunk := file.read(_RECORDS_AT_A_TIME * RECORD.itemsize):
            if len(chunk) % RECORD.itemsize:
                raise MediaChanged("The STL file changed while it was read.")
            yield np.frombuffer(chunk, RECORD)


def _checked(path: Path) -> Extent:
    """The model's size. Raises MediaDamaged: a number that is not finite, no triangle that has an area."""
    before, extent, area = 0, Extent(), False
    for records in _records(path):
        finite = np.isfinite(records["vertices"]).all(axis=(1, 2)) & np.isfinite(records["normal"]).all(axis=1)
        if not finite.all():
            raise MediaDamaged(
                f"Triangle {before + int(finite.argmin()) + 1:,} of the STL file holds a number that is not finite."
            )
        before += len(records)
        extent.add(records["vertices"])
        area = area or has_area(records["vertices"])
    extent.refuse_point()
    if not area:
        raise MediaDamaged("No triangle of the STL file has an area: their vertices are on one line.")
    return extent


def _extent(path: Path) -> Extent:
    extent = Extent()
    for records in _records(path):
        extent.add(records["vertices"])
    return extent


def _estimated_text_triangles(path: Path, size_bytes: int) -> int:
    with path.open("rb") as file:
        beginning = file.read(MEGABYTE)
    facets = beginning.lower().count(b"endfacet")
    return max(1, facets * size_bytes // len(beginning))
