"""SIGKILL at every point of the way and at random times: a fresh process completes the work, once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from pydicom.dataset import Dataset

from media2dicom.errors import AlreadyRunning
from media2dicom.locks import manifest_lock
from media2dicom.settings import Settings
from tests import real_media
from tests.steps import killed_child, walking
from tests.steps.walking import STORED, cells_of, outcomes, png, stl, walk

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config(settings: Settings, tmp_path: Path) -> Path:
    values = settings.model_dump(mode="json", exclude_none=True, include={"port", "servers", "cache_dir", "data_dir"})
    values["timeouts"] = walking.QUICK
    path = tmp_path / "media2dicom.toml"
    path.write_text(tomlkit.dumps(values), encoding="utf-8")
    return path


@pytest.fixture
def sheet(study: Dataset, lab: Path) -> Path:
    """Four rows, six instances."""
    real_media.make_video(lab / "clip.mp4", seconds=3)
    rows = [cells_of(study, media=png(lab / "a.png", 1).name)]
    rows += [cells_of(study, media="clip.mp4", frame_interval_s="1")]
    rows += [cells_of(study, media=png(lab / "b.png", 2).name), cells_of(study, media=stl(lab / "c.stl").name)]
    return walking.manifest(lab, rows)


@dataclass(frozen=True)
class Children:
    """Processes that archive a manifest, one after the other."""

    parent: subprocess.Popen[str]

    def start(self, config: Path, sheet: Path, point: str = "never") -> int:
        """The process id."""
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{config}\t{sheet}\t{point}\n")
        self.parent.stdin.flush()
        return self._number()

    def end(self) -> int:
        """Wait for it; its return code, minus the signal that ended it."""
        return self._number()

    def _number(self) -> int:
        assert self.parent.stdout is not None
        return int(self.parent.stdout.readline())


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    command = [sys.executable, "-m", killed_child.__name__]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        yield Children(parent)
        parent.communicate()


def complete(observed: walking.ObservedPacs, settings: Settings, sheet: Path, instances: int = 6) -> list[Any]:
    with walking.workbench(settings) as bench:
        found = walk(bench, sheet, tries=2)
    assert outcomes(found) == [STORED] * len(found)
    sent = sorted(one.instance.sop_instance_uid for row in found for one in row.instances)
    assert observed.held() == sent
    assert len(sent) == instances
    return found


@pytest.mark.parametrize("point", killed_child.POINTS)
def test_killed_run_is_completed_without_loss_or_duplicate(
    observed: walking.ObservedPacs, settings: Settings, children: Children, config: Path, sheet: Path, point: str
) -> None:
    children.start(config, sheet, point)
    assert children.end() == -signal.SIGKILL
    complete(observed, settings, sheet)
    assert len(observed.received) == 6  # nothing went out twice


def kill(child: int) -> None:
    with suppress(ProcessLookupError):  # it was quicker
        os.kill(child, signal.SIGKILL)


def test_runs_killed_at_random_times_end_complete(
    observed: walking.ObservedPacs, settings: Settings, children: Children, config: Path, sheet: Path
) -> None:
    moments = random.Random(20)
    ends = []
    for _ in range(15):
        child = children.start(config, sheet)
        killer = threading.Timer(moments.uniform(0.05, 0.8), kill, (child,))
        killer.start()
        ends.append(children.end())
        killer.cancel()
        killer.join()
        if ends[-1] == 0:
            break
    assert set(ends) <= {0, -signal.SIGKILL}
    assert -signal.SIGKILL in ends
    complete(observed, settings, sheet)


def test_lock_of_a_killed_process_is_free(settings: Settings, lab: Path) -> None:
    sheet = lab / "manifest.csv"
    code = (
        "import sys, time; from pathlib import Path; from media2dicom.settings import Settings\n"
        "from media2dicom.locks import manifest_lock\n"
        "with manifest_lock(Settings(data_dir=Path(sys.argv[1])), Path(sys.argv[2])):\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir), str(sheet)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(AlreadyRunning), manifest_lock(settings, sheet):
            pass
        other.kill()
        other.wait()
        with manifest_lock(settings, sheet):
            pass
