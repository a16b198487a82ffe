"""`media2dicom inspect` as people and scripts use it: words, veil, exit codes, picture, payload, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import FileDataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import generate_frames
from typer.testing import CliRunner, Result

from flows.cli import app
from media2dicom.dicom.encoding import decode
from media2dicom.dicom.references import code_item
from tests import real_media
from tests.dicom import making
from tests.dicom.making import EXPLICIT
from tests.validation.objects import good, with_attributes
from tests.validation.test_documents_and_videos import OBJ, _objects


@pytest.fixture
def inspect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["inspect", *map(str, arguments)], catch_exceptions=False)

    return run


def _copy(path: Path, folder: Path) -> Path:
    copy = folder / "one.dcm"
    copy.write_bytes(path.read_bytes())
    return copy


def test_object_is_told_in_words_and_its_patient_is_veiled(inspect: Callable[..., Result], tmp_path: Path) -> None:
    file = _copy(good("colour cine, uneven"), tmp_path)
    told = inspect(file)
    assert told.exit_code == 0
    for words in (
        *("Multi-frame True Color Secondary Capture", "CT, Computed Tomography", "JPEG Baseline (Process 1)"),
        *("36 x 24 pixels", "H.264 40:1, then JPEG", "uneven, 40 to 212.833 ms apart", "unpaired or not known"),
        *("Anatomic image (121338, DCM)", "The validator finds nothing.", f"Picture: {file}.png"),
    ):
        assert words in told.output, words
    assert not any(word in told.output for word in ("CompressedSamples", "1CT1", "e+1"))
    assert "CompressedSamples^CT1" in inspect(file, "--identity").output


def test_free_text_that_may_name_the_patient_is_veiled(inspect: Callable[..., Result], tmp_path: Path) -> None:
    def name_the_patient(dataset: FileDataset) -> None:
        for keyword in ("SeriesDescription", "DerivationDescription", "ContentDescription", "DocumentTitle"):
            setattr(dataset, keyword, f"{keyword} of CANARY")
        dataset.BodyPartExamined = "LEFT CANARY"
        dataset.AnatomicRegionSequence = [code_item("122496007", "SCT", "Spine of CANARY")]
        dataset.ConceptNameCodeSequence = [code_item("7", "99LAB", "Letter on CANARY")]
        dataset.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue = "CANARY"

    file = with_attributes(good("colour still", EXPLICIT), name_the_patient, tmp_path)
    told = inspect(file, "--json", "--out", tmp_path / "picture.png")
    assert "CANARY" not in told.output
    facts = json.loads(told.stdout)["facts"]
    assert facts["series"]["series description"] == facts["pixels"]["derivation"] == "veiled"
    assert facts["series"]["anatomic region"].endswith("(122496007, SCT)")
    assert dcmread(file).SOPInstanceUID in told.output
    assert dcmread(file).StudyInstanceUID not in told.output
    asked = inspect(file, "--identity").output
    assert all(f"{keyword} of CANARY" in asked for keyword in ("SeriesDescription", "DerivationDescription"))
    assert "Letter on CANARY (7, 99LAB)" in asked


def _derivation(text: str) -> Callable[[FileDataset], None]:
    return lambda dataset: setattr(dataset, "DerivationDescription", text)


def test_instant_of_a_frame_is_shown_in_the_programs_own_words_alone(
    inspect: Callable[..., Result], tmp_path: Path
) -> None:
    own = "Video frame at 1.25 s of the clip. Compressed with loss before, as VP9 with ratio 12.5"
    for text, shown in ((own, True), (f"{own} of CANARY", False), ("Video frame at CANARY s of the clip", False)):
        file = with_attributes(good("colour still", EXPLICIT), _derivation(text), tmp_path)
        assert (text in inspect(file).output) == shown
    cine = inspect(good("colour cine, even"), "--out", tmp_path / "cine.png").output
    assert re.search(r"derivation +Video frames from 0 s to [\d.]+ s of the clip", cine)

    def of_another_maker(dataset: FileDataset) -> None:
        dataset.file_meta.ImplementationClassUID = "1.2.3.4"

    file = with_attributes(good("colour cine, even"), of_another_maker, tmp_path)
    assert "of the clip" not in inspect(file, "--out", tmp_path / "q.png").output


def test_lines_are_whole_where_there_is_no_terminal(
    inspect: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = inspect(good("colour still"), "--out", tmp_path / "picture.png").output.splitlines()
    source = dcmread(good("colour still")).ReferencedImageSequence[0].ReferencedSOPInstanceUID
    path = "ReferencedSeriesSequence[1].ReferencedInstanceSequence[1]"
    found = [line.split() for line in lines if line.split()[:1] == [path]]
    assert found == [[path, "CT", "Image", "Storage,", source]]


def test_picture_is_the_frame_in_the_middle(inspect: Callable[..., Result], tmp_path: Path) -> None:
    path = good("colour cine, even")
    assert inspect(path, "--out", tmp_path / "picture.png").exit_code == 0
    dataset = dcmread(path)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=4))
    expected = decode(frames[1], dataset.PhotometricInterpretation)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), expected)


def test_picture_of_pixels_that_are_not_square_is_in_proportion(inspect: Callable[..., Result], tmp_path: Path) -> None:
    path = good("pixels that are not square")
    assert inspect(path, "--out", tmp_path / "picture.png").exit_code == 0
    assert Image.open(tmp_path / "picture.png").size == (round(35 * 11 / 12), 24)


def test_deep_grey_is_shown_from_least_to_greatest_value(inspect: Callable[..., Result], tmp_path: Path) -> None:
    assert inspect(good("16-bit grey still"), "--out", tmp_path / "picture.png").exit_code == 0
    shown = np.asarray(Image.open(tmp_path / "picture.png"))
    assert (shown.dtype, shown.min(), shown.max()) == (np.uint8, 0, 255)


def test_model_is_drawn_and_extracted_byte_for_byte(inspect: Callable[..., Result], tmp_path: Path) -> None:
    told = inspect(good("STL"), "--out", tmp_path / "model.png", "--extract", tmp_path / "payload")
    assert told.exit_code == 0
    for words in ("mm (mm, UCUM)", "Planning Intent (129013, DCM)", "L* 44.1, a* 63.9, b* 41.7"):
        assert words in told.output, words
    assert np.asarray(Image.open(tmp_path / "model.png")).max() > 100
    (file,) = (tmp_path / "payload").iterdir()
    assert (file.suffix, file.read_bytes()) == (".stl", real_media.binary_stl(real_media.sphere(33)))
    again = inspect(good("STL"), "--out", tmp_path / "again.png", "--extract", tmp_path / "payload")
    assert (again.exit_code, "is there already" in again.output) == (3, True)


def test_video_is_shown_by_its_first_frame_and_extracted_as_it_was(
    inspect: Callable[..., Result], tmp_path: Path
) -> None:
    (path,) = _objects("h264.mp4")
    told = inspect(path, "--out", tmp_path / "video.png", "--extract", tmp_path / "payload")
    assert (told.exit_code, "H.264" in told.output, "every 100 ms" in told.output) == (0, True, True)
    assert Image.open(tmp_path / "video.png").size == (64, 48)
    (file,) = (tmp_path / "payload").iterdir()
    assert file.suffix == ".mp4"
    frames = real_media.ffmpeg("-i", file, "-f", "rawvideo", "-pix_fmt", "gray", "-")
    assert len(frames) == 64 * 48 * 10


@pytest.mark.parametrize(("name", "suffix"), [("letter.pdf", ".pdf"), ("summary.xml", ".xml")])
def test_document_has_no_picture_but_can_be_extracted(
    name: str, suffix: str, inspect: Callable[..., Result], tmp_path: Path
) -> None:
    (path,) = _objects(name)
    told = inspect(path, "--extract", tmp_path)
    assert (told.exit_code, "--extract FOLDER" in told.output) == (0, True)
    assert (tmp_path / f"{path.stem}{suffix}").read_bytes() == (path.parents[1] / name).read_bytes()


def test_model_with_materials_is_drawn(inspect: Callable[..., Result], tmp_path: Path) -> None:
    model, library = _objects(OBJ)
    assert inspect(model, "--out", tmp_path / "model.png").exit_code == 0
    assert np.asarray(Image.open(tmp_path / "model.png")).max() > 100
    assert "No picture: A material library has no picture" in inspect(library).output


def test_findings_end_with_exit_code_1_and_are_in_the_json(inspect: Callable[..., Result], tmp_path: Path) -> None:
    broken = with_attributes(good("colour still", EXPLICIT), lambda dataset: delattr(dataset, "Modality"), tmp_path)
    told = inspect(broken, "--json")
    assert told.exit_code == 1
    answer = json.loads(told.stdout)
    (finding,) = answer["findings"]
    assert finding == {"attribute": "Modality", "text": "is missing (type 1)", "rule": "PS3.3 C.7.3.1"}
    assert (answer["exit_code"], answer["written_by_media2dicom"]) == (1, True)
    assert answer["facts"]["patient and study"]["name"] == "veiled"
    assert Path(answer["picture"]).exists()


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small_bigendian.dcm", "reportsi.dcm", "image_dfl.dcm", "no_meta.dcm"]
)
def test_objects_of_other_makers_are_shown_too(name: str, inspect: Callable[..., Result], tmp_path: Path) -> None:
    told = inspect(_copy(Path(str(get_testdata_file(name, download=False))), tmp_path))
    if name == "no_meta.dcm":
        assert (told.exit_code, "is no DICOM file" in told.output) == (2, True)
        return
    assert told.exit_code == 1
    assert "Another program wrote this object" in told.output
    assert ("No picture" in told.output) == (name == "reportsi.dcm")


def test_what_is_no_dicom_file_ends_with_exit_code_2(inspect: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\nCANARY" * 40)
    told = inspect(tmp_path / "photo.png", "--json")
    assert (told.exit_code, json.loads(told.stdout)["error"]["code"]) == (2, "no-dicom")
    assert "CANARY" not in told.output
    assert inspect(tmp_path / "missing.dcm").exit_code == 2


def test_original_beside_the_object_is_not_written_over(inspect: Callable[..., Result], tmp_path: Path) -> None:
    file = _copy(making_a_still(tmp_path), tmp_path)
    original = file.with_suffix(".png")
    original.write_bytes(b"the photograph")
    assert inspect(file).exit_code == 0
    assert original.read_bytes() == b"the photograph"


def test_picture_takes_no_other_files_place_and_is_for_its_owner_alone(
    inspect: Callable[..., Result], tmp_path: Path
) -> None:
    file = _copy(good("colour still", EXPLICIT), tmp_path)
    other = tmp_path / "other.png"
    other.write_bytes(b"another picture")
    before = file.read_bytes()
    for taken in (file, other):
        told = inspect(file, "--out", taken)
        assert (told.exit_code, "is there already" in told.output, "another --out" in told.output) == (3, True, True)
    assert (file.read_bytes(), other.read_bytes()) == (before, b"another picture")
    beside = file.with_name(f"{file.name}.png")
    beside.symlink_to(other)
    for _ in range(2):  # the picture of an earlier look is replaced, and nothing that a link there leads to
        assert inspect(file).exit_code == 0
        assert (beside.is_symlink(), beside.stat().st_mode & 0o777) == (False, 0o600)
    assert other.read_bytes() == b"another picture"


def making_a_still(folder: Path) -> Path:
    source = making.real_source("CT_small.dcm")
    return making.build(making.still(making.kept_picture(making.pixels())), source, folder)[0].path
