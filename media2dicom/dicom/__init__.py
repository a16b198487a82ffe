"""Payloads in, DICOM instances out: identity, builders, encoding, the streaming Part 10 writer.

pydicom warns with the offending value when a value breaks its value representation; such a value may be patient
data, so pydicom's own validation and its warnings are off here and `attributes.py` judges what it copies.
"""

import warnings

import pydicom.config

import media2dicom.dicom.charsets  # noqa: F401  # completes pydicom's tables

pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
warnings.filterwarnings("ignore", module=r"pydicom\.")
