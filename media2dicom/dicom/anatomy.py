"""Which part of the body, and which side: the row's word, else the source's; the source's side is that of its own part.

Body Part Examined (PS3.3 C.7.3.1), Anatomic Region Sequence (10.5), Image Laterality (C.7.6.1, for Laterality, which
is type 2C). What the source says without a defined term is left out and named by its attribute.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from media2dicom.dicom.body_parts import BodyPart, body_part_of
from media2dicom.dicom.building import Build
from media2dicom.dicom.references import code_item
from media2dicom.dicom.values import text_of, valid_text
from media2dicom.errors import OptionRefused

UNKNOWN_SIDE = "U"


def add_anatomy(dataset: Dataset, build: Build) -> None:
    """Set the body part where it is known, its code where it has one, and always Image Laterality."""
    part = known_body_part(build)
    if part is not None and not part.code_only:
        dataset.BodyPartExamined = part.term
    if part is not None and part.sct_code:
        dataset.AnatomicRegionSequence = Sequence([code_item(part.sct_code, "SCT", part.meaning)])
    dataset.ImageLaterality = known_side(build) or UNKNOWN_SIDE
    if dataset.ImageLaterality == UNKNOWN_SIDE and build.row.options.laterality is None and part and part.paired:
        build.warn("The side of the body part is not known: Image Laterality says U. Fill in laterality.")


def known_body_part(build: Build) -> BodyPart | None:
    """The row's body part, else the source's; a warning when the source's is no defined term.

    Raises OptionRefused when the row's is none, as a row of an earlier version may have it.
    """
    if (asked := build.row.options.body_part) is not None:
        if (found := body_part_of(asked)) is None:
            raise OptionRefused("body_part is no defined term (PS3.16 Annex L).", next_step="Write e.g. HAND.")
        return found
    told = text_of(build.source, "BodyPartExamined")
    part = body_part_of(told)
    if told and part is None:
        build.warn("BodyPartExamined of the source is no defined term (PS3.16 Annex L) and was left out.")
    return part


def known_side(build: Build) -> str | None:
    """The row's side, else the source's: of its own body part, it says nothing about another one that the row names."""
    options = build.row.options
    if options.laterality is not None:
        return options.laterality
    own = body_part_of(text_of(build.source, "BodyPartExamined"))
    if options.body_part is None or own is body_part_of(options.body_part):
        for keyword, allowed in (("ImageLaterality", "RLUB"), ("Laterality", "RL")):
            value = valid_text(build.source, keyword)
            if len(value) == 1 and value in allowed:
                return value
    return None
