"""What tests of whole runs share: sheets of mixed media, instances fetched back from a PACS."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from media2dicom.pacs import retrieve
from media2dicom.pacs.demo import DemoPacs
from media2dicom.pacs.query import find_images, find_series, query_association
from media2dicom.settings import Server, Settings
from tests import peers, real_media


@dataclass(frozen=True)
class Patient:
    """Who a study in the PACS belongs to, as a sheet names them."""

    study: Dataset

    @property
    def cells(self) -> dict[str, str]:
        return {"study_instance_uid": str(self.study.StudyInstanceUID), "patient_id": str(self.study.PatientID)}


def write_sheet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV manifest; the header is all the keys."""
    headers = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, headers)
        writer.writeheader()
        writer.writerows(rows)
    return path


def make_media(folder: Path) -> dict[str, Path]:
    """One file of each kind and form, some of them real media."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    color = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    paths = {name: folder / name for name in ("photo.jpg", "turned.jpg", "screen.png", "palette.png", "alpha.png")}
    paths |= {name: folder / name for name in ("film16.png", "scan.bmp", "cmyk.jpg", "progressive.jpg", "text.stl")}
    Image.fromarray(color).resize((320, 240)).save(paths["photo.jpg"], quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(color).save(paths["turned.jpg"], quality=90, exif=exif)
    Image.fromarray(color).save(paths["progressive.jpg"], quality=90, progressive=True)
    Image.fromarray(color).convert("CMYK").save(paths["cmyk.jpg"], quality=90)
    Image.fromarray(color).save(paths["screen.png"])
    Image.fromarray(color).quantize(32).save(paths["palette.png"])
    Image.fromarray(np.dstack([color, color[..., 0]])).save(paths["alpha.png"])
    Image.fromarray(rng.integers(0, 65536, (50, 70), dtype=np.uint16)).save(paths["film16.png"])
    Image.fromarray(color[..., 1].copy()).save(paths["scan.bmp"])
    vertices = real_media.sphere()
    paths["text.stl"].write_text(real_media.text_stl(vertices), encoding="ascii")
    (folder / "binary.stl").write_bytes(real_media.binary_stl(vertices))
    (folder / "part2.stl").write_bytes(real_media.binary_stl(vertices * 0.5))
    (folder / "bikes.mp4").write_bytes(real_media.real_video("bikes.mp4").read_bytes())
    for real in ("rocket.jpg", "astronaut.png"):  # a baseline 4:4:4 photo, a colour PNG
        (folder / real).write_bytes(real_media.real_image(real).read_bytes())
    names = ("binary.stl", "part2.stl", "bikes.mp4", "rocket.jpg", "astronaut.png")
    return paths | {name: folder / name for name in names}


class MoodyPacs(DemoPacs):
    """The embedded PACS, but `mood` may answer a C-STORE with a status; None is its ordinary answer."""

    mood: Callable[[Dataset], int | None] = staticmethod(lambda dataset: None)

    def _on_store(self, event: Any) -> int:
        status = self.mood(event.dataset)
        return super()._on_store(event) if status is None else status

    @property
    def peer(self) -> peers.Peer:
        return peers.Peer("moody", self.port, self.ae_title, peers.free_port(), self.host)


def fetch(server: Server, settings: Settings, study_instance_uid: str) -> list[Dataset]:
    """Every instance of the study as the PACS gives it back, whole, with its file meta information."""
    with query_association(server, settings) as association:
        matches = [
            match
            for series in find_series(association, study_instance_uid)
            for match in find_images(association, study_instance_uid, series.series_instance_uid)
        ]
    found = []
    for match in matches:
        keys = Dataset()
        keys.QueryRetrieveLevel = "IMAGE"
        keys.StudyInstanceUID, keys.SeriesInstanceUID = match.study_instance_uid, match.series_instance_uid
        keys.SOPInstanceUID = match.sop_instance_uid
        part10: BytesIO = retrieve._get(server, settings, match, keys)  # the whole object: retrieve cuts it later
        found.append(dcmread(part10))
    return found
