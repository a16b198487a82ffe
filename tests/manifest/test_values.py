"""Cell texts and what they mean, column by column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media2dicom.manifest.columns import COLUMN, COLUMNS, Column, header_name
from media2dicom.manifest.values import ValueRefused
from media2dicom.model import SopClassPolicy, Units, VideoMode

UNDERSTOOD = [
    ("patient_birth_date", "19700201", "19700201"),
    ("patient_birth_date", "1970-02-01", "19700201"),
    ("patient_birth_date", "1970-02-01 00:00:01", "19700201"),
    ("patient_birth_date", "1.2.1970", "19700201"),
    ("patient_birth_date", "13/2/1970", "19700213"),
    ("patient_birth_date", "2/13/1970", "19700213"),
    ("patient_birth_date", "2/2/1970", "19700202"),
    ("content_time", "0930", "093000"),
    ("content_time", "9:30", "093000"),
    ("content_time", "09:30:15.25", "093015.25"),
    ("transfer_syntax", ".50", "1.2.840.10008.1.2.4.50"),
    ("transfer_syntax", "0.5", "1.2.840.10008.1.2.4.50"),
    ("transfer_syntax", "JPEG Baseline", "1.2.840.10008.1.2.4.50"),
    ("transfer_syntax", ".51", "1.2.840.10008.1.2.4.51"),
    ("transfer_syntax", ".57", "1.2.840.10008.1.2.4.57"),
    ("transfer_syntax", "jpeg-lossless-sv1", "1.2.840.10008.1.2.4.70"),
    ("transfer_syntax", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.70"),
    ("transfer_syntax", "Explicit VR Little Endian", "1.2.840.10008.1.2.1"),
    ("frame_interval_s", "0.5", 0.5),
    ("frame_interval_s", "2,5", 2.5),
    ("frame_interval_s", "0,125", 0.125),
    ("start_s", "0", 0.0),
    ("max_frames", "12", 12),
    ("series_number", "0", 0),
    ("series_number", "2147483647", 2147483647),
    ("video_mode", "Cine", VideoMode.CINE),
    ("video_mode", "native", VideoMode.NATIVE),
    ("units", "\N{MICRO SIGN}m", Units.UM),
    ("units", "CM", Units.CM),
    ("color", "200, 30, 40", (200, 30, 40)),
    ("color", "#c81E28", (200, 30, 40)),
    ("opacity", "0", 0.0),
    ("opacity", "1", 1.0),
    ("mirrored", "X", True),
    ("mirrored", "FALSE", False),
    ("modality", "xc", "XC"),
    ("laterality", "left", "L"),
    ("model_usage", "planning", "129013"),
    ("model_usage", "Quality-Control Intent", "113680"),
    ("model_usage", "261004008", "261004008"),
    ("sop_class_policy", "Secondary Capture", SopClassPolicy.SECONDARY_CAPTURE),
    ("sop_class_policy", "visible_light", SopClassPolicy.VISIBLE_LIGHT),
    ("study_instance_uid", "1.2.0.34", "1.2.0.34"),
    ("patient_id", "1e5", "1e5"),
    ("patient_id", "P*1?", "P*1?"),  # compared with the PACS's, never a key of a query
    ("media_sha256", "AB" * 32, "ab" * 32),
]

REFUSED = [
    ("patient_birth_date", "1/2/1970"),  # never guessed
    ("patient_birth_date", "01-02-1970"),
    ("patient_birth_date", "30.2.1970"),
    ("patient_birth_date", "25569"),
    ("patient_birth_date", "1.2.70"),
    ("content_time", "930"),
    ("content_time", "24:00"),
    ("content_time", "9:30 PM"),
    ("transfer_syntax", ".80"),
    ("frame_interval_s", "0"),
    ("frame_interval_s", "-1"),
    ("frame_interval_s", "nan"),
    ("frame_interval_s", "inf"),
    ("frame_interval_s", "1e999"),
    ("frame_interval_s", "1,500"),
    ("frame_interval_s", "1_000"),
    ("frame_interval_s", "2 s"),
    ("frame_interval_s", "\N{ARABIC-INDIC DIGIT TWO}"),
    ("start_s", "-0.1"),
    ("max_frames", "0"),
    ("max_frames", "1.5"),
    ("series_number", "2147483648"),
    ("series_number", "9" * 5000),
    ("video_mode", "film"),
    ("units", "inch"),
    ("color", "256,0,0"),
    ("color", "#12345"),
    ("opacity", "1.01"),
    ("mirrored", "perhaps"),
    ("modality", "ULTRASOUND_OF_THE_HAND"),
    ("laterality", "Q"),
    ("model_usage", "toy"),
    ("sop_class_policy", "anything"),
    ("study_instance_uid", "1.02.3"),
    ("study_instance_uid", "1..3"),
    ("study_instance_uid", "1.2.3."),
    ("study_instance_uid", "1.2.*"),
    ("study_instance_uid", "1." + "2" * 63),
    ("study_instance_uid", "2"),
    ("accession_number", "12*"),
    ("accession_number", "1?"),
    ("accession_override", "1?"),
    ("patient_id", "1\\2"),
    ("patient_id", "1.23E+17"),
    ("patient_id", "1,23E+17"),
    ("patient_id", "12\u200b3"),
    ("patient_id", "1\n2"),
    ("patient_id", "x" * 65),
    ("accession_number", "x" * 17),
    ("accession_override", "x" * 17),
    ("series_description", "a\\b"),
    ("series_description", "x" * 65),
    ("media_sha256", "ab"),
]


@pytest.mark.parametrize(("column", "text", "value"), UNDERSTOOD)
def test_a_cell_text_means_this_value(column: str, text: str, value: object) -> None:
    assert COLUMN[column].parse(text) == value


@pytest.mark.parametrize(("column", "text"), REFUSED)
def test_a_cell_text_is_refused_with_cause_and_remedy_and_is_not_repeated(column: str, text: str) -> None:
    with pytest.raises(ValueRefused) as refusal:
        COLUMN[column].parse(text)
    assert refusal.value.cause
    assert refusal.value.remedy
    if len(text) > 3:
        assert text not in refusal.value.cause + refusal.value.remedy


@given(st.sampled_from(COLUMNS), st.text(min_size=1).map(str.strip).filter(bool))
def test_any_text_is_a_value_or_refused_and_never_crashes(column: Column, text: str) -> None:
    try:
        value = column.parse(text)
    except ValueRefused:
        return
    assert value is not None


@given(st.integers(1, 12), st.integers(1, 12))
def test_a_date_with_slashes_is_never_guessed(first: int, second: int) -> None:
    parse = COLUMN["patient_birth_date"].parse
    if first == second:
        assert parse(f"{first}/{second}/1980") == f"1980{first:02}{second:02}"
    else:
        with pytest.raises(ValueRefused, match="told apart"):
            parse(f"{first}/{second}/1980")


@pytest.mark.parametrize("written", ["patient_id", " Patient-ID ", "PATIENT ID", "\ufeffpatient_id", "Patient  Id\n"])
def test_a_header_is_recognised_however_it_is_spelled(written: str) -> None:
    assert header_name(written) == "patient_id"
