"""The representative instance: which one, its header, and that it is the right patient's."""

from __future__ import annotations

import copy
import dataclasses
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import register_uid
from pynetdicom.service_class import StorageServiceClass

from media2dicom.errors import IdentityMismatch, PacsError, RetrieveFailed, SourceUnusable
from media2dicom.pacs.query import StudyMatch, find_study, query_association
from media2dicom.pacs.retrieve import retrieve_source
from media2dicom.pacs.syntaxes import STORAGE_CLASSES
from media2dicom.settings import Server, Settings
from tests import peers
from tests.pacs import studies


def study_of(server: Server, settings: Settings, dataset: Dataset) -> StudyMatch:
    with query_association(server, settings) as association:
        return find_study(association, study_instance_uid=str(dataset.StudyInstanceUID))


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_header_comes_without_pixels(pacs: peers.Peer, settings: Settings, retrieve: str) -> None:
    (image,) = pacs.load([studies.image()])
    server = pacs.server(retrieve=retrieve)
    source = retrieve_source(server, settings, study_of(server, settings, image))
    assert source.header.SOPInstanceUID == image.SOPInstanceUID
    assert source.header.PatientName == image.PatientName
    assert source.header.file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID
    assert "PixelData" not in source.header
    assert source.image_modality is None


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "JPEG2000.dcm",
        "JPEG-LL.dcm",
        "MR_small_RLE.dcm",
        "color3d_jpeg_baseline.dcm",
        "test-SR.dcm",
        "reportsi.dcm",
        "rtplan.dcm",
        "waveform_ecg.dcm",
        "ExplVR_BigEnd.dcm",
        "liver_1frame.dcm",
    ],
)
def test_source_of_any_class_and_syntax_is_retrieved(pacs: peers.Peer, settings: Settings, name: str) -> None:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"pydicom does not bring {name}")
    template = get_testdata_file(name, read=True)
    assert isinstance(template, Dataset)
    if pacs.name == "dcmqrscp" and template.file_meta.TransferSyntaxUID.is_compressed:
        pytest.skip("dcmqrscp takes no compressed syntax")
    image = studies.image(template, StudyInstanceUID=generate_uid(), SeriesInstanceUID=generate_uid(), PatientID="ANY1")
    pacs.load([image])
    source = retrieve_source(pacs.server(), settings, study_of(pacs.server(), settings, image))
    assert source.header.SOPInstanceUID == image.SOPInstanceUID
    assert not {"PixelData", "WaveformData", "EncapsulatedDocument"} & set(source.header.dir())


def test_image_comes_before_reports_and_own_results(pacs: peers.Peer, settings: Settings) -> None:
    image = studies.image(SeriesNumber=9)
    report = studies.image(image, SeriesInstanceUID=generate_uid(), SeriesNumber=1, Modality="SR")
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    own = studies.image(image, SeriesInstanceUID=generate_uid(), SeriesNumber=2, Manufacturer="Media2DICOM")
    pacs.load([report, own, image])
    study = study_of(pacs.server(), settings, image)
    for _ in range(2):  # always the same one
        source = retrieve_source(pacs.server(), settings, study)
        assert source.header.SOPInstanceUID == image.SOPInstanceUID


@pytest.fixture
def csa_pacs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[peers.Peer]:
    """A PACS that takes a private class of data beside the images of an MR study."""
    register_uid(CSA_NON_IMAGE, "CSANonImage", StorageServiceClass)
    monkeypatch.setattr("media2dicom.pacs.demo.STORAGE_CLASSES", (*STORAGE_CLASSES, CSA_NON_IMAGE))
    with peers.demo_pacs(tmp_path / "csa") as running:
        yield running


CSA_NON_IMAGE = "1.3.12.2.1107.5.9.1"


def csa(like: Dataset, number: int) -> Dataset:
    data = studies.image(like, SOPClassUID=CSA_NON_IMAGE, SeriesInstanceUID=generate_uid(), SeriesNumber=number)
    for keyword in ("Rows", "Columns", "PixelData", "NumberOfFrames"):
        if keyword in data:
            delattr(data, keyword)
    return data


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_image_comes_before_private_classes_of_its_modality(
    csa_pacs: peers.Peer, tmp_path: Path, retrieve: str
) -> None:
    image = studies.image(Modality="MR", SeriesNumber=9)
    csa_pacs.load([*(csa(image, number) for number in (1, 2, 3)), image])
    server, settings = csa_pacs.server(retrieve=retrieve), csa_pacs.settings(tmp_path)
    source = retrieve_source(server, settings, study_of(server, settings, image))
    assert (source.header.SOPInstanceUID, source.image_modality) == (image.SOPInstanceUID, None)


def test_private_class_serves_when_there_is_nothing_else_and_is_no_image(csa_pacs: peers.Peer, tmp_path: Path) -> None:
    data = csa(studies.image(Modality="MR"), 1)
    csa_pacs.load([data])
    server, settings = csa_pacs.server(), csa_pacs.settings(tmp_path)
    source = retrieve_source(server, settings, study_of(server, settings, data))
    assert (source.header.SOPInstanceUID, source.image_modality) == (data.SOPInstanceUID, "MR")


def test_own_result_serves_when_there_is_nothing_else(pacs: peers.Peer, settings: Settings) -> None:
    (own,) = pacs.load([studies.image(Manufacturer="Media2DICOM")])
    source = retrieve_source(pacs.server(), settings, study_of(pacs.server(), settings, own))
    assert source.header.SOPInstanceUID == own.SOPInstanceUID


def test_smallest_image_of_the_first_series_is_chosen(pacs: peers.Peer, settings: Settings) -> None:
    large = studies.image(InstanceNumber=2)
    small = studies.image(large, InstanceNumber=1, Rows=64, PixelData=bytes(64 * 128 * 2))
    pacs.load([large, small])
    source = retrieve_source(pacs.server(), settings, study_of(pacs.server(), settings, large))
    assert source.header.SOPInstanceUID == small.SOPInstanceUID


@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_misfiled_instance_lends_nothing_where_another_agrees_with_the_answer(
    pacs: peers.Peer, settings: Settings, retrieve: str
) -> None:
    own = studies.image(PatientName="Roe^Jane", PatientBirthDate="19610203", SeriesNumber=5)
    mary = {"PatientName": "Other^Mary", "PatientBirthDate": "19990101"}
    misfiled = studies.image(own, **mary, SeriesInstanceUID=generate_uid(), SeriesNumber=1)
    pacs.load([own, misfiled])
    server = pacs.server(retrieve=retrieve)
    study = study_of(server, settings, own)
    assert (study.patient_name, study.patient_birth_date) == ("Roe^Jane", "19610203")
    assert retrieve_source(server, settings, study).header.SOPInstanceUID == own.SOPInstanceUID


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"patient_id": "SOMEONE-ELSE"}, "the Patient IDs differ"),
        ({"patient_id": ""}, "the answer has no Patient ID"),
        ({"patient_id": "p-a"}, "the Patient IDs differ in upper and lower case"),
        ({"patient_name": "Other^Mary"}, "the names differ"),
        ({"patient_birth_date": "19990101"}, "the birth dates differ"),
    ],
)
def test_instance_that_contradicts_the_answer_is_refused_with_what_differs(
    pacs: peers.Peer, settings: Settings, answer: dict[str, str], words: str
) -> None:
    (image,) = pacs.load([studies.image(PatientID="P-A", PatientName="Roe^Jane", PatientBirthDate="19610203")])
    wrong = dataclasses.replace(study_of(pacs.server(), settings, image), **answer)
    with pytest.raises(IdentityMismatch, match=f"{words}[.]") as caught:
        retrieve_source(pacs.server(), settings, wrong)
    for secret in (*answer.values(), "P-A", "Roe", "19610203"):
        assert not secret or secret not in str(caught.value)


def test_instance_that_cannot_be_had_now_may_agree_the_next_time(tmp_path: Path) -> None:
    misfiled = studies.image(PatientName="Other^Mary", SeriesNumber=1)
    lost = studies.image(misfiled, PatientName="Roe^Jane", SeriesInstanceUID=generate_uid(), SeriesNumber=2)
    with peers.demo_pacs(tmp_path / "demo") as demo:
        settings = demo.settings(tmp_path)
        demo.load([lost])
        (path,) = (tmp_path / "demo" / "instances").glob("*.dcm")
        demo.load([misfiled])
        path.unlink()
        with pytest.raises(RetrieveFailed):
            retrieve_source(demo.server(), settings, study_of(demo.server(), settings, lost))


def test_study_without_instances_is_unusable(pacs: peers.Peer, settings: Settings) -> None:
    with pytest.raises(SourceUnusable):
        retrieve_source(pacs.server(), settings, StudyMatch(generate_uid(), "P", "", "", ""))


def test_several_threads_move_at_once_through_one_listener(pacs: peers.Peer, settings: Settings) -> None:
    images = pacs.load([studies.image() for _ in range(6)])
    server = pacs.server(retrieve="move")
    found = [study_of(server, settings, image) for image in images]
    together = threading.Barrier(3)

    def retrieve(study: StudyMatch) -> str:
        together.wait(20)
        return str(retrieve_source(server, settings, study).header.SOPInstanceUID)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(retrieve, found)) == [image.SOPInstanceUID for image in images]


def test_taken_port_is_named(pacs: peers.Peer, settings: Settings) -> None:
    (image,) = pacs.load([studies.image()])
    server = pacs.server(retrieve="move")
    study = study_of(server, settings, image)
    with (
        socket.create_server(("0.0.0.0", settings.port)),
        pytest.raises(RetrieveFailed, match=str(settings.port)),
    ):
        retrieve_source(server, settings, study)


def test_unknown_move_destination_is_said(pacs: peers.Peer, settings: Settings) -> None:
    (image,) = pacs.load([studies.image()])
    stranger = settings.model_copy(update={"ae_title": "STRANGER"})
    study = study_of(pacs.server(), settings, image)
    with pytest.raises(PacsError):
        retrieve_source(pacs.server(retrieve="move"), stranger, study)


def test_nothing_but_the_instance_asked_for_is_taken(tmp_path: Path) -> None:
    from media2dicom.pacs.listener import listening

    with peers.demo_pacs(tmp_path / "demo") as demo:
        settings = demo.settings(tmp_path)
        wanted, unwanted = studies.image(), studies.image()
        with listening(demo.server(), settings) as listener, listener.expect(str(wanted.SOPInstanceUID)) as inbox:
            ourselves = peers.Peer("ourselves", settings.port, settings.ae_title, settings.port)
            with pytest.raises(AssertionError, match="0x0124"):
                ourselves.load([copy.deepcopy(unwanted)])
            ourselves.load([wanted])
            assert inbox.qsize() == 1
