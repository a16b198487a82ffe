"""Which transfer syntaxes and storage classes we are ready to receive. What we write is not here (dicom/)."""

from __future__ import annotations

from typing import Final

from pydicom import uid
from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts, register_uid
from pynetdicom.service_class import StorageServiceClass

from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES

UNCOMPRESSED: Final = tuple(map(UID, NATIVE_SYNTAXES))

# All that a PACS may hold, so that it need not transcode for us: only the header is read.
COMPRESSED: Final = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.JPEG2000MCLossless,
    uid.JPEG2000MC,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
    uid.RLELossless,
    uid.MPEG2MPML,
    uid.MPEG2MPHL,
    uid.MPEG4HP41,
    uid.MPEG4HP41BD,
    uid.MPEG4HP422D,
    uid.MPEG4HP423D,
    uid.MPEG4HP42STEREO,
    uid.HEVCMP51,
    uid.HEVCM10P51,
    *(UID(f"1.2.840.10008.1.2.4.{number}") for number in (110, 111, 112)),  # JPEG XL (PS3.5 A.4.15)
)
OTHERS: Final = (uid.DeflatedExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
RECEIVABLE: Final = (*UNCOMPRESSED, *COMPRESSED, *OTHERS)

# Classes that studies commonly hold, the likely ones first: for when the PACS does not tell an image's SOP Class.
SOURCE_CLASSES: Final = tuple(
    UID(f"1.2.840.10008.5.1.4.1.1.{suffix}")
    for suffix in (
        *("1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "104.1", "11.1", "11.2", "11.3", "11.4"),
        *("12.1", "12.1.1", "12.2", "12.2.1", "2", "2.1", "20", "3", "3.1", "4", "4.1", "4.2"),
        *("6.1", "6.2", "7", "7.1", "7.2", "7.3", "7.4", "2.2", "4.3", "4.4", "13.1.1", "13.1.2", "13.1.3"),
        *("13.1.4", "13.1.5", "14.1", "14.2", "77.1.1", "77.1.2", "77.1.3", "77.1.4", "77.1.1.1", "77.1.2.1"),
        *("77.1.4.1", "77.1.5.1", "77.1.5.2", "77.1.5.4", "77.1.6", "128", "128.1", "130", "481.1"),
    )
)

# Ultrasound of before 1998 (PS3.6 Annex A), which archives still hold and pynetdicom does not know.
_RETIRED_CLASSES: Final = {"3": "RetiredUltrasoundMultiFrameImageStorage", "6": "RetiredUltrasoundImageStorage"}
for _suffix, _keyword in _RETIRED_CLASSES.items():
    register_uid(f"1.2.840.10008.5.1.4.1.1.{_suffix}", _keyword, StorageServiceClass)

# All that may come to us by C-STORE.
STORAGE_CLASSES: Final = (
    *(str(context.abstract_syntax) for context in AllStoragePresentationContexts),
    *(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in _RETIRED_CLASSES),
)
