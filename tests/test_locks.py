"""Locks and slots, over real processes: nobody else has them meanwhile, and a killed process has them no more."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from media2dicom import locks
from media2dicom.errors import AlreadyRunning, LedgerFailed
from media2dicom.ledger import Ledger
from media2dicom.locks import exclusive
from media2dicom.settings import Server, Settings
from media2dicom.slots import ServerSlots, slot_limits, slot_names
from tests import peers

REPOSITORY = Path(__file__).parents[1]
_PATIENCE_S = 60
_HOLDER = """
import sys
from media2dicom.locks import exclusive
from media2dicom.settings import Settings
from media2dicom.slots import ServerSlots

settings = Settings.model_validate_json(sys.argv[1])
kind, name = sys.argv[2:]
with exclusive(settings, name) if kind == "lock" else ServerSlots(settings)[name]:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(ledger_url: str, tmp_path: Path) -> Settings:
    """The locks are in files or in PostgreSQL."""
    return Settings(data_dir=tmp_path / "data", ledger_url=ledger_url)


def with_servers(folder: Path, **max_associations: int) -> Settings:
    servers = {
        name: Server(host="127.0.0.1", port=104, ae_title="PACS", max_associations=number)
        for name, number in max_associations.items()
    }
    return Settings(data_dir=folder, servers=servers)


@contextmanager
def child(code: str, settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A real process, killed at the end."""
    command = [sys.executable, "-W", "error", "-c", code, settings.model_dump_json(), *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def holder(settings: Settings, kind: str, name: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has the lock, or a slot."""
    with child(_HOLDER, settings, kind, name) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process


def together(work: Sequence[Callable[[], None]]) -> None:
    """Each in a thread of its own; what one raises, the test raises."""
    failures: list[BaseException] = []

    def run(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=_PATIENCE_S)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


# --- locks ------------------------------------------------------------------------------------------------------


def test_lock_is_had_once_and_again_after_it_was_given_back(settings: Settings) -> None:
    for _ in range(3):
        with exclusive(settings, "a"):
            with pytest.raises(AlreadyRunning, match="a is under way"), exclusive(settings, "a"):
                pytest.fail("two have one lock")
            with exclusive(settings, "b"):
                pass


def test_lock_is_given_back_when_the_work_fails(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(settings, "a"):
        _ = 1 / 0
    with exclusive(settings, "a"):
        pass


def test_lock_of_another_process_is_respected_and_falls_when_it_is_killed(settings: Settings) -> None:
    with holder(settings, "lock", "a") as process:
        with pytest.raises(AlreadyRunning, match="by another run"), exclusive(settings, "a", taken="by another run"):
            pytest.fail("two processes have one lock")
        process.kill()
        process.wait()
        with exclusive(settings, "a", wait_s=_PATIENCE_S):
            pass


def test_who_waits_for_a_lock_gets_it_or_hears_that_it_is_taken(settings: Settings) -> None:
    with holder(settings, "lock", "a") as process:
        start = time.monotonic()
        with pytest.raises(AlreadyRunning), exclusive(settings, "a", wait_s=0.3):
            pytest.fail("two processes have one lock")
        assert time.monotonic() - start >= 0.3
        waiting, asked_to_end = threading.Event(), threading.Event()

        def wait() -> None:
            waiting.set()
            with exclusive(settings, "a", wait_s=_PATIENCE_S):
                assert asked_to_end.is_set()

        def end() -> None:
            waiting.wait()
            asked_to_end.set()
            process.communicate("")

        together([wait, end])


def test_lock_does_not_keep_the_ledger_from_its_work(settings: Settings) -> None:
    ledger = Ledger(settings.ledger_location)
    with exclusive(settings, "a"):
        ledger.forget_sources("run")
    with ledger._write(), exclusive(settings, "a"):
        pass
    ledger.close()


def test_lock_in_a_database_that_is_not_there_is_a_ledger_that_failed(tmp_path: Path) -> None:
    url = f"postgresql://tests@127.0.0.1:{peers.free_port()}/ledger"
    with pytest.raises(LedgerFailed), exclusive(Settings(data_dir=tmp_path, ledger_url=url), "a"):
        pytest.fail("there is no such server")


def test_lock_outlives_the_server_that_held_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_LOOK_AFTER_S", 0.05)
    with peers.postgres() as server:
        url = server.new_database()
        settings = Settings(data_dir=tmp_path, ledger_url=url)
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
        with exclusive(settings, "a"):
            server.stop()
            server.start()
            end = time.monotonic() + _PATIENCE_S
            while server.execute(held) == [(0,)]:
                assert time.monotonic() < end
                time.sleep(0.05)
            with pytest.raises(AlreadyRunning), exclusive(settings, "a"):
                pytest.fail("the lock was lost")
            server.stop()  # and its end is no error either
        server.start()
        assert server.execute(held) == [(0,)]
        with exclusive(settings, "a"):
            pass


# --- slots ------------------------------------------------------------------------------------------------------


def test_server_names_of_one_place_share_its_slots_and_the_smallest_number_holds(tmp_path: Path) -> None:
    settings = with_servers(tmp_path, b=3, a=2)
    other = Server(host="127.0.0.1", port=105, ae_title="PACS", max_associations=5)
    settings = Settings(data_dir=tmp_path, servers={**settings.servers, "c": other})
    assert slot_names(settings) == {"b": "pacs-a", "a": "pacs-a", "c": "pacs-c"}
    assert slot_limits(settings) == {"pacs-a": 2, "pacs-c": 5}


@pytest.mark.parametrize("limit", [1, 3])
def test_as_many_threads_as_slots_are_at_a_server_and_no_more(tmp_path: Path, limit: int) -> None:
    slots = ServerSlots(with_servers(tmp_path, a=limit))
    all_there = threading.Barrier(limit, timeout=_PATIENCE_S)
    guard = threading.Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with slots["a"]:
            with guard:
                inside += 1
                most = max(most, inside)
            all_there.wait()
            with guard:
                inside -= 1

    together([work] * 4 * limit)
    assert most == limit


def test_slots_of_one_server_are_not_those_of_another(tmp_path: Path) -> None:
    elsewhere = Server(host="127.0.0.1", port=105, ae_title="PACS")
    slots = ServerSlots(Settings(data_dir=tmp_path, servers={**with_servers(tmp_path, a=1).servers, "b": elsewhere}))
    with slots["a"], slots["b"]:
        pass


_TALLY = """
import os, sys, threading, time
from pathlib import Path
from media2dicom.settings import Settings
from media2dicom.slots import ServerSlots

slots, folder = ServerSlots(Settings.model_validate_json(sys.argv[1])), Path(sys.argv[2])

def work(thread):
    mark = folder / f"{os.getpid()}-{thread}"
    for _ in range(8):
        with slots["a"]:
            mark.touch()
            os.write(1, f"{len(list(folder.iterdir()))}\\n".encode())
            time.sleep(0.01)
            mark.unlink()

print("ready", flush=True)
sys.stdin.read(1)
threads = [threading.Thread(target=work, args=(thread,)) for thread in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("limit", [1, 2])
def test_never_more_than_the_slots_over_two_processes(tmp_path: Path, limit: int) -> None:
    settings = with_servers(tmp_path / "data", a=limit)
    marks = tmp_path / "marks"
    marks.mkdir()
    with child(_TALLY, settings, str(marks)) as one, child(_TALLY, settings, str(marks)) as other:
        for process in (one, other):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write("!")
            process.stdin.flush()
        seen = [int(line) for process in (one, other) for line in process.communicate(timeout=_PATIENCE_S)[0].split()]
    assert len(seen) == 2 * 3 * 8
    assert max(seen) <= limit


def test_killed_process_frees_its_slot(tmp_path: Path) -> None:
    settings = with_servers(tmp_path, a=1)
    got = threading.Event()

    def wait() -> None:
        with ServerSlots(settings)["a"]:
            got.set()

    with holder(settings, "slot", "a") as process:
        thread = threading.Thread(target=wait)
        thread.start()
        assert not got.wait(0.3)
        process.kill()
        assert got.wait(_PATIENCE_S)
        thread.join()


def test_who_comes_back_at_once_does_not_overtake_who_waits(tmp_path: Path) -> None:
    slots = ServerSlots(with_servers(tmp_path, a=1))
    order: list[str] = []
    started, over = threading.Event(), threading.Event()

    def greedy() -> None:
        while not over.is_set():
            with slots["a"]:
                order.append("greedy")
                started.set()
                time.sleep(0.02)  # being there

    def patient() -> None:
        started.wait()
        for _ in range(5):
            with slots["a"]:
                order.append("patient")
        over.set()

    together([greedy, patient])
    assert order.count("patient") == 5
    assert order.count("greedy") < 100
