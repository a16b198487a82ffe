"""The embedded PACS: what only it is asked here; what every PACS does is in the tests over `pacs`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid
from pynetdicom import build_context
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
)

from media2dicom.pacs.associations import associate
from media2dicom.pacs.query import find_study, query_association
from media2dicom.pacs.store import StoreSession
from media2dicom.settings import Settings
from tests import peers
from tests.pacs import studies


def find(peer: peers.Peer, level: str, model: Any = StudyRootQueryRetrieveInformationModelFind, **keys: Any) -> Any:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    with associate(peer.server(), Settings(port=peer.our_port), [build_context(model)]) as association:
        answers = list(association.send_c_find(identifier, model))
    assert answers[-1][0].Status == 0x0000
    return [answer for _, answer in answers[:-1]]


@pytest.fixture(scope="module", params=["demo", "orthanc"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two patients; the first has a study of two series, CT (2 instances) and MR (1)."""
    with peers.PACS[request.param](tmp_path_factory.mktemp("filled") / "pacs") as peer:
        ct = studies.image(PatientID="P-1", PatientName="Doe^Jane", StudyDate="20240110", SeriesNumber=1)
        ct2 = studies.image(ct)
        mr = studies.image(ct, SeriesInstanceUID=generate_uid(), Modality="MR")
        other = studies.image(PatientID="P-2", PatientName="Roe^Richard", StudyDate="20240220")
        peer.load([ct, ct2, mr, other])
        yield peer, ct, other


def test_matching_is_the_standards(filled: Any) -> None:
    peer, ct, other = filled
    both = {ct.StudyInstanceUID, other.StudyInstanceUID}
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"PatientID": ""}, both),
        ({"PatientID": "P-1"}, {ct.StudyInstanceUID}),
        ({"PatientID": "P-?"}, both),
        ({"PatientName": "doe*"}, {ct.StudyInstanceUID}),
        ({"StudyDate": "20240101-20240131"}, {ct.StudyInstanceUID}),
        ({"StudyDate": "-20240131"}, {ct.StudyInstanceUID}),
        ({"StudyDate": "20240201-"}, {other.StudyInstanceUID}),
        ({"StudyDate": "20240220"}, {other.StudyInstanceUID}),
        ({"StudyInstanceUID": [ct.StudyInstanceUID, other.StudyInstanceUID]}, both),
        ({"PatientID": "[P-1]"}, set()),
        ({"PatientID": "nobody"}, set()),
    ]
    for keys, expected in cases:
        answers = find(peer, "STUDY", **{"StudyInstanceUID": "", **keys})
        assert {answer.StudyInstanceUID for answer in answers} == expected, keys


def test_counts_and_modalities_are_answered(filled: Any) -> None:
    peer, ct, _ = filled
    counted = {"NumberOfStudyRelatedSeries": "", "NumberOfStudyRelatedInstances": "", "ModalitiesInStudy": ""}
    (study,) = find(peer, "STUDY", StudyInstanceUID=ct.StudyInstanceUID, **counted)
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 3)
    assert set(study.ModalitiesInStudy) == {"CT", "MR"}
    series = find(
        peer,
        "SERIES",
        StudyInstanceUID=ct.StudyInstanceUID,
        SeriesInstanceUID="",
        Modality="",
        NumberOfSeriesRelatedInstances="",
    )
    assert {(one.Modality, int(one.NumberOfSeriesRelatedInstances)) for one in series} == {("CT", 2), ("MR", 1)}
    mr_studies = find(peer, "STUDY", StudyInstanceUID="", ModalitiesInStudy="MR")
    assert {one.StudyInstanceUID for one in mr_studies} == {ct.StudyInstanceUID}


def test_patient_root_answers_patients(filled: Any) -> None:
    peer, _, _ = filled
    answers = find(peer, "PATIENT", PatientRootQueryRetrieveInformationModelFind, PatientID="", PatientName="")
    assert {str(answer.PatientID) for answer in answers} == {"P-1", "P-2"}


def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    image = studies.image()
    for first in (True, False):
        with peers.demo_pacs(tmp_path / "demo") as peer:
            if first:
                peer.load([image])
            with query_association(peer.server(), peer.settings(tmp_path)) as association:
                assert find_study(association, study_instance_uid=str(image.StudyInstanceUID)).patient_id


def test_no_patient_data_in_file_names(tmp_path: Path) -> None:
    image = studies.image(PatientID="CANARY")
    with peers.demo_pacs(tmp_path / "demo") as peer:
        peer.load([image])
    names = " ".join(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert "CANARY" not in names
    assert str(image.SOPInstanceUID) not in names


def test_other_content_under_the_same_uid_is_a_duplicate(tmp_path: Path) -> None:
    image = studies.image()
    instance = studies.prepared(image, tmp_path)
    image.ImageComments = "changed"
    (tmp_path / "other").mkdir()
    changed = studies.prepared(image, tmp_path / "other")
    with (
        peers.demo_pacs(tmp_path / "demo") as peer,
        StoreSession(peer.server(), peer.settings(tmp_path), [instance]) as session,
    ):
        assert session.send(instance).status == 0x0000
        assert session.send(instance).status == 0x0000
        assert session.send(changed).duplicate


def test_compressed_syntaxes_can_be_left_out(tmp_path: Path) -> None:
    instance = studies.prepared(studies.image(), tmp_path)
    jpeg = type(instance)(**{**vars(instance), "transfer_syntax_uid": str(JPEGBaseline8Bit)})
    for compressed, accepted in ((None, {JPEGBaseline8Bit, ExplicitVRLittleEndian}), ((), {ExplicitVRLittleEndian})):
        with (
            peers.demo_pacs(tmp_path / f"demo-{compressed}", compressed=compressed) as peer,
            StoreSession(peer.server(), peer.settings(tmp_path), [jpeg]) as session,
        ):
            assert session.accepted_syntaxes(jpeg.sop_class_uid) - {ImplicitVRLittleEndian} == accepted


def test_dcmtk_clients_are_served(tmp_path: Path) -> None:
    image = studies.image()
    instance = studies.prepared(image, tmp_path)
    got = tmp_path / "got"
    got.mkdir()
    with peers.demo_pacs(tmp_path / "demo") as peer:
        target = ["-aec", peer.ae_title, peer.host, str(peer.port)]
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={image.StudyInstanceUID}"]
        commands = [
            [peers.binary("echoscu"), *target],
            [peers.binary("storescu"), *target, str(instance.path)],
            [peers.binary("findscu"), "-S", *keys, "-X", "-od", str(tmp_path), *target],
            [peers.binary("getscu"), "-S", *keys, "-od", str(got), *target],
        ]
        for command in commands:
            subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert (tmp_path / "rsp0001.dcm").is_file()
    assert len(list(got.iterdir())) == 1
