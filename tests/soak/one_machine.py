"""Not part of `make test`: a quarter of an hour and more. `make soak` runs it.

A very large manifest on one machine with `media2dicom up`: what it takes, and that its memory does not grow.
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

from flows.hosting.remote import FINAL_STATES
from media2dicom.ledger import Ledger
from media2dicom.model import Status
from media2dicom.runs import MAX_BATCH_ROWS, VISIBLE_BATCHES
from media2dicom.settings import CONFIG_VARIABLE
from tests.peers import free_port
from tests.prefect_server import RunningUp, running
from tests.soak.cluster import processes_with
from tests.soak.sheet import large_manifest
from tests.soak.table import show
from tests.steps.walking import ObservedPacs

ROWS = int(os.environ.get("SOAK_ROWS", "20000"))
ROWS_PER_RUN = min(2000, ROWS // 4)
STEPS = 5  # tasks of a batch
BATCHES = math.ceil(ROWS_PER_RUN / min(MAX_BATCH_ROWS, math.ceil(ROWS / VISIBLE_BATCHES)))  # of a chunk
SECONDS_A_ROW = 1  # at the very most, on a machine that others use, too
_LOOK_EVERY_S = 2


def _memory_mb(pid: int) -> tuple[float, float]:
    """Resident now, and at its highest."""
    found = {"VmRSS": 0.0, "VmHWM": 0.0}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            name, _, rest = line.partition(":")
            if name in found:
                found[name] = int(rest.split()[0]) / 1024
    return found["VmRSS"], found["VmHWM"]


class Memory:
    """Memory of each flow run's process over time."""

    def __init__(self, settings_path: Path) -> None:
        self._settings_path = str(settings_path)
        self.of: dict[str, list[tuple[float, float]]] = defaultdict(list)  # flow run: (moment, resident MB)
        self.peak: dict[str, float] = {}

    def look(self) -> None:
        for pid, variables in processes_with(CONFIG_VARIABLE, self._settings_path).items():
            if run_id := variables.get("PREFECT__FLOW_RUN_ID"):
                now, peak = _memory_mb(pid)
                self.of[run_id].append((time.monotonic(), now))
                self.peak[run_id] = max(peak, self.peak.get(run_id, 0))


def _count(up: RunningUp, what: str, flow_run_ids: list[str]) -> int:
    return int(up.client.post(f"{what}/count", {"flow_runs": {"id": {"any_": flow_run_ids}}}))


def test_a_very_large_manifest_on_one_machine(tmp_path: Path) -> None:
    port = free_port()
    server = {"host": "127.0.0.1", "port": port, "ae_title": "DEMOPACS", "max_associations": 2}
    values: dict[str, Any] = {
        "servers": {"first": server},
        "rows_per_run": ROWS_PER_RUN,
        "retries": {"attempts": 3, "delay_s": 1},
    }
    with (
        ObservedPacs(tmp_path / "pacs", port=port, ae_title="DEMOPACS") as pacs,
        running(tmp_path / "up", values) as up,
    ):
        manifest = large_manifest(tmp_path / "large.csv", ROWS, pacs)
        memory, began = Memory(up.settings_path), time.monotonic()
        run_id = str(up.run_deployment("archive-manifest", manifest=manifest)["id"])
        state: dict[str, Any] = {"type": ""}
        while state["type"] not in FINAL_STATES:
            assert time.monotonic() - began < max(600, ROWS * SECONDS_A_ROW), up.output
            memory.look()
            time.sleep(_LOOK_EVERY_S)
            state = up.client.flow_run(run_id)["state"]
        total_s = time.monotonic() - began
        assert state["type"] == "COMPLETED", state
        ledger = Ledger(up.settings.ledger_location)
        try:
            rows = ledger.rows(run_id)
        finally:
            ledger.close()
        assert len(rows) == ROWS
        assert {row.status for row in rows} == {Status.STORED}
        held = pacs.held()
        assert sorted(one.instance.sop_instance_uid for row in rows for one in row.instances) == held
        assert len(set(held)) == ROWS

        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}, "limit": 200}
        chunks = [one["id"] for one in up.client.post("flow_runs/filter", wanted)]
        parent = [now for _, now in memory.of[run_id]]
        half = len(parent) // 2
        database = up.settings.data_dir / "prefect" / "prefect.db"
        show(
            "one machine",
            rows=ROWS,
            total_s=total_s,
            ms_per_row=total_s / ROWS * 1000,
            chunks=len(chunks),
            sent_again=len(pacs.received) - ROWS,
            parent_peak_mb=memory.peak[run_id],
            parent_first_half_mb=max(parent[:half], default=0.0),
            parent_second_half_mb=max(parent[half:], default=0.0),
            chunk_peak_mb=max((memory.peak.get(one, 0) for one in chunks), default=0.0),
            chunk_least_peak_mb=min((memory.peak.get(one, 0) for one in chunks), default=0.0),
            task_runs_expected=len(chunks)
            * (BATCHES * STEPS + 2),  # an echo, and the chunk itself as its parent sees it
            task_runs_recorded=_count(up, "task_runs", [run_id, *chunks]),
            prefect_database_mb=database.stat().st_size / 1e6,
        )
