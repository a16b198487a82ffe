"""The source: the instance that lends identity, whether it is an image, and how other instances refer to it.

Nothing is copied here (`attributes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from media2dicom.dicom.values import text_of, valid_text
from media2dicom.errors import SourceUnusable

# Modalities (PS3.3 C.7.3.1.1.1) whose series hold no images of the patient.
NOT_IMAGES: Final = frozenset(
    (
        *("PR", "SR", "KO", "DOC", "M3D", "REG", "FID", "SEG", "RWV", "PLAN", "STAIN", "SMR", "ASMT", "ANN", "POS"),
        *("RTDOSE", "RTPLAN", "RTSTRUCT", "RTRECORD", "RTINTENT", "RTSEGANN", "RTRAD", "TG", "AU"),
        *("ECG", "EPS", "HD", "RESP", "EEG", "EMG", "EOG", "AR", "KER", "VA", "SRF", "OPV", "LEN", "IOL"),
    )
)
# Images by their IOD, which has pixels of the patient, though not by the name of their class (PS3.4 B.5).
_IMAGES_BY_IOD: Final = frozenset(
    (
        *(uid.EnhancedUSVolumeStorage, uid.ParametricMapStorage),
        *(uid.OphthalmicThicknessMapStorage, uid.CornealTopographyMapStorage),
        uid.OphthalmicOpticalCoherenceTomographyBscanVolumeAnalysisStorage,
    )
)

# Purposes of reference: value, scheme, meaning. The last three are in CID 7060 and in CID 7013.
ANATOMIC_IMAGE: Final = ("121338", "DCM", "Anatomic image")  # CID 7201
SOURCE_IMAGE: Final = ("121324", "DCM", "Source image")  # CID 7060
SOURCE_MEASUREMENT: Final = ("128224", "DCM", "Source measurement")
SOURCE_RAW_DATA: Final = ("128226", "DCM", "Source raw data")
SOURCE_REPORT: Final = ("128225", "DCM", "Source report")


@dataclass(frozen=True)
class Source:
    """What lends patient and study to new instances, and the modality for images where it is no image itself."""

    header: Dataset
    image_modality: str | None = None  # of an image series of the study, if any


def is_image_class(sop_class_uid: str, modality: str) -> bool:
    """Whether instances are images: by their SOP Class where it is a standard one, else by the series' Modality."""
    name = UID(sop_class_uid).name
    if sop_class_uid and name != sop_class_uid:
        return "Image Storage" in name or sop_class_uid in _IMAGES_BY_IOD
    return modality not in NOT_IMAGES


def is_image(source: Dataset) -> bool:
    """Whether the source instance is an image (it has Rows), so that image references may name it."""
    return "Rows" in source and is_image_class(text_of(source, "SOPClassUID"), valid_text(source, "Modality"))


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """One item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def referenced_sop(source: Dataset) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 10.8) to the source instance. Raises SourceUnusable."""
    item = Dataset()
    item.ReferencedSOPClassUID = _uid(source, "SOPClassUID")
    item.ReferencedSOPInstanceUID = _uid(source, "SOPInstanceUID")
    return item


def _uid(source: Dataset, keyword: str) -> str:
    value = valid_text(source, keyword)
    if not value:
        raise SourceUnusable(f"The source instance has no valid {keyword}, so nothing can refer to it.")
    return value


def add_referenced_series(source: Dataset, target: Dataset) -> None:
    """Common Instance Reference (PS3.3 C.12.2): the source instance within this study. Raises SourceUnusable."""
    series = Dataset()
    series.ReferencedInstanceSequence = Sequence([referenced_sop(source)])
    series.SeriesInstanceUID = _uid(source, "SeriesInstanceUID")
    target.ReferencedSeriesSequence = Sequence([series])


def add_source_instance(source: Dataset, target: Dataset) -> None:
    """Source Instance Sequence (0042,0013) with the purpose that fits the source (CID 7060, CID 7013)."""
    item = referenced_sop(source)
    name = UID(item.ReferencedSOPClassUID).name
    if is_image(source):
        purpose = SOURCE_IMAGE
    elif "Spectroscopy" in name or "Waveform" in name:
        purpose = SOURCE_MEASUREMENT
    elif "Raw Data" in name:
        purpose = SOURCE_RAW_DATA
    else:
        purpose = SOURCE_REPORT
    item.PurposeOfReferenceCodeSequence = Sequence([code_item(*purpose)])
    target.SourceInstanceSequence = Sequence([item])
