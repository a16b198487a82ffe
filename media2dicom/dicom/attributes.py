"""What an instance takes over from its source: patient, study, clinical trial, references, equipment.

Only the attributes of the modules named here are copied, decoded and written again in ISO_IR 192. Copying is by
tag, so an attribute newer than pydicom's dictionary is copied too. Values that break their value representation
are never cut: an identifier refuses the row, anything else is left out and named (by attribute, not by value).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from pydicom import config
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import PersonName, validate_value

from media2dicom import __version__
from media2dicom.errors import SourceUnusable

MANUFACTURER: Final = "Media2DICOM"

_PATIENT = (  # PS3.3 C.7.1.1. ReferencedPatientSequence (0008,1120) is never copied
    "PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthDate "
    "PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar "
    "PatientSex QualityControlSubject PatientBirthTime OtherPatientIDsSequence OtherPatientNames EthnicGroup "
    "PatientComments PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription "
    "PatientBreedCodeSequence BreedRegistrationSequence StrainDescription StrainNomenclature StrainCodeSequence "
    "StrainAdditionalInformation StrainStockSequence GeneticModificationsSequence ResponsiblePerson "
    "ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod "
    "DeidentificationMethodCodeSequence SourcePatientGroupIdentificationSequence "
    "GroupOfPatientsIdentificationSequence"
)
_STUDY = (  # PS3.3 C.7.2.1
    "StudyInstanceUID StudyDate StudyTime ReferringPhysicianName ReferringPhysicianIdentificationSequence "
    "ConsultingPhysicianName ConsultingPhysicianIdentificationSequence StudyID AccessionNumber "
    "IssuerOfAccessionNumberSequence StudyDescription PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence "
    "NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence RequestingService "
    "RequestingServiceCodeSequence ReferencedStudySequence ProcedureCodeSequence "
    "ReasonForPerformedProcedureCodeSequence"
)
_PATIENT_STUDY = (  # PS3.3 C.7.2.2
    "AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight "
    "PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientSizeCodeSequence MedicalAlerts "
    "Allergies SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation AdditionalPatientHistory "
    "AdmissionID IssuerOfAdmissionIDSequence ReasonForVisit ReasonForVisitCodeSequence ServiceEpisodeID "
    "IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription PatientSexNeutered"
)
_TRIAL_SUBJECT = (  # PS3.3 C.7.1.3
    "ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID "
    "ClinicalTrialSiteName ClinicalTrialSubjectID ClinicalTrialSubjectReadingID "
    "ClinicalTrialProtocolEthicsCommitteeName ClinicalTrialProtocolEthicsCommitteeApprovalNumber"
)
_TRIAL_STUDY = (  # PS3.3 C.7.2.3
    "ClinicalTrialTimePointID ClinicalTrialTimePointDescription LongitudinalTemporalOffsetFromEvent "
    "LongitudinalTemporalEventType ConsentForClinicalTrialUseSequence"
)


@dataclass(frozen=True)
class _Module:
    tags: tuple[int, ...]
    type_1: tuple[int, ...] = ()  # the module is left out when one of them is empty
    type_2: tuple[int, ...] = ()  # written empty when the source lacks them


def _tags(keywords: str) -> tuple[int, ...]:
    return tuple(int(Tag(keyword)) for keyword in keywords.split())


MODULES: Final = {
    "Patient": _Module(_tags(_PATIENT), type_2=_tags("PatientName PatientID PatientBirthDate PatientSex")),
    "General Study": _Module(
        _tags(_STUDY),
        type_1=_tags("StudyInstanceUID"),
        type_2=_tags("StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber"),
    ),
    "Patient Study": _Module(_tags(_PATIENT_STUDY)),
    "Clinical Trial Subject": _Module(
        _tags(_TRIAL_SUBJECT),
        type_1=_tags("ClinicalTrialSponsorName ClinicalTrialProtocolID"),
        type_2=_tags("ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName"),
    ),
    "Clinical Trial Study": _Module(_tags(_TRIAL_STUDY), type_2=_tags("ClinicalTrialTimePointID")),
}

_IDENTIFIERS: Final = frozenset(_tags("PatientID IssuerOfPatientID StudyInstanceUID AccessionNumber PatientName"))
_ZERO_MEANS_UNKNOWN: Final = frozenset(_tags("PatientWeight PatientSize"))
_BINARY_VRS: Final = frozenset({"OB", "OW", "OD", "OF", "OL", "OV", "UN", "OB or OW"})
_SINGLE_LINE_VRS: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI", "UR"}
)
_CONTROL = re.compile(r"[\x00-\x1a\x1c-\x1f\x7f\\]")  # ESC is ISO 2022's own
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")


def copy_identity(source: Dataset, target: Dataset) -> list[str]:
    """Copy patient, study and clinical trial attributes of `source` into `target`; return warnings.

    Raises SourceUnusable when an identifier breaks its value representation: it is never shortened.
    """
    warnings: list[str] = []
    for name, module in MODULES.items():
        copied = {tag: element for tag in module.tags if (element := _copied(source, tag, warnings)) is not None}
        if name.startswith("Clinical Trial") and not copied:
            continue
        if name == "Clinical Trial Subject" and not (
            all(tag in copied for tag in module.type_1)
            and any(Tag(k) in copied for k in ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID"))
        ):
            warnings.append("The source's Clinical Trial Subject module is incomplete and was left out.")
            continue
        if name == "General Study" and any(tag not in copied for tag in module.type_1):
            raise SourceUnusable("The source instance has no Study Instance UID.")
        for tag in module.tags:
            if tag in copied:
                target[tag] = copied[tag]
            elif tag in module.type_2:
                target.add_new(tag, dictionary_VR(tag), None)
    return warnings


def _copied(source: Dataset, tag: int, warnings: list[str]) -> DataElement | None:
    """The element rewritten without its old character set; None when absent, empty or left out with a warning."""
    if tag not in source:
        return None
    name = keyword_for_tag(tag) or str(Tag(tag))
    try:
        element = source[tag]
        copied = _rewritten(element)
    except Exception:  # noqa: BLE001 - whatever pydicom makes of a broken value; its text holds the value
        copied = None
        element = None
    if element is not None and (element.is_empty or _says_nothing(element)):
        return None
    if copied is None:
        if tag in _IDENTIFIERS:
            raise SourceUnusable(
                f"{name} of the source breaks its value representation, and an identifier is never shortened.",
                next_step="Have the PACS administrator correct the study's attribute"
                + (", or set accession_override." if name == "AccessionNumber" else "."),
            )
        warnings.append(f"{name} of the source breaks its value representation and was left out.")
    return copied


def _says_nothing(element: DataElement) -> bool:
    """Placeholders: a weight or size of zero, a person's name such as '----'."""
    if element.tag in _ZERO_MEANS_UNKNOWN:
        try:
            return not float(element.value) > 0
        except (TypeError, ValueError):
            return True
    return element.VR == "PN" and element.tag not in _IDENTIFIERS and not re.search(r"\w", str(element.value))


def _rewritten(element: DataElement) -> DataElement | None:
    """A deep copy as decoded text; None when a value is not valid for its VR."""
    if element.VR == "SQ":
        items = [_rewritten_item(item) for item in element.value]
        kept = [item for item in items if item is not None and len(item)]
        return DataElement(element.tag, "SQ", Sequence(kept)) if kept else None
    if element.VR in _BINARY_VRS:
        return None
    values = list(element.value) if isinstance(element.value, MultiValue) else [element.value]
    cleaned = [_clean(element.VR, value) for value in values]
    if not all(_valid(element.VR, value) for value in cleaned):
        return None
    return DataElement(element.tag, element.VR, cleaned if len(cleaned) > 1 else cleaned[0])


def _rewritten_item(item: Dataset) -> Dataset | None:
    """One sequence item without private tags, group lengths and its own character set; None when unusable."""
    result = Dataset()
    for tag in item.keys():  # noqa: SIM118 - a Dataset iterates over elements, not tags
        if tag.is_private or tag.element == 0 or tag == Tag("SpecificCharacterSet"):
            continue
        element = item[tag]
        rewritten = _rewritten(element)
        if rewritten is None and not element.is_empty:
            return None
        result[tag] = rewritten if rewritten is not None else DataElement(tag, element.VR, None)
    is_code = any(k in result for k in (*_CODE_VALUES, "CodingSchemeDesignator", "CodeMeaning"))
    if is_code and not (any(result.get(k) for k in _CODE_VALUES) and result.get("CodeMeaning")):
        return None
    is_reference = "ReferencedSOPClassUID" in result or "ReferencedSOPInstanceUID" in result
    if is_reference and not (result.get("ReferencedSOPClassUID") and result.get("ReferencedSOPInstanceUID")):
        return None
    return result


def _clean(vr: str, value: Any) -> Any:
    if vr == "PN":
        return PersonName(str(value).rstrip("= "))
    if vr == "DA" and (old := re.fullmatch(r"(\d{4})\.(\d{2})\.(\d{2})", str(value))):
        return "".join(old.groups())  # ACR-NEMA form (PS3.5 6.2 note)
    if vr == "TM" and re.fullmatch(r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?", str(value)):
        return str(value).replace(":", "")
    if vr in {"DS", "IS", "AT", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV"}:
        return value
    return str(value).strip(" \0") if value is not None else None


def _valid(vr: str, value: Any) -> bool:
    if value is None or value == "":
        return True
    text = str(getattr(value, "original_string", value)) if vr in {"DS", "IS"} else value
    if vr in _SINGLE_LINE_VRS and _CONTROL.search(str(text)):
        return False
    try:
        validate_value(vr, text, config.RAISE)
    except ValueError:  # its text holds the value
        return False
    return True


# --- what the new instance says of itself ---------------------------------------------------------------------


def add_equipment(target: Dataset, *, device_serial_number: str) -> None:
    """General and Enhanced General Equipment (PS3.3 C.7.5.1, C.7.5.2)."""
    target.Manufacturer = MANUFACTURER
    target.ManufacturerModelName = MANUFACTURER
    target.DeviceSerialNumber = device_serial_number
    target.SoftwareVersions = __version__


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """One item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def is_image(source: Dataset) -> bool:
    """Whether the source instance is an image (it has Rows), so that image references may name it."""
    return "Rows" in source and "Image Storage" in UID(source.SOPClassUID).name


def referenced_sop(source: Dataset) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 10.8) to the source instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item


def add_referenced_series(source: Dataset, target: Dataset) -> None:
    """Common Instance Reference (PS3.3 C.12.2): the source instance within this study."""
    series = Dataset()
    series.ReferencedInstanceSequence = Sequence([referenced_sop(source)])
    series.SeriesInstanceUID = source.SeriesInstanceUID
    target.ReferencedSeriesSequence = Sequence([series])


def add_source_instance(source: Dataset, target: Dataset) -> None:
    """Source Instance Sequence (0042,0013) with the purpose that fits the source (CID 7060, CID 7013)."""
    item = referenced_sop(source)
    if is_image(source):
        purpose = code_item("121324", "DCM", "Source image")
    elif "Spectroscopy" in UID(source.SOPClassUID).name or "Waveform" in UID(source.SOPClassUID).name:
        purpose = code_item("128224", "DCM", "Source measurement")
    else:
        purpose = code_item("128225", "DCM", "Source report")
    item.PurposeOfReferenceCodeSequence = Sequence([purpose])
    target.SourceInstanceSequence = Sequence([item])
