"""What all builders share: what they need, and the patient, study and series that every object has.

Which builder a payload is for is `builders.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from media2dicom.dicom.attributes import copy_identity
from media2dicom.dicom.modalities import modality_of
from media2dicom.dicom.references import is_image
from media2dicom.dicom.uids import series_instance_uid, sop_instance_uid
from media2dicom.dicom.values import LARGEST_IS, valid_text
from media2dicom.errors import OptionRefused
from media2dicom.model import Instance, Row
from media2dicom.settings import Settings

DEFAULT_SERIES_NUMBER = 9001  # after the study's own series in every viewer's list


@dataclass(frozen=True)
class Build:
    """All that a builder needs besides the payload."""

    row: Row
    source: Dataset  # header of the representative instance
    image_modality: str | None  # of an image series of the study, for sources that are no image
    settings: Settings
    device_serial_number: str
    now: datetime  # local time of the conversion
    instance_path: Callable[[int], Path]  # part -> where its file goes
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Once, however many instances it holds for."""
        if text not in self.warnings:
            self.warnings.append(text)

    @property
    def study_instance_uid(self) -> str:
        return str(self.source.StudyInstanceUID)

    @property
    def asked_modality(self) -> str | None:
        """The row's, as a defined term. Raises OptionRefused: a row of an earlier version may have another word."""
        asked = self.row.options.modality
        if asked is not None and (asked := modality_of(asked)) is None:
            raise OptionRefused("modality is no defined term of DICOM.", next_step="Write e.g. US or XC, or clear it.")
        return asked

    @property
    def modality(self) -> str:
        """The row's, else the source's, so that no unwanted billing event follows; of a non-image source its study's.

        What is no defined term becomes OT.
        """
        if (asked := self.asked_modality) is not None:
            return asked
        own = valid_text(self.source, "Modality") if is_image(self.source) else self.image_modality
        return modality_of(own or "") or "OT"

    @property
    def content_moment(self) -> tuple[str, str]:
        """Content Date and Time as DA and TM: the row's, else the conversion's."""
        options = self.row.options
        if options.content_date is not None:
            return options.content_date, options.content_time or ""
        return f"{self.now:%Y%m%d}", options.content_time or f"{self.now:%H%M%S}"


def start_dataset(build: Build, *, sop_class_uid: str, modality: str, part: int) -> Dataset:
    """Patient, study, series, SOP Common and instance number: the same for every object (PS3.3 C.7, C.12.1)."""
    options = build.row.options
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for warning in copy_identity(build.source, dataset, accession_override=options.accession_override):
        build.warn(warning)
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = sop_instance_uid(build.study_instance_uid, build.row, part)
    dataset.InstanceCreationDate = f"{build.now:%Y%m%d}"
    dataset.InstanceCreationTime = f"{build.now:%H%M%S}"
    dataset.Modality = modality
    dataset.SeriesInstanceUID = series_instance_uid(build.study_instance_uid, build.row, modality)
    dataset.SeriesNumber = DEFAULT_SERIES_NUMBER if options.series_number is None else options.series_number
    if options.series_group is None:  # rows that share a series are converted at different times
        dataset.SeriesDate, dataset.SeriesTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
    if options.series_description is not None:
        dataset.SeriesDescription = options.series_description
    order = options.instance_order if options.instance_order is not None else build.row.order_in_group
    dataset.InstanceNumber = (1 if order is None else order) + part
    if dataset.InstanceNumber > LARGEST_IS:
        raise OptionRefused(f"instance_order is too large: Instance Number ends at {LARGEST_IS}.")
    dataset.ContentDate, dataset.ContentTime = build.content_moment
    return dataset


def as_instance(dataset: Dataset, transfer_syntax_uid: str, path: Path, size_bytes: int, part: int) -> Instance:
    return Instance(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        sop_class_uid=str(dataset.SOPClassUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        study_instance_uid=str(dataset.StudyInstanceUID),
        transfer_syntax_uid=transfer_syntax_uid,
        path=path,
        size_bytes=size_bytes,
        number=part,
    )
