"""What a media file turns into on its way to DICOM: Pictures (stills, video frames), a Clip, a Model or a Document.

Readers, one for each media type, make these; `media2dicom.dicom` builds instances from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_SIDE: Final = 65_500  # where libjpeg ends, and with it DCMTK and GDCM; Rows and Columns hold 65,535
DATASET_BYTES: Final = 4_000  # of an instance, everything but the pixels or the model, about

Pixels = NDArray[np.uint8] | NDArray[np.uint16]

# Methods of lossy compression (PS3.3 C.7.6.1.1.5.1); VP8 has no defined term.
JPEG, MPEG_2, H_264, H_265, VP8 = "ISO_10918_1", "ISO_13818_2", "ISO_14496_10", "ISO_23008_2", "RFC_6386"


@dataclass(frozen=True)
class LossyHistory:
    """How the pixels were compressed with loss before they came here (PS3.3 C.7.6.1.1.5)."""

    ratio: float  # uncompressed bytes / compressed bytes
    method: str  # one of those above, or the name of another codec


@dataclass(frozen=True)
class KeptJpeg:
    """A baseline JPEG's own bitstream, metadata segments stripped, pixels untouched."""

    bitstream: bytes  # SOI to EOI, even or odd length
    photometric_interpretation: str  # MONOCHROME2, YBR_FULL, YBR_FULL_422 or RGB


@dataclass(frozen=True)
class Picture:
    """One picture, upright. Either `kept_jpeg` or `pixels` is there, never both.

    pixels: uint8 (rows, columns) or (rows, columns, 3) RGB, or uint16 (rows, columns) grey; C-contiguous.
    bits_stored: 8, or for uint16 the bits in use, 9 to 16 (12 or 16 by what the file declares, never less than
    the largest value needs).
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_stored: int
    pixels: Pixels | None = None
    kept_jpeg: KeptJpeg | None = None
    lossy: LossyHistory | None = None
    icc_profile: bytes | None = None  # only when it fits the pixels' colour space
    time_ms: float | None = None  # the frame's own instant from the start of the clip
    pixel_aspect_ratio: tuple[int, int] | None = None  # vertical, horizontal (0028,0034); None: square pixels


@dataclass(frozen=True)
class Pictures:
    """One still, or the sampled frames of a clip, all of one size. `open()` may be entered once per conversion."""

    count: int  # exact
    times_ms: tuple[float, ...] | None  # None for a still; else one per frame, ascending
    opener: AbstractContextManager[Iterator[Picture]]
    cine: bool = False  # True: one multi-frame instance; False: one instance per picture

    def open(self) -> AbstractContextManager[Iterator[Picture]]:
        """A context manager over an iterator of exactly `count` pictures; leaving it stops the decoder."""
        return self.opener


STL, OBJ, MTL, PDF, CDA = "model/stl", "model/obj", "model/mtl", "application/pdf", "text/XML"  # PS3.3 A.45, A.85


@dataclass(frozen=True)
class Material:
    """A material library (MTL) that an OBJ file names."""

    path: Path
    size_bytes: int
    reference: str  # as the OBJ names it, relative to itself, as a URI reference


@dataclass(frozen=True)
class Model:
    """A 3D model as a complete file: binary STL, or OBJ with its material libraries."""

    path: Path  # the submitter's file where it can be stored as it is, else a converted copy in the work folder
    size_bytes: int
    mime_type: str = STL
    materials: tuple[Material, ...] = ()
    warnings: tuple[str, ...] = ()  # of what is seen only when all of it is read


@dataclass(frozen=True)
class NamedPatient:
    """Whom a clinical document names as its patient. Holds patient data."""

    ids: tuple[tuple[str, str], ...] = field(repr=False)  # (assigning authority's OID or empty, ID)
    birth_date: str | None = field(repr=False)  # DA, where the document gives the day
    names: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Document:
    """A PDF or CDA file, stored as it is. The patient and what follows it are a CDA's."""

    path: Path
    size_bytes: int
    mime_type: str
    patient: NamedPatient | None = None
    instance_identifier: str | None = None  # HL7 Instance Identifier (0040,E001)
    code: tuple[str, str, str] | None = None  # value, scheme, meaning
    parts: tuple[str, ...] = ()  # MIME types of what is embedded in it


@dataclass(frozen=True)
class Clip:
    """A whole video as one stream in an MP4 file, which DICOM holds as it is (PS3.5 8.2.5 to 8.2.10); 8 bits, 4:2:0."""

    path: Path
    size_bytes: int
    transfer_syntaxes: tuple[str, ...]  # that the stream conforms to, the one to be used first
    rows: int
    columns: int
    times_ms: tuple[float, ...]  # one per frame, ascending from 0
    lossy: tuple[LossyHistory, ...]  # every lossy step, oldest first
    pixel_aspect_ratio: tuple[int, int] | None = None  # vertical, horizontal; None: square pixels


Payload = Pictures | Clip | Model | Document


@dataclass(frozen=True)
class MediaPlan:
    """A cheap look into a media file, for checks and plans: nothing decoded, or next to nothing."""

    kind: str  # image, video, mesh, document
    estimated_bytes: int  # of the DICOM to be sent, all instances
    largest_instance_bytes: int  # a lower bound that is certain; what decides the upload limit early
    instances: int = 1
    frames: int = 0  # pictures in all
    rows: int | None = None  # of a picture, upright, as the file's header says
    columns: int | None = None
    warnings: tuple[str, ...] = ()
    video_transfer_syntax: str | None = None  # of a Clip


def document_plan(size_bytes: int, warnings: tuple[str, ...]) -> MediaPlan:
    """Of a document that is stored as it is."""
    return MediaPlan(
        kind="document",
        estimated_bytes=size_bytes + DATASET_BYTES,
        largest_instance_bytes=size_bytes,
        warnings=warnings,
    )
