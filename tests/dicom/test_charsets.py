"""Every defined term of Specific Character Set is read, alone and as an extension; none is guessed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from media2dicom.dicom.attributes import copy_identity
from media2dicom.dicom.charsets import TERMS
from media2dicom.dicom.values import text_of, valid_text
from media2dicom.errors import IdentityMismatch, SourceUnusable
from media2dicom.identity import confirm_identity
from tests.dicom import making
from tests.dicom.test_identity_copied import raw_source

# PS3.3 tables C.12-2 and C.12-3: ISO-IR number, what designates it, a name in it (ISO 8859, JIS X 0201, TIS 620).
ONE_BYTE = {
    "6": (b"\x1b(B", b"Doe", "Doe"),
    "13": (b"\x1b)I", b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
    "100": (b"\x1b-A", b"M\xfcller", "Müller"),
    "101": (b"\x1b-B", b"D\xb1browski", "Dąbrowski"),
    "109": (b"\x1b-C", b"\xa1al", "Ħal"),
    "110": (b"\x1b-D", b"J\xe0nis", "Jānis"),
    "126": (b"\x1b-F", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    "127": (b"\x1b-G", b"\xe2\xc8\xc7\xe6\xea", "قباني"),
    "138": (b"\x1b-H", b"\xf9\xf8\xe5\xef", "שרון"),
    "144": (b"\x1b-L", b"\xbb\xee\xda", "Люк"),
    "148": (b"\x1b-M", b"\xddbrahim", "İbrahim"),
    "166": (b"\x1b-T", b"\xca\xc1\xaa\xd2\xc2", "สมชาย"),
    "203": (b"\x1b-b", b"\xbcuvre \xa6", "Œuvre Š"),
}
# PS3.5 Annexes H to K.
SEVERAL_BYTES = {
    "ISO 2022 IR 58": (b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang=张^小东"),
    "ISO 2022 IR 87": (b"Yamada=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada=山田^太郎"),
    "ISO 2022 IR 149": (b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong=洪^吉洞"),
    "ISO 2022 IR 159": (b"Roe=\x1b$(D\x30\x21\x1b(B", "Roe=丂"),
    "ISO_IR 192": ("Wang=王^小東".encode(), "Wang=王^小東"),
    "GB18030": (b"Wang=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang=王^小东"),
    "GBK": (b"Wang=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang=王^小东"),
}
EXTENDED = {
    **{f"ISO 2022 IR {number}": (escape + raw, name) for number, (escape, raw, name) in ONE_BYTE.items()},
    **{term: told for term, told in SEVERAL_BYTES.items() if "2022" in term},
}
ALONE = {
    **{f"{kind} {number}": told[1:] for number, told in ONE_BYTE.items() for kind in ("ISO_IR", "ISO 2022 IR")},
    **{term: told for term, told in SEVERAL_BYTES.items() if "2022" not in term},
}


def test_every_defined_term_is_in_the_tables() -> None:
    assert set(TERMS) == set(ALONE) | set(EXTENDED)


@pytest.mark.parametrize("term", ALONE)
def test_name_in_a_character_set_of_its_own_is_read_copied_and_confirmed(term: str) -> None:
    raw, name = ALONE[term]
    _is_read(raw_source(term, PatientName=raw), name)


@pytest.mark.parametrize("term", EXTENDED)
@pytest.mark.parametrize("first", ["", "ISO 2022 IR 6"])
def test_name_behind_an_escape_sequence_is_read_copied_and_confirmed(first: str, term: str) -> None:
    raw, name = EXTENDED[term]
    _is_read(raw_source(f"{first}\\{term}", PatientName=raw), name)


def _is_read(source: Dataset, name: str) -> None:
    target = Dataset()
    assert copy_identity(source, target) == []
    assert str(target.PatientName) == name
    for group in name.split("="):
        confirm_identity(making.row(patient_name=group), source)
    assert valid_text(making.reread(source), "PatientName") == name  # as the header of a source lies in the cache


@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize("unknown", ["ISO_IR 999", "ISO 2022 IR 6\\ISO 2022 IR 999", "GARBAGE"])
def test_identifier_in_an_unknown_character_set_is_refused_and_anything_else_left_out(
    unknown: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnusable, match="PatientName of the source is in an unknown character set") as refusal:
        copy_identity(raw_source(unknown, PatientName=b"CANARY\xbcuvre^\xa6"), Dataset())
    assert "CANARY" not in refusal.value.message
    target = Dataset()
    said = copy_identity(raw_source(unknown, PatientName=b"Doe^Jane", ReferringPhysicianName=b"M\xfcller"), target)
    assert (str(target.PatientName), target.ReferringPhysicianName) == ("Doe^Jane", None)
    assert said == ["ReferringPhysicianName of the source is in an unknown character set and was left out."]


@pytest.mark.filterwarnings("ignore:Failed to", "ignore:Found unknown escape")
@pytest.mark.parametrize(
    ("terms", "raw"),
    [
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde 2^A"),  # read well, but pydicom would write ????
        ("ISO 2022 IR 87", b"Doe\xff^\x1b$)Z"),  # not to be read, and still so when it was kept
    ],
)
def test_what_was_looked_at_is_kept_as_it_came(terms: str, raw: bytes) -> None:
    source = raw_source(terms, PatientName=raw, PatientID=raw)
    name = valid_text(source, "PatientName")
    text_of(source, "PatientID")
    with suppress(IdentityMismatch):
        confirm_identity(making.row(patient_name="somebody", patient_id="P-1"), source)
    kept = making.reread(source)
    assert valid_text(kept, "PatientName") == name
    for keyword in ("PatientName", "PatientID"):
        element = kept.get_item(keyword)
        assert element is not None
        assert element.value.rstrip() == raw


@pytest.mark.parametrize(
    ("terms", "raw"),
    [
        ("\\ISO 2022 IR 58", b"Zhang=\xd5\xc5"),  # nothing designates them
        ("\\ISO 2022 IR 149", b"Hong=\xfb\xf3^\xd1\xce\xd4\xd7"),
        ("\\ISO 2022 IR 126", b"\xc4\xe9\xef"),
        ("\\ISO 2022 IR 87", b"M\xfcller"),
    ],
)
def test_bytes_that_no_declared_character_set_stands_for_are_not_guessed(terms: str, raw: bytes) -> None:
    with pytest.raises(SourceUnusable, match="PatientName"):
        copy_identity(raw_source(terms, PatientName=raw), Dataset())


@pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set")
@pytest.mark.parametrize("spelled", ["ISO IR 144", "ISO-IR 144", "iso8859_5"])
def test_character_set_that_is_only_spelled_otherwise_is_known(spelled: str) -> None:
    _is_read(raw_source(spelled, PatientName=b"\xbb\xee\xda"), "Люк")


def test_broken_character_set_is_not_printed() -> None:
    program = """
from pydicom import Dataset
import media2dicom.dicom.values
source = Dataset()
source.SpecificCharacterSet = "CANARY"
source[0x00100010] = source[0x00080005].__class__(0x00100010, "PN", b"M\\xfcller")
source.decode()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
