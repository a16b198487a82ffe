"""Machines with one ledger and caches of their own: what one has prepared, another prepares anew."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from media2dicom.beginning import begin_run
from media2dicom.model import Status
from media2dicom.pacs.demo import DemoPacs
from media2dicom.runs import make_batches
from media2dicom.settings import Settings, load_settings
from media2dicom.steps.check import check
from media2dicom.steps.convert import convert
from media2dicom.steps.retrieve import retrieve
from tests import peers
from tests.steps import killed_child, walking
from tests.steps.walking import ObservedPacs, do_steps, new_study, outcomes

STORED = ("STORED", None)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def observed(tmp_path: Path) -> Iterator[ObservedPacs]:
    with ObservedPacs(tmp_path / "pacs") as running:
        yield running


@pytest.fixture
def machines(tmp_path: Path, observed: ObservedPacs, postgresql: peers.PostgreSQL) -> tuple[Path, Path]:
    """The settings files of two machines that share the ledger and nothing else."""
    return _machine(tmp_path / "a", observed, ledger := postgresql.new_database()), _machine(
        tmp_path / "b", observed, ledger
    )


def _machine(folder: Path, pacs: DemoPacs, ledger_url: str) -> Path:
    folder.mkdir()
    values: dict[str, Any] = {
        "port": peers.free_port(),
        "cache_dir": "cache",
        "data_dir": "data",
        "ledger_url": ledger_url,
        "servers": {"pacs": {"host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title}},
    }
    path = folder / "media2dicom.toml"
    path.write_text(tomlkit.dumps(values), encoding="utf-8")
    return path


@pytest.fixture
def sheet(tmp_path: Path, observed: ObservedPacs) -> Path:
    """Four pictures of one study."""
    study = new_study()
    observed.load(study)
    folder = tmp_path / "lab"
    folder.mkdir()
    return walking.pictures(folder, study, 4)


@contextmanager
def out_of_sight(settings: Settings) -> Iterator[None]:
    """What the other machine sees of this one's cache: nothing."""
    elsewhere = settings.cache_dir.with_name("on the other machine")
    settings.cache_dir.mkdir(exist_ok=True)
    settings.cache_dir.rename(elsewhere)
    yield
    elsewhere.rename(settings.cache_dir)


def test_what_one_machine_prepared_another_completes_with_a_cache_of_its_own(
    machines: tuple[Path, Path], sheet: Path, observed: ObservedPacs
) -> None:
    here, there = (load_settings(path) for path in machines)
    run_id = uuid.uuid4().hex
    with walking.workbench(here) as bench:
        begin_run(bench, sheet, None, run_id)
        for batch in make_batches(bench, run_id):
            for step in (retrieve, convert, check):
                assert step(bench, batch) == 0
        prepared = [one.instance.sop_instance_uid for row in bench.ledger.rows(run_id) for one in row.instances]
    with out_of_sight(here), walking.workbench(there) as bench:
        bench.ledger.begin_rows_again(run_id, (1, 100))
        for batch in make_batches(bench, run_id):
            do_steps(bench, batch)
        assert outcomes(bench.ledger.rows(run_id)) == [STORED] * 4
    assert observed.held() == sorted(prepared)  # prepared anew under the same UIDs
    assert len(observed.received) == 4


def test_machines_take_turns_in_one_run_and_at_one_study(
    machines: tuple[Path, Path], sheet: Path, observed: ObservedPacs
) -> None:
    here, there = (load_settings(path) for path in machines)
    run_id = uuid.uuid4().hex
    with walking.workbench(here) as first, walking.workbench(there) as second:
        begin_run(first, sheet, None, run_id)
        batches = make_batches(first, run_id)
        assert len(batches) == 4
        assert retrieve(first, batches[0]) == 0
        with out_of_sight(here):
            do_steps(second, batches[1])
        with out_of_sight(there):
            do_steps(first, batches[0])
        with out_of_sight(here):
            do_steps(second, batches[2])
        with out_of_sight(there):
            do_steps(first, batches[3])
        assert outcomes(first.ledger.rows(run_id)) == [STORED] * 4
    assert len(set(observed.held())) == len(observed.received) == 4


@pytest.mark.parametrize("point", ["after the send", "after the proof"])
def test_what_a_killed_machine_may_have_sent_is_asked_for_before_another_sends_it(
    machines: tuple[Path, Path], sheet: Path, observed: ObservedPacs, point: str
) -> None:
    command = [sys.executable, "-m", killed_child.__name__]
    job = f"{machines[0]}\t{sheet}\t{point}\n"
    subprocess.run(command, cwd=REPOSITORY, input=job, text=True, capture_output=True, check=True)
    sent = list(observed.received)
    assert sent
    with out_of_sight(load_settings(machines[0])), walking.workbench(load_settings(machines[1])) as bench:
        found = walking.walk(bench, sheet)
    assert {row.status for row in found} == {Status.STORED}
    assert observed.held() == sorted(one.instance.sop_instance_uid for row in found for one in row.instances)
    assert len(observed.received) == 4  # what the killed one had sent was found there
