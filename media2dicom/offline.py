"""Media to DICOM files without a PACS: one source instance lends its identity, the builders are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from media2dicom.dicom.references import Source
from media2dicom.dicom.uids import sop_instance_uid
from media2dicom.dicom.values import text_of
from media2dicom.errors import CacheFailed, CellRefused, OptionRefused, SourceUnusable
from media2dicom.manifest.columns import COLUMN, header_name
from media2dicom.manifest.fitting import fitting
from media2dicom.manifest.values import ValueRefused
from media2dicom.media import content_sha256, media_type_of
from media2dicom.model import Instance, Options, Row
from media2dicom.preparing import plan, prepare
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench

_OPTION_NAMES = {field.name for field in fields(Options)}


def parse_options(assignments: Iterable[str], settings: Settings) -> Options:
    """`column=value` texts as a manifest's cells. Raises CellRefused naming the column."""
    values: dict[str, Any] = {"sop_class_policy": settings.sop_class_policy}
    for assignment in assignments:
        text, sign, value = assignment.partition("=")
        name = header_name(text)
        if not sign or name not in _OPTION_NAMES:
            known = ", ".join(sorted(_OPTION_NAMES))
            raise CellRefused(
                f"--set {text}: there is no such column; known: {known}.", next_step="Write column=value."
            )
        if not value.strip():
            continue
        try:
            values[name] = COLUMN[name].parse(value.strip())
        except ValueRefused as refusal:
            raise CellRefused(f"--set {name}: {refusal.cause}.", next_step=refusal.remedy) from None
    return Options(**values)


def read_source(path: Path) -> Dataset:
    """The header of the source instance. Raises SourceUnusable."""
    try:
        return dcmread(path, stop_before_pixels=True)
    except Exception as error:  # noqa: BLE001 - whatever damaged bytes make pydicom raise; its text may hold values
        reason = "it is no DICOM file" if isinstance(error, InvalidDicomError) else "it cannot be read"
        raise SourceUnusable(f"{path}: {reason}.", next_step="Name a DICOM file of the study with --source.") from None


def convert_file(
    bench: Workbench, media: Path, source: Dataset, options: Options, out: Path
) -> tuple[list[Instance], list[str]]:
    """Write the media's instances into `out` as STEM.dcm, or STEM-0001.dcm and so on; with the warnings.

    Raises RowRefused and CacheFailed.
    """
    media_type = media_type_of(media)  # a missing or foreign file is told before it is hashed
    row = Row(
        row_number=0,
        row_id=media.name,
        media=media.name,
        media_path=media,
        media_sha256=content_sha256(media),
        media_bytes=media.stat().st_size,
        study_instance_uid=text_of(source, "StudyInstanceUID"),
        accession_number=None,
        patient_id=text_of(source, "PatientID"),
        options=fitting(options, media_type),
    )
    planned = plan(row, bench.settings)
    name = _namer(out, media, planned.instances)
    _refuse_other(name(0), sop_instance_uid(row.study_instance_uid or "", row, 0))
    with bench.cache.work_folder() as work_folder:
        prepared = prepare(
            planned,
            row,
            Source(source),
            bench.settings,
            device_serial_number=bench.installation_id,
            instance_path=name,
            work_folder=work_folder,
        )
    return list(prepared.instances), list(prepared.warnings)


def _refuse_other(path: Path, sop_instance_uid: str) -> None:
    """A file of that name that is not this very instance is not written over."""
    if not path.exists():
        return
    try:
        found = text_of(dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True), "SOPInstanceUID")
    except Exception:  # noqa: BLE001 - as above: a file that cannot be read is another one
        found = ""
    if found != sop_instance_uid:
        raise OptionRefused(f"{path} is there already and holds something else.", next_step="Name another --out.")


def make_folder(folder: Path) -> None:
    """Raises CacheFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CacheFailed(
            f"The folder {folder} cannot be made: {error.strerror}.", next_step="Name another --out."
        ) from None


def _namer(out: Path, media: Path, instances: int) -> Callable[[int], Path]:
    width = max(4, len(str(instances)))
    return lambda part: out / (f"{media.stem}.dcm" if instances == 1 else f"{media.stem}-{part + 1:0{width}d}.dcm")
