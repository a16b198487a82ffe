"""Body part and side: from the row, else the source, by defined terms, so that no checker has anything to say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts

from media2dicom.dicom.body_parts import BODY_PARTS, body_part_of
from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.modalities import MODALITIES, RETIRED_MODALITIES
from media2dicom.dicom.references import code_item
from media2dicom.errors import OptionRefused
from media2dicom.model import Options
from tests.checkers import check, dciodvfy
from tests.dicom import making

CT, CR, PHOTO = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.77.1.4"


def built(folder: Path, options: Options | None = None, **source: object) -> tuple[Dataset, list[str]]:
    build = making.a_build(making.made_source(CT, "CT", **source), folder, options)
    (instance,) = build_instances(making.still(making.picture(making.pixels(8, 8, color=False))), build)
    return dcmread(instance.path), build.warnings


def findings(path: Path) -> list[str]:
    return [line for line in dciodvfy(path) if line.startswith(("Error", "Warning"))]


def test_every_code_of_the_table_is_one_of_snomed_ct() -> None:
    known = {code for codes in concepts["SCT"].values() for code in codes}
    assert {part.sct_code for part in BODY_PARTS.values() if part.sct_code} <= known
    assert {part.term for part in BODY_PARTS.values() if not part.sct_code} == {"ARM", "LEG"}
    assert all(len(part.term) <= 16 and part.meaning for part in BODY_PARTS.values() if part.sct_code)


@pytest.mark.parametrize("first", range(0, len(BODY_PARTS), 20))
def test_every_term_is_written_so_that_the_checker_has_nothing_to_say(first: int, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    plain, _ = built(tmp_path)
    for part in list(BODY_PARTS.values())[first : first + 20]:
        plain.ImageLaterality = "R" if part.paired else "U"
        plain.BodyPartExamined = "" if part.code_only else part.term
        plain.AnatomicRegionSequence = [code_item(part.sct_code, "SCT", part.meaning)] if part.sct_code else []
        for keyword in ("BodyPartExamined", "AnatomicRegionSequence"):
            if not plain[keyword].value:
                del plain[keyword]
        plain.save_as(tmp_path / "part.dcm")
        assert findings(tmp_path / "part.dcm") == [], part


@pytest.mark.parametrize(
    ("row", "source", "written"),
    [
        (Options(), {}, (None, None, "U")),
        (Options(), {"BodyPartExamined": "ABDOMEN"}, ("ABDOMEN", "818981001", "U")),
        (Options(), {"BodyPartExamined": "l spine"}, ("LSPINE", "122496007", "U")),
        (Options(), {"BodyPartExamined": "KNEE", "Laterality": "L"}, ("KNEE", "72696002", "L")),
        (Options(), {"BodyPartExamined": "KNEE", "Laterality": "L", "ImageLaterality": "R"}, ("KNEE", "72696002", "R")),
        (Options(body_part="HAND", laterality="B"), {"BodyPartExamined": "KNEE"}, ("HAND", "85562004", "B")),
        (Options(body_part="FOREARM", laterality="R"), {}, (None, "14975008", "R")),
        (Options(body_part="LEG", laterality="R"), {}, ("LEG", None, "R")),
        (Options(body_part="HAND"), {"BodyPartExamined": "hand", "Laterality": "R"}, ("HAND", "85562004", "R")),
        (Options(body_part="HAND", laterality="U"), {}, ("HAND", "85562004", "U")),
        (Options(body_part="L SPINE"), {}, ("LSPINE", "122496007", "U")),
        (Options(laterality="L"), {"ImageLaterality": "R"}, (None, None, "L")),
    ],
)
def test_row_wins_over_source(
    row: Options, source: dict[str, str], written: tuple[str | None, str | None, str], standard: Path, tmp_path: Path
) -> None:
    result, warnings = built(tmp_path, row, **source)
    region = result.get("AnatomicRegionSequence")
    code = region[0].CodeValue if region else None
    assert (result.get("BodyPartExamined"), code, result.ImageLaterality) == written
    assert warnings == []
    assert check(Path(result.filename), standard).clean


@pytest.mark.parametrize("text", ["CANARY", "Left CANARY", "HANDS", "CANARY\\HAND"])
def test_body_part_of_the_source_that_is_no_term_is_left_out_and_named(text: str, tmp_path: Path) -> None:
    result, warnings = built(tmp_path, BodyPartExamined=text)
    assert not {"BodyPartExamined", "AnatomicRegionSequence"} & set(result.dir())
    assert warnings == ["BodyPartExamined of the source is no defined term (PS3.16 Annex L) and was left out."]
    assert findings(Path(result.filename)) == []


def test_unknown_side_of_a_paired_part_is_told_to_the_submitter_once(tmp_path: Path) -> None:
    build = making.a_build(making.made_source(CT, "CT"), tmp_path, Options(body_part="HAND"))
    build_instances(making.clip((0.0, 40.0, 80.0), cine=False), build)
    assert build.warnings == ["The side of the body part is not known: Image Laterality says U. Fill in laterality."]


@pytest.mark.parametrize("own", ["HAND", "", "CANARY"])
def test_side_of_the_source_is_not_that_of_another_body_part(own: str, tmp_path: Path) -> None:
    result, warnings = built(tmp_path, Options(body_part="FOOT"), BodyPartExamined=own, ImageLaterality="R")
    assert (result.BodyPartExamined, result.ImageLaterality) == ("FOOT", "U")
    assert warnings == ["The side of the body part is not known: Image Laterality says U. Fill in laterality."]


def test_body_part_is_found_whatever_its_spelling() -> None:
    for text in ("lspine", "L-Spine", "l spine", "L_SPINE"):
        assert body_part_of(text) is BODY_PARTS["LSPINE"]
    assert body_part_of("") is None


# --- modality ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, len(MODALITIES), 20))
def test_every_modality_of_the_table_is_a_defined_term_to_the_checker(first: int, tmp_path: Path) -> None:
    plain, _ = built(tmp_path)
    for modality in sorted(MODALITIES)[first : first + 20]:
        plain.Modality = modality
        plain.save_as(tmp_path / "modality.dcm")
        assert findings(tmp_path / "modality.dcm") == [], modality


@pytest.mark.parametrize(("retired", "successor"), RETIRED_MODALITIES.items())
def test_retired_modality_of_the_source_becomes_its_successor(retired: str, successor: str, tmp_path: Path) -> None:
    result, warnings = built(tmp_path, Modality=retired)
    assert (result.Modality, warnings) == (successor, [])


@pytest.mark.parametrize(("retired", "successor"), RETIRED_MODALITIES.items())
def test_retired_modality_of_the_row_is_written_as_its_successor(retired: str, successor: str, tmp_path: Path) -> None:
    assert built(tmp_path, Options(modality=retired))[0].Modality == successor


@pytest.mark.parametrize("options", [Options(body_part="WOUND"), Options(modality="PHOTO")])
def test_word_of_a_row_of_an_earlier_version_that_is_no_term_is_refused(options: Options, tmp_path: Path) -> None:
    with pytest.raises(OptionRefused, match="no defined term"):
        built(tmp_path, options)


@pytest.mark.parametrize("text", ["CANARY", "ct", "", "CT\\MR"])
def test_modality_of_the_source_that_is_no_term_becomes_ot_and_is_named(text: str, tmp_path: Path) -> None:
    result, warnings = built(tmp_path, Modality=text)
    assert result.Modality == "OT"
    assert warnings == ["Modality of the source is no defined term (PS3.3 C.7.3.1.1.1): OT is written."]
    assert findings(Path(result.filename)) == []
