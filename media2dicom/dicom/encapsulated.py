"""Encapsulated Document (PS3.3 C.24.2): what models and documents share. A file goes in as it is, byte for byte.

Models are `models.py`'s, PDF and CDA `documents.py`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EncapsulatedCDAStorage,
    EncapsulatedMTLStorage,
    EncapsulatedOBJStorage,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    ExplicitVRLittleEndian,
)

from media2dicom.dicom.attributes import add_equipment
from media2dicom.dicom.building import Build, as_instance, start_dataset
from media2dicom.dicom.part10 import document_bulk, write_part10
from media2dicom.dicom.references import add_source_instance, code_item
from media2dicom.errors import OptionRefused
from media2dicom.limits import refuse_over_limit
from media2dicom.media.payload import CDA, MTL, OBJ, PDF, STL
from media2dicom.model import Instance

SOP_CLASS: Final = {  # by MIME type
    STL: str(EncapsulatedSTLStorage),
    OBJ: str(EncapsulatedOBJStorage),
    MTL: str(EncapsulatedMTLStorage),
    PDF: str(EncapsulatedPDFStorage),
    CDA: str(EncapsulatedCDAStorage),
}
_SYNTAX: Final = str(ExplicitVRLittleEndian)


def start_encapsulated(
    build: Build,
    mime_type: str,
    size_bytes: int,
    *,
    modality: str,
    part: int,
    title: str,
    code: tuple[str, str, str] | None,
    burned_in: bool,
) -> Dataset:
    """All of the object but the file and what its own modules add.

    `title` and `burned_in` are for rows that do not say; never is the title the file's name: it may be the patient's.
    `code`: what the document is, as value, scheme and meaning.

    Raises OptionRefused for a transfer syntax that is for pixels, OverUploadLimit before anything is written.
    """
    options = build.row.options
    if options.transfer_syntax not in (None, _SYNTAX):
        raise OptionRefused(
            "A 3D model or document is stored in Explicit VR Little Endian; the row asks for one for pixels.",
            next_step="Clear the row's transfer_syntax.",
        )
    refuse_over_limit(size_bytes, build.row.media)
    dataset = start_dataset(build, sop_class_uid=SOP_CLASS[mime_type], modality=modality, part=part)
    add_equipment(dataset, device_serial_number=build.device_serial_number)
    if options.burned_in_annotation is not None:
        burned_in = options.burned_in_annotation
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES" if burned_in else "NO"
    add_source_instance(build.source, dataset)
    dataset.DocumentTitle = options.document_title or options.part_name or options.series_description or title
    dataset.ConceptNameCodeSequence = Sequence([code_item(*code)] if code else [])
    dataset.MIMETypeOfEncapsulatedDocument = mime_type
    dataset.EncapsulatedDocumentLength = size_bytes
    return dataset


def write_encapsulated(build: Build, dataset: Dataset, file: Path, part: int) -> Instance:
    """The instance with the file's bytes, EncapsulatedDocumentLength of them, in Explicit VR Little Endian."""
    path = build.instance_path(part)
    bulk = document_bulk(file, dataset.EncapsulatedDocumentLength)
    size_bytes = write_part10(path, dataset, _SYNTAX, bulk)
    return as_instance(dataset, _SYNTAX, path, size_bytes, part)
