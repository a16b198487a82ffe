"""A media file to its instances on disk: the one recipe of the run, the dry run and the offline conversion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.building import Build
from media2dicom.dicom.references import Source
from media2dicom.errors import sealed
from media2dicom.limits import refuse_over_limit
from media2dicom.media import open_media, plan_media
from media2dicom.media.payload import MediaPlan
from media2dicom.model import Instance, Row
from media2dicom.settings import Settings
from media2dicom.validation import refuse_findings


@dataclass(frozen=True)
class Prepared:
    """A row's instances, complete on disk."""

    plan: MediaPlan
    instances: tuple[Instance, ...]
    warnings: tuple[str, ...]


def plan(row: Row, settings: Settings) -> MediaPlan:
    """A cheap look into the row's media. Raises RowRefused; over the upload limit before the file is read."""
    if row.media_path is None:
        raise ValueError("a row that was read has its media")
    with sealed(f"Looking into the media of row {row.row_number}"):
        found = plan_media(row.media_path, row.options, settings)
        refuse_over_limit(found.largest_instance_bytes, row.media, at_least=True)
        return found


def prepare(
    planned: MediaPlan,
    row: Row,
    source: Source,
    settings: Settings,
    *,
    device_serial_number: str,
    instance_path: Callable[[int], Path],
    work_folder: Path,
) -> Prepared:
    """Write the instances of a row that was planned where `instance_path` says for each part. All of them, or an error.

    Raises RowRefused (media, source, options, upload limit, the validator's findings) and CacheFailed.
    """
    if row.media_path is None:
        raise ValueError("a row that was read has its media")
    build = Build(
        row=row,
        source=source.header,
        image_modality=source.image_modality,
        settings=settings,
        device_serial_number=device_serial_number,
        now=datetime.now(),
        instance_path=instance_path,
    )
    with sealed(f"Converting the media of row {row.row_number}"):
        instances = build_instances(open_media(row.media_path, row.options, settings, work_folder), build)
        for instance in instances:
            refuse_over_limit(instance.size_bytes, row.media)
            refuse_findings(instance.path)
    return Prepared(planned, tuple(instances), tuple(dict.fromkeys((*planned.warnings, *build.warnings))))
