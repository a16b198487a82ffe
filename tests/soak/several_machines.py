"""Not part of `make test`: several minutes. `make soak` runs it.

Two machines archive a large manifest together; one after the other loses its power in mid run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from flows.hosting.automations import START_S
from media2dicom.model import Status
from tests.soak import cluster as soak
from tests.soak.sheet import large_manifest
from tests.soak.table import show
from tests.steps.walking import ObservedPacs

ROWS = int(os.environ.get("SOAK_ROWS", "2000"))
ROWS_PER_RUN = max(125, ROWS // 8)
_CRASHED_WITHIN_S = 300  # the silence of 90 s, and what the services take to notice
_DONE_WITHIN_S = 3600


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObservedPacs]:
    with ObservedPacs(tmp_path_factory.mktemp("pacs")) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, pacs: ObservedPacs) -> Iterator[soak.Cluster]:
    server = {"host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title, "max_associations": 4}
    values: dict[str, Any] = {"servers": {"pacs": server}, "rows_per_run": ROWS_PER_RUN, "parallel_runs": 4}
    with soak.running(tmp_path_factory.mktemp("several") / "all", values) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def never_begun(cluster: soak.Cluster) -> str:
    """A run in the hands of a worker that died before it began it."""
    return cluster.pending("archive-rows", {"run_id": "none", "first_row": 1, "last_row": 1})


def _machine_of(cluster: soak.Cluster, run_id: str) -> soak.Machine:
    return next(one for one in cluster.machines if run_id in one.look())


def _stored(cluster: soak.Cluster, run_id: str) -> int:
    return cluster.ledger.counts(run_id).get(Status.STORED, 0)


def _assert_each_row_is_there_once(cluster: soak.Cluster, run_id: str, pacs: ObservedPacs, rows: int) -> None:
    found = cluster.ledger.rows(run_id)
    assert len(found) == rows
    assert {row.status for row in found} == {Status.STORED}
    ours = [one.instance.sop_instance_uid for row in found for one in row.instances]
    held = pacs.held()
    assert len(set(held)) == len(held)
    assert set(ours) <= set(held)
    assert len(set(ours)) == rows


def test_a_machine_that_dies_costs_time_and_the_run_ends_by_itself(cluster: soak.Cluster, pacs: ObservedPacs) -> None:
    manifest = large_manifest(cluster.folder / "inbox" / "first.csv", ROWS, pacs)
    began = time.monotonic()
    run_id = cluster.begin(manifest)
    cluster.wait(lambda: run_id in {*cluster.machines[0].look(), *cluster.machines[1].look()}, "a parent", 120)
    parents = _machine_of(cluster, run_id)
    other = next(one for one in cluster.machines if one is not parents)
    cluster.wait(lambda: other.look() and _stored(cluster, run_id) > ROWS // 10, "rows stored on both machines", 300)
    lost = other.look()
    other.kill()
    killed = time.monotonic()
    assert lost
    assert run_id not in lost
    cluster.wait(
        lambda: all(cluster.state(one)["type"] == "CRASHED" for one in lost), "Crashed chunks", _CRASHED_WITHIN_S
    )
    crashed = time.monotonic()
    other.ran.clear()
    soak.start_worker(other)
    state = cluster.wait_for_end(run_id, _DONE_WITHIN_S)
    assert state["type"] == "COMPLETED", state
    _assert_each_row_is_there_once(cluster, run_id, pacs, ROWS)
    ends = {one["id"]: one["state"]["type"] for one in cluster.children(run_id)}
    assert {one for one, end in ends.items() if end == "CRASHED"} == lost
    assert parents.ran & {*ends}
    assert (lost | other.ran) & {*ends}
    show(
        "two machines, one dies",
        rows=ROWS,
        total_s=time.monotonic() - began,
        until_crashed_s=crashed - killed,
        chunks=len(ends),
        lost_chunks=len(lost),
        on_first=len(parents.ran & {*ends}),
        on_second=len((other.ran | lost) & {*ends}),
        sent_again=len(pacs.received) - ROWS,
    )


def test_the_machine_of_the_parent_dies_and_retry_completes_the_run(cluster: soak.Cluster, pacs: ObservedPacs) -> None:
    rows = ROWS // 2
    manifest = large_manifest(cluster.folder / "inbox" / "second.csv", rows, pacs)
    pacs.received.clear()
    began = time.monotonic()
    run_id = cluster.begin(manifest)
    cluster.wait(lambda: run_id in {*cluster.machines[0].look(), *cluster.machines[1].look()}, "a parent", 120)
    parents = _machine_of(cluster, run_id)
    cluster.wait(lambda: _stored(cluster, run_id) > rows // 10, "rows stored", 300)
    lost = parents.look()
    parents.kill()
    killed = time.monotonic()
    assert run_id in lost
    cluster.wait(lambda: cluster.state(run_id)["type"] == "CRASHED", "a Crashed parent", _CRASHED_WITHIN_S)
    crashed = time.monotonic()
    cluster.retry(run_id)  # on the machine that is left
    state = cluster.wait_for_end(run_id, _DONE_WITHIN_S)
    assert state["type"] == "COMPLETED", state
    _assert_each_row_is_there_once(cluster, run_id, pacs, rows)
    show(
        "the parent's machine dies, Retry",
        rows=rows,
        total_s=time.monotonic() - began,
        until_crashed_s=crashed - killed,
        lost_runs=len(lost),
        sent_again=len(pacs.received) - rows,
    )


def test_a_run_that_its_worker_never_began_is_marked_crashed(cluster: soak.Cluster, never_begun: str) -> None:
    cluster.wait(lambda: cluster.state(never_begun)["type"] == "CRASHED", "Crashed", START_S + _CRASHED_WITHIN_S)


def test_a_worker_that_is_stopped_ends_its_runs_and_retry_completes_them(
    cluster: soak.Cluster, pacs: ObservedPacs
) -> None:
    rows = ROWS_PER_RUN  # one part: no runs of its own
    manifest = large_manifest(cluster.folder / "inbox" / "third.csv", rows, pacs)
    run_id = cluster.begin(manifest)
    cluster.wait(lambda: _stored(cluster, run_id) > rows // 10, "rows stored", 300)
    machine = _machine_of(cluster, run_id)
    began = time.monotonic()
    machine.terminate()
    stopped = time.monotonic()
    cluster.wait(lambda: not machine.processes(), "the end of what the worker had started", 30)
    cluster.wait(lambda: cluster.state(run_id)["type"] in {"CRASHED", "FAILED"}, "the run's end", _CRASHED_WITHIN_S)
    state = cluster.state(run_id)
    soak.start_worker(machine)
    cluster.retry(run_id)
    assert cluster.wait_for_end(run_id, _DONE_WITHIN_S)["type"] == "COMPLETED"
    _assert_each_row_is_there_once(cluster, run_id, pacs, rows)
    show("a worker is stopped", rows=rows, stopped_after_s=stopped - began, became=state["name"])
