"""Whole runs of the flow against real PACS: what is filed, what is not, and what a second run does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from openpyxl import load_workbook
from PIL import Image, ImageOps
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from media2dicom.model import Status
from media2dicom.runs import default_results_path
from media2dicom.selection import Selection
from media2dicom.settings import load_settings
from tests import archive as sheets
from tests import peers
from tests.checkers import check
from tests.pacs import studies

EXPLICIT = "1.2.840.10008.1.2.1"
STL = "1.2.840.10008.5.1.4.1.1.104.3"


def patient(**values: Any) -> Dataset:
    """A study whose patient no other test has."""
    return studies.image(**{"PatientName": "Canary^Clara", "PatientBirthDate": "19700131", **values})


def fetched(peer: peers.Peer, study: Dataset) -> dict[str, list[Dataset]]:
    """What the PACS holds of the study beside its source, by Series Description."""
    found: dict[str, list[Dataset]] = {}
    for one in sheets.fetch(peer.server(), load_settings(), str(study.StudyInstanceUID)):
        if one.SOPInstanceUID != study.SOPInstanceUID:
            found.setdefault(str(one.get("SeriesDescription", "")), []).append(one)
    return {name: sorted(some, key=lambda one: int(one.InstanceNumber)) for name, some in found.items()}


def frames(one: Dataset) -> list[bytes]:
    return list(generate_frames(one.PixelData, number_of_frames=int(one.get("NumberOfFrames") or 1)))


def test_every_media_kind_arrives_whole_under_the_patients_identity(
    pacs: peers.Peer, configured_for: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path, standard: Path
) -> None:
    configured_for(pacs)
    study = patient()
    pacs.load([study])
    media = sheets.make_media(tmp_path / "media")
    who = sheets.Patient(study).cells
    asked: dict[str, dict[str, str]] = {
        "photo.jpg": {},
        "turned.jpg": {},
        "screen.png": {},
        "palette.png": {"transfer_syntax": ".57"},
        "alpha.png": {"transfer_syntax": "explicit"},
        "film16.png": {},
        "scan.bmp": {"transfer_syntax": ".51"},
        "cmyk.jpg": {},
        "progressive.jpg": {"transfer_syntax": ".50"},
        "rocket.jpg": {},
        "astronaut.png": {},
        "bikes.mp4": {"frame_interval_s": "4"},
        "text.stl": {"color": "200,30,40", "opacity": "0.5", "color_in_description": "yes"},
        "binary.stl": {"model_group": "heart", "units": "cm"},
        "part2.stl": {"model_group": "heart"},
    }
    rows = [{"media": f"media/{name}", **who, "series_description": name, **cells} for name, cells in asked.items()]
    rows.append({"media": "media/bikes.mp4", **who, "series_description": "cine", "video_mode": "cine"})
    state, outcomes = archive(sheets.write_sheet(tmp_path / "mixed.csv", rows))
    assert {row.media: str(row.outcome) for row in outcomes if row.status != Status.STORED} == {}
    assert state.is_completed()

    there = fetched(pacs, study)
    assert set(there) == {*asked, "cine"}
    for number, one in enumerate(one for some in there.values() for one in some):
        path = tmp_path / f"{number}.dcm"
        one.save_as(path, enforce_file_format=True)
        findings = check(path, standard)
        assert findings.clean, (one.SeriesDescription, findings)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "StudyTime"):
            assert one[keyword].value == study[keyword].value, keyword
        assert one.AccessionNumber == study.AccessionNumber
        assert one.SpecificCharacterSet == "ISO_IR 192"
        assert one.Modality == ("M3D" if one.SOPClassUID == STL else study.Modality)
        reference = one.ReferencedSeriesSequence[0]
        assert reference.SeriesInstanceUID == study.SeriesInstanceUID
        assert reference.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == study.SOPInstanceUID

    native = pacs.name == "dcmqrscp"  # refuses JPEG: everything was rewritten in Explicit VR Little Endian
    syntaxes = Counter(str(one.file_meta.TransferSyntaxUID) for some in there.values() for one in some)
    assert (set(syntaxes) == {EXPLICIT}) == native

    # Lossless: the pixels of the file, to the last bit.
    def picture(name: str) -> Any:
        return ImageOps.exif_transpose(Image.open(media[name]))

    exact = {
        "turned.jpg": picture("turned.jpg"),
        "screen.png": picture("screen.png"),
        "astronaut.png": picture("astronaut.png"),
        "palette.png": picture("palette.png").convert("RGB"),
        "film16.png": picture("film16.png"),
    }
    for name, expected in exact.items():
        assert np.array_equal(there[name][0].pixel_array, np.asarray(expected)), name
    alpha = Image.new("RGBA", (80, 60), "white")
    alpha.alpha_composite(Image.open(media["alpha.png"]))
    assert np.abs(there["alpha.png"][0].pixel_array.astype(int) - np.asarray(alpha.convert("RGB"))).max() <= 1
    assert there["screen.png"][0].LossyImageCompression == "00"
    assert there["turned.jpg"][0].LossyImageCompression == "01"

    # A baseline JPEG's own stream: from the first quantisation table on, the same bytes.
    for name in ("photo.jpg", "rocket.jpg"):
        photo, own = there[name][0], media[name].read_bytes()
        if native:
            difference = photo.pixel_array.astype(int) - np.asarray(Image.open(media[name]))
            assert np.abs(difference).max() <= 3
        else:
            stream = frames(photo)[0]
            quantised = stream.rstrip(b"\x00")[stream.index(b"\xff\xdb") :]
            assert quantised == own[own.index(b"\xff\xdb") :].rstrip(b"\x00"), name
            assert photo.PhotometricInterpretation == "YBR_FULL_422"

    # Video: 10 s of 25 frames a second.
    assert [one.InstanceNumber for one in there["bikes.mp4"]] == [1, 2, 3]
    assert "at 8 s" in there["bikes.mp4"][2].DerivationDescription
    cine = there["cine"][0]
    assert (cine.NumberOfFrames, float(cine.FrameTime), cine.FrameIncrementPointer) == (10, 1000, 0x00181063)

    # 3D: the triangles of the file.
    for name in ("text.stl", "binary.stl", "part2.stl"):
        one = there[name][0]
        stl = one.EncapsulatedDocument[: one.EncapsulatedDocumentLength]
        held = trimesh.load_mesh(BytesIO(stl), file_type="stl", process=False)
        filed = trimesh.load_mesh(media[name], process=False)
        assert np.array_equal(held.triangles.astype("f4"), filed.triangles.astype("f4")), name
    assert there["text.stl"][0].RecommendedDisplayCIELabValue == [28904, 49322, 43621]
    assert there["text.stl"][0].ContentDescription == "ColorRGB(200, 30, 40)"
    assert there["text.stl"][0].RecommendedPresentationOpacity == 0.5
    assert there["binary.stl"][0].MeasurementUnitsCodeSequence[0].CodeValue == "cm"
    group = {there[name][0].ModelGroupUID for name in ("binary.stl", "part2.stl")}
    assert len(group) == 1
    assert there["text.stl"][0].ModelGroupUID not in group


def test_a_rerun_sends_nothing_and_says_what_was_there_already(
    pacs: peers.Peer, configured_for: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path
) -> None:
    configured_for(pacs)
    study = patient()
    pacs.load([study])
    sheets.make_media(tmp_path)
    manifest = sheets.write_sheet(
        tmp_path / "m.csv", [{"media": name, **sheets.Patient(study).cells} for name in ("photo.jpg", "binary.stl")]
    )
    archive(manifest)
    before = {one.SOPInstanceUID for some in fetched(pacs, study).values() for one in some}
    state, rows = archive(manifest)
    after = {one.SOPInstanceUID for some in fetched(pacs, study).values() for one in some}
    assert before == after
    assert len(after) == 2
    assert "2 of them by an earlier run" in state.message
    assert [(row.status, row.attempts) for row in rows] == [(Status.STORED, 1)] * 2
    sheet = load_workbook(default_results_path(manifest))["Data"]
    header = [cell.value for cell in sheet[1]]
    assert [sheet.cell(row, header.index("message") + 1).value for row in (2, 3)] == [
        "Stored by an earlier run; nothing was sent."
    ] * 2


def test_rows_fail_alone_and_the_workbook_says_why(
    pacs: peers.Peer, configured_for: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path
) -> None:
    configured_for(pacs)
    study, other = patient(), patient()
    pacs.load([study, other])
    media = sheets.make_media(tmp_path)
    (tmp_path / "half.png").write_bytes(media["screen.png"].read_bytes()[:2000])
    who = sheets.Patient(study).cells
    rows = [
        {"media": "photo.jpg", **who},
        {"media": "screen.png", **who, "patient_id": str(other.PatientID)},
        {"media": "half.png", **who},
        {"media": "nowhere.png", **who},
        {"media": "../../etc/passwd", **who},
        {"media": "scan.bmp", **who, "patient_birth_date": "1970-02-01"},
        {"media": "scan.bmp", **who, "study_instance_uid": "1.2.3.4.5"},
        {"media": "film16.png", **who, "transfer_syntax": ".50"},
        {"media": "binary.stl", **who, "opacity": "7"},
        {"media": "binary.stl", **who, "patient_name": "canary, CLARA", "patient_birth_date": "31.01.1970"},
    ]
    state, outcomes = archive(sheets.write_sheet(tmp_path / "m.csv", rows))
    codes = [row.outcome.code for row in outcomes]
    assert codes == [
        None,
        "identity-mismatch",
        "media-damaged",
        "media-missing",
        "media-outside-roots",
        "identity-mismatch",
        "study-not-found",
        "option-refused",
        "cell-invalid",
        None,
    ]
    assert state.is_failed()
    assert state.message.startswith("8 of 10 rows were refused: 2 patient differs from the PACS")
    assert sum(map(len, fetched(pacs, study).values())) == 2
    assert fetched(pacs, other) == {}
    sheet = load_workbook(default_results_path(tmp_path / "m.csv"))["Data"]
    header = [cell.value for cell in sheet[1]]
    shown = [sheet.cell(row, header.index("status") + 1) for row in range(2, 12)]
    assert Counter(cell.value for cell in shown) == {"STORED": 2, "REFUSED": 8}
    assert shown[0].fill.fgColor.rgb != shown[1].fill.fgColor.rgb
    assert all(sheet.cell(row, header.index("next_step") + 1).value for row in range(3, 11))


def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_not(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path
) -> None:
    """A PACS out of resources twice, then well; and one instance that it will never take."""
    answers = iter([0xA700, 0xA700])
    stored: list[str] = []
    sheets.make_media(tmp_path)
    with sheets.MoodyPacs(tmp_path / "pacs") as pacs:
        study = patient()
        pacs.peer.load([study])

        def answer(dataset: Dataset) -> int | None:
            stored.append(str(dataset.SOPClassUID))
            return 0xA900 if dataset.SOPClassUID == STL else next(answers, None)

        pacs.mood = answer
        configured(pacs=pacs.peer.server())
        rows = [{"media": name, **sheets.Patient(study).cells} for name in ("photo.jpg", "binary.stl")]
        _, outcomes = archive(sheets.write_sheet(tmp_path / "m.csv", rows))
    assert [(row.status, row.attempts, row.outcome.code) for row in outcomes] == [
        (Status.STORED, 3, None),
        (Status.FAILED, 1, "store-failed"),
    ]
    assert Counter(stored)[STL] == 1
    assert "0xA900" in outcomes[1].outcome.message


def test_retry_takes_up_what_is_left_from_the_prepared_files(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path
) -> None:
    sheets.make_media(tmp_path)
    with sheets.MoodyPacs(tmp_path / "pacs") as pacs:
        study = patient()
        pacs.peer.load([study])
        configured(pacs=pacs.peer.server())
        who = sheets.Patient(study).cells
        rows = [{"media": "photo.jpg", **who}, {"media": "film16.png", **who, "transfer_syntax": ".50"}]
        manifest = sheets.write_sheet(tmp_path / "m.csv", rows)
        pacs.mood = lambda dataset: 0xA700
        _, outcomes = archive(manifest)
        assert [row.outcome.code for row in outcomes] == ["pacs-out-of-resources", "option-refused"]
        made = outcomes[0].instances[0].instance.path.stat().st_mtime_ns
        (tmp_path / "photo.jpg").unlink()
        pacs.mood = lambda dataset: None
        _, outcomes = archive(manifest, retry=Selection(status=Status.FAILED))
        assert [row.status for row in outcomes] == [Status.STORED, Status.REFUSED]
        assert outcomes[0].instances[0].instance.path.stat().st_mtime_ns == made
        assert sum(map(len, fetched(pacs.peer, study).values())) == 1


def test_a_pacs_that_is_down_fails_every_row_at_once_with_the_reason(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path
) -> None:
    from media2dicom.settings import Server

    configured(pacs=Server(host="127.0.0.1", port=peers.free_port(), ae_title="GONE"))
    sheets.make_media(tmp_path)
    who = sheets.Patient(patient()).cells
    state, rows = archive(sheets.write_sheet(tmp_path / "m.csv", [{"media": "photo.jpg", **who}]))
    assert (rows[0].status, rows[0].outcome.code) == (Status.FAILED, "pacs-unreachable")
    assert rows[0].outcome.transient
    assert state.is_failed()


def test_nothing_of_the_patient_reaches_prefect(
    configured: Callable[..., Path], archive: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    canaries = ("CanaryName", "CANARYID77", "19330303", "CANARYACC")
    study = patient(
        PatientName=f"{canaries[0]}^Clara",
        PatientID=canaries[1],
        PatientBirthDate=canaries[2],
        AccessionNumber=canaries[3],
    )
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        pacs.load([study])
        configured(pacs=pacs.server())
        rows = [
            {"media": "photo.jpg", "accession_number": canaries[3], "patient_id": canaries[1]},
            {"media": "scan.bmp", "accession_number": canaries[3], "patient_id": "CANARYID78"},
            {"media": "half.stl", "accession_number": canaries[3], "patient_id": canaries[1]},
        ]
        (tmp_path / "half.stl").write_bytes((tmp_path / "binary.stl").read_bytes()[:3000])
        caplog.set_level("DEBUG")
        state, outcomes = archive(sheets.write_sheet(tmp_path / "m.csv", rows))
    assert [row.status for row in outcomes] == [Status.STORED, Status.REFUSED, Status.REFUSED]
    seen = [record.getMessage() for record in caplog.records] + [state.message]
    seen += [repr(row.outcome) + repr(row.warnings) for row in outcomes]
    seen += _prefect_records()
    assert any("archive m.csv" in text for text in seen)
    for canary in (*canaries, "CANARYID78"):
        assert not [text for text in seen if canary in text], canary


def _prefect_records() -> list[str]:
    """Everything that the Prefect server holds and shows: flow runs, task runs, logs, artifacts."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found: list[Any] = [*client.read_flow_runs(), *client.read_task_runs()]
        for path in ("logs/filter", "artifacts/filter"):
            found.append(client._client.post(f"/{path}", json={}).text)
    return [one if isinstance(one, str) else one.model_dump_json() for one in found]
