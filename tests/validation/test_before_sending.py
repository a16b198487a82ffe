"""Where the validator stands: nothing that it finds fault with gets to a PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from media2dicom import preparing
from media2dicom.dicom.builders import build_instances
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import ObjectNotConformant
from media2dicom.model import Instance
from media2dicom.settings import Settings
from media2dicom.steps import syntaxes
from tests import peers
from tests.dicom import making
from tests.steps import walking


def _without_ratio(instance: Instance) -> Instance:
    """A fault that neither public checker sees."""
    dataset = dcmread(instance.path)
    dataset.LossyImageCompression = "01"
    dataset.save_as(instance.path, enforce_file_format=False)
    return instance


def test_prepared_object_with_a_finding_is_refused_by_attribute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        preparing, "build_instances", lambda *given: [_without_ratio(one) for one in build_instances(*given)]
    )
    row = making.row(media_path=walking.png(tmp_path / "photo.png"))
    settings = Settings()
    with pytest.raises(ObjectNotConformant, match=r"LossyImageCompressionRatio .*PS3.3 C.7.6.1.1.5"):
        preparing.prepare(
            preparing.plan(row, settings),
            row,
            preparing.Source(making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")),
            settings,
            device_serial_number="serial",
            instance_path=lambda part: tmp_path / f"{part}.dcm",
            work_folder=tmp_path,
        )


@pytest.mark.parametrize("broken", [False, True])
def test_object_rewritten_for_a_pacs_is_looked_at_again(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rewrite(*given: Any) -> Instance:
        return _without_ratio(transcode(*given)) if broken else transcode(*given)

    monkeypatch.setattr(syntaxes, "transcode", rewrite)
    lab = tmp_path / "lab"
    lab.mkdir()
    destinations = {peers.OUR_AE_TITLE: ("127.0.0.1", peers.free_port())}
    with walking.ObservedPacs(tmp_path / "pacs", destinations=destinations, compressed=()) as pacs:
        study = walking.new_study()
        pacs.load(study)
        with walking.workbench(pacs.peer.settings(tmp_path, timeouts=walking.QUICK)) as bench:
            rows = walking.walk(bench, walking.pictures(lab, study, 1))
        assert walking.outcomes(rows) == [("REFUSED", "object-not-conformant") if broken else ("STORED", None)]
        assert len(pacs.received) == (0 if broken else 1)
