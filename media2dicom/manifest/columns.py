"""The columns of a manifest: one table with name, kind, parser and help.

Here is what a column is called and means. How sheets are opened is `tables.py`'s, how rows are judged `checking.py`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from media2dicom.manifest import values
from media2dicom.manifest.values import Parser


class Kind(StrEnum):
    REQUIRED = "required"
    SAFETY = "safety"
    SERIES = "series"
    CLINICAL = "clinical"
    VIDEO = "video"
    MODEL = "3d"
    ROUTING = "routing"
    SYSTEM = "system"  # written into the result workbook, ignored when read


@dataclass(frozen=True)
class Column:
    """One column. `parse` takes trimmed, non-empty text and raises ValueRefused."""

    name: str
    kind: Kind
    parse: Parser
    help: str
    used: bool = True  # False: carried through and returned, and the check says so
    identifier: bool = False  # a number cell is suspicious: zeros or digits may be lost


_SERIES_NUMBER: Final = values.whole_number(minimum=0)
_POSITIVE: Final = values.number(minimum=0, above=True)
_LO: Final = values.text(64)  # LO, PS3.5 6.2
_SH: Final = 16

COLUMNS: Final = (
    Column("media", Kind.REQUIRED, values.any_text, "The file, relative to the manifest's folder or a media root."),
    Column("study_instance_uid", Kind.REQUIRED, values.uid, "The study; or its accession number.", identifier=True),
    Column(
        "accession_number", Kind.REQUIRED, values.query_key(_SH), "The study, when its UID is empty.", identifier=True
    ),
    Column("patient_id", Kind.REQUIRED, values.identifier(64), "Must equal the PACS's Patient ID.", identifier=True),
    Column("row_id", Kind.SAFETY, _LO, "Your own stable name for the row; made from the content when empty."),
    Column("patient_birth_date", Kind.SAFETY, values.date, "Second identifier, compared with the PACS's."),
    Column("patient_name", Kind.SAFETY, values.text(324), "Second identifier, compared with the PACS's."),
    Column("media_sha256", Kind.SAFETY, values.sha256, "The file's SHA-256; another file under its name is refused."),
    Column("skip", Kind.SAFETY, values.boolean, "yes: leave this row out."),
    Column("series_description", Kind.SERIES, _LO, "Series Description, up to 64 characters."),
    Column("series_number", Kind.SERIES, _SERIES_NUMBER, "Series Number, 0 to 2147483647."),
    Column("series_group", Kind.SERIES, _LO, "Rows that share it become one series."),
    Column("instance_order", Kind.SERIES, _SERIES_NUMBER, "Place in the series; the row's place in it when empty."),
    Column("accession_override", Kind.SERIES, values.query_key(_SH), "Replaces the study's number.", identifier=True),
    Column("modality", Kind.SERIES, values.modality, "Replaces the source's Modality, e.g. XC."),
    Column(
        "sop_class_policy",
        Kind.SERIES,
        values.sop_class_policy,
        "secondary-capture, native or visible-light.",
    ),
    Column("transfer_syntax", Kind.SERIES, values.transfer_syntax, ".50, .51, .57, .70, explicit, or a UID."),
    Column("document_title", Kind.SERIES, values.text(1024), "Title of a PDF, a CDA document or a 3D model."),
    Column("content_date", Kind.SERIES, values.date, "When the picture was taken, YYYY-MM-DD."),
    Column("content_time", Kind.SERIES, values.time, "When the picture was taken, HH:MM:SS."),
    Column("body_part", Kind.CLINICAL, values.body_part, "Body Part Examined (PS3.16 Annex L), e.g. HAND."),
    Column("laterality", Kind.CLINICAL, values.laterality, "R, L, B (both) or U (unpaired)."),
    Column("view", Kind.CLINICAL, values.any_text, "View.", used=False),
    Column("department", Kind.CLINICAL, values.any_text, "Department.", used=False),
    Column("acquisition_device", Kind.CLINICAL, values.any_text, "The camera or scanner.", used=False),
    Column("operator", Kind.CLINICAL, values.any_text, "Who took it.", used=False),
    Column("burned_in_annotation", Kind.CLINICAL, values.boolean, "yes: names or IDs can be read in the picture."),
    Column("comments", Kind.CLINICAL, values.any_text, "Free text.", used=False),
    Column("frame_interval_s", Kind.VIDEO, _POSITIVE, "Seconds between the frames taken."),
    Column("start_s", Kind.VIDEO, values.number(minimum=0), "Where in the clip to begin, in seconds."),
    Column("end_s", Kind.VIDEO, _POSITIVE, "Where in the clip to end, in seconds."),
    Column("max_frames", Kind.VIDEO, values.whole_number(minimum=1), "At most so many frames."),
    Column("video_mode", Kind.VIDEO, values.video_mode, "frames (an instance each), cine, native or transcode."),
    Column("convert_to_stl", Kind.MODEL, values.boolean, "yes: a model of another format (PLY, OBJ, ...) becomes STL."),
    Column("units", Kind.MODEL, values.units, "The model's unit: mm (default), cm, m or um."),
    Column("model_group", Kind.MODEL, _LO, "Models that share it are parts of one assembly."),
    Column("part_name", Kind.MODEL, _LO, "The part's name, up to 64 characters."),
    Column("color", Kind.MODEL, values.color, "Display colour: r,g,b or #rrggbb."),
    Column("color_in_description", Kind.MODEL, values.boolean, "yes: write the colour into Content Description too."),
    Column("opacity", Kind.MODEL, values.number(minimum=0, maximum=1), "0 (transparent) to 1 (opaque)."),
    Column("mirrored", Kind.MODEL, values.boolean, "yes: the model is mirrored."),
    Column("modified", Kind.MODEL, values.boolean, "yes: the model was changed against the anatomy."),
    Column("model_usage", Kind.MODEL, values.model_usage, "What the model is for (CID 7064), e.g. planning."),
    Column("destination", Kind.ROUTING, values.any_text, "A configured server; the run's server when empty."),
    Column("priority", Kind.ROUTING, values.any_text, "Priority.", used=False),
    Column("status", Kind.SYSTEM, values.any_text, "How the row stands."),
    Column("message", Kind.SYSTEM, values.any_text, "Why."),
    Column("next_step", Kind.SYSTEM, values.any_text, "What to do."),
    Column("series_instance_uid", Kind.SYSTEM, values.any_text, "The series that was made."),
    Column("sop_instance_uids", Kind.SYSTEM, values.any_text, "The instances that were made."),
    Column("instances", Kind.SYSTEM, values.any_text, "How many."),
    Column("dicom_bytes", Kind.SYSTEM, values.any_text, "Their size in bytes."),
    Column("attempts", Kind.SYSTEM, values.any_text, "How often they were sent."),
    Column("store_status", Kind.SYSTEM, values.any_text, "The PACS's answer."),
    Column("verified", Kind.SYSTEM, values.any_text, "Whether the PACS found them when asked."),
    Column("finished_at", Kind.SYSTEM, values.any_text, "When the row ended."),
)
COLUMN: Final = {column.name: column for column in COLUMNS}
# What the sheet Defaults may set for all rows: not what names one file, patient, study or place in a series.
DEFAULTABLE: Final = tuple(
    column.name
    for column in COLUMNS
    if column.kind in (Kind.SERIES, Kind.CLINICAL, Kind.VIDEO, Kind.MODEL, Kind.ROUTING)
    and column.used
    and not column.identifier
    and column.name not in ("series_group", "instance_order")
)
SYSTEM_COLUMNS: Final = tuple(column.name for column in COLUMNS if column.kind is Kind.SYSTEM)
STUDY_COLUMNS: Final = ("study_instance_uid", "accession_number")  # one of them is required
MANDATORY_COLUMNS: Final = ("media", "patient_id")


def header_name(text: str) -> str:
    """A header as the table spells it: ' Patient-ID ' is patient_id. A byte order mark is taken off."""
    return re.sub(r"[\s_-]+", "_", text.replace("\ufeff", "").strip()).strip("_").lower()
