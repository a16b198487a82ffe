"""The units, as systemd itself reads them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.hosting.cluster import ROLES
from tests import peers

UNITS = Path(__file__).parents[2] / "deployments" / "systemd"
NAMES = sorted(path.name for path in UNITS.glob("media2dicom-*.*") if path.is_file())
MOST_EXPOSED = 20  # of 100, as `systemd-analyze security` counts


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units in a folder of their own, the programs where they are here; of a worker's template an instance."""
    folder = Path(shutil.copytree(UNITS, tmp_path / "units"))
    for path in folder.glob("*.service"):
        text = path.read_text(encoding="utf-8").replace("/opt/media2dicom/bin", str(Path(sys.executable).parent))
        path.write_text(text, encoding="utf-8")
    template = folder / "media2dicom-worker@.service"
    template.rename(folder / "media2dicom-worker@1.service")
    return folder


def _analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The colon: the system's own units, too (network-online.target).
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{folder}:", "SYSTEMD_COLORS": "false"}
    return subprocess.run(
        [peers.binary("systemd-analyze"), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    units = sorted(path.name for path in installed.iterdir() if path.is_file())
    verified = _analyze(installed, "verify", "--man=no", *units)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_every_service_is_confined(installed: Path) -> None:
    for path in installed.glob("*.service"):
        rated = _analyze(installed, "security", "--offline=true", f"--threshold={MOST_EXPOSED}", path.name)
        assert rated.returncode == 0, rated.stdout


def test_every_unit_plays_a_role_that_there_is() -> None:
    roles = set()
    for name in NAMES:
        text = (UNITS / name).read_text(encoding="utf-8")
        roles |= set(re.findall(r"^ExecStart(?:Pre)?=\S+/python -m flows\.hosting\.cluster (\w+)", text, re.MULTILINE))
    assert roles == set(ROLES)


def test_a_service_has_the_time_to_stop_that_its_program_takes() -> None:
    from flows.commands import up

    text = (UNITS / "media2dicom-up.service").read_text(encoding="utf-8")
    found = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert found is not None
    assert int(found[1]) > 2 * up._STOP_WITHIN_S  # two children, one after the other
