"""How the ledger is opened: by many at once, from an older one, over a server that comes and goes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from media2dicom.errors import LedgerFailed, SettingsError
from media2dicom.ledger import Content, InstanceState, Ledger
from media2dicom.ledger.engine import make_engine
from media2dicom.ledger.tables import ATTEMPTS, METADATA, RUNS
from media2dicom.model import Outcome, Status
from tests import peers
from tests.ledger.test_book import begin, entry, instance, prepare

REPOSITORY = Path(__file__).parents[2]
_WRITER = """
import sys, threading
from media2dicom.ledger import Content, Ledger

def write(ledger, number):
    for _ in range(20):
        ledger.record_attempt("run", "key-2", 0, 0, None)
        ledger.add_warnings("key-2", [f"{sys.argv[2]} {number}"])
        ledger.rows("run")

print("ready", flush=True)
sys.stdin.read(1)
ledger = Ledger(sys.argv[1])
threads = [threading.Thread(target=write, args=(ledger, number)) for number in range(int(sys.argv[3]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ledger.close()
"""


@contextmanager
def opened(url: str) -> Iterator[sa.Connection]:
    engine = make_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def _write_at_once(url: str, processes: int, threads: int) -> None:
    command = [sys.executable, "-W", "error", "-c", _WRITER, url]
    children = [
        subprocess.Popen(
            [*command, str(number), str(threads)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for number in range(processes)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"!")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=120)
    assert [child.returncode for child in children] == [0] * processes


def test_processes_make_one_ledger_at_once(ledger_url: str) -> None:
    _write_at_once(ledger_url, processes=4, threads=0)
    with opened(ledger_url) as connection:
        assert set(sa.inspect(connection).get_table_names()) == set(METADATA.tables)


def test_threads_of_processes_write_at_once_and_nothing_is_lost(ledger_url: str) -> None:
    with closing(Ledger(ledger_url)) as ledger:
        begin(ledger, entry(2))
        prepare(ledger, "key-2", [instance(0)])
        _write_at_once(ledger_url, processes=2, threads=8)
        [row] = ledger.rows("run")
        assert row.instances[0].attempts == 320
        assert sorted(row.warnings) == sorted(f"{process} {thread}" for process in range(2) for thread in range(8))
    with opened(ledger_url) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ATTEMPTS)).scalar() == 320


def test_ledger_of_an_earlier_version_gets_the_columns_that_came_later(ledger_url: str) -> None:
    with opened(ledger_url) as connection, connection.begin():
        METADATA.create_all(connection)
        connection.execute(sa.text("ALTER TABLE runs DROP COLUMN approval"))
        connection.execute(sa.text("ALTER TABLE run_rows DROP COLUMN approved"))
        connection.execute(sa.text("ALTER TABLE run_rows DROP COLUMN sheet_warnings"))
        connection.execute(
            sa.text("INSERT INTO run_rows (run_id, row_number, row_key, taken) VALUES ('old', 2, 'key-2', true)")
        )
        connection.execute(RUNS.insert().values(run_id="old", manifest="/x", manifest_sha256="", started_at="2025"))
    with closing(Ledger(ledger_url)) as ledger:
        assert [run.approval for run in ledger.runs()] == [False]
        ledger.begin_run("new", Path("/x"), "", None, [entry(2)], approval=True)
        ledger.approve("new", ["key-2"])
        assert [row.approved for row in ledger.rows("new")] == [True]
        assert [(row.approved, row.warnings) for row in ledger.rows("old")] == [(False, ())]


def test_lengths_that_an_earlier_version_set_are_no_limit_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE claims (destination VARCHAR(255), content_key VARCHAR(64), row_key VARCHAR(64))"
        )
    with closing(Ledger(f"sqlite:///{path}")) as ledger:
        begin(ledger, entry(2))
        ledger.put_prepared("key-2", "run", Content("k" * 100, ("pacs",)), [instance(0)])
        [row] = ledger.rows("run")
        assert row.instances


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://user:hush@host/db", "SQLite or PostgreSQL, not in mysql"),
        ("no url with hush in it", "not a database URL"),
        ("postgresql://user:hush@host:port/db", "not a database URL"),
    ],
)
def test_url_that_is_no_ledgers_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        Ledger(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_url_of_postgresql_is_opened_with_psycopg(postgresql: peers.PostgreSQL, scheme: str) -> None:
    url = postgresql.new_database().replace("postgresql", scheme, 1)
    with closing(Ledger(url)) as ledger:
        assert ledger.runs() == []


def test_server_that_is_not_there_is_a_ledger_that_failed(postgresql: peers.PostgreSQL) -> None:
    with pytest.raises(LedgerFailed) as caught:
        Ledger(f"postgresql://tests@127.0.0.1:{peers.free_port()}/ledger")
    assert caught.value.transient
    with pytest.raises(LedgerFailed):
        Ledger(postgresql.url("no_such_database"))


def test_ledger_goes_on_when_its_server_was_started_again() -> None:
    with peers.postgres() as server, closing(Ledger(server.new_database())) as ledger:
        begin(ledger, entry(2))
        server.stop()
        with pytest.raises(LedgerFailed) as caught:
            ledger.set_outcome("key-2", Outcome(Status.FAILED, "x"))
        assert caught.value.transient
        with pytest.raises(LedgerFailed):
            ledger.rows("run")
        server.start()
        assert ledger.rows("run")[0].status == Status.CHECKED
        server.stop()
        server.start()
        ledger.set_outcome("key-2", Outcome(Status.FAILED, "x"))
        assert ledger.rows("run")[0].status == Status.FAILED


def test_server_that_goes_away_inside_a_transaction_leaves_nothing_of_it() -> None:
    with peers.postgres() as server, closing(Ledger(server.new_database())) as ledger:
        begin(ledger, entry(2))

        def write() -> None:
            with ledger._write() as connection:
                connection.execute(RUNS.delete())
                server.stop()
                server.start()
                connection.execute(RUNS.delete())

        with pytest.raises(LedgerFailed):
            write()
        assert [run.run_id for run in ledger.runs()] == ["run"]


def test_what_a_writer_reads_is_newer_than_the_lock_it_waited_for(postgresql: peers.PostgreSQL) -> None:
    """Whatever isolation the administrator made the default: a claim is decided on what is there."""
    url = postgresql.new_database()
    name = url.rpartition("/")[2]
    postgresql.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    with closing(Ledger(url)) as ledger:
        begin(ledger, entry(2))
        prepare(ledger, "key-2", [instance(0)])
        _write_at_once(url, processes=2, threads=4)
        assert ledger.rows("run")[0].instances[0].attempts == 160


def test_rows_are_read_as_they_stood_at_one_moment(ledger_url: str) -> None:
    """A row and its instances are read one after the other; what is written in between is not half seen."""
    with closing(Ledger(ledger_url)) as ledger:
        begin(ledger, entry(2))
        prepare(ledger, "key-2", [instance(0)])
        written = False

        @sa.event.listens_for(ledger._reader, "before_cursor_execute")
        def _write_in_between(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
            nonlocal written
            if "FROM instances" in statement and not written:
                written = True
                ledger.set_instances("key-2", {0: InstanceState(Status.STORED, 0, "find")})
                ledger.set_outcome("key-2", Outcome(Status.STORED), stored_run="run")

        [row] = ledger.rows("run")
        assert written
        assert (row.status, row.instances[0].status) == (Status.PREPARED, Status.PREPARED)
        [row] = ledger.rows("run")
        assert (row.status, row.instances[0].status) == (Status.STORED, Status.STORED)
