"""The ledger: durable, private, quick with many rows, safe with many writers, and not SQLite's alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from media2dicom.errors import LedgerFailed
from media2dicom.ledger import Entry, InstanceState, Ledger
from media2dicom.ledger import tables as tables_module
from media2dicom.ledger.engine import make_engine
from media2dicom.ledger.tables import METADATA
from media2dicom.model import Instance, Outcome, Row, SourceStudy, Status
from media2dicom.settings import Settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}")
    yield opened
    opened.close()


def entry(number: int, outcome: Outcome | None = Outcome(Status.CHECKED)) -> Entry:  # noqa: B008 - frozen
    row = Row(
        row_number=number,
        row_id=f"r-{number}",
        media=f"{number}.png",
        media_path=Path(f"/lab/{number}.png"),
        media_sha256=f"{number:064x}",
        media_bytes=10,
        study_instance_uid="1.2.3",
        accession_number=None,
        patient_id="P",
    )
    return Entry(f"key-{number}", number, "pacs", row.row_id, row.media, row, outcome)


def instance(number: int, uid: str = "2.25.1") -> Instance:
    return Instance(f"{uid}.{number}", "1.2.840", "1.2.4", "1.2.3", "1.2.840.10008.1.2.1", Path("/c"), 10, number)


def begin(ledger: Ledger, *entries: Entry, run_id: str = "run") -> None:
    ledger.begin_run(run_id, Path("/lab/m.csv"), "0" * 64, "pacs", entries)


def send(ledger: Ledger, key: str, *numbers: int) -> None:
    """As the step does: SENDING first, then what each C-STORE came to. The content of each row is another one."""
    row = next(row for run in ledger.runs() for row in ledger.rows(run.run_id, [key]))
    assert ledger.mark_sending(row, "run", key, numbers or [0]) is None
    for number in numbers or [0]:
        ledger.record_attempt("run", key, number, None, None)


def test_ledger_is_its_owners_alone(ledger: Ledger, tmp_path: Path) -> None:
    begin(ledger, entry(2))
    folder = tmp_path / "data"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = list(folder.iterdir())
    assert {path.name for path in files} >= {"ledger.sqlite", "ledger.sqlite-wal"}
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_rows_come_back_as_they_went_in(ledger: Ledger) -> None:
    begin(ledger, entry(3), entry(2))
    found = ledger.rows("run")
    assert [row.row for row in found] == [entry(2).row, entry(3).row]
    assert {row.status for row in found} == {Status.CHECKED}


def test_run_begins_with_all_rows_or_none(ledger: Ledger) -> None:
    with pytest.raises(LedgerFailed):
        begin(ledger, entry(2), replace(entry(3), row_key="key-2"))
    assert ledger.runs() == []
    assert ledger.unfinished_row_keys() == set()


def test_stored_row_never_reverts(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    ledger.put_prepared("key-2", [instance(0)])
    ledger.set_instances("key-2", {0: InstanceState(Status.STORED, 0, "find")})
    ledger.set_outcome("key-2", Outcome(Status.STORED), stored_run="run")
    ledger.set_outcome("key-2", Outcome(Status.FAILED, "x"))
    send(ledger, "key-2")
    ledger.set_instances("key-2", {0: InstanceState(Status.FAILED)})
    ledger.put_prepared("key-2", [instance(0)])
    begin(ledger, entry(2), run_id="again")
    begin(ledger, entry(2, Outcome(Status.REFUSED, "x")), run_id="once more")
    [row] = ledger.rows("once more")
    assert (row.status, row.stored_run, row.instances[0].status) == (Status.STORED, "run", Status.STORED)


@pytest.mark.parametrize("state", [Status.SENDING, Status.UNCERTAIN])
def test_row_that_may_be_in_the_pacs_begins_uncertain(ledger: Ledger, state: Status) -> None:
    begin(ledger, entry(2))
    ledger.put_prepared("key-2", [instance(0), instance(1)])
    send(ledger, "key-2")
    ledger.set_instances("key-2", {0: InstanceState(state)})
    begin(ledger, entry(2), run_id="again")
    assert ledger.rows("again")[0].status == Status.UNCERTAIN
    ledger.put_prepared("key-2", [instance(0), instance(1)])
    [row] = ledger.rows("again")
    assert row.status == Status.UNCERTAIN
    assert [one.status for one in row.instances] == [state, Status.PREPARED]
    assert [one.attempts for one in row.instances] == [1, 0]


def test_row_that_surely_failed_begins_anew(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    ledger.put_prepared("key-2", [instance(0)])
    send(ledger, "key-2")
    ledger.set_instances("key-2", {0: InstanceState(Status.FAILED, 0xA700)})
    ledger.set_outcome(
        "key-2", Outcome(Status.FAILED, transient=True), identified_run="run", prepared_run="run", checked_run="run"
    )
    begin(ledger, entry(2))
    [row] = ledger.rows("run")
    assert (row.status, row.identified_run, row.prepared_run, row.checked_run) == (Status.CHECKED, None, None, None)


def test_row_that_is_only_shown_is_not_open(ledger: Ledger) -> None:
    begin(ledger, entry(2), entry(3))
    for key in ("key-2", "key-3"):
        ledger.set_outcome(key, Outcome(Status.FAILED, "x", transient=True))
    begin(ledger, entry(2), entry(3, None), run_id="retry")
    assert [row.is_open for row in ledger.rows("retry")] == [True, False]
    assert [row.status for row in ledger.rows("retry")] == [Status.CHECKED, Status.FAILED]


def test_instance_that_became_another_forgets_its_attempts(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    ledger.put_prepared("key-2", [instance(0)])
    send(ledger, "key-2")
    ledger.put_prepared("key-2", [instance(0, "2.25.9")])
    assert [(one.status, one.attempts) for one in ledger.rows("run")[0].instances] == [(Status.PREPARED, 0)]


def test_marking_counts_the_row_and_an_attempt_its_instance(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    ledger.put_prepared("key-2", [instance(0), instance(1)])
    assert ledger.mark_sending(ledger.rows("run")[0], "run", "content", [0, 1]) is None
    ledger.record_attempt("run", "key-2", 0, 0xA700, "store-failed-transient")
    [row] = ledger.rows("run")
    assert (row.attempts, [one.attempts for one in row.instances]) == (1, [1, 0])


def test_of_two_prepared_rows_of_two_runs_only_the_first_to_send_may(ledger: Ledger) -> None:
    found = []
    for number, run_id in ((2, "one"), (3, "two")):
        begin(ledger, entry(number), run_id=run_id)
        ledger.put_prepared(f"key-{number}", [instance(0, f"2.25.{number}")])
        found += ledger.rows(run_id)
        assert ledger.claim_content(found[-1], run_id, "content") is None  # the second takes the first's claim
    assert ledger.mark_sending(found[0], "one", "content", [0]) is None
    assert ledger.mark_sending(found[1], "two", "content", [0]) == "r-2"
    [second] = ledger.rows("two")
    assert (second.status, second.instances[0].status) == (Status.PREPARED, Status.PREPARED)


def test_sources_are_of_one_run_and_are_forgotten(ledger: Ledger, tmp_path: Path) -> None:
    header = tmp_path / "header.dcm"
    header.touch()
    begin(ledger, entry(2))
    ledger.put_source("run", "study", SourceStudy("1.2.3", header))
    assert ledger.source("run", "study") == SourceStudy("1.2.3", header)
    assert ledger.source("other", "study") is None
    begin(ledger, entry(2))
    assert ledger.source("run", "study") is None


def test_latest_run_comes_first(ledger: Ledger) -> None:
    for number in range(20):
        begin(ledger, entry(2), run_id=f"run {number}")
    assert [run.run_id for run in ledger.runs()] == [f"run {number}" for number in reversed(range(20))]


def test_twenty_thousand_rows_take_seconds(ledger: Ledger) -> None:
    entries = [entry(number) for number in range(2, 20_002)]
    start = time.monotonic()
    begin(ledger, *entries)
    begun = time.monotonic()
    begin(ledger, *entries, run_id="again")
    again = time.monotonic()
    assert len(ledger.rows("again")) == 20_000
    read = time.monotonic()
    print(f"begin {begun - start:.1f} s, again {again - begun:.1f} s, rows {read - again:.1f} s")
    assert read - start < 30  # one statement a row takes minutes


def test_writers_in_threads_wait_for_each_other_and_readers_do_not_wait(ledger: Ledger) -> None:
    keys = [f"key-{number}" for number in range(2, 10)]
    begin(ledger, *(entry(number) for number in range(2, 10)))
    failures: list[Exception] = []

    def write(key: str) -> None:
        try:
            ledger.put_prepared(key, [instance(0)])
            for _ in range(20):
                send(ledger, key)
                ledger.add_warnings("key-2", [key])
                ledger.rows("run")
        except Exception as error:  # noqa: BLE001 - whatever it is, the test says it
            failures.append(error)

    threads = [threading.Thread(target=write, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    rows = ledger.rows("run")
    assert [row.attempts for row in rows] == [20] * 8
    assert sorted(rows[0].warnings) == sorted(keys)
    with ledger._write():
        assert len(ledger.rows("run")) == 8  # while somebody writes


def test_processes_open_and_write_one_ledger_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from media2dicom.ledger import Ledger\n"
        "sys.stdin.read(1)\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for _ in range(50): ledger.record_attempt('run', sys.argv[2], 0, 0, None)\n"
    )
    url = f"sqlite:///{tmp_path / 'data' / 'ledger.sqlite'}"
    children = [
        subprocess.Popen([sys.executable, "-c", code, url, str(n)], cwd=REPOSITORY, stdin=subprocess.PIPE)
        for n in range(3)
    ]
    for child in children:
        child.communicate(b"!", timeout=60)
    assert [child.returncode for child in children] == [0, 0, 0]
    with make_engine(url).connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables_module.ATTEMPTS)).scalar() == 150


def test_every_statement_is_postgresqls_too(ledger: Ledger) -> None:
    """Whatever the ledger executes on SQLite compiles in PostgreSQL's dialect, and the tables can be made there."""
    statements: list[sa.ClauseElement] = []

    @sa.event.listens_for(ledger._engine, "before_execute")
    def _see(_connection: object, statement: sa.ClauseElement, *_others: object) -> None:
        statements.append(statement)

    begin(ledger, entry(2))
    begin(ledger, entry(2), entry(3, Outcome(Status.REFUSED, "x")), run_id="again")
    [row, _] = ledger.rows("again")
    ledger.claim_content(row, "again", "content")
    ledger.claim_content(replace(row, row_key="key-3"), "again", "content")
    ledger.put_source("run", "study", SourceStudy("1.2.3", Path("/x")))
    ledger.source("run", "study")
    ledger.forget_sources("run")
    ledger.put_prepared("key-2", [instance(0), instance(1)])
    ledger.replace_instance("key-2", instance(0))
    send(ledger, "key-2", 0, 1)
    ledger.mark_sending(replace(row, row_key="key-3"), "again", "key-2", [0])
    ledger.record_attempt("run", "key-2", 0, 0, None)
    ledger.set_instances("key-2", {0: InstanceState(Status.STORED, 0, "find")})
    ledger.add_warnings("key-2", ["w"])
    ledger.counts("run")
    ledger.unfinished_row_keys()
    ledger.rows("again", ["key-2"])
    ledger.finish_run("run", None)
    ledger.runs(Path("/lab/m.csv"))
    compiled = [str(statement.compile(dialect=postgresql.dialect())) for statement in statements]
    assert len(compiled) > 30
    assert not any(word in text for text in compiled for word in ("PRAGMA", "OR REPLACE", "OR IGNORE"))
    for table in METADATA.sorted_tables:
        assert "CREATE TABLE" in str(sa.schema.CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "CREATE TABLE" in str(sa.schema.CreateTable(table).compile(dialect=sqlite.dialect()))


def test_ledger_is_below_the_data_folder_unless_said_otherwise(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).ledger_location == f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    assert Settings(ledger_url="postgresql://host/db").ledger_location == "postgresql://host/db"
