"""An observed PACS with one study, and a workbench that knows it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from tests import peers
from tests.steps import walking


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[walking.ObservedPacs]:
    destinations = {peers.OUR_AE_TITLE: ("127.0.0.1", peers.free_port())}
    with walking.ObservedPacs(tmp_path / "pacs", destinations=destinations) as pacs:
        yield pacs


@pytest.fixture
def study(observed: walking.ObservedPacs) -> Dataset:
    dataset = walking.new_study(PatientName="Roe^Jane", PatientBirthDate="19610203")
    observed.load(dataset)
    return dataset


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The lab's folder: manifests and media."""
    folder = tmp_path / "lab"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(observed: walking.ObservedPacs, tmp_path: Path) -> Settings:
    return observed.peer.settings(tmp_path, timeouts=walking.QUICK)


@pytest.fixture
def bench(settings: Settings) -> Iterator[Workbench]:
    with walking.workbench(settings) as opened:
        yield opened
