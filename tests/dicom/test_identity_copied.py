"""What is taken over from the source: every character set without loss, broken values by the stated rule.

The rule: an identifier that breaks its value representation refuses the row, anything else is left out; the
message names the attribute and never holds a value.
"""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from pydicom import config, dcmread
from pydicom.data import get_charset_files
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from media2dicom.dicom.attributes import copy_identity
from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.references import code_item
from media2dicom.errors import SourceUnusable
from media2dicom.media.payload import Payload
from media2dicom.model import Options
from media2dicom.validation import findings
from tests.checkers import dciodvfy
from tests.dicom import making

CHARSET_FILES = sorted(Path(file) for file in get_charset_files() if "chr" in file and "SQ" not in file)
SEQUENCE_FILES = sorted(Path(file) for file in get_charset_files() if "chrSQ" in file)  # hold just a sequence
CT = "1.2.840.10008.5.1.4.1.1.2"


def payload() -> Payload:
    return making.still(making.picture(making.pixels(8, 8, color=False)))


def written(source: Dataset, folder: Path, options: Options | None = None) -> Dataset:
    return dcmread(making.build(payload(), source, folder, options)[0].path)


# --- character sets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", CHARSET_FILES, ids=lambda file: file.stem)
def test_every_character_set_comes_out_in_utf_8_without_loss(file: Path, tmp_path: Path) -> None:
    for options in (None, Options(accession_override="A-9", series_description="Ärztin 手")):
        result = written(dcmread(file, stop_before_pixels=True), tmp_path, options)
        source = dcmread(file, stop_before_pixels=True)
        assert result.SpecificCharacterSet == "ISO_IR 192"
        assert str(result.PatientName) == str(source.PatientName)
        assert str(source.PatientName).encode() in Path(result.filename).read_bytes()
        for keyword in ("OtherPatientNames", "ReferringPhysicianName", "StudyDescription", "PatientComments"):
            if source.get(keyword) and str(source[keyword].value).strip("^"):
                assert str(result[keyword].value) == str(source[keyword].value)
        if options is not None:
            assert (result.AccessionNumber, result.SeriesDescription) == ("A-9", "Ärztin 手")


# Alphabetic, ideographic, phonetic (PS3.5 Annexes H, I, J, K and 6.2.1).
GROUPS = {
    "chrH31": ("Yamada^Tarou", "山田^太郎", "やまだ^たろう"),
    "chrH32": ("ﾔﾏﾀﾞ^ﾀﾛｳ", "山田^太郎", "やまだ^たろう"),
    "chrI2": ("Hong^Gildong", "洪^吉洞", "홍^길동"),
    "chrX1": ("Wang^XiaoDong", "王^小東", ""),
    "chrX2": ("Wang^XiaoDong", "王^小东", ""),
    "chrJapMulti": ("やまだ^たろう", "", ""),
    "chrJapMultiExplicitIR6": ("やまだ^たろう", "", ""),
    "chrKoreanMulti": ("김희중", "", ""),
    "chrArab": ("قباني^لنزار", "", ""),
    "chrFren": ("Buc^Jérôme", "", ""),
    "chrFrenMulti": ("Buc^Jérôme", "", ""),
    "chrGerm": ("Äneas^Rüdiger", "", ""),
    "chrGreek": ("Διονυσιος", "", ""),
    "chrHbrw": ("שרון^דבורה", "", ""),
    "chrRuss": ("Люкceмбypг", "", ""),
}


def test_every_file_of_a_character_set_is_in_the_table() -> None:
    assert {file.stem for file in CHARSET_FILES} == set(GROUPS)
    assert {file.stem for file in SEQUENCE_FILES} == {"chrSQEncoding", "chrSQEncoding1"}


@pytest.mark.parametrize("stem", GROUPS)
def test_groups_of_a_name_stay_what_they_are(stem: str, tmp_path: Path) -> None:
    (file,) = (file for file in CHARSET_FILES if file.stem == stem)
    name = written(dcmread(file, stop_before_pixels=True), tmp_path).PatientName
    assert (name.alphabetic, name.ideographic, name.phonetic) == GROUPS[stem]


@pytest.mark.parametrize("stem", GROUPS)
def test_item_of_a_sequence_with_its_own_character_set_is_decoded_by_it_and_loses_it(stem: str, tmp_path: Path) -> None:
    (file,) = (file for file in CHARSET_FILES if file.stem == stem)
    foreign = dcmread(file, stop_before_pixels=True)
    item = code_item("1", "99X", str(foreign.PatientName).replace("=", " "))
    item.SpecificCharacterSet = foreign.SpecificCharacterSet
    source = making.made_source(CT, "CT", SpecificCharacterSet="ISO_IR 100", PatientName="Größe^Ähm")
    source.ProcedureCodeSequence = Sequence([item])
    result = written(making.reread(source), tmp_path)
    assert result.ProcedureCodeSequence[0].CodeMeaning == item.CodeMeaning
    assert "SpecificCharacterSet" not in result.ProcedureCodeSequence[0]
    assert str(result.PatientName) == "Größe^Ähm"


@pytest.mark.parametrize("item_charset", ["ISO_IR 100", None])
def test_sequence_item_with_its_own_character_set_is_decoded_by_it(item_charset: str | None, tmp_path: Path) -> None:
    source = making.made_source(CT, "CT")
    source.SpecificCharacterSet = "ISO_IR 144"
    item = Dataset()
    item.PatientID, item.TypeOfPatientID = "Jürgen" if item_charset else "Люкс", "TEXT"
    if item_charset:
        item.SpecificCharacterSet = item_charset
    source.OtherPatientIDsSequence = Sequence([item])
    source.PatientName = "Люкceмбypг^Ф"
    result = written(making.reread(source), tmp_path)
    assert result.OtherPatientIDsSequence[0].PatientID == item.PatientID
    assert "SpecificCharacterSet" not in result.OtherPatientIDsSequence[0]
    assert str(result.PatientName) == "Люкceмбypг^Ф"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("declared", [None, "ISO_IR 6"])
def test_characters_outside_an_undeclared_character_set_are_read_and_named(
    encoding: str, declared: str | None, tmp_path: Path
) -> None:
    source = raw_source(PatientName="Müller^Jürgen".encode(encoding), charset=declared)
    build = making.a_build(source, tmp_path)
    result = dcmread(build_instances(payload(), build)[0].path)
    assert str(result.PatientName) == "Müller^Jürgen"
    assert build.warnings == [
        "PatientName of the source has characters outside the character set that the source declares."
    ]


@pytest.mark.filterwarnings("ignore:Failed to", "ignore:Found unknown escape")
@pytest.mark.parametrize("charset", ["ISO_IR 192", "ISO 2022 IR 87", "GB18030"])
def test_name_that_its_character_set_cannot_decode_is_refused(charset: str, tmp_path: Path) -> None:
    source = raw_source(PatientName=b"CANARY\xff\xfe\xff^\x1b$)Z\xff", charset=charset)
    with pytest.raises(SourceUnusable, match="PatientName") as refusal:
        written(source, tmp_path)
    assert "CANARY" not in refusal.value.message


@pytest.mark.parametrize("file", SEQUENCE_FILES, ids=lambda file: file.stem)
def test_sequence_of_a_file_is_decoded_as_its_item_or_else_the_data_set_says(file: Path, tmp_path: Path) -> None:
    (item,) = dcmread(file).RequestedProcedureCodeSequence
    source = dcmread(file)
    for element in making.made_source(CT, "CT"):
        if element.keyword != "SpecificCharacterSet":
            source[element.tag] = element
    source.OtherPatientIDsSequence = source.RequestedProcedureCodeSequence
    source.OtherPatientIDsSequence[0].PatientID, source.OtherPatientIDsSequence[0].TypeOfPatientID = "1", "TEXT"
    del source.OtherPatientIDsSequence[0].CodeValue  # a code without a meaning would cost the item
    (copied,) = written(source, tmp_path).OtherPatientIDsSequence
    name = copied.PatientName
    assert str(name) == str(item.PatientName)
    assert (name.alphabetic, name.ideographic, name.phonetic) == GROUPS["chrH32"]


def raw_source(charset: str | None = None, **raw: bytes) -> Dataset:
    """A source read from a file that holds just these bytes."""
    base = making.made_source(CT, "CT")
    for keyword in raw:
        base[keyword].value = "QQQQ"
    del base.SpecificCharacterSet
    if charset is not None:
        base.SpecificCharacterSet = charset
    source = making.reread(base)
    for keyword, value in raw.items():
        element = source.get_item(keyword)
        assert element is not None
        source._dict[element.tag] = element._replace(value=value, length=len(value))  # type: ignore[union-attr]
    return source


# --- broken values ----------------------------------------------------------------------------------------------

CANARY = "CANARY"
REFUSED = {
    "overlong ID": {"PatientID": CANARY + "X" * 60},
    "control character": {"PatientID": f"{CANARY}\x07"},
    "escape": {"PatientID": f"{CANARY}\x1b(?"},
    "line break": {"PatientID": f"{CANARY}\n1"},
    "two values": {"PatientID": f"{CANARY}\\2"},
    "two names": {"PatientName": f"{CANARY}\\Other"},
    "four groups": {"PatientName": f"{CANARY}=b=c=d"},
    "overlong name": {"PatientName": CANARY + "X" * 60},
    "six components": {"PatientName": f"{CANARY}^b^c^d^e^f"},
    "overlong accession number": {"AccessionNumber": CANARY + "X" * 11},
    "no UID": {"StudyInstanceUID": CANARY},
    "replacement character": {"IssuerOfPatientID": f"{CANARY}\ufffd"},
}
LEFT_OUT = {
    "no such day": {"PatientBirthDate": "20230231"},
    "date range": {"StudyDate": "20200101-20200102"},
    "words for a date": {"PatientBirthDate": CANARY},
    "no such time": {"StudyTime": "246060"},
    "lower case": {"PatientSex": "f"},
    "sex outside the enumeration": {"PatientSex": "U"},
    "age without a unit": {"PatientAge": "045"},
    "overlong description": {"StudyDescription": CANARY + "X" * 60},
    "line break in a line": {"StudyDescription": f"{CANARY}\nX"},
    "overlong number": {"PatientWeight": "70.1234567890123456"},
    "words for a number": {"PatientSize": CANARY},
    "two referring physicians": {"ReferringPhysicianName": f"{CANARY}^A\\{CANARY}^B"},
    "control character in a comment": {"PatientComments": f"{CANARY}\x00\x01"},
    "smoking": {"SmokingStatus": "MAYBE"},
    "pregnancy": {"PregnancyStatus": 9},
    "person without a role": {"ResponsiblePerson": f"{CANARY}^X"},
    "identity removed, no method": {"PatientIdentityRemoved": "YES"},
    "alternative date without a calendar": {"PatientBirthDateInAlternativeCalendar": CANARY},
}


@pytest.mark.parametrize("broken", REFUSED.values(), ids=REFUSED.keys())
def test_broken_identifier_refuses_and_names_the_attribute_only(
    broken: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (keyword,) = broken
    for source in _as_made_and_as_read(broken):
        with pytest.raises(SourceUnusable, match=keyword) as refusal:
            written(source, tmp_path)
        assert CANARY not in refusal.value.message + refusal.value.next_step + str(refusal.value.__cause__)
        assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
    assert CANARY not in caplog.text
    assert not list(tmp_path.rglob("*.dcm"))


@pytest.mark.parametrize("broken", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_other_broken_value_is_left_out_with_a_warning_that_names_it(
    broken: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    (keyword,) = broken
    for source in _as_made_and_as_read(broken):
        target = Dataset()
        with warnings.catch_warnings(record=True) as python_warnings:
            warnings.simplefilter("always")
            said = copy_identity(source, target)
        assert not target.get(keyword)
        assert len(said) == 1
        assert keyword in said[0]
        assert CANARY not in "".join([*said, *(str(one.message) for one in python_warnings)])
    lines = dciodvfy(making.build(payload(), source, tmp_path)[0].path)
    assert not [line for line in lines if line.startswith("Error")]
    assert CANARY not in caplog.text


def _as_made_and_as_read(broken: dict[str, Any]) -> list[Dataset]:
    """The source built in memory, and the same bytes as they come from a file (numbers only parse there)."""
    made = making.made_source(CT, "CT")
    read = making.made_source(CT, "CT")
    for keyword, value in broken.items():
        try:
            setattr(made, keyword, value)
        except ValueError:  # no pydicom number can be made of it, but a file may hold it
            made = making.made_source(CT, "CT")
            setattr(made, keyword, "1")
            read = made
        setattr(read, keyword, getattr(made, keyword))
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, read)
    data = buffer.getvalue()
    source = dcmread(io.BytesIO(data), force=True)
    for keyword, value in broken.items():
        element = source.get_item(keyword)
        if isinstance(value, str) and element is not None and getattr(element, "is_raw", False):
            source._dict[element.tag] = element._replace(value=value.encode())  # type: ignore[union-attr]
    return [source] if read is made else [made, source]


def test_override_saves_a_study_whose_accession_number_is_broken(tmp_path: Path) -> None:
    source = making.made_source(CT, "CT", AccessionNumber="X" * 17)
    with pytest.raises(SourceUnusable) as refusal:
        written(source, tmp_path)
    assert "accession_override" in refusal.value.next_step
    assert written(source, tmp_path, Options(accession_override="A-9")).AccessionNumber == "A-9"


def test_old_spellings_of_dates_and_times_are_read(tmp_path: Path) -> None:
    source = making.made_source(CT, "CT", PatientBirthDate="1970.01.02", StudyTime="10:11:12")
    result = written(source, tmp_path)
    assert (result.PatientBirthDate, result.StudyTime) == ("19700102", "101112")


def test_placeholders_say_nothing_and_are_not_copied(tmp_path: Path) -> None:
    source = making.made_source(CT, "CT", PatientWeight="0", PatientSize="0.0", NameOfPhysiciansReadingStudy="----")
    result = written(source, tmp_path)
    assert not {"PatientWeight", "PatientSize", "NameOfPhysiciansReadingStudy"} & set(result.dir())


def test_lines_and_leading_spaces_of_a_comment_stay(tmp_path: Path) -> None:
    source = making.made_source(CT, "CT", AdditionalPatientHistory="  first\r\nsecond\tlast  ")
    assert written(source, tmp_path).AdditionalPatientHistory == "  first\r\nsecond\tlast"


# --- sequences and modules --------------------------------------------------------------------------------------


def test_half_code_items_are_left_out_and_whole_ones_stay(tmp_path: Path) -> None:
    half = code_item("X", "DCM", "Half")
    del half.CodingSchemeDesignator
    source = making.made_source(CT, "CT", ProcedureCodeSequence=[code_item("1", "99X", "Whole"), half])
    target = Dataset()
    said = copy_identity(source, target)
    assert [item.CodeMeaning for item in target.ProcedureCodeSequence] == ["Whole"]
    assert said == ["An item of ProcedureCodeSequence of the source is incomplete or breaks a rule and was left out."]


def test_items_that_lack_what_they_require_are_left_out(tmp_path: Path) -> None:
    other, person, reference = Dataset(), Dataset(), Dataset()
    other.PatientID = "CANARY"
    person.InstitutionName = "CANARY"
    reference.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    source = making.made_source(CT, "CT")
    source.OtherPatientIDsSequence, source.ReferencedStudySequence = [other], [reference]
    source.ReferringPhysicianIdentificationSequence = [person]
    target = Dataset()
    said = copy_identity(source, target)
    for keyword in ("OtherPatientIDsSequence", "ReferencedStudySequence", "ReferringPhysicianIdentificationSequence"):
        assert keyword not in target
        assert f"{keyword} of the source breaks its value representation and was left out." in said
    assert "CANARY" not in "".join(said)


def test_private_and_nested_private_elements_are_not_copied(tmp_path: Path) -> None:
    source = making.made_source(CT, "CT")
    item = code_item("1", "99X", "Whole")
    for dataset in (source, item):
        dataset.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "secret")
    source.ProcedureCodeSequence = [item]
    result = written(making.reread(source), tmp_path)
    assert not [element for element in result.iterall() if element.tag.is_private]
    assert result.ProcedureCodeSequence[0].CodeMeaning == "Whole"


TRIAL = {"ClinicalTrialSponsorName": "S", "ClinicalTrialProtocolID": "P", "ClinicalTrialSubjectID": "7"}


def test_clinical_trial_is_copied_whole(standard: Path, tmp_path: Path) -> None:
    from tests.checkers import check

    source = making.made_source(CT, "CT", **TRIAL, ClinicalTrialTimePointID="T1")
    for made in (payload(), making.model(tmp_path)):
        (instance,) = making.build(made, source, tmp_path)
        result = dcmread(instance.path)
        assert result.ClinicalTrialSubjectID == "7"
        assert (result.ClinicalTrialTimePointID, result.ClinicalTrialSiteID) == ("T1", "")
        assert check(instance.path, standard).clean


@pytest.mark.parametrize("empty", TRIAL)
def test_clinical_trial_with_an_empty_type_1_attribute_is_left_out(empty: str, tmp_path: Path) -> None:
    for nothing in ("", "  "):
        source = making.made_source(CT, "CT", **TRIAL | {empty: nothing})
        target = Dataset()
        said = copy_identity(source, target)
        assert said == ["The source's Clinical Trial Subject module is incomplete and was left out."]
        assert not set(TRIAL) & set(target.dir())


def test_animal_keeps_its_empty_attributes(standard: Path, tmp_path: Path) -> None:
    from tests.checkers import check

    animal = {
        "PatientSpeciesDescription": "Canis lupus familiaris",
        "PatientBreedDescription": "",
        "PatientBreedCodeSequence": [],
        "BreedRegistrationSequence": [],
        "ResponsiblePerson": "Doe^Jane",
        "ResponsiblePersonRole": "OWNER",
        "ResponsibleOrganization": "",
        "PatientSexNeutered": "",
    }
    source = making.made_source(CT, "CT", **animal)
    (instance,) = making.build(payload(), source, tmp_path)
    result = dcmread(instance.path)
    assert set(animal) <= set(result.dir())
    assert result.ResponsiblePerson == "Doe^Jane"
    assert check(instance.path, standard).clean


BREED = code_item("132614005", "SCT", "Beagle")


@pytest.mark.parametrize(
    ("identity", "left_out"),
    [
        ({"PatientBodyMassIndex": 0, "MeasuredAPDimension": 0, "MeasuredLateralDimension": 0}, ""),
        ({"PatientBreedDescription": "", "ResponsibleOrganization": "", "PatientSexNeutered": ""}, ""),
        ({"PatientBreedDescription": "Beagle"}, "PatientBreedDescription"),
        ({"PatientBreedCodeSequence": [BREED]}, "PatientBreedCodeSequence"),
        ({"StrainDescription": "C57"}, "StrainDescription"),
        ({"ResponsiblePerson": "", "ResponsiblePersonRole": "OWNER"}, "ResponsiblePersonRole"),
        ({"PatientAlternativeCalendar": "CHINESE"}, "PatientAlternativeCalendar"),
        ({"LongitudinalTemporalEventType": "BASELINE"}, "LongitudinalTemporalEventType"),
        ({"ResponsiblePerson": "Roe^Jane", "ResponsiblePersonRole": "PARENT", "PatientSexNeutered": "ALTERED"}, ""),
        (
            {
                "PatientSpeciesDescription": "CANINE",
                "PatientBreedDescription": "Beagle",
                "ResponsiblePerson": "Roe^Jane",
                "ResponsiblePersonRole": "OWNER",
            },
            "",
        ),
        (
            {
                "PatientSpeciesCodeSequence": [code_item("448771007", "SCT", "Canis lupus familiaris")],
                "PatientBreedCodeSequence": [BREED],
                "ResponsiblePerson": "Roe^Jane",
                "ResponsiblePersonRole": "OWNER",
            },
            "",
        ),
    ],
)
def test_what_may_not_stand_alone_does_not_and_what_must_stand_beside_it_does(
    identity: dict[str, Any], left_out: str, standard: Path, tmp_path: Path
) -> None:
    from tests.checkers import check

    build = making.a_build(making.reread(making.made_source(CT, "CT", **identity)), tmp_path)
    (instance,) = build_instances(payload(), build)
    assert check(instance.path, standard).clean
    assert findings(instance.path) == ()
    assert [warning.split()[0] for warning in build.warnings] == ([left_out] if left_out else [])


def test_animal_of_nobody_has_an_empty_responsible_person(standard: Path, tmp_path: Path) -> None:
    from tests.checkers import check

    result = written(making.made_source(CT, "CT", PatientSpeciesDescription="CANINE"), tmp_path)
    assert (result.ResponsiblePerson, result.PatientBreedCodeSequence) == ("", [])
    found = check(Path(result.filename), standard)
    assert found.errors == found.warnings == findings(Path(result.filename)) == ()
    # PS3.3 C.7.1.1 asks for the role of a person with a value only; dicom-validator takes an empty name for one.
    assert all("(0010,2298)" in line for line in found.validator if "(" in line)


def test_what_the_series_and_the_picture_take_from_the_source_is_judged_too(tmp_path: Path) -> None:
    source = making.made_source(CT, "ct", BodyPartExamined="Left Hand", ImageLaterality="left", Laterality="L")
    result = written(source, tmp_path)
    assert result.Modality == "OT"
    assert "BodyPartExamined" not in result
    assert result.ImageLaterality == "L"


def test_modality_of_the_study_that_is_no_code_is_not_taken(tmp_path: Path) -> None:
    report = making.made_source("1.2.840.10008.5.1.4.1.1.88.11", "SR")
    for answered, expected in (("DX", "DX"), ("dx", "OT"), ("DX\\CR", "OT"), ("", "OT"), (None, "OT")):
        (instance,) = making.build(payload(), report, tmp_path, image_modality=answered)
        assert dcmread(instance.path).Modality == expected


@pytest.mark.parametrize(
    ("identity", "finding"),
    [
        ({"PatientName": "DOE"}, "Retired Person Name form"),
        ({"ReferringPhysicianName": "WHO"}, "Retired Person Name form"),
        ({"PatientID": ""}, "needed to build DICOMDIR"),
        ({"StudyID": ""}, "needed to build DICOMDIR"),
        ({"StudyDate": ""}, "needed to build DICOMDIR"),
        ({"StudyTime": ""}, "needed to build DICOMDIR"),
    ],
)
def test_warning_of_an_identity_that_the_source_itself_has_is_left_as_it_is(
    identity: dict[str, str], finding: str, tmp_path: Path
) -> None:
    result = written(making.made_source(CT, "CT", **identity), tmp_path)
    (keyword,) = identity
    assert str(result[keyword].value or "") == identity[keyword]
    lines = [line for line in dciodvfy(Path(result.filename)) if line.startswith(("Error", "Warning"))]
    assert len(lines) == 1
    assert lines[0].startswith("Warning")
    assert finding in lines[0]
    assert keyword in lines[0]


def test_pydicoms_own_checks_that_would_print_values_are_off() -> None:
    assert config.settings.reading_validation_mode == config.IGNORE
    assert config.settings.writing_validation_mode == config.IGNORE
