"""`media2dicom up` as operators and service managers meet it: the real command, its real server, real runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit

from flows.hosting.orphans import processes_of_up
from flows.hosting.remote import running_up
from media2dicom.ledger import Ledger
from media2dicom.model import Status
from tests import archive as sheets
from tests import peers, real_media
from tests.flows.test_archive_manifest import patient
from tests.prefect_server import RunningUp, prepare_up, running

pytestmark = pytest.mark.timeout(900)  # real servers, on machines that do other things, too
LONG = 24  # rows of a run that is not over when it is killed


def one_row(folder: Path) -> tuple[Path, Any]:
    """A manifest of one photo, and the study it belongs to."""
    study = patient()
    sheets.make_media(folder)
    row = {"media": "photo.jpg", **sheets.Patient(study).cells}
    return sheets.write_sheet(folder / "m.csv", [row]), study


def many_rows(folder: Path, count: int = LONG) -> tuple[Path, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    study = patient()
    rows = []
    for number in range(count):
        (folder / f"{number}.stl").write_bytes(real_media.binary_stl(real_media.sphere() * (1 + number)))
        rows.append({"media": f"{number}.stl", **sheets.Patient(study).cells})
    return sheets.write_sheet(folder / "m.csv", rows), study


def stored(up: RunningUp, run_id: str) -> int:
    if not (up.settings.data_dir / "ledger.sqlite").is_file():
        return 0
    ledger = Ledger(up.settings.ledger_location)
    try:
        return ledger.counts(run_id).get(Status.STORED, 0)
    finally:
        ledger.close()


def begin_long(up: RunningUp, folder: Path, pacs: peers.Peer) -> str:
    """A run that is in the midst of its work, a few rows stored."""
    manifest, study = many_rows(folder)
    pacs.load([study])
    run_id = str(up.run_deployment("archive-manifest", manifest=manifest, server="first")["id"])
    until(lambda: stored(up, run_id) >= 3)
    assert stored(up, run_id) < LONG
    return run_id


def until(true: Callable[[], object], within_s: float = 240) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def children(up: RunningUp, of: str = "") -> list[int]:
    """The processes that this `up` has started; `of`: in their command line or environment."""
    found = []
    for process in processes_of_up(up.settings.data_dir.resolve()):
        folder = Path("/proc") / str(process)
        try:
            if of.encode() in (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes():
                found.append(process)
        except OSError:
            continue
    return found


def kill(processes: list[int]) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


# --- a run in the dashboard, and commands beside it ---------------------------------------------------------------


def test_a_run_that_failed_is_completed_by_retry_when_the_pacs_is_back(up: RunningUp, tmp_path: Path) -> None:
    manifest, study = one_row(tmp_path)
    begun = up.run_deployment("archive-manifest", manifest=manifest, server="first")
    assert up.wait(begun["id"])["type"] == "FAILED"
    with up.pacs("first") as pacs:
        pacs.load([study])
        up.retry(begun["id"])
        done = up.wait(begun["id"])
    assert done["type"] == "COMPLETED", done["message"]
    assert up.client.flow_run(begun["id"])["run_count"] == 2


def test_run_retry_and_status_use_the_dashboard_and_say_the_same_as_without(up: RunningUp, tmp_path: Path) -> None:
    manifest, study = one_row(tmp_path)
    down = up.run_command("run", manifest, "--json")
    failed = json.loads(down.stdout)
    assert (down.returncode, failed["exit_code"], failed["rows"][0]["code"]) == (3, 3, "pacs-unreachable")
    with up.pacs("first") as pacs:
        pacs.load([study])
        again = up.run_command("retry", manifest, "--json")
        elsewhere = up.run_command("run", manifest, "--json", MEDIA2DICOM_JPEG_QUALITY="90")
    told = json.loads(again.stdout)
    assert (again.returncode, told["summary"]["by_status"]) == (0, {"STORED": 1})
    assert Path(told["results"]).is_file()
    flow_run = up.client.flow_run(told["run_id"])
    assert (flow_run["state"]["type"], bool(flow_run["deployment_id"])) == ("COMPLETED", True)
    # other settings: not the dashboard's matter
    alone = json.loads(elsewhere.stdout)
    assert (elsewhere.returncode, alone["summary"]["already_stored"]) == (0, 1)
    assert alone.keys() == told.keys()
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        up.client.flow_run(alone["run_id"])
    status = json.loads(up.run_command("status", manifest, "--json").stdout)
    assert status["dashboard"] == up.url
    assert up.url in up.run_command("status").stdout.decode()


def test_what_cannot_run_ends_with_the_same_exit_codes_as_without(up: RunningUp, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    refused = up.run_command("run", tmp_path / "other.csv", "--json")
    assert (refused.returncode, json.loads(refused.stdout)["error"]["code"]) == (2, "manifest-unusable")
    assert up.run_command("run", tmp_path / "other.csv", "--server", "nowhere").returncode == 3


def test_what_ends_a_run_before_its_time_is_told_with_what_to_do_and_not_written_to_disk(
    up: RunningUp, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "good.csv").write_text("media,accession_number,patient_id\nx.png,1,1\n")
    asked = {
        "cannot be read: No such file or directory. Correct the manifest": {"manifest": "nonexistent.xlsx"},
        "There is no column patient_id.": {"manifest": tmp_path / "other.csv"},
        "Name a configured server": {"manifest": tmp_path / "good.csv", "server": "nowhere"},
    }
    begun = {says: up.run_deployment("archive-manifest", **order)["id"] for says, order in asked.items()}
    messages = {says: up.wait(run_id)["message"] for says, run_id in begun.items()}
    assert {says: message for says, message in messages.items() if says not in message} == {}
    assert not [message for message in messages.values() if "exception" in message]
    assert not [path for path in (up.settings.data_dir / "prefect" / "storage").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_ctrl_c_ends_the_waiting_and_not_the_run(up: RunningUp, tmp_path: Path) -> None:
    manifest, study = many_rows(tmp_path, 30)
    with up.pacs("first") as pacs:
        pacs.load([study])
        command = [sys.executable, "-m", "flows.cli", "run", str(manifest), "--config", str(up.settings_path)]
        waiting = subprocess.Popen(command, env=up.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        before = {run["id"] for run in up.client.post("flow_runs/filter", {})}
        until(lambda: {run["id"] for run in up.client.post("flow_runs/filter", {})} - before)
        (run_id,) = {run["id"] for run in up.client.post("flow_runs/filter", {})} - before
        until(lambda: stored(up, run_id))
        waiting.send_signal(signal.SIGINT)
        shown = waiting.communicate(timeout=30)[0].decode()
        assert waiting.returncode not in (0, 1)
        assert f"The run goes on: {up.url}/runs/flow-run/{run_id}" in shown
        assert up.wait(run_id)["type"] == "COMPLETED"


def test_a_second_up_says_where_the_first_one_runs(up: RunningUp) -> None:
    second = up.run_command("up")
    assert second.returncode == 75
    assert up.url in second.stdout.decode()
    assert str(up.process.pid) in second.stdout.decode()


def test_the_limits_of_the_servers_and_the_automations_are_there_once(up: RunningUp) -> None:
    from flows.hosting.automations import automations

    limits = up.client.post("v2/concurrency_limits/filter", {})
    assert {one["name"]: one["limit"] for one in limits if one["name"].startswith("pacs-")} == {
        "pacs-first": 1,
        "pacs-second": 1,
    }
    there = sorted(one["name"] for one in up.client.post("automations/filter", {}))
    assert there == sorted(one.name for one in automations())


def test_a_changed_settings_file_is_taken_up_in_seconds(up: RunningUp) -> None:
    before = up.settings_path.read_text(encoding="utf-8")
    document = tomlkit.parse(before)
    document["servers"]["second"]["max_associations"] = 3  # type: ignore[index]

    def limit() -> int:
        found = up.client.post("v2/concurrency_limits/filter", {})
        return next(int(one["limit"]) for one in found if one["name"] == "pacs-second")

    automations = up.client.post("automations/filter", {})
    try:
        up.settings_path.write_text(tomlkit.dumps(document), encoding="utf-8")
        until(lambda: limit() == 3)
    finally:
        up.settings_path.write_text(before, encoding="utf-8")
    until(lambda: limit() == 1)
    assert up.client.post("automations/filter", {}) == automations  # untouched: they are waiting for runs under way


@pytest.mark.slow
def test_a_run_that_falls_silent_is_marked_crashed_and_retry_completes_it(up: RunningUp, tmp_path: Path) -> None:
    """Its process hangs: it neither ends nor sends heartbeats."""
    from flows.hosting.automations import SILENCE_S

    with up.pacs("first") as pacs:
        run_id = begin_long(up, tmp_path, pacs)
        hanging = children(up, f"PREFECT__FLOW_RUN_ID={run_id}")
        for process in hanging:
            os.kill(process, signal.SIGSTOP)
        state = up.wait(run_id, within_s=SILENCE_S + 60)
        assert (state["type"], "Press Retry" in state["message"]) == ("CRASHED", True)
        kill(children(up, "flows.hosting.serving"))  # and with it what hangs below it
        until(lambda: "The serving of the deployments ended by signal 9; it is started again." in up.output)
        assert not set(hanging) & set(children(up))
        up.retry(run_id)
        assert up.wait(run_id)["type"] == "COMPLETED"
    assert stored(up, run_id) == LONG


# --- ends, clean and otherwise ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """An `up` that may be killed; each test leaves it running."""
    with running(tmp_path_factory.mktemp("own")) as one:
        yield one


@pytest.mark.slow
def test_the_end_of_a_runs_process_is_a_crash_that_retry_completes(own: RunningUp, tmp_path: Path) -> None:
    with own.pacs("first") as pacs:
        run_id = begin_long(own, tmp_path, pacs)
        kill(children(own, f"PREFECT__FLOW_RUN_ID={run_id}"))
        assert own.wait(run_id, within_s=20)["type"] == "CRASHED"
        own.retry(run_id)
        assert own.wait(run_id)["type"] == "COMPLETED"
    assert stored(own, run_id) == LONG


@pytest.mark.slow
def test_a_killed_server_is_started_again_and_the_run_goes_on(own: RunningUp, tmp_path: Path) -> None:
    with own.pacs("first") as pacs:
        run_id = begin_long(own, tmp_path, pacs)
        kill(children(own, "flows.hosting.server"))
        until(lambda: "The Prefect server ended by signal 9; it is started again." in own.output)
        until(own.client.is_healthy)
        assert own.wait(run_id)["type"] == "COMPLETED"
    assert stored(own, run_id) == LONG


@pytest.mark.slow
def test_after_a_kill_of_everything_the_next_up_marks_the_run_crashed_and_retry_completes_it(
    own: RunningUp, tmp_path: Path
) -> None:
    with own.pacs("first") as pacs:
        run_id = begin_long(own, tmp_path, pacs)
        kill([own.process.pid, *children(own)])
        own.process.wait()
        assert running_up(own.settings) is None
        assert 0 < stored(own, run_id) < LONG
        own.start()
        state = own.wait(run_id, within_s=20)
        assert (state["type"], "Press Retry" in state["message"]) == ("CRASHED", True)
        own.retry(run_id)
        assert own.wait(run_id)["type"] == "COMPLETED"
    assert stored(own, run_id) == LONG


@pytest.mark.slow
def test_a_killed_up_takes_its_processes_along_and_hanging_ones_are_ended_by_the_next(
    own: RunningUp, tmp_path: Path
) -> None:
    hanging = children(own, "flows.hosting.server")
    for process in hanging:
        os.kill(process, signal.SIGSTOP)  # it cannot notice
    own.process.kill()
    own.process.wait()
    until(lambda: children(own) == hanging)
    own.start()
    assert "Ended 1 processes that a killed media2dicom up had left." in own.output
    assert own.client.is_healthy()


@pytest.mark.slow
def test_sigterm_leaves_no_process_behind_and_the_run_can_be_retried(own: RunningUp, tmp_path: Path) -> None:
    with own.pacs("first") as pacs:
        run_id = begin_long(own, tmp_path, pacs)
        assert own.stop() == 0
        assert children(own) == []
        assert not (own.settings.data_dir / "up.json").exists()
        own.start()
        assert own.client.flow_run(run_id)["state"]["type"] in {"CANCELLED", "CRASHED"}
        own.retry(run_id)
        assert own.wait(run_id)["type"] == "COMPLETED"
    assert stored(own, run_id) == LONG


# --- who may see it ---------------------------------------------------------------------------------------------


def refusal(up: RunningUp) -> tuple[int, str]:
    done = up.run_command("up")
    return done.returncode, " ".join(done.stdout.decode().split())


def test_a_dashboard_that_others_reach_wants_a_password(tmp_path: Path) -> None:
    code, shown = refusal(prepare_up(tmp_path, {"dashboard": {"host": "0.0.0.0", "port": peers.free_port()}}))
    assert (code, "dashboard.auth" in shown) == (3, True)


def test_a_taken_port_is_told_by_its_key(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, shown = refusal(prepare_up(tmp_path, {"dashboard": {"port": other.getsockname()[1]}}))
    assert (code, "dashboard.port" in shown) == (3, True)


@pytest.mark.slow
def test_with_a_password_only_who_has_it_gets_in_and_it_is_written_nowhere(tmp_path: Path) -> None:
    secret = "operator:Xk2-canary"
    manifest, study = one_row(tmp_path / "media")
    values = {"dashboard": {"host": "0.0.0.0", "port": peers.free_port()}}
    with running(tmp_path / "up", values, MEDIA2DICOM_DASHBOARD__AUTH=secret) as up:
        assert httpx.get(f"{up.api_url}/admin/version").status_code == 401
        with up.pacs("first") as pacs:
            pacs.load([study])
            done = up.run_command("run", manifest, "--json")
        assert done.returncode == 0
        assert up.client.flow_run(json.loads(done.stdout)["run_id"])["deployment_id"]
        commands = [(Path("/proc") / str(one) / "cmdline").read_bytes() for one in children(up)]
        assert len(commands) >= 2
        assert b"canary" not in b"".join(commands)
    kept = [path for path in (tmp_path / "up").rglob("*") if path.is_file()]
    assert [path for path in kept if b"Xk2-canary" in path.read_bytes()] == []
    assert {oct(path.stat().st_mode & 0o077) for path in kept if "prefect" in path.parts} == {"0o0"}


def test_a_page_from_elsewhere_cannot_steer_the_dashboard(up: RunningUp) -> None:
    """No token, no change; and no other origin is told that it may ask for one."""
    foreign = {"Origin": "http://elsewhere.example"}
    assert httpx.post(f"{up.api_url}/flow_runs/filter", json={}, headers=foreign).status_code == 403
    token = httpx.get(f"{up.api_url}/csrf-token", params={"client": "x"}, headers=foreign)
    assert "access-control-allow-origin" not in token.headers
    assert httpx.get(up.url).status_code == 200
    assert httpx.get(f"{up.url}/ui-settings").json()["api_url"] == "/api"
