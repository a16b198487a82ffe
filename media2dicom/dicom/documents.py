"""Encapsulated PDF and CDA (PS3.3 A.45): SC Equipment C.8.6.1 besides the document.

Modality is DOC, not the source's: the standard knows DOC for documents (C.7.3.1.1.1), and a viewer that is told CT
looks for pixels. Common Instance Reference is not in these IODs; the source is named in Source Instance Sequence.
"""

from __future__ import annotations

from typing import Final

from media2dicom.dicom.building import Build
from media2dicom.dicom.encapsulated import start_encapsulated, write_encapsulated
from media2dicom.identity import confirm_named_patient
from media2dicom.media.payload import CDA, Document
from media2dicom.model import Instance

MODALITY: Final = "DOC"


def build_document(document: Document, build: Build) -> Instance:
    """Write one Encapsulated PDF or CDA instance, Modality DOC.

    A document may name the patient in its text, so Burned In Annotation is YES unless the row says otherwise.
    Raises OptionRefused, OverUploadLimit, and IdentityMismatch when a CDA is about another patient.
    """
    if document.patient is not None:
        build.warnings.extend(confirm_named_patient(document.patient, build.row, build.source))
    meaning = document.code[2] if document.code else None
    dataset = start_encapsulated(
        build,
        document.mime_type,
        document.size_bytes,
        modality=MODALITY,
        part=0,
        title=meaning or ("Clinical document" if document.mime_type == CDA else "Document"),
        code=document.code,
        burned_in=True,
    )
    if build.row.options.laterality is not None:  # the source's body part need not be the document's
        dataset.ImageLaterality = build.row.options.laterality
    dataset.ConversionType = "WSD"  # Workstation
    if document.instance_identifier is not None:
        dataset.HL7InstanceIdentifier = document.instance_identifier
    if document.parts:
        dataset.ListOfMIMETypes = list(document.parts)
    return write_encapsulated(build, dataset, document.path, 0)
