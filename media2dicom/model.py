"""The nouns that travel between floors: Row, Options, SourceStudy, Instance, Outcome, Status. All frozen.

No datasets and no pixels here; a path, never a Dataset, crosses a task border.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Status(StrEnum):
    """Where a row is on its way. The ledger keeps it; the result workbook shows it."""

    CHECKED = "CHECKED"
    IDENTIFIED = "IDENTIFIED"
    PREPARED = "PREPARED"
    SENDING = "SENDING"
    UNCERTAIN = "UNCERTAIN"  # sent, no answer: settled by a query, never guessed
    STORED = "STORED"
    FAILED = "FAILED"
    REFUSED = "REFUSED"
    CONFLICT = "CONFLICT"
    SKIPPED = "SKIPPED"  # the submitter's own wish (column skip)


class SopClassPolicy(StrEnum):
    """What kind of object pictures become."""

    SECONDARY_CAPTURE = "secondary-capture"
    NATIVE = "native"  # the source's own class, where that conforms
    VISIBLE_LIGHT = "visible-light"  # a photograph, Modality XC


class VideoMode(StrEnum):
    FRAMES = "frames"  # an instance per sampled frame
    CINE = "cine"  # one multi-frame instance of the sampled frames
    NATIVE = "native"  # the clip's own H.264, H.265 or MPEG-2 stream
    TRANSCODE = "transcode"  # as native; a stream that may not be kept is coded anew


class Units(StrEnum):
    """CID 7063, model measurement units (UCUM codes)."""

    MM = "mm"
    CM = "cm"
    M = "m"
    UM = "um"


@dataclass(frozen=True)
class Options:
    """What a row asks for beyond 'file this there'. Parsed and in range; None means the default."""

    series_description: str | None = None
    series_number: int | None = None
    series_group: str | None = None
    instance_order: int | None = None
    accession_override: str | None = None
    modality: str | None = None
    sop_class_policy: SopClassPolicy = SopClassPolicy.SECONDARY_CAPTURE
    transfer_syntax: str | None = None  # a UID of media2dicom.dicom.transfer_syntaxes
    content_date: str | None = None  # DA
    content_time: str | None = None  # TM
    frame_interval_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    max_frames: int | None = None
    video_mode: VideoMode = VideoMode.FRAMES
    document_title: str | None = None
    convert_to_stl: bool = False
    units: Units = Units.MM
    model_group: str | None = None
    part_name: str | None = None
    color: tuple[int, int, int] | None = None  # sRGB, 0 to 255 each
    color_in_description: bool = False
    opacity: float | None = None  # 0 transparent to 1 opaque
    mirrored: bool = False
    modified: bool = False
    model_usage: str | None = None  # a code value of CID 7064
    burned_in_annotation: bool | None = None
    laterality: str | None = None  # R, L, B or U
    body_part: str | None = None  # a word for a defined term (PS3.16 Annex L), as it is in the cell


@dataclass(frozen=True)
class Row:
    """One non-blank line of a manifest, as the submitter wrote it. Holds patient data: stays in the core."""

    row_number: int  # as the spreadsheet shows it; the header is row 1
    row_id: str
    media: str  # the cell's text
    media_path: Path | None  # resolved below a media root; None when it could not be
    media_sha256: str | None  # of its content: media.content_sha256
    media_bytes: int | None
    study_instance_uid: str | None
    accession_number: str | None = field(repr=False)
    patient_id: str = field(repr=False)
    patient_birth_date: str | None = field(default=None, repr=False)  # DA
    patient_name: str | None = field(default=None, repr=False)
    destination: str | None = None  # a configured server's name; None: the run's server
    options: Options = field(default_factory=Options)
    order_in_group: int | None = None  # from 1, if there is a series_group; in no key, no UID: sheets get sorted


@dataclass(frozen=True)
class Batch:
    """What crosses a task border: opaque keys of a run and its rows."""

    run_id: str
    row_keys: tuple[str, ...]
    label: str  # "rows 2-33": row numbers, for people


@dataclass(frozen=True)
class SourceStudy:
    """A study found in the PACS, and the header of the instance that lends its identity."""

    study_instance_uid: str
    header_path: Path  # Part 10 file without Pixel Data
    image_modality: str | None = None  # of an image series, when the instance is no image


@dataclass(frozen=True)
class Instance:
    """One DICOM instance, written to the cache and complete."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    path: Path
    size_bytes: int
    number: int  # part index within its row, from 0


@dataclass(frozen=True)
class Outcome:
    """How a row stands, for people: no patient data."""

    status: Status
    code: str | None = None
    message: str = ""
    next_step: str = ""
    transient: bool = False
