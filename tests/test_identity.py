"""Wrong-patient protection: what confirms, what refuses, and that no message holds a value."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from media2dicom.dicom.attributes import copy_identity
from media2dicom.dicom.values import valid_text
from media2dicom.errors import IdentityMismatch
from media2dicom.identity import confirm_identity
from media2dicom.model import Row
from media2dicom.person_names import folded_name
from tests.dicom import making
from tests.dicom.test_identity_copied import raw_source


def header(**attributes: str | None) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in {"PatientID": "0042-a", "PatientName": "Doe^Jane", "PatientBirthDate": "19700102"}.items():
        setattr(dataset, keyword, attributes.get(keyword, value))
    return dataset


def a_row(patient_id: str = "0042-a", **more: str) -> Row:
    return making.row(patient_id=patient_id, **more)


@pytest.mark.parametrize(
    "row",
    [
        a_row(),
        a_row(" 0042-a "),
        a_row(patient_birth_date="19700102"),
        a_row(patient_name="doe, JANE"),
        a_row(patient_name="Jane Doe", patient_birth_date="19700102"),
    ],
)
def test_equal_identifiers_confirm(row: Row) -> None:
    confirm_identity(row, header())


@pytest.mark.parametrize(
    ("row", "source", "column"),
    [
        (a_row("42-a"), header(), "patient_id"),
        (a_row("0042-A"), header(), "patient_id"),
        (a_row("0042-a1"), header(), "patient_id"),
        (a_row(), header(PatientID=""), "patient_id"),
        (a_row(""), header(PatientID=" "), "patient_id"),
        (a_row(), header(PatientID="0042-a\\7"), "patient_id"),
        (a_row(patient_birth_date="19700201"), header(), "patient_birth_date"),
        (a_row(patient_birth_date="19700102"), header(PatientBirthDate=""), "patient_birth_date"),
        (a_row(patient_birth_date="19700102"), header(PatientBirthDate=None), "patient_birth_date"),
        (a_row(patient_name="Doe"), header(), "patient_name"),
        (a_row(patient_name="Doe^Janet"), header(), "patient_name"),
        (a_row(patient_name="Doe^Jane"), header(PatientName=""), "patient_name"),
        (a_row(patient_name="^"), header(PatientName="^^"), "patient_name"),
        (a_row(patient_name="---"), header(PatientName="Doe^Jane"), "patient_name"),
    ],
)
def test_any_difference_refuses_and_names_the_column_only(row: Row, source: Dataset, column: str) -> None:
    with pytest.raises(IdentityMismatch, match=column) as refusal:
        confirm_identity(row, source)
    said = refusal.value.message + refusal.value.next_step
    for value in (row.patient_id, row.patient_birth_date, row.patient_name, "0042", "Doe", "1970"):
        assert not (value and len(value) > 1 and value in said)


def test_lost_zeros_changed_case_and_blanks_are_hinted_at_without_the_value() -> None:
    with pytest.raises(IdentityMismatch, match="leading zeros"):
        confirm_identity(a_row("42-a"), header())
    with pytest.raises(IdentityMismatch, match="upper and lower case"):
        confirm_identity(a_row("0042-A"), header())
    with pytest.raises(IdentityMismatch, match="blanks only"):
        confirm_identity(a_row("0042-a"), header(PatientID="\xa00042-a"))


@pytest.mark.parametrize(
    "wanted", ["Müller^Jürgen", "MULLER JURGEN", "jurgen müller", "Mu\u0308ller, Ju\u0308rgen", "Müller^Jürgen^^^"]
)
def test_case_diacritics_order_and_components_of_a_name_are_folded(wanted: str) -> None:
    confirm_identity(a_row(patient_name=wanted), header(PatientName="Müller^Jürgen"))


@pytest.mark.parametrize(
    ("wanted", "other"),
    [
        ("バンドウ^ケン", "ハンドウ^ケン"),
        ("タカハシ", "タガハシ"),
        ("ﾊﾞﾝﾄﾞｳ", "ﾊﾝﾄｳ"),
        ("さとう^じゅん", "さどう^じゅん"),
        ("सीता^वर्मा", "सोता^वर्मी"),
        ("राम", "रोम"),
        ("ดี", "ดู"),
        ("மணி", "மணு"),
        ("رؤى", "روى"),
        ("한", "하"),
    ],
)
def test_signs_that_tell_letters_apart_are_no_accents(wanted: str, other: str) -> None:
    confirm_identity(a_row(patient_name=wanted), header(PatientName=wanted))
    with pytest.raises(IdentityMismatch):
        confirm_identity(a_row(patient_name=other), header(PatientName=wanted))


@pytest.mark.parametrize(
    ("wanted", "source"),
    [
        ("ﾊﾞﾝﾄﾞｳ ｹﾝ", "Bando^Ken==バンドウ^ケン"),
        ("ハ\u3099ント\u3099ウ ケン", "バンドウ^ケン"),
        ("ΓΙΑΝΝΗΣ παπας", "Παπάς^Γιάννης"),
        ("Королёв", "КОРОЛЕВ"),
        ("שרה", "שָׂרָה"),
        ("احمد", "أَحْمَد"),
        ("علی\u200cرضا", "علیرضا"),
        ("D´Angelo", "D'Angelo"),
        ("김 희중", "김^희중"),
    ],
)
def test_ways_to_write_one_name_are_folded_in_every_script(wanted: str, source: str) -> None:
    confirm_identity(a_row(patient_name=wanted), header(PatientName=source))


@pytest.mark.parametrize("wanted", ["Yamada Tarou", "山田太郎", "山田^太郎", "やまだ たろう"])
def test_any_group_of_a_name_may_confirm(wanted: str) -> None:
    source = header(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう")
    if wanted == "山田太郎":  # without a separator it is one word, and a word is not taken apart
        with pytest.raises(IdentityMismatch):
            confirm_identity(a_row(patient_name=wanted), source)
    else:
        confirm_identity(a_row(patient_name=wanted), source)


def test_name_in_another_character_set_is_decoded_before_it_is_compared() -> None:
    source = header(PatientName="Люкc^Ф")
    source.SpecificCharacterSet = "ISO_IR 144"
    confirm_identity(a_row(patient_name="ф люкc"), making.reread(source))


def test_old_form_of_a_birth_date_confirms() -> None:
    confirm_identity(a_row(patient_birth_date="19700102"), header(PatientBirthDate="1970.01.02"))


_LETTERS = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\\\ufffd"), min_size=1, max_size=20
)


@given(_LETTERS, _LETTERS)
@example("X9", "\xa0X9")
@example("X9", " X9 ")
def test_two_ids_confirm_only_when_they_are_the_same_letters(one: str, other: str) -> None:
    source = header(PatientID=other)
    if one.strip(" ") == other.strip(" ") and one.strip(" "):
        confirm_identity(a_row(one), source)
        assert valid_text(source, "PatientID") == one.strip(" ")  # what the object will have
    else:
        with pytest.raises(IdentityMismatch):
            confirm_identity(a_row(one), source)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_confirms_is_what_is_copied_where_no_character_set_is_declared(encoding: str) -> None:
    source = raw_source(PatientName="Müller^Eva".encode(encoding), PatientID="Ä1".encode(encoding))
    target = Dataset()
    copy_identity(source, target)
    assert (str(target.PatientName), target.PatientID) == ("Müller^Eva", "Ä1")
    confirm_identity(a_row("Ä1", patient_name="Eva Müller"), source)
    for row in (a_row("Ã\x841"), a_row("Ä1", patient_name="Eva MÃ¼ller")):
        with pytest.raises(IdentityMismatch):
            confirm_identity(row, source)


@pytest.mark.parametrize(
    ("row", "source", "column"),
    [
        (a_row("0042\n"), header(PatientID="0042\n"), "patient_id"),
        (a_row(patient_birth_date="19700231"), header(PatientBirthDate="19700231"), "patient_birth_date"),
        (a_row(patient_name="a=b=c=d"), header(PatientName="a=b=c=d"), "patient_name"),
    ],
)
def test_value_that_would_not_be_copied_confirms_nothing(row: Row, source: Dataset, column: str) -> None:
    with pytest.raises(IdentityMismatch, match=f"no valid .*{column} cannot be confirmed"):
        confirm_identity(row, source)


@given(st.text(max_size=30))
def test_folding_is_stable(name: str) -> None:
    folded = folded_name(name)
    assert folded_name(" ".join(folded)) == folded
