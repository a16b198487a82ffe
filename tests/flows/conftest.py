"""The Prefect harness, started once, and runs of the flow in this process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from flows.commands import embedded
from media2dicom.runs import last_run
from media2dicom.settings import CONFIG_VARIABLE, Server, load_settings
from media2dicom.steps.workbench import open_workbench
from tests import peers


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Prefect's own, at import and start
        from prefect.testing.utilities import prefect_test_harness

        with prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a settings file below tmp_path for some servers and make it the one in force."""

    def write(port: int = 11113, **servers: Server) -> Path:
        document: dict[str, Any] = {
            "cache_dir": "cache",
            "data_dir": "data",
            "port": port,
            "retries": {"attempts": 2, "delay_s": 0.01},
            "timeouts": {"connect": 5, "stall": 5},
            "servers": {
                name: server.model_dump(mode="json", exclude_defaults=True) for name, server in servers.items()
            },
        }
        path = tmp_path / "media2dicom.toml"
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        monkeypatch.setenv(CONFIG_VARIABLE, str(path))
        return path

    return write


@pytest.fixture
def configured_for(configured: Callable[..., Path]) -> Callable[[peers.Peer], Path]:
    return lambda peer: configured(peer.our_port, pacs=peer.server())


@pytest.fixture
def archive(prefect_server: None) -> Callable[..., Any]:
    """Run the flow: the final state and the rows as the ledger has them."""
    from flows.archive_manifest import archive_manifest

    def run(manifest: Path, **parameters: Any) -> tuple[Any, list[Any]]:
        with embedded._quick_flows():
            state = archive_manifest(manifest, return_state=True, **parameters)
        bench = open_workbench(load_settings())
        last = last_run(bench, manifest)
        return state, bench.ledger.rows(last.run_id) if last is not None else []

    return run
