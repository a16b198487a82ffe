"""Each storage class that a study may hold lends its identity: stored in a PACS, found, retrieved, converted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from media2dicom.dicom.uids import derived_uid
from media2dicom.media.payload import Payload
from media2dicom.model import Options, VideoMode
from media2dicom.settings import Settings
from media2dicom.steps.retrieve import fetch_source
from tests import peers
from tests.contract import Recorder, record
from tests.dicom import making
from tests.dicom.making import BASELINE, EXPLICIT, EXTENDED, P14, SV1

# Storage classes by the end of their UID, and a modality of each.
CLASSES = {
    **{"1": "CR", "1.1": "DX", "1.1.1": "DX", "1.2": "MG", "1.2.1": "MG", "1.3": "IO", "1.3.1": "IO"},
    **{"104.1": "DOC", "11.1": "PR", "11.2": "PR", "11.3": "PR", "11.4": "PR", "12.1": "XA", "12.1.1": "XA"},
    **{"12.2": "RF", "12.2.1": "RF", "2": "CT", "2.1": "CT", "20": "NM", "3": "US", "3.1": "US", "4": "MR"},
    **{"4.1": "MR", "4.2": "MR", "6": "US", "6.1": "US", "7": "OT", "77.1.4": "XC", "88.11": "SR"},
}
# Images whose class has another name.
MAPS = {"6.2": "US", "30": "MR", "77.1.5.8": "OPTBSV", "81.1": "OPM", "82.1": "OPM"}
CLASSES |= MAPS
NO_IMAGES = {"104.1": "128225", "4.2": "128224", "88.11": "128225"} | {f"11.{n}": "128225" for n in (1, 2, 3, 4)}
SYNTAXES = (BASELINE, EXTENDED, P14, SV1, EXPLICIT)


def stored(suffix: str, modality: str, *, study: str) -> Dataset:
    """The smallest instance of a class that says what a PACS wants to know."""
    size = {"Rows": 16, "Columns": 16} if suffix in MAPS else {}
    source = making.made_source(f"1.2.840.10008.5.1.4.1.1.{suffix}", modality, **size)
    source.StudyInstanceUID = derived_uid("study", study)
    source.SeriesInstanceUID = derived_uid("series", study, suffix)
    source.SOPInstanceUID = derived_uid("instance", study, suffix)
    source.SeriesNumber = source.InstanceNumber = 1
    if "Rows" in source:
        source.SamplesPerPixel, source.PhotometricInterpretation = 1, "MONOCHROME2"
        source.BitsAllocated = source.BitsStored = 8
        source.HighBit, source.PixelRepresentation = 7, 0
        source.PixelData = bytes(16 * 16)
    source.file_meta = FileMetaDataset()
    source.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    return source


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Peer]:
    """The embedded PACS with a study of each class."""
    with peers.demo_pacs(tmp_path_factory.mktemp("sources") / "pacs") as running:
        running.load([stored(suffix, modality, study=suffix) for suffix, modality in CLASSES.items()])
        yield running


def media(folder: Path, turn: int) -> dict[str, tuple[Payload, Options]]:
    """One of each kind of media; the transfer syntax takes its turn."""
    syntax = SYNTAXES[turn % len(SYNTAXES)]
    return {
        "photo": (making.still(making.picture(making.pixels())), Options(transfer_syntax=syntax)),
        "cine": (making.clip((0.0, 40.0, 80.0), cine=True), Options(transfer_syntax=syntax, video_mode=VideoMode.CINE)),
        "STL": (making.model(folder), Options()),
    }


@pytest.mark.parametrize("suffix", CLASSES)
def test_study_of_each_storage_class_is_found_retrieved_and_lends_its_identity_to_each_kind_of_media(
    suffix: str,
    archive: peers.Peer,
    standard: Path,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    settings: Settings = archive.settings(tmp_path)
    row = making.row(study_instance_uid=derived_uid("study", suffix))
    source = fetch_source(settings.servers["pacs"], settings, row)
    header, image_modality = source.header, source.image_modality
    name = UID(f"1.2.840.10008.5.1.4.1.1.{suffix}").name.replace(" Storage", "").replace(" - For ", ", for ")
    name += ", retired" if suffix in ("3", "6") else ""

    for kind, (payload, options) in media(tmp_path, list(CLASSES).index(suffix)).items():
        (instance,) = making.build(payload, header, tmp_path / kind, options, image_modality=image_modality)
        policy = "secondary-capture"
        found = record(record_property, instance.path, standard, source=name, policy=policy, payload=kind)
        assert found.clean, found
        written = dcmread(instance.path)
        assert (written.PatientID, str(written.PatientName)) == ("P-1", "Doe^Jane")
        assert written.StudyInstanceUID == row.study_instance_uid
        assert written.Modality == ("M3D" if kind == "STL" else expected_modality(suffix))
        assert ("ReferencedImageSequence" in written) == (kind != "STL" and suffix not in NO_IMAGES)
        if kind == "STL" or suffix in NO_IMAGES:
            (item,) = written.SourceInstanceSequence
            assert item.ReferencedSOPInstanceUID == header.SOPInstanceUID
            assert item.PurposeOfReferenceCodeSequence[0].CodeValue == NO_IMAGES.get(suffix, "121324")


def expected_modality(suffix: str) -> str:
    """For a source that is no image the study's image modality, if it has one: a spectroscopy is of a series of MR."""
    if suffix == "4.2":
        return "MR"
    return "OT" if suffix in NO_IMAGES else CLASSES[suffix]


def test_study_with_images_lends_an_image_though_documents_come_first(archive: peers.Peer, tmp_path: Path) -> None:
    archive.load([stored("11.1", "PR", study="mixed"), stored("1.1", "DX", study="mixed")])
    settings = archive.settings(tmp_path)
    row = making.row(study_instance_uid=derived_uid("study", "mixed"))
    source = fetch_source(settings.servers["pacs"], settings, row)
    assert (source.header.Modality, source.image_modality) == ("DX", None)
