"""What leaves the core for the dashboard names no patient, and stays readable otherwise."""

from __future__ import annotations

import time

import pytest

from media2dicom.model import Row
from media2dicom.veil import VEIL, file_label, veiled


def row(**values: str | None) -> Row:
    chosen: dict[str, str | None] = {
        "study_instance_uid": "1.2.840.99.7",
        "accession_number": "ACC-2231",
        "patient_id": "00048813",
        "patient_birth_date": "19700109",
        "patient_name": "Müller-Canary^Clara Li",
        "media": "photos/CanaryClara 1.jpg",
        **values,
    }
    media = chosen.pop("media") or ""
    return Row(2, "2", media, None, None, None, **chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "the ID 00048813 is there",
        "(acc-2231)",
        "study 1.2.840.99.7.",
        "MÜLLER was seen",
        "Mu\u0308ller was seen",  # as macOS writes file names
        "Müller-Canary^Clara Li",
        "clara's",
        "x_canary_y",
        *("19700109", "1970-01-09", "09.01.1970", "9.1.1970", "9.1.70", "1/9/1970", "01/09/70", "700109", "09 01 1970"),
    ],
)
def test_what_identifies_the_patient_is_veiled_however_it_is_written(text: str) -> None:
    found = veiled(text, row())
    assert VEIL in found
    for value in ("48813", "2231", "840", "ller", "anary", "lara", "1970", "70"):
        assert value.casefold() not in found.casefold()


@pytest.mark.parametrize(
    "text",
    [
        "Row 14 (C14): the limit is 4,000 MB.",  # Li is a part of two letters
        "Claras Canaryland",  # other words
        "1.2.840.99.71",  # another study
        "100048813 and 000488130",  # other numbers
        "Status 0xA700 at 10.19.70.10:104 on 1970-01-19",
        "",
    ],
)
def test_nothing_else_is_veiled(text: str) -> None:
    assert veiled(text, row()) == text


def test_ids_of_one_or_two_characters_veil_no_row_numbers() -> None:
    text = "Row 7: 12 of 77 files; see rows 7-12."
    assert veiled(text, row(patient_id="7", accession_number="12")) == text
    assert veiled("ID 712 here", row(patient_id="712")) == f"ID {VEIL} here"


def test_a_text_without_a_row_stays_as_it_is_but_for_its_media() -> None:
    assert veiled("canary", None) == "canary"
    assert veiled("Canary.jpg is there", None, "Canary.jpg") == f"{VEIL}.jpg is there"
    assert veiled("photos/CanaryClara 1.jpg makes 5 MB", row()) == f"{VEIL} 1.jpg makes 5 MB"


@pytest.mark.parametrize(
    ("media", "label"),
    [
        ("photo.jpg", "photo.jpg"),
        ("a/b/knee_left-2.STL", "knee_left-2.STL"),
        ("C:\\scans\\IMG_0042.JPG", "IMG_0042.JPG"),
        ("DSC00123.jpg", "DSC00123.jpg"),
        ("Canary_Clara_knee 2.jpg", f"{VEIL}_{VEIL}_knee 2.jpg"),
        ("CanaryClara.mp4", f"{VEIL}.mp4"),
        ("Nobody Known.png", f"{VEIL} {VEIL}.png"),  # no sheet knows all names
        ("李伟_knee.png", f"{VEIL}_knee.png"),
        ("li_wu.png", f"{VEIL}_{VEIL}.png"),
        ("48813x.jpg", f"{VEIL}x.jpg"),
        ("photo48813.jpg", f"photo{VEIL}.jpg"),
        ("photo 00048813.jpg", f"photo {VEIL}.jpg"),
        ("scan 1970-01-09.stl", f"scan {VEIL}.stl"),
        ("scan 1955_0203.stl", f"scan {VEIL}.stl"),
        ("image.canary", f"image.{VEIL}"),
        ("acc-2231.bmp", f"{VEIL}.bmp"),
    ],
)
def test_a_file_name_keeps_its_harmless_words_only(media: str, label: str) -> None:
    assert file_label(media, row()) == label


def test_of_a_row_that_could_not_be_read_no_number_is_shown_that_may_be_an_id() -> None:
    assert file_label("IMG_0042 2.jpg", None) == f"IMG_{VEIL} 2.jpg"


def test_two_thousand_patients_are_veiled_in_a_second_or_two() -> None:
    rows = [row(patient_id=f"P{number:06}", patient_name=f"Name{number}^Given") for number in range(2000)]
    began = time.monotonic()
    for one in rows:
        veiled("photos/CanaryClara 1.jpg makes a DICOM instance of 5,000 MB; the upload limit is 4,000 MB.", one)
        file_label(one.media, one)
    assert time.monotonic() - began < 10  # 1 s when nothing else is at work
