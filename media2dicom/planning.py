"""The dry run: all problems of a manifest, and what a run would do. The same code as the run, nothing sent.

Offline it reads the sheet and looks into the media; else it also asks the PACS: is it there, is the study there,
is the patient the same, would it take the objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import (
    EncapsulatedSTLStorage,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from media2dicom.errors import Media2DicomError, NoPresentationContext
from media2dicom.identity import confirm_identity
from media2dicom.limits import refuse_over_limit, size_warning
from media2dicom.manifest.reading import read_manifest
from media2dicom.manifest.report import Manifest, Note, Problem, Severity
from media2dicom.media import plan_media
from media2dicom.media.payload import MediaPlan
from media2dicom.model import Instance, Row, VideoMode
from media2dicom.pacs.associations import echo
from media2dicom.pacs.store import StoreSession
from media2dicom.settings import Server, Settings
from media2dicom.steps.retrieve import fetch_source

_NATIVE = str(ExplicitVRLittleEndian)


@dataclass(frozen=True)
class RowPlan:
    """What a run would do with one row."""

    row: Row
    destination: str | None
    media: MediaPlan


@dataclass(frozen=True)
class Plan:
    """All that is known before a run. Holds no patient data outside `rows[].row`."""

    manifest: Manifest
    rows: tuple[RowPlan, ...]  # of the rows without an error
    problems: tuple[Problem, ...]
    notes: tuple[Note, ...]
    asked: tuple[str, ...]  # servers that were asked

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def plan_manifest(manifest: Path, settings: Settings, server_name: str | None, *, offline: bool) -> Plan:
    """Raises ManifestUnusable, ServerUnknown, and PacsError when a server does not answer the C-ECHO."""
    found = read_manifest(manifest, media_roots=settings.media_roots, known_servers=settings.servers)
    if not offline and (server_name is not None or any(row.destination is None for row in found.rows)):
        server_name, _ = settings.server(server_name)
    problems, plans = list(found.problems), []
    for row in found.rows:
        try:
            media = _plan_row(row, settings)
        except Media2DicomError as error:
            problems.append(_problem(row, error))
            continue
        problems += [_warning(row, text) for text in media.warnings]
        if (text := size_warning(media.largest_instance_bytes, settings.upload_size_warning_mb)) is not None:
            problems.append(_warning(row, text))
        plans.append(RowPlan(row, row.destination or server_name, media))
    notes = list(found.notes)
    asked: list[str] = []
    if not offline:
        for name in sorted({plan.destination for plan in plans if plan.destination}):
            server = settings.servers[name]
            echo(server, settings)
            asked.append(name)
            of_server = [plan for plan in plans if plan.destination == name]
            refused = _ask(server, settings, of_server)
            problems += refused
            notes += _context_notes(name, server, settings, of_server)
            rejected = {problem.row_number for problem in refused}
            plans = [plan for plan in plans if plan.row.row_number not in rejected]
    problems.sort(key=lambda problem: problem.row_number)
    return Plan(found, tuple(plans), tuple(problems), tuple(notes), tuple(asked))


def _plan_row(row: Row, settings: Settings) -> MediaPlan:
    if row.media_path is None:
        raise ValueError("a row that was read has its media")
    media = plan_media(row.media_path, row.options, settings)
    refuse_over_limit(media.largest_instance_bytes, row.media, at_least=True)
    return media


def _problem(row: Row, error: Media2DicomError) -> Problem:
    return Problem(row.row_number, None, None, Severity.ERROR, error.code, error.message.rstrip("."), error.next_step)


def _warning(row: Row, text: str) -> Problem:
    return Problem(row.row_number, None, "media", Severity.WARNING, "media-warning", text.rstrip("."), "Look at it.")


def _ask(server: Server, settings: Settings, plans: Iterable[RowPlan]) -> list[Problem]:
    """Is each row's study there, and its patient the same? Each study is fetched once."""
    headers: dict[tuple[str | None, str | None], Dataset | Media2DicomError] = {}
    problems = []
    for plan in plans:
        row = plan.row
        key = (row.study_instance_uid, row.accession_number)
        if key not in headers:
            try:
                headers[key] = fetch_source(server, settings, row)[0]
            except Media2DicomError as error:
                headers[key] = error
        header = headers[key]
        try:
            if isinstance(header, Media2DicomError):
                raise header
            confirm_identity(row, header)
        except Media2DicomError as error:
            problems.append(_problem(row, error))
    return problems


def _context_notes(name: str, server: Server, settings: Settings, plans: list[RowPlan]) -> list[Note]:
    """Which of the objects to be sent the PACS would take, and how."""
    wanted: dict[str, set[str]] = {}
    for plan in plans:
        sop_class, syntaxes = _object_of(plan)
        wanted.setdefault(sop_class, set()).update(syntaxes)
    if not wanted:
        return []
    probes = [
        Instance("2.25.0", sop_class, "2.25.0", "2.25.0", syntax, Path(), 0, 0)
        for sop_class, syntaxes in wanted.items()
        for syntax in sorted(syntaxes)
    ]
    notes = []
    try:
        with StoreSession(server, settings, probes) as session:
            accepted = {sop_class: session.accepted_syntaxes(sop_class) for sop_class in wanted}
    except NoPresentationContext:
        accepted = {}
    except Media2DicomError as error:
        return [Note(error.code, f"{name}: {error.message}")]
    for sop_class, syntaxes in wanted.items():
        title = SOP_CLASS_NAMES.get(sop_class, sop_class)
        if not accepted.get(sop_class):
            notes.append(Note("no-presentation-context", f"{name} does not accept {title}."))
        elif syntaxes - accepted[sop_class]:
            notes.append(Note("transcoded", f"{name} refuses JPEG for {title}: it will be sent uncompressed."))
    return notes


SOP_CLASS_NAMES = {
    str(uid): uid.name
    for uid in (
        SecondaryCaptureImageStorage,
        MultiFrameTrueColorSecondaryCaptureImageStorage,
        EncapsulatedSTLStorage,
    )
}


def _object_of(plan: RowPlan) -> tuple[str, set[str]]:
    options = plan.row.options
    if plan.media.kind == "mesh":
        return str(EncapsulatedSTLStorage), {_NATIVE}
    default = {str(JPEGBaseline8Bit)} if plan.media.kind == "video" else {str(JPEGBaseline8Bit), str(JPEGLosslessSV1)}
    syntaxes = {options.transfer_syntax} if options.transfer_syntax is not None else default
    cine = plan.media.kind == "video" and options.video_mode is VideoMode.CINE and plan.media.frames > 1
    return str(MultiFrameTrueColorSecondaryCaptureImageStorage if cine else SecondaryCaptureImageStorage), syntaxes
