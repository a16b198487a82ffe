"""The ledger: durable, private, quick with many rows, safe with many writers, in SQLite and in PostgreSQL."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from media2dicom.errors import DuplicateRow, LedgerFailed, NotApproved, ObjectsUnderWay, TakenOver, UploadConflict
from media2dicom.ledger import Content, Entry, InstanceState, Ledger, LedgerRow
from media2dicom.ledger.records import instance_values
from media2dicom.ledger.tables import INSTANCES
from media2dicom.model import Instance, Outcome, Row, SourceStudy, Status
from media2dicom.settings import Settings


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger(ledger_url)
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


CONTENT = Content("content", ("pacs",))


def content(key: str) -> Content:
    return Content(key, ("pacs",))


def prepare(ledger: Ledger, key: str, instances: list[Instance] | None, run_id: str = "run") -> None:
    """The content of each row is another one."""
    ledger.put_prepared(key, run_id, content(key), instances)


def send(ledger: Ledger, key: str, *numbers: int) -> None:
    """As the step does: SENDING first, then what each C-STORE came to."""
    ledger.mark_sending(key, "run", content(key), numbers or [0])
    for number in numbers or [0]:
        ledger.record_attempt("run", key, number, None, None)


def test_ledger_in_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with closing(Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")) as ledger:
        _files_are_its_owners_alone(ledger, folder)


def _files_are_its_owners_alone(ledger: Ledger, folder: Path) -> None:
    begin(ledger, entry(2))
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
    prepare(ledger, "key-2", [instance(0)])
    ledger.set_instances("key-2", {0: InstanceState(Status.STORED, 0, "find")})
    ledger.set_outcome("key-2", Outcome(Status.STORED), stored_run="run")
    ledger.set_outcome("key-2", Outcome(Status.FAILED, "x"))
    send(ledger, "key-2")
    ledger.set_instances("key-2", {0: InstanceState(Status.FAILED)})
    prepare(ledger, "key-2", [instance(0)])
    begin(ledger, entry(2), run_id="again")
    begin(ledger, entry(2, Outcome(Status.REFUSED, "x")), run_id="once more")
    [row] = ledger.rows("once more")
    assert (row.status, row.stored_run, row.instances[0].status) == (Status.STORED, "run", Status.STORED)


@pytest.mark.parametrize("state", [Status.SENDING, Status.UNCERTAIN])
def test_row_that_may_be_in_the_pacs_begins_uncertain(ledger: Ledger, state: Status) -> None:
    begin(ledger, entry(2))
    prepare(ledger, "key-2", [instance(0), instance(1)])
    send(ledger, "key-2")
    ledger.set_instances("key-2", {0: InstanceState(state)})
    begin(ledger, entry(2), run_id="again")
    assert ledger.rows("again")[0].status == Status.UNCERTAIN
    prepare(ledger, "key-2", [instance(0), instance(1)])
    [row] = ledger.rows("again")
    assert row.status == Status.UNCERTAIN
    assert [one.status for one in row.instances] == [state, Status.PREPARED]
    assert [one.attempts for one in row.instances] == [1, 0]


def test_row_that_surely_failed_begins_anew(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    prepare(ledger, "key-2", [instance(0)])
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


def test_warnings_of_media_and_pacs_stay_and_those_of_the_sheet_are_of_its_run(ledger: Ledger) -> None:
    begin(ledger, replace(entry(2), warnings=("B2: a number",)))
    ledger.put_prepared("key-2", "run", CONTENT, [instance(0)], ["of the media", "of the media"])
    ledger.add_warnings("key-2", ["of the PACS"])
    ledger.put_prepared("key-2", "run", CONTENT)
    assert ledger.rows("run")[0].warnings == ("B2: a number", "of the media", "of the PACS")
    begin(ledger, replace(entry(2), row_number=7, warnings=("B7: a number",)), run_id="sorted")
    [row] = ledger.rows("sorted")
    assert (row.sheet_warnings, row.warnings) == (("B7: a number",), ("B7: a number", "of the media", "of the PACS"))
    begin(ledger, entry(2), run_id="corrected")
    assert ledger.rows("corrected")[0].warnings == ("of the media", "of the PACS")


def test_instance_that_became_another_forgets_its_attempts(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    prepare(ledger, "key-2", [instance(0)])
    send(ledger, "key-2")
    ledger.set_instances("key-2", {0: InstanceState(Status.FAILED, 0xA700)})
    prepare(ledger, "key-2", [instance(0, "2.25.9")])
    assert [(one.status, one.attempts) for one in ledger.rows("run")[0].instances] == [(Status.PREPARED, 0)]


@pytest.mark.parametrize("state", [Status.SENDING, Status.UNCERTAIN, Status.STORED, Status.CONFLICT])
@pytest.mark.parametrize("today", [[instance(0)], [instance(0), instance(1, "2.25.9")]], ids=["fewer", "another"])
def test_instance_that_may_be_in_the_pacs_is_not_forgotten(
    ledger: Ledger, state: Status, today: list[Instance]
) -> None:
    begin(ledger, entry(2))
    prepare(ledger, "key-2", [instance(0), instance(1)])
    ledger.set_instances("key-2", {1: InstanceState(state)})
    with pytest.raises(UploadConflict):
        prepare(ledger, "key-2", today)
    assert [one.status for one in ledger.rows("run")[0].instances] == [Status.PREPARED, state]


def test_marking_counts_the_row_and_an_attempt_its_instance(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    prepare(ledger, "key-2", [instance(0), instance(1)])
    ledger.mark_sending("key-2", "run", content("key-2"), [0, 1])
    ledger.record_attempt("run", "key-2", 0, 0xA700, "store-failed-transient")
    [row] = ledger.rows("run")
    assert (row.attempts, [one.attempts for one in row.instances]) == (1, [1, 0])


def begin_prepared(
    ledger: Ledger, number: int, run_id: str, *instances: Instance, content: Content = CONTENT
) -> LedgerRow:
    """A run with one row, and its files."""
    ledger.begin_run(run_id, Path(f"/lab/{run_id}.csv"), "0" * 64, "pacs", [entry(number)])
    ledger.put_prepared(f"key-{number}", run_id, content, instances)
    return ledger.rows(run_id)[0]


def test_of_two_prepared_rows_of_two_runs_only_the_first_to_send_may(ledger: Ledger) -> None:
    begin_prepared(ledger, 2, "one", instance(0, "2.25.2"))
    begin_prepared(ledger, 3, "two", instance(0, "2.25.3"))  # takes the first's claim
    ledger.mark_sending("key-2", "one", CONTENT, [0])
    with pytest.raises(DuplicateRow, match=r"Row 2 of one\.csv, .* sent in part or without an answer"):
        ledger.mark_sending("key-3", "two", CONTENT, [0])
    [second] = ledger.rows("two")
    assert (second.status, second.instances[0].status) == (Status.PREPARED, Status.PREPARED)


def test_stored_content_is_refused_to_another_row_and_nothing_is_left_of_the_try(ledger: Ledger) -> None:
    begin_prepared(ledger, 2, "one", instance(0))
    ledger.set_instances("key-2", {0: InstanceState(Status.STORED, 0, "find")})
    ledger.set_outcome("key-2", Outcome(Status.STORED), stored_run="one")
    with pytest.raises(DuplicateRow, match=r"Row 2 of one\.csv, .* is stored") as refused:
        begin_prepared(ledger, 3, "two", instance(0, "2.25.3"))
    assert "r-2" not in refused.value.message + refused.value.next_step
    [second] = ledger.rows("two")
    assert (second.status, second.instances, second.prepared_run) == (Status.CHECKED, (), None)


@pytest.mark.parametrize("state", [Status.SENDING, Status.UNCERTAIN, Status.STORED, Status.CONFLICT])
def test_row_of_the_same_objects_takes_over_and_is_in_doubt(ledger: Ledger, state: Status) -> None:
    begin_prepared(ledger, 2, "one", instance(0), instance(1))
    ledger.set_instances("key-2", {1: InstanceState(state, 0, "find")})
    ledger.finish_run("one", None)
    ledger.add_warnings("key-2", ["of the PACS"])
    second = begin_prepared(ledger, 3, "two", instance(0), instance(1))
    assert second.warnings == ("of the PACS",)
    assert (second.status, second.prepared_run) == (Status.UNCERTAIN, "two")
    assert [one.status for one in second.instances] == [Status.PREPARED, Status.UNCERTAIN]
    ledger.mark_sending("key-3", "two", CONTENT, [0])
    begin(ledger, entry(2), run_id="one again")  # now it is the other way round
    ledger.finish_run("two", None)
    ledger.put_prepared("key-2", "one again", CONTENT)
    with pytest.raises(ObjectsUnderWay):
        ledger.mark_sending("key-3", "two", CONTENT, [0])


def test_row_of_the_same_objects_waits_while_they_are_on_their_way(ledger: Ledger) -> None:
    begin_prepared(ledger, 2, "one", instance(0))
    ledger.mark_sending("key-2", "one", CONTENT, [0])
    with pytest.raises(ObjectsUnderWay, match="another run sends it") as refused:
        begin_prepared(ledger, 3, "two", instance(0))
    assert refused.value.transient
    assert ledger.duplicate("key-3", CONTENT, lambda number: instance(number).sop_instance_uid) is None
    ledger.set_instances("key-2", {0: InstanceState(Status.UNCERTAIN)})
    assert begin_prepared(ledger, 3, "two", instance(0)).status == Status.UNCERTAIN


def test_rows_of_the_same_objects_in_one_run_are_duplicates(ledger: Ledger) -> None:
    begin(ledger, entry(2), entry(3))
    for state in (Status.PREPARED, Status.UNCERTAIN, Status.STORED):
        ledger.put_prepared("key-2", "run", CONTENT, [instance(0)])
        ledger.set_instances("key-2", {0: InstanceState(state)})
        with pytest.raises(DuplicateRow, match=r"^Row 2 files") as refused:
            ledger.put_prepared("key-3", "run", CONTENT, [instance(0)])
        assert refused.value.next_step == DuplicateRow.default_next_step
    ledger.begin_run("retry", Path("/lab/m.csv"), "0" * 64, "pacs", [entry(2, None), entry(3)])  # takes one of them
    with pytest.raises(DuplicateRow, match=r"^Row 2 files"):
        ledger.put_prepared("key-3", "retry", CONTENT, [instance(0)])


def test_row_that_came_to_nothing_keeps_no_other_out(ledger: Ledger) -> None:
    begin(ledger, entry(2), entry(3))
    ledger.put_prepared("key-2", "run", CONTENT, [instance(0)])
    ledger.set_outcome("key-2", Outcome(Status.REFUSED, "x"))
    ledger.put_prepared("key-3", "run", CONTENT, [instance(0)])
    ledger.mark_sending("key-3", "run", CONTENT, [0])


def test_content_is_claimed_under_every_name_of_its_place(ledger: Ledger) -> None:
    begin_prepared(ledger, 2, "one", instance(0), content=Content("content", ("pacs",)))  # of an earlier version
    ledger.mark_sending("key-2", "one", CONTENT, [0])
    both = Content("content", ("pacs.lab:104", "pacs", "second"))
    with pytest.raises(DuplicateRow):
        begin_prepared(ledger, 3, "two", instance(0, "2.25.3"), content=both)
    ledger.put_prepared("key-2", "one", both)
    renamed = Content("content", ("pacs.lab:104", "archive"))
    with pytest.raises(DuplicateRow):
        begin_prepared(ledger, 3, "two", instance(0, "2.25.3"), content=renamed)
    begin_prepared(ledger, 3, "two", instance(0, "2.25.3"), content=Content("content", ("other.lab:104", "other")))


def test_what_a_run_would_refuse_as_a_duplicate_is_known_before(ledger: Ledger) -> None:
    def told(uid: str) -> bool:
        return ledger.duplicate("key-3", CONTENT, lambda number: instance(number, uid).sop_instance_uid) is not None

    begin_prepared(ledger, 2, "one", instance(0))
    assert not told("2.25.9")
    ledger.set_instances("key-2", {0: InstanceState(Status.STORED)})
    assert (told("2.25.9"), told("2.25.1")) == (True, False)
    assert ledger.duplicate("key-2", CONTENT, str) is None


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


def test_twenty_thousand_rows_take_a_few_statements(ledger: Ledger) -> None:
    """And so a few seconds; one statement a row takes minutes."""
    statements = 0

    @sa.event.listens_for(ledger._engine, "before_cursor_execute")
    def _count(*_of_the_statement: object) -> None:
        nonlocal statements
        statements += 1

    entries = [entry(number) for number in range(2, 20_002)]
    moments = [time.monotonic()]
    begin(ledger, *entries)
    moments.append(time.monotonic())
    begin(ledger, *entries, run_id="again")
    moments.append(time.monotonic())
    with ledger._write() as connection:  # as if each row had been prepared
        instances = [
            {"row_key": one.row_key, **instance_values(instance(0)), "status": Status.PREPARED} for one in entries
        ]
        connection.execute(INSTANCES.insert(), instances)
    moments.append(time.monotonic())
    assert all(row.instances for row in ledger.rows("again"))
    moments.append(time.monotonic())
    print("begin, again, instances, rows (s):", *(f"{end - start:.1f}" for start, end in pairwise(moments)))
    assert statements < 40


def test_writers_in_threads_wait_for_each_other_and_readers_do_not_wait(ledger: Ledger) -> None:
    keys = [f"key-{number}" for number in range(2, 10)]
    begin(ledger, *(entry(number) for number in range(2, 10)))
    failures: list[Exception] = []

    def write(key: str) -> None:
        try:
            prepare(ledger, key, [instance(0)])
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


def test_ledger_is_below_the_data_folder_unless_said_otherwise(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).ledger_location == f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    assert Settings(ledger_url="postgresql://host/db").ledger_location == "postgresql://host/db"


# --- the clock ---------------------------------------------------------------------------------------------------


def test_run_that_begins_later_is_the_later_one_after_the_clock_was_set_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter(["2026-03-03T10:00:00.999999+00:00", *["2026-03-01T10:00:00.000000+00:00"] * 2])
    monkeypatch.setattr("media2dicom.ledger.run_book.now", lambda timespec: next(moments))
    begin(ledger, entry(2), run_id="killed in the future")
    begin(ledger, entry(2), run_id="today")
    begin(ledger, entry(2), run_id="after")
    assert [run.run_id for run in ledger.runs()] == ["after", "today", "killed in the future"]
    assert ledger.runs(limit=1)[0].started_at == "2026-03-03T10:00:01.000001+00:00"
    assert ledger.taken_over("after", ["key-2"]) == set()
    assert ledger.taken_over("killed in the future", ["key-2"]) == {"key-2"}


# --- runs and ranges of rows -------------------------------------------------------------------------------------


def test_run_is_found_by_its_id(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    run = ledger.run("run")
    assert run is not None
    assert (run.manifest, run.server, run.finished_at, run.approval) == (Path("/lab/m.csv"), "pacs", None, False)
    assert ledger.run("another") is None


def test_unfinished_runs_are_those_that_have_not_ended(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    begin(ledger, entry(2), run_id="other")
    ledger.finish_run("run", Path("/lab/m.results.xlsx"))
    assert [run.run_id for run in ledger.runs(unfinished=True)] == ["other"]


def begin_with_approval(ledger: Ledger, run_id: str, *entries: Entry, approved_in: str | None = None) -> None:
    ledger.begin_run(run_id, Path("/lab/m.csv"), "0" * 64, "pacs", entries, approval=True, approved_in=approved_in)


def test_approval_is_of_rows_and_outlives_that_the_run_begins_again_or_is_taken_up(ledger: Ledger) -> None:
    def approved(run_id: str) -> list[bool]:
        return [row.approved for row in ledger.rows(run_id)]

    begin_with_approval(ledger, "run", entry(2), entry(3), entry(4))
    ledger.approve("run", ["key-2", "key-4"], set_aside=["key-3"])
    assert approved("run") == [True, False, True]
    assert [row.is_open for row in ledger.rows("run")] == [True, False, True]
    begin_with_approval(ledger, "run", entry(2), entry(3), entry(5))
    assert approved("run") == [True, False, False]
    begin_with_approval(ledger, "retry", entry(2), entry(3), approved_in="run")
    assert approved("retry") == [True, False]
    ledger.decline("run")
    assert approved("run") == [False, False, False]


def test_row_that_nobody_approved_is_never_marked_as_sent(ledger: Ledger) -> None:
    begin_with_approval(ledger, "run", entry(2), entry(3))
    ledger.approve("run", ["key-3"])
    for row in ledger.rows("run"):
        prepare(ledger, row.row_key, [instance(0)])
    first, second = ledger.rows("run")
    with pytest.raises(NotApproved):
        ledger.mark_sending(first.row_key, "run", content(first.row_key), [0])
    ledger.mark_sending(second.row_key, "run", content(second.row_key), [0])
    assert [row.status for row in ledger.rows("run")] == [Status.PREPARED, Status.SENDING]


def test_row_that_a_later_run_has_in_hand_is_not_sent_by_the_earlier_one(ledger: Ledger) -> None:
    begin(ledger, entry(2))
    prepare(ledger, "key-2", [instance(0)])
    begin(ledger, entry(2), run_id="later")
    with pytest.raises(TakenOver):
        ledger.mark_sending("key-2", "run", content("key-2"), [0])
    assert ledger.taken_over("run", ["key-2", "key-3"]) == {"key-2"}
    assert ledger.taken_over("later", ["key-2"]) == set()
    ledger.finish_run("later", None)
    ledger.mark_sending("key-2", "run", content("key-2"), [0])


def test_runs_follow_a_manifest_that_was_moved(ledger: Ledger) -> None:
    begin(ledger, entry(2), run_id="one")
    begin(ledger, entry(2), run_id="two")
    ledger.begin_run("other", Path("/lab/other.csv"), "", None, [entry(3)])
    ledger.move_manifest(Path("/lab/m.csv"), Path("/lab/done/m.csv"))
    assert [run.run_id for run in ledger.runs(Path("/lab/done/m.csv"))] == ["two", "one"]
    assert ledger.runs(Path("/lab/m.csv")) == []
    assert [run.run_id for run in ledger.runs(limit=2)] == ["other", "two"]


def test_rows_and_counts_of_a_range_of_numbers(ledger: Ledger) -> None:
    begin(ledger, *(entry(number) for number in range(2, 10)))
    ledger.set_outcome("key-5", Outcome(Status.FAILED, "x"))
    assert [row.row_number for row in ledger.rows("run", numbers=(4, 6))] == [4, 5, 6]
    assert [row.row_number for row in ledger.rows("run", ["key-4", "key-9"], numbers=(4, 6))] == [4]
    assert ledger.counts("run", (4, 6)) == {Status.CHECKED: 2, Status.FAILED: 1}
    assert ledger.counts("run") == {Status.CHECKED: 7, Status.FAILED: 1}
    assert ledger.rows("run", numbers=(10, 20)) == []


def test_rows_that_are_begun_again_stand_as_at_the_beginning(ledger: Ledger) -> None:
    """Only those of the range that the run took, that could be read and that are not done."""
    unreadable = replace(entry(8, Outcome(Status.REFUSED, "cell-invalid")), row=None)
    begin(ledger, entry(7))
    begin(ledger, *(entry(number) for number in range(2, 7)), entry(7, None), unreadable, entry(9), run_id="again")
    failed = Outcome(Status.FAILED, "x", "a message", "a next step", transient=True)
    for number in (2, 7, 9):
        ledger.set_outcome(f"key-{number}", failed, study_key="s", identified_run="again", prepared_run="again")
    ledger.set_outcome("key-3", Outcome(Status.STORED), stored_run="again")
    ledger.set_outcome("key-4", Outcome(Status.SKIPPED))
    ledger.set_outcome("key-5", Outcome(Status.REFUSED, "study-not-found"))
    prepare(ledger, "key-6", [instance(0), instance(1)])
    ledger.set_instances("key-6", {1: InstanceState(Status.UNCERTAIN)})
    ledger.set_outcome("key-6", failed)
    ledger.add_warnings("key-2", ["of the sheet"])
    ledger.begin_rows_again("again", (2, 8))
    rows = {row.row_number: row for row in ledger.rows("again")}
    assert [str(rows[number].status) for number in range(2, 10)] == [
        *("CHECKED", "STORED", "SKIPPED", "CHECKED", "UNCERTAIN", "FAILED", "REFUSED", "FAILED")
    ]
    again = rows[2]
    assert again.outcome == Outcome(Status.CHECKED)
    assert (again.study_key, again.identified_run, again.prepared_run, again.finished_at) == (None, None, None, None)
    assert again.warnings == ("of the sheet",)
    assert [one.status for one in rows[6].instances] == [Status.PREPARED, Status.UNCERTAIN]
    ledger.begin_rows_again("again")
    assert ledger.rows("again", ["key-9"])[0].status == Status.CHECKED


def test_text_that_no_database_holds_ends_no_run(ledger: Ledger) -> None:
    """A PACS may answer with NUL characters, and a file system has names that are no text."""
    begin(ledger, replace(entry(2), media="a\0b.png", warnings=("w\0",)))
    ledger.begin_run("odd", Path("/lab/\udce9.csv"), "", None, [entry(3)])
    ledger.set_outcome("key-2", Outcome(Status.FAILED, "x" * 200, "it said \0\ud800", "n" * 10_000))
    ledger.add_warnings("key-2", ["\0"])
    [row] = ledger.rows("run")
    assert row.media == "a␀b.png"
    assert row.outcome == Outcome(Status.FAILED, "x" * 200, "it said ␀\\ud800", "n" * 10_000)
    assert row.warnings == ("w\0", "\0")
    assert [run.run_id for run in ledger.runs(Path("/lab/\udce9.csv"))] == ["odd"]
    long = Path("/" + "/".join(uuid.uuid4().hex for _ in range(120)))  # a path has up to 4,096 bytes
    ledger.begin_run("long", long, "", None, [entry(4)])
    assert [run.run_id for run in ledger.runs(long)] == ["long"]
