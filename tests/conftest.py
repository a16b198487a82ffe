"""Fixtures that several folders share, and the last line that counts the tests skipped for a missing peer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from filelock import FileLock

from media2dicom.settings import Settings
from tests import contract, peers
from tests.checkers import write_standard
from tests.prefect_server import up as up  # the fixture


@pytest.fixture(scope="session", params=list(peers.PACS))
def pacs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Peer]:
    """Each PACS in turn, shared by the session: tests load studies of their own and leave the others alone."""
    with peers.PACS[request.param](tmp_path_factory.mktemp(request.param) / "pacs") as running:
        yield running


@pytest.fixture
def settings(pacs: peers.Peer, tmp_path: Path) -> Settings:
    """Settings with `pacs` as the only server."""
    return pacs.settings(tmp_path)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[peers.PostgreSQL]:
    """PostgreSQL, shared by the session: each test has a database of its own (`new_database`)."""
    with peers.postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}"
    server: peers.PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture(scope="session")
def standard(request: pytest.FixtureRequest) -> Path:
    """PS3.3 for dicom-validator, made once per checkout and version of the tools."""
    folder = request.config.cache.mkdir(f"standard-{version('dicom-validator')}-{version('pydicom')}")
    with FileLock(f"{folder}.lock"):
        if not (folder / "editions.json").is_file():  # written last: what is there without it is half
            shutil.rmtree(folder)
            write_standard(folder)
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the checkers said of all objects, as one matrix."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    lines = contract.table(reports)
    if lines:
        terminalreporter.section("contract")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say as the very last line what was not tried."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    missing = [report for report in reporter.stats.get("skipped", []) if peers.PEER_MISSING in str(report.longrepr)]
    if missing:
        reporter.write_line(f"{len(missing)} tests were skipped for a missing peer: {peers.HOW_TO_GET_PEERS}")
