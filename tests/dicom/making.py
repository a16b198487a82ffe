"""Payloads, sources and rows for the tests of the builders, and one call that builds."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID

from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.building import Build
from media2dicom.media import open_media
from media2dicom.media.payload import KeptJpeg, LossyHistory, Model, Payload, Picture, Pictures, Pixels
from media2dicom.model import Instance, Options, Row
from media2dicom.settings import Settings
from tests import real_media
from tests.media import making_models

NOW = datetime(2024, 5, 6, 7, 8, 9)
BASELINE, EXTENDED, P14, SV1 = (f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70))
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


# --- sources ----------------------------------------------------------------------------------------------------


def real_source(name: str) -> Dataset:
    """The header of one of pydicom's files, or of a file of the wheel pydicom-data."""
    held = [str(file.locate()) for file in distribution("pydicom-data").files or () if Path(str(file)).name == name]
    path = held[0] if held else get_testdata_file(name, download=False)
    assert path is not None, name
    return dcmread(str(path), stop_before_pixels=True)


def with_identity(source: Dataset) -> Dataset:
    """A source whose own identity provokes findings is given a proper one."""
    source.PatientName, source.PatientID = "Doe^Jane", "P-1"
    source.StudyID, source.AccessionNumber, source.ReferringPhysicianName = "7", "A-7", "Who^Doctor"
    source.StudyDate, source.StudyTime = source.get("StudyDate") or "20200101", source.get("StudyTime") or "101112"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if source.get(keyword, "").startswith(("1.9.", "1.22.", "2.22.")):  # roots that do not exist
            source[keyword].value = "1.2." + source[keyword].value
    return source


def made_source(sop_class_uid: str, modality: str, **attributes: Any) -> Dataset:
    """A header of any storage class, with what a PACS always has."""
    source = Dataset()
    source.SpecificCharacterSet = "ISO_IR 192"
    source.SOPClassUID, source.SOPInstanceUID = sop_class_uid, "1.2.3.4.1"
    source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.0"
    source.PatientName, source.PatientID = "Doe^Jane", "P-1"
    source.PatientBirthDate, source.PatientSex = "19700102", "F"
    source.StudyDate, source.StudyTime, source.StudyID = "20200101", "101112", "7"
    source.ReferringPhysicianName, source.AccessionNumber = "Who^Doctor", "A-7"
    source.Modality = modality
    if "Image Storage" in UID(sop_class_uid).name:
        source.Rows = source.Columns = 16
    for keyword, value in attributes.items():
        setattr(source, keyword, value)
    return source


def reread(source: Dataset) -> Dataset:
    """The source as it comes from a file: written and read again, nothing decoded yet."""
    buffer = io.BytesIO()
    source.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=False)
    return dcmread(io.BytesIO(buffer.getvalue()), force=True)


# --- payloads ---------------------------------------------------------------------------------------------------


def pixels(rows: int = 24, columns: int = 35, *, color: bool = True, bits: int = 8) -> Pixels:
    """A smooth picture with a little noise; odd in one direction."""
    y, x = np.mgrid[0:rows, 0:columns]
    noise = np.random.default_rng(1).integers(0, 4, (rows, columns))
    top = 2**bits - 1
    planes = [(x * top // columns), (y * top // rows), ((x + y) * top // (rows + columns))]
    planes = [np.clip(plane + noise, 0, top) for plane in planes]
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.ascontiguousarray(np.stack(planes, axis=-1) if color else planes[2]).astype(dtype)


def picture(array: Pixels, *, bits: int = 8, **more: Any) -> Picture:
    return Picture(
        rows=array.shape[0],
        columns=array.shape[1],
        samples_per_pixel=3 if array.ndim == 3 else 1,
        bits_stored=bits,
        pixels=array,
        **more,
    )


def kept_picture(array: Pixels, subsampling: str = "420") -> Picture:
    """A picture with a JPEG stream of its own."""
    color = array.ndim == 3
    how: dict[str, Any] = {"subsampling": subsampling} if color else {}
    if subsampling == "rgb":
        how = {"colorspace": "RGB", "outcolorspace": "RGB"}
    stream = bytes(imagecodecs.jpeg8_encode(array, level=90, **how))
    of_color = {"444": "YBR_FULL", "rgb": "RGB"}.get(subsampling, "YBR_FULL_422")
    photometric = of_color if color else "MONOCHROME2"
    return Picture(
        rows=array.shape[0],
        columns=array.shape[1],
        samples_per_pixel=3 if color else 1,
        bits_stored=8,
        kept_jpeg=KeptJpeg(stream, photometric),
        lossy=LossyHistory(1.0, "ISO_10918_1"),
    )


def still(one: Picture) -> Pictures:
    return Pictures(count=1, times_ms=None, opener=_opened([one]))


def clip(times_ms: Sequence[float], *, cine: bool, color: bool = True, rows: int = 24, columns: int = 36) -> Pictures:
    base = pixels(rows, columns, color=color)
    frames = [
        picture(np.roll(base, number, axis=1), time_ms=time_ms, lossy=LossyHistory(40.0, "ISO_14496_10"))
        for number, time_ms in enumerate(times_ms)
    ]
    return Pictures(count=len(frames), times_ms=tuple(times_ms), opener=_opened(frames), cine=cine)


@contextmanager
def _opened(pictures: Sequence[Picture]) -> Iterator[Iterator[Picture]]:
    yield iter(pictures)


def model(folder: Path, triangles: int = 33) -> Model:
    """A bumpy sphere as a binary STL file."""
    path = folder / "model.stl"
    path.write_bytes(real_media.binary_stl(real_media.sphere(triangles)))
    size_bytes = path.stat().st_size
    return Model(path, size_bytes)


def obj_model(folder: Path) -> Payload:
    """An OBJ file without materials (test_encapsulated.py has those)."""
    path = folder / "model.obj"
    path.write_text(making_models.obj())
    return open_media(path, Options(), Settings(), folder)


# --- building ---------------------------------------------------------------------------------------------------


def row(options: Options | None = None, **more: Any) -> Row:
    values: dict[str, Any] = {
        "row_number": 2,
        "row_id": "r",
        "media": "photo.png",
        "media_path": None,
        "media_sha256": "ab" * 32,
        "media_bytes": 1,
        "study_instance_uid": "1.2.3.4",
        "accession_number": None,
        "patient_id": "P-1",
        "options": options or Options(),
    }
    return Row(**values | more)


def a_build(source: Dataset, folder: Path, options: Options | None = None, **more: Any) -> Build:
    image_modality = more.pop("image_modality", None)
    return Build(
        row=row(options, **more),
        source=source,
        image_modality=image_modality,
        settings=Settings(),
        device_serial_number="serial",
        now=NOW,
        instance_path=lambda part: folder / "out" / f"{part:06d}.dcm",
    )


def build(
    payload: Payload, source: Dataset, folder: Path, options: Options | None = None, **more: Any
) -> list[Instance]:
    return build_instances(payload, a_build(source, folder, options, **more))


# --- reading back -----------------------------------------------------------------------------------------------


def fragments(path: Path) -> tuple[list[int], list[bytes]]:
    """Basic Offset Table and fragments of a file with encapsulated pixels, parsed here by the bytes (PS3.5 A.4)."""
    data = path.read_bytes()
    at = data.rindex(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)) + 12
    items = []
    while True:
        group, element, length = struct.unpack_from("<HHL", data, at)
        at += 8
        if (group, element) == (0xFFFE, 0xE0DD):
            assert at == len(data)
            return list(struct.unpack(f"<{len(items[0]) // 4}L", items[0])), items[1:]
        assert (group, element) == (0xFFFE, 0xE000)
        items.append(data[at : at + length])
        at += length


def jpeg_header(stream: bytes) -> dict[str, Any]:
    """What the stream's own markers say: SOF, precision, size, components, sampling, predictor of SOS, Adobe."""
    at, said = 2, {"adobe_rgb": False}
    while True:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, rows, columns, components = struct.unpack(">BHHB", stream[at + 4 : at + 10])
            sampling = [stream[at + 11 + 3 * i] for i in range(components)]
            said |= {"sof": marker, "precision": precision, "rows": rows, "columns": columns}
            said |= {"components": components, "sampling": sampling}
        if marker == 0xEE and stream[at + 4 : at + 9] == b"Adobe":
            said["adobe_rgb"] = stream[at + 15] == 0
        if marker == 0xDA:
            return said | {"predictor": stream[at + 5 + 2 * said["components"]]}
        at += 2 + length
