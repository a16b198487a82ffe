"""Media to DICOM files without a PACS: one source instance lends its identity, the builders are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from media2dicom.dicom.building import Build, build_instances
from media2dicom.errors import CellRefused, SourceUnusable
from media2dicom.limits import refuse_over_limit
from media2dicom.manifest.columns import COLUMN, header_name
from media2dicom.manifest.values import ValueRefused
from media2dicom.media import media_sha256, open_media, plan_media
from media2dicom.model import Instance, Options, Row
from media2dicom.steps.workbench import Workbench

_OPTION_NAMES = {field.name for field in fields(Options)}


def parse_options(assignments: Iterable[str]) -> Options:
    """`column=value` texts as a manifest's cells. Raises CellRefused naming the column."""
    values: dict[str, Any] = {}
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
    except (OSError, InvalidDicomError, EOFError) as error:
        reason = "it is no DICOM file" if isinstance(error, InvalidDicomError) else "it cannot be read"
        raise SourceUnusable(f"{path}: {reason}.", next_step="Name a DICOM file of the study with --source.") from None


def convert_file(
    bench: Workbench, media: Path, source: Dataset, options: Options, out: Path
) -> tuple[list[Instance], list[str]]:
    """Write the media's instances into `out` as STEM.dcm, or STEM-0001.dcm and so on; with the warnings.

    Raises RowRefused and CacheFailed.
    """
    plan = plan_media(media, options, bench.settings)
    refuse_over_limit(plan.largest_instance_bytes, media.name, at_least=True)
    row = Row(
        row_number=0,
        row_id=media.name,
        media=media.name,
        media_path=media,
        media_sha256=media_sha256(media),
        media_bytes=media.stat().st_size,
        study_instance_uid=str(source.get("StudyInstanceUID", "")),
        accession_number=None,
        patient_id=str(source.get("PatientID", "")),
        options=options,
    )
    build = Build(
        row=row,
        source=source,
        image_modality=None,
        settings=bench.settings,
        device_serial_number=bench.installation_id,
        now=datetime.now(),
        instance_path=_namer(out, media, plan.instances),
    )
    with bench.cache.work_folder() as work_folder:
        instances = build_instances(open_media(media, options, bench.settings, work_folder), build)
    for instance in instances:
        refuse_over_limit(instance.size_bytes, media.name)
    return instances, [*plan.warnings, *build.warnings]


def _namer(out: Path, media: Path, instances: int) -> Callable[[int], Path]:
    width = max(4, len(str(instances)))
    return lambda part: out / (f"{media.stem}.dcm" if instances == 1 else f"{media.stem}-{part + 1:0{width}d}.dcm")
