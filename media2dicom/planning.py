"""The dry run: all problems of a manifest, and what a run would do. The same code as the run, nothing sent.

Offline it reads the sheet and looks into the media; else it also asks the PACS: is it there, is the study there,
is the patient the same, would it take the objects; and the ledger what earlier runs filed.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from media2dicom.cache import Cache
from media2dicom.dicom.building import Build
from media2dicom.dicom.images import picture_class
from media2dicom.dicom.references import Source
from media2dicom.dicom.transfer_syntaxes import VIDEO_SYNTAX_UIDS
from media2dicom.dicom.uids import content_key, sop_instance_uid
from media2dicom.errors import DuplicateRow, LedgerFailed, Media2DicomError, NoPresentationContext, sealed
from media2dicom.identity import confirm_identity
from media2dicom.inbox import read_here
from media2dicom.ledger import Content, Ledger
from media2dicom.limits import size_warning
from media2dicom.manifest.keys import row_key, study_reference
from media2dicom.manifest.report import Manifest, Note, Problem, Severity
from media2dicom.media.payload import MediaPlan
from media2dicom.model import Instance, Row, VideoMode
from media2dicom.pacs.associations import echo
from media2dicom.pacs.store import StoreSession
from media2dicom.preparing import plan, prepare
from media2dicom.settings import Server, Settings
from media2dicom.steps.retrieve import fetch_source
from media2dicom.steps.workbench import content_of


@dataclass(frozen=True)
class RowPlan:
    """What a run would do with one row."""

    row: Row
    destination: str | None
    media: MediaPlan
    objects: frozenset[tuple[str, str]]  # SOP Class and transfer syntax of the instances


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
    """Raises ManifestUnusable and ServerUnknown. A server that does not answer is a problem of each of its rows."""
    found = read_here(settings, manifest)
    if not offline and (server_name is not None or any(row.destination is None for row in found.rows)):
        server_name, _ = settings.server(server_name)
    problems, plans, notes = list(found.problems), [], list(found.notes)
    sources = _Sources(settings)
    asked = [] if offline else sorted({row.destination or server_name or "" for row in found.rows})
    filed: dict[Content, int] = {}
    with ExitStack() as stack:
        ledger = None if offline else _open_ledger(settings, stack, notes)
        for row in found.rows:
            destination = row.destination or server_name
            try:
                source = _STAND_IN if offline or destination is None else sources.of(destination, row)
                media, objects = _try_out(row, source, settings)
                content = _content(row, destination or "", source, settings)
                earlier = filed.setdefault(content, row.row_number)
                if earlier != row.row_number:
                    raise DuplicateRow(f"Row {earlier} {DuplicateRow.files}.")
                if ledger is not None:
                    _refuse_duplicate(ledger, row, destination or "", content, source)
            except Media2DicomError as error:
                problems.append(_problem(row, error))
                continue
            problems += [_warning(row, text) for text in media.warnings]
            plans.append(RowPlan(row, destination, media, objects))
        if ledger is not None and (stored := ledger.stored(row_key(one.row, one.destination or "") for one in plans)):
            told = "1 row is" if stored == 1 else f"{stored} rows are"
            notes.append(Note("stored-before", f"{told} stored by an earlier run: nothing is sent again."))
    for name in asked:
        notes += _context_notes(
            name, settings.servers[name], settings, [one for one in plans if one.destination == name]
        )
    problems.sort(key=lambda problem: problem.row_number)
    return Plan(found, tuple(plans), tuple(problems), tuple(notes), tuple(asked))


def _open_ledger(settings: Settings, stack: ExitStack, notes: list[Note]) -> Ledger | None:
    """None when there is none, as a check is no reason to make one, or when it cannot be asked: then it is noted."""
    try:
        if not settings.has_ledger:
            return None
        return stack.enter_context(closing(Ledger(settings.ledger_location)))
    except (LedgerFailed, OSError):
        text = "The ledger could not be asked: what earlier runs filed is not known, and its duplicates are not told."
        notes.append(Note(LedgerFailed.code, text))
        return None


def _content(row: Row, destination: str, source: Source, settings: Settings) -> Content:
    study = study_reference(row)[1] if source is _STAND_IN else str(source.header.StudyInstanceUID)
    if destination not in settings.servers:  # offline, nobody has to name one
        return Content(content_key(study, row), (destination,))
    return content_of(settings, destination, study, row)


def _refuse_duplicate(ledger: Ledger, row: Row, destination: str, content: Content, source: Source) -> None:
    """Raise DuplicateRow when the content is another row's of an earlier run."""
    uid_of = partial(sop_instance_uid, str(source.header.StudyInstanceUID), row)
    if (error := ledger.duplicate(row_key(row, destination), content, uid_of)) is not None:
        raise error


class _Sources:
    """Each server is asked for an echo once, each study fetched once, each row's patient compared with it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._echoes: dict[str, Media2DicomError | None] = {}
        self._found: dict[tuple[str | None, ...], Source | Media2DicomError] = {}

    def _echo(self, destination: str) -> None:
        if destination not in self._echoes:
            self._echoes[destination] = None
            try:
                echo(self._settings.servers[destination], self._settings)
            except Media2DicomError as error:
                self._echoes[destination] = error
        if (failure := self._echoes[destination]) is not None:
            raise failure

    def of(self, destination: str, row: Row) -> Source:
        self._echo(destination)
        key = (destination, row.study_instance_uid, row.accession_number)
        if key not in self._found:
            try:
                server = self._settings.servers[destination]
                with sealed("Fetching the study"):
                    self._found[key] = fetch_source(server, self._settings, row)
            except Media2DicomError as error:
                self._found[key] = error
        source = self._found[key]
        if isinstance(source, Media2DicomError):
            raise source
        with sealed("Confirming the patient"):
            confirm_identity(row, source.header)
        return source


def _try_out(row: Row, source: Source, settings: Settings) -> tuple[MediaPlan, frozenset[tuple[str, str]]]:
    """The row's media as a run would convert it, thrown away at once; a video is listed, not decoded."""
    planned = plan(row, settings)
    if planned.kind == "video":
        objects = _video_objects(planned, row, source, settings)
        warning = size_warning(planned.largest_instance_bytes, settings.upload_size_warning_mb)
        return replace(planned, warnings=(*planned.warnings, *([warning] if warning else []))), objects
    with Cache(settings.cache_dir).work_folder() as folder:
        prepared = prepare(
            planned,
            row,
            source,
            settings,
            device_serial_number="0",
            instance_path=lambda part: folder / f"{part}.dcm",
            work_folder=folder,
        )
        sizes = [instance.size_bytes for instance in prepared.instances]
        objects = frozenset((one.sop_class_uid, one.transfer_syntax_uid) for one in prepared.instances)
    warning = size_warning(max(sizes), settings.upload_size_warning_mb)
    warnings = (*prepared.warnings, *([warning] if warning else []))
    return replace(planned, estimated_bytes=sum(sizes), largest_instance_bytes=max(sizes), warnings=warnings), objects


def _video_objects(planned: MediaPlan, row: Row, source: Source, settings: Settings) -> frozenset[tuple[str, str]]:
    """What a video would become, which is taken for a colour one. Raises OptionRefused for a policy that cannot be."""
    build = Build(row, source.header, source.image_modality, settings, "0", datetime.now(), lambda part: Path())
    syntax = planned.video_transfer_syntax or row.options.transfer_syntax or str(JPEGBaseline8Bit)
    cine = row.options.video_mode is VideoMode.CINE and planned.frames > 1
    multi_frame = cine or planned.video_transfer_syntax is not None
    return frozenset({(picture_class(build, multi_frame=multi_frame, color=True, bits_stored=8), syntax)})


def _stand_in() -> Source:
    """What a row is tried out with when no PACS is asked."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = SecondaryCaptureImageStorage, "2.25.1"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.PatientID = "2.25.2", "2.25.3", "0"
    # What a source may say and a row leave open is no problem of the row's.
    header.Modality, header.BodyPartExamined, header.ImageLaterality = "OT", "WHOLEBODY", "B"
    return Source(header)


_STAND_IN = _stand_in()


def _problem(row: Row, error: Media2DicomError) -> Problem:
    return Problem(row.row_number, None, None, Severity.ERROR, error.code, error.message.rstrip("."), error.next_step)


def _warning(row: Row, text: str) -> Problem:
    return Problem(row.row_number, None, "media", Severity.WARNING, "media-warning", text.rstrip("."), "Look at it.")


def _context_notes(name: str, server: Server, settings: Settings, plans: list[RowPlan]) -> list[Note]:
    """Which of the objects to be sent the PACS would take, and how."""
    wanted: dict[str, set[str]] = {}
    for sop_class, syntax in sorted({found for one in plans for found in one.objects}):
        wanted.setdefault(sop_class, set()).add(syntax)
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
        title = UID(sop_class).name
        refused = syntaxes - accepted.get(sop_class, frozenset())
        names = ", ".join(sorted(UID(one).name for one in refused & VIDEO_SYNTAX_UIDS or refused))
        if not accepted.get(sop_class):
            notes.append(Note("no-presentation-context", f"{name} does not accept {title}."))
        elif refused & VIDEO_SYNTAX_UIDS:
            notes.append(Note("no-presentation-context", f"{name} does not accept videos as {names}."))
        elif refused:
            text = f"{name} does not accept {title} as {names}: it will be sent natively encoded."
            notes.append(Note("transcoded", text))
    return notes
