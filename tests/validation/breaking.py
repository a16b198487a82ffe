"""Ways to break an attribute of a good object, the good objects by name, and how the tables of broken ones look."""

from __future__ import annotations

import struct
from collections.abc import Callable

from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

from media2dicom.dicom.references import code_item

Change = Callable[[FileDataset], None]
Broken = dict[str, tuple[str, str, Change, set[tuple[str, str]]]]  # object, transfer syntax, change, what is found
STILL, GREY, DEEP, TWELVE = "colour still", "grey still", "16-bit grey still", "12-bit grey still"
KEPT, KEPT_RGB, EVEN, UNEVEN, GREY_CINE = (
    *("kept colour JPEG", "kept RGB JPEG"),
    *("colour cine, even", "colour cine, uneven", "grey cine, even"),
)


def put(**values: object) -> Change:
    def change(dataset: FileDataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def drop(*keywords: str) -> Change:
    def change(dataset: FileDataset) -> None:
        for keyword in keywords:
            delattr(dataset, keyword)

    return change


def in_meta(**values: object) -> Change:
    def change(dataset: FileDataset) -> None:
        for keyword, value in values.items():
            setattr(dataset.file_meta, keyword, value)

    return change


def name_part(term: str, code: str, meaning: str) -> Change:
    return put(BodyPartExamined=term, AnatomicRegionSequence=[code_item(code, "SCT", meaning)])


def name_code(
    sequence: str, value: str, scheme: str = "DCM", within: str | None = None, meaning: str = "a meaning"
) -> Change:
    def change(dataset: FileDataset) -> None:
        holder: Dataset = dataset[within].value[0] if within else dataset
        item = holder[sequence].value[0] if holder[sequence].value else Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        holder[sequence].value = Sequence([item])

    return change


def in_icon(**values: object) -> Change:
    def change(dataset: FileDataset) -> None:
        (icon,) = dataset.IconImageSequence
        for keyword, value in values.items():
            delattr(icon, keyword) if value is None else setattr(icon, keyword, value)

    return change


def add_private(dataset: FileDataset) -> None:
    dataset.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "LO", "x")


def put_profile(color_space: bytes = b"RGB ", profile_class: bytes = b"scnr", size: int = 132) -> Change:
    head = struct.pack(">I", size).ljust(12, b"\0") + profile_class + color_space
    return put(ICCProfile=head.ljust(36, b"\0") + b"acsp".ljust(96, b"\0"))


def frames_of(change: Callable[[list[bytes]], list[bytes]]) -> Change:
    def of_dataset(dataset: FileDataset) -> None:
        count = int(dataset.get("NumberOfFrames", 1))
        dataset.PixelData = encapsulate(change(list(generate_frames(dataset.PixelData, number_of_frames=count))))

    return of_dataset


def refer_to_itself(dataset: FileDataset) -> None:
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = dataset.SOPInstanceUID


def give_item_a_character_set(dataset: FileDataset) -> None:
    dataset.ReferencedImageSequence[0].SpecificCharacterSet = "ISO_IR 192"


def drop_purpose(dataset: FileDataset) -> None:
    del dataset.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence


def drop_meaning(dataset: FileDataset) -> None:
    del dataset.MeasurementUnitsCodeSequence[0].CodeMeaning


def put_document(payload: bytes) -> Change:
    return put(EncapsulatedDocument=payload, EncapsulatedDocumentLength=len(payload))


def shorten_length(dataset: FileDataset) -> None:
    dataset.EncapsulatedDocumentLength -= 1
