"""What an instance takes over from its source: patient, study, clinical trial; and the equipment that made it.

Only the attributes of the modules named here are copied. A broken value (`values.py` judges) is never cut: an
identifier refuses the row, anything else is left out and named, by attribute, not by value. What refers to the
source is in `references.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from media2dicom import __version__
from media2dicom.dicom.values import BrokenValue, UnknownCharacterSet, is_undeclared, rewritten
from media2dicom.errors import SourceUnusable

MANUFACTURER: Final = "Media2DICOM"  # also how our own results are known again

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
    type_2c: tuple[int, ...] = ()  # written empty for an animal whose source lacks them


def _tags(keywords: str) -> tuple[int, ...]:
    return tuple(int(Tag(keyword)) for keyword in keywords.split())


MODULES: Final = {
    "Patient": _Module(
        _tags(_PATIENT),
        type_2=_tags("PatientName PatientID PatientBirthDate PatientSex"),
        type_2c=_tags(
            "PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson "
            "ResponsibleOrganization"
        ),
    ),
    "General Study": _Module(
        _tags(_STUDY),
        type_1=_tags("StudyInstanceUID"),
        type_2=_tags("StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber"),
    ),
    "Patient Study": _Module(_tags(_PATIENT_STUDY), type_2c=_tags("PatientSexNeutered")),
    "Clinical Trial Subject": _Module(
        _tags(_TRIAL_SUBJECT),
        type_1=_tags("ClinicalTrialSponsorName ClinicalTrialProtocolID"),
        type_2=_tags("ClinicalTrialProtocolName ClinicalTrialSiteID ClinicalTrialSiteName"),
    ),
    "Clinical Trial Study": _Module(_tags(_TRIAL_STUDY), type_2=_tags("ClinicalTrialTimePointID")),
}

_SPECIES: Final = "PatientSpeciesDescription PatientSpeciesCodeSequence"  # an animal's; a person has none
_OF_ANIMALS: Final = (
    "PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence StrainDescription StrainNomenclature "
    "StrainCodeSequence StrainAdditionalInformation StrainStockSequence"
)
# Where one is there, one of the others has to be (type 1C); without them it is left out.
_NEEDS: Final = {
    Tag(keyword): _tags(companions)
    for keyword, companions in {
        **dict.fromkeys(_OF_ANIMALS.split(), _SPECIES),
        "PatientBirthDateInAlternativeCalendar": "PatientAlternativeCalendar",
        "PatientDeathDateInAlternativeCalendar": "PatientAlternativeCalendar",
        "PatientAlternativeCalendar": "PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar",
        "ResponsiblePerson": "ResponsiblePersonRole",
        "ResponsiblePersonRole": "ResponsiblePerson",
        "LongitudinalTemporalOffsetFromEvent": "LongitudinalTemporalEventType",
        "LongitudinalTemporalEventType": "LongitudinalTemporalOffsetFromEvent",
        "ClinicalTrialProtocolEthicsCommitteeApprovalNumber": "ClinicalTrialProtocolEthicsCommitteeName",
    }.items()
}
IDENTIFIERS: Final = frozenset(_tags("PatientID IssuerOfPatientID StudyInstanceUID AccessionNumber PatientName"))
ZERO_MEANS_UNKNOWN: Final = frozenset(
    _tags("PatientWeight PatientSize PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension")
)
_ACCESSION: Final = _tags("AccessionNumber IssuerOfAccessionNumberSequence")


def copy_identity(source: Dataset, target: Dataset, *, accession_override: str | None = None) -> list[str]:
    """Copy patient, study and clinical trial attributes of `source` into `target`; return warnings.

    `accession_override` takes the place of the source's number, which is then not even judged, and of its issuer.
    Raises SourceUnusable when an identifier breaks its value representation: it is never shortened.
    """
    warnings: list[str] = []
    for name, module in MODULES.items():
        wanted = [tag for tag in module.tags if accession_override is None or tag not in _ACCESSION]
        copied = {tag: element for tag in wanted if (element := _copied(source, tag, warnings)) is not None}
        _drop_lonely(copied, warnings)
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
            elif tag in module.type_2 or (tag in module.type_2c and any(Tag(k) in target for k in _SPECIES.split())):
                target.add_new(tag, dictionary_VR(tag), None)
    if accession_override is not None:
        target.AccessionNumber = accession_override
    return warnings


def _copied(source: Dataset, tag: int, warnings: list[str]) -> DataElement | None:
    """The element rewritten without its old character set; None when absent, empty or left out with a warning."""
    name = keyword_for_tag(tag) or str(Tag(tag))
    try:
        element, whole = rewritten(source, tag)
    except BrokenValue as broken:
        in_unknown = isinstance(broken, UnknownCharacterSet)
        fault = "is in an unknown character set" if in_unknown else "breaks its value representation"
        if tag in IDENTIFIERS:
            raise SourceUnusable(
                f"{name} of the source {fault}, and an identifier is never {'guessed' if in_unknown else 'shortened'}.",
                next_step="Have the PACS administrator correct the study's attribute"
                + (", or set accession_override." if name == "AccessionNumber" else "."),
            ) from None
        warnings.append(f"{name} of the source {fault} and was left out.")
        return None
    if element is None or _says_nothing(element):
        return None
    if not whole:
        warnings.append(f"An item of {name} of the source is incomplete or breaks a rule and was left out.")
    if is_undeclared(source, element):
        warnings.append(f"{name} of the source has characters outside the character set that the source declares.")
    return element


def _drop_lonely(copied: dict[int, DataElement], warnings: list[str]) -> None:
    """Leave out what may not stand without its companion."""
    needs = dict(_NEEDS)
    removed = Tag("PatientIdentityRemoved")
    if removed in copied and copied[removed].value == "YES":
        needs[removed] = _tags("DeidentificationMethod DeidentificationMethodCodeSequence")
    for tag, companions in needs.items():
        if tag in copied and not any(companion in copied for companion in companions):
            del copied[tag]
            warnings.append(f"{keyword_for_tag(tag)} of the source lacks what it requires and was left out.")


def _says_nothing(element: DataElement) -> bool:
    """Placeholders: a measure of zero, a person's name such as '----'."""
    if element.tag in ZERO_MEANS_UNKNOWN:
        return not float(element.value) > 0
    return element.VR == "PN" and element.tag not in IDENTIFIERS and not re.search(r"\w", str(element.value))


def add_equipment(target: Dataset, *, device_serial_number: str) -> None:
    """General and Enhanced General Equipment (PS3.3 C.7.5.1, C.7.5.2)."""
    target.Manufacturer = MANUFACTURER
    target.ManufacturerModelName = MANUFACTURER
    target.DeviceSerialNumber = device_serial_number
    target.SoftwareVersions = __version__
