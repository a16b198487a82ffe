"""What an object holds, in words: facts in groups, for a person at a terminal. Findings are validation's.

Any DICOM file will do: what cannot be read is said to be so, and nothing of another maker's file ends the look.
What is of the patient and the study, dates, and free text, which may name the patient, is `Personal`: shown only when
the caller asks for the identity. Of UIDs the study's alone is, as it finds the patient in one query; those of instances
tell objects apart and find nothing without it in a hierarchical search (PS3.4 C.4.1.3). What is of the equipment or
has defined terms is shown; a code by the standard's meaning, not by the file's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.uid import UID, MPEGTransferSyntaxes

from media2dicom.dicom.body_parts import body_part_of
from media2dicom.dicom.derivation import is_own
from media2dicom.dicom.uids import IMPLEMENTATION_CLASS_UID
from media2dicom.media.payload import H_264, H_265, JPEG, MPEG_2
from media2dicom.validation.codes import KNOWN
from media2dicom.validation.written import Written, all_items

Facts = dict[str, dict[str, str]]  # group -> what -> how it is
PATIENT: Final = "patient and study"
_MEANINGS: Final = {(value, scheme): meaning for value, scheme, meaning in sorted(KNOWN)}
VEILED: Final = "veiled"
_UNREADABLE: Final = "(cannot be read)"
_SIDES: Final = {"R": "right", "L": "left", "B": "both sides", "U": "unpaired or not known"}
_METHODS: Final = {
    JPEG: "JPEG",
    "ISO_14495_1": "JPEG-LS",
    "ISO_15444_1": "JPEG 2000",
    MPEG_2: "MPEG-2",
    H_264: "H.264",
    H_265: "H.265",
}
_MODALITIES: Final = {str(code.value): str(code.meaning) for code in codes.cid29.concepts.values()} | {
    "M3D": "Model for 3D Manufacturing",
    "DOC": "Document",
    "OT": "Other",
    "PR": "Presentation State",
    "SR": "Structured Report",
}
_IDENTITY: Final = {
    "name": "PatientName",
    "ID": "PatientID",
    "birth date": "PatientBirthDate",
    "sex": "PatientSex",
    "accession number": "AccessionNumber",
    "study": "StudyDescription",
    "study date": "StudyDate",
    "study UID": "StudyInstanceUID",
}


class Personal(str):
    """Of the patient, or text that may name the patient."""


def is_ours(written: Written) -> bool:
    """Whether this program wrote the file."""
    return str(written.header.file_meta.get("ImplementationClassUID", "")) == IMPLEMENTATION_CLASS_UID


def facts_of(written: Written, *, identity: bool) -> Facts:
    """All that there is to say, what is personal only with `identity`; empty groups are left out."""
    groups: dict[str, Callable[[Written], Iterator[tuple[str, str]]]] = {
        "object": _object,
        PATIENT: _identity,
        "series": _series,
        "pixels": _pixels,
        "frames": _frames,
        "document": _document,
        "3D model": _model,
        "references": _references,
    }

    def shown(text: str) -> str:
        return VEILED if isinstance(text, Personal) and not identity else str(text)

    found = {name: {what: shown(text) for what, text in group(written) if text} for name, group in groups.items()}
    return {name: facts for name, facts in found.items() if facts}


def _text(dataset: Dataset, keyword: str) -> str:
    """A value as people read it; empty when there is none."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue | list):
            return ", ".join(str(one) for one in value)
        return "" if value is None else str(value).strip(" \0")
    except Exception:  # noqa: BLE001 - whatever pydicom makes of a broken value
        return _UNREADABLE


def _personal(dataset: Dataset, keyword: str) -> str:
    return Personal(_text(dataset, keyword))


def _meaning(dataset: Dataset, keyword: str) -> str:
    """The meaning of a code sequence's first item, with the code. A code that is not known here is free text."""
    item = next(iter(_items(dataset, keyword)), None)
    if item is None:
        return ""
    code = (_text(item, "CodeValue"), _text(item, "CodingSchemeDesignator"))
    if code in _MEANINGS:
        return f"{_MEANINGS[code]} ({', '.join(code)})"
    return Personal(f"{_text(item, 'CodeMeaning')} ({', '.join(code)})")


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(dataset.get(keyword) or ())
    except Exception:  # noqa: BLE001 - as above
        return []


def _name(uid: str) -> str:
    name = UID(uid).name
    return name if name == uid or not uid else f"{name} ({uid})"


# --- the groups -------------------------------------------------------------------------------------------------


def _object(written: Written) -> Iterator[tuple[str, str]]:
    header = written.header
    yield "class", _name(written.sop_class_uid)
    modality = _text(header, "Modality")
    yield "modality", f"{modality}, {_MODALITIES[modality]}" if modality in _MODALITIES else modality
    yield "transfer syntax", _name(written.transfer_syntax_uid)
    yield "instance", _text(header, "SOPInstanceUID")
    yield "file size", f"{written.size_bytes:,} bytes"
    yield "character set", _text(header, "SpecificCharacterSet")
    maker = [_text(header, keyword) for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")]
    yield "made by", " ".join(dict.fromkeys(part for part in maker if part))
    yield "file written by", "Media2DICOM" if is_ours(written) else _text(header.file_meta, "ImplementationVersionName")


def _identity(written: Written) -> Iterator[tuple[str, str]]:
    for what, keyword in _IDENTITY.items():
        yield what, _personal(written.header, keyword)


def _series(written: Written) -> Iterator[tuple[str, str]]:
    header = written.header
    yield "series number", _text(header, "SeriesNumber")
    yield "series description", _personal(header, "SeriesDescription")
    yield "instance number", _text(header, "InstanceNumber")
    yield "content date and time", Personal(f"{_text(header, 'ContentDate')} {_text(header, 'ContentTime')}".strip())
    part = _text(header, "BodyPartExamined")
    yield "body part", part if body_part_of(part) else Personal(part)
    yield "anatomic region", _meaning(header, "AnatomicRegionSequence")
    side = _text(header, "ImageLaterality") or _text(header, "Laterality")
    yield "laterality", f"{side}, {_SIDES[side]}" if side in _SIDES else side
    yield "burned-in annotation", _text(header, "BurnedInAnnotation")


def _pixels(written: Written) -> Iterator[tuple[str, str]]:
    header = written.header
    if "Rows" not in header:
        return
    yield "size", f"{_text(header, 'Columns')} x {_text(header, 'Rows')} pixels"
    yield "photometric interpretation", _text(header, "PhotometricInterpretation")
    stored, allocated = _text(header, "BitsStored"), _text(header, "BitsAllocated")
    yield "bits", f"{stored} stored of {allocated}, {_text(header, 'SamplesPerPixel')} per pixel"
    yield "pixel aspect ratio", _text(header, "PixelAspectRatio")
    yield "image type", _text(header, "ImageType")
    yield "lossy history", _lossy_history(header)
    profile = header.get("ICCProfile")
    yield "ICC profile", f"{len(profile):,} bytes" if isinstance(profile, bytes) else ""
    derivation = _text(header, "DerivationDescription")
    yield "derivation", derivation if is_ours(written) and is_own(derivation) else Personal(derivation)


def _lossy_history(header: Dataset) -> str:
    told = _text(header, "LossyImageCompression")
    if told != "01":
        return {"00": "none", "": "not told"}.get(told, told)
    methods = _text(header, "LossyImageCompressionMethod").split(", ")
    ratios = _text(header, "LossyImageCompressionRatio").split(", ")
    if len(methods) != len(ratios):
        return ", ".join(methods + ratios)
    return ", then ".join(
        f"{_METHODS.get(method, method)} {ratio}:1" for method, ratio in zip(methods, ratios, strict=True)
    )


def _frames(written: Written) -> Iterator[tuple[str, str]]:
    header = written.header
    if "NumberOfFrames" not in header:
        return
    yield "frames", str(written.frames)
    try:
        vector = [float(step) for step in header.get("FrameTimeVector") or ()]
        interval = float(header.get("FrameTime") or 0)
    except (TypeError, ValueError):
        yield "times", _UNREADABLE
        return
    if len(vector) > 1:
        yield "times", f"uneven, {min(vector[1:]):g} to {max(vector[1:]):g} ms apart"
        yield "duration", f"{sum(vector) / 1000:g} s from the first frame to the last"
    elif interval:
        yield "times", f"every {interval:g} ms"
        yield "duration", f"{interval * (written.frames - 1) / 1000:g} s from the first frame to the last"
    if written.transfer_syntax_uid in MPEGTransferSyntaxes:
        yield "stream", "a coded video, kept whole"


def _document(written: Written) -> Iterator[tuple[str, str]]:
    header = written.header
    yield "title", _personal(header, "DocumentTitle")
    yield "kind", _meaning(header, "ConceptNameCodeSequence") if "DocumentTitle" in header else ""
    yield "MIME type", _text(header, "MIMETypeOfEncapsulatedDocument")
    length = written.number("EncapsulatedDocumentLength")
    yield "length", f"{length:,} bytes" if length else ""
    yield "HL7 instance identifier", _personal(header, "HL7InstanceIdentifier")


def _model(written: Written) -> Iterator[tuple[str, str]]:
    header = written.header
    if _text(header, "Modality") != "M3D":
        return
    yield "units", _meaning(header, "MeasurementUnitsCodeSequence")
    yield "usage", _meaning(header, "ModelUsageCodeSequence")
    yield "description", _personal(header, "ContentDescription")
    yield "colour (CIELab)", _color(header)
    yield "opacity", _text(header, "RecommendedPresentationOpacity")
    yield "modified", _text(header, "ModelModification")
    yield "mirrored", _text(header, "ModelMirroring")
    yield "group", _text(header, "ModelGroupUID")
    yield "frame of reference", _text(header, "FrameOfReferenceUID")
    yield "icon", "yes" if _items(header, "IconImageSequence") else "no"


def _color(header: Dataset) -> str:
    """L* a* b* of the encoded value (PS3.3 C.10.7.1.1)."""
    value: Any = header.get("RecommendedDisplayCIELabValue")
    if not isinstance(value, MultiValue | list) or len(value) != 3:
        return ""
    lightness, a, b = (int(part) for part in value)
    return f"L* {lightness * 100 / 65535:.1f}, a* {a / 257 - 128:.1f}, b* {b / 257 - 128:.1f}"


def _references(written: Written) -> Iterator[tuple[str, str]]:
    try:
        items = list(all_items(written.header))
    except Exception:  # noqa: BLE001 - as above
        yield "references", _UNREADABLE
        return
    for path, _sequence, item in items:
        uid = _text(item, "ReferencedSOPInstanceUID")
        if uid:
            name = UID(_text(item, "ReferencedSOPClassUID")).name
            yield path, f"{name}, {uid}" if name else uid
            yield f"{path}, purpose", _meaning(item, "PurposeOfReferenceCodeSequence")
