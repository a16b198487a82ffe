"""What shows that an instance is not of the patient that the PACS names for its study, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from media2dicom.errors import StudyNotFound
from media2dicom.pacs.patients import ask_studies, contradiction
from media2dicom.pacs.query import StudyMatch
from media2dicom.settings import Settings
from tests import peers
from tests.pacs import studies


def found(answer: dict[str, str], instance: dict[str, Any]) -> str:
    header = studies.image(**{"StudyInstanceUID": "1.2", "PatientID": "P1", **instance})
    return contradiction(StudyMatch(**{**EMPTY, "patient_id": "P1", **answer}), header)


EMPTY = {"study_instance_uid": "1.2", "patient_name": "", "patient_birth_date": "", "accession_number": ""}


@pytest.mark.parametrize(
    ("answer", "instance", "words"),
    [
        ({"study_instance_uid": "1.2.3"}, {}, "the Study Instance UIDs differ"),
        ({"patient_id": "P2"}, {}, "the Patient IDs differ"),
        ({"patient_id": "p1"}, {}, "the Patient IDs differ in upper and lower case"),
        ({"patient_id": ""}, {}, "the answer has no Patient ID"),
        ({}, {"PatientID": ""}, "the instance has no Patient ID"),
        ({"patient_id": "0P1"}, {}, "the Patient IDs differ"),
        ({"patient_birth_date": "19610203"}, {"PatientBirthDate": "19610204"}, "the birth dates differ"),
        ({"patient_id": ""}, {"PatientID": ""}, ""),  # identity.py says what is missing
        ({}, {"PatientID": " P1 "}, ""),
        ({"patient_birth_date": "19610203"}, {"PatientBirthDate": "1961.02.03"}, ""),
        ({"patient_birth_date": "19610203"}, {"PatientBirthDate": ""}, ""),
        ({"patient_birth_date": "19610203"}, {"PatientBirthDate": "00000000"}, ""),
        ({"patient_birth_date": ""}, {"PatientBirthDate": "19610203"}, ""),
    ],
)
def test_identifiers_and_birth_dates_that_differ_are_told(
    answer: dict[str, str], instance: dict[str, Any], words: str
) -> None:
    assert found(answer, instance) == words


@pytest.mark.parametrize(
    ("answer", "instance"),
    [
        ("Roe^Jane", "Other^Mary"),
        ("Roe^Jane", "Roe^June"),
        ("Roe^Jane^Mary", "Roe^June"),
        ("Иванов^Иван", "Петров^Пётр"),
        ("山田^太郎", "佐藤^花子"),
        ("Yamada^Tarou=山田^太郎", "Satou^Hanako=佐藤^花子"),
        ("Müller^Eva", "Schäfer^Ida"),
        ("Li^A", "Lima^Anna"),
        ("Wu^N", "Wunderlich^Norbert"),
        ("An^L", "Anders^Lisa"),
        ("Ro^Ja", "Roberts^Jason"),
        ("a", "Roe^Jane"),
        ("Lê^Hà", "Lý^Hồ"),
        ("やまだ^たろう", "さとう^はなこ"),
    ],
)
def test_names_of_two_people_contradict_each_other(answer: str, instance: str) -> None:
    header = {"PatientName": instance, "SpecificCharacterSet": "ISO_IR 192"}
    assert found({"patient_name": answer}, header) == "the names differ"


@pytest.mark.parametrize(
    ("answer", "instance"),
    [
        ("", "Roe^Jane"),
        ("Roe^Jane", ""),
        ("^", "Иванов^Иван"),  # Orthanc: what is not in its DefaultEncoding is lost
        ("ceyp", "Люкceмбypг"),  # Orthanc
        ("Bjørn^ukasz", "Bjørn^Łukasz"),  # Orthanc
        ("Yamada^Tarou=^=^", "Yamada^Tarou=山田^太郎=やまだ^たろう"),  # Orthanc
        ("M?ller^J?rg", "Müller^Jörg"),
        ("MÃ¼ller^JÃ¶rg", "Müller^Jörg"),
        ("Mueller^Joerg", "Müller^Jörg"),
        ("MULLER^JORG", "Müller^Jörg"),
        ("Lukasz^Anna", "Łukasz^Anna"),
        ("ROE^JANE", "Roe^Jane"),
        ("jane roe", "Roe^Jane"),
        ("Roe^Jane^^Dr.", "Roe^Jane^Mary"),
        ("Roe^Jane", "Roe^Jane^Mary"),
        ("Roe^J", "Roe^Jane"),
        ("ONeill^Mary", "O'Neill^Mary"),
        ("Featherstonehaugh-Cholmondeley^Max", "Featherstonehaugh-Cholmondeley^Maximilian^Theodore"),
        ("Featherstonehaugh-Chol", "Featherstonehaugh-Cholmondeley^Maximilian"),
        ("山田^太郎", "Yamada^Tarou"),
        ("=山田^太郎", "Yamada^Tarou"),
        ("=山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("==やまだ^たろう", "=山田^太郎"),
        ("Roe^Jane  ", "Roe^Jane^^^"),
        ("Roe^J.M.", "Roe^Jane^Mary"),
        ("Roe^J M", "Roe^Jane^Mary"),
        ("Roe^J. Mary", "Roe^Jane^Mary"),
        ("Roe^Jane^Mary", "Roe^Jane^Ann"),
        ("Nguyễn^Thị Hoa", "Nguyen^T Hoa"),
        ("しょーこ^はなこ", "ショーコ^ハナコ"),
    ],
)
def test_one_name_in_two_spellings_is_no_contradiction(answer: str, instance: str) -> None:
    header = {"PatientName": instance, "SpecificCharacterSet": "ISO_IR 192"}
    assert found({"patient_name": answer}, header) == ""


def test_each_study_has_its_own_answer(pacs: peers.Peer, settings: Settings) -> None:
    images = pacs.load([studies.image(), studies.image()])
    uids = [str(image.StudyInstanceUID) for image in images]
    answers = ask_studies(pacs.server(), settings, [*uids, "1.2.3.4.5", *uids])
    assert list(answers) == [*uids, "1.2.3.4.5"]
    assert [contradiction(answers[uid], image) for uid, image in zip(uids, images, strict=True)] == ["", ""]  # type: ignore[arg-type]
    assert isinstance(answers["1.2.3.4.5"], StudyNotFound)


def test_pacs_that_is_away_is_the_answer_for_each_study(tmp_path: Path) -> None:
    nobody = peers.Peer("nobody", peers.free_port(), "PACS", peers.free_port())
    answers = ask_studies(nobody.server(), nobody.settings(tmp_path), ["1.2", "1.3"])
    assert list(answers) == ["1.2", "1.3"]
    assert all(isinstance(answer, Exception) and answer.transient for answer in answers.values())
