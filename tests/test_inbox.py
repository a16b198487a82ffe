"""The inbox: what is ready to be taken, what gets a note, and where a manifest goes when its run is over."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from media2dicom import arrivals
from media2dicom import inbox as inbox_module
from media2dicom.arrivals import Inbox, Look, arrival
from media2dicom.beginning import begin_run
from media2dicom.carry_over import claimed, server_of
from media2dicom.errors import AlreadyRunning, CacheFailed, WindowEnded
from media2dicom.inbox import complete_filing, file_away, home_of, read_here
from media2dicom.media import media_sha256
from media2dicom.model import Status
from media2dicom.planning import plan_manifest
from media2dicom.runs import default_results_path, last_run
from media2dicom.settings import Nightly, Server, Settings
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary
from tests.manifest import sheets
from tests.steps import walking

_FORK = multiprocessing.get_context("fork")


def settings_in(folder: Path, quiet_s: float = 0) -> Settings:
    return Settings(
        servers={"pacs": Server(host="127.0.0.1", port=104, ae_title="PACS")},
        data_dir=folder / "data",
        cache_dir=folder / "cache",
        inbox_dir=folder / "inbox",
        nightly=Nightly(quiet_s=quiet_s),
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "inbox").mkdir()
    return settings_in(tmp_path)


@pytest.fixture
def bench(settings: Settings) -> Iterator[Workbench]:
    with walking.workbench(settings) as one:
        yield one


def drop(settings: Settings, name: str, **cells: str) -> Path:
    """A sound manifest, in the inbox or a folder of it."""
    path = settings.inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write = sheets.xlsx if path.suffix == ".xlsx" else sheets.text
    return write(path, [{**sheets.GOOD, **cells}])


def names(look: Look) -> list[str]:
    return [one.path.name for one in look.ready]


def note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.note.txt")


def summary_of(manifest: Path, *causes: tuple[Status, str]) -> Summary:
    """How a run of it ended: a row for each cause."""
    results = default_results_path(manifest)
    if manifest.exists() and not results.exists():
        results.write_bytes(b"results")
    return Summary("run", manifest, len(causes), dict.fromkeys(causes, 1), 0, results)


STORED = (Status.STORED, "")
REFUSED = (Status.REFUSED, "study-not-found")


# --- what is ready ----------------------------------------------------------------------------------------------


def test_manifests_are_ready_wherever_they_lie_and_the_oldest_comes_first(settings: Settings) -> None:
    for age, name in enumerate(["lab/week 7/m.tsv", "b.csv", "a.xlsx", "Größe_日本.csv", "M.CSV"]):
        os.utime(drop(settings, name), (1e9 - age, 1e9 - age))
    for name in ("done/old.csv", "attention/old.csv", ".hidden/m.csv", ".m.csv", "a.results.xlsx"):
        drop(settings, name)
    for name in ("~$gone.xlsx", ".~lock.gone.csv#", "n.csv.part", "n.csv.crdownload", "x.tmp", "notes.docx", "p.jpg"):
        (settings.inbox / name).write_bytes(b"x")
    look = Inbox(settings).look()
    assert names(look) == ["M.CSV", "Größe_日本.csv", "a.xlsx", "b.csv", "m.tsv"]
    assert (look.settling, look.noted) == ((), ())
    assert not list(settings.inbox.rglob("*.note.txt"))


def test_names_that_differ_in_case_only_are_two_manifests(settings: Settings) -> None:
    drop(settings, "knees.csv")
    drop(settings, "KNEES.csv")
    assert sorted(names(Inbox(settings).look())) == ["KNEES.csv", "knees.csv"]


def test_a_manifest_is_left_alone_until_it_is_quiet(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, quiet_s=60)
    path = drop(settings, "m.csv")
    os.utime(path, (1e9, 1e9))  # a copy keeps the time of its original, but it was written just now
    look = Inbox(settings).look()
    assert (look.ready, look.settling, look.noted) == ((), (path,), ())


@pytest.mark.parametrize("ahead_s", [-5, 7 * 86400])
def test_a_manifest_is_quiet_when_it_stays_as_it_is_whatever_its_time_says(tmp_path: Path, ahead_s: float) -> None:
    settings = settings_in(tmp_path, quiet_s=0.3)
    path = drop(settings, "m.csv")
    os.utime(path, (time.time() + ahead_s,) * 2)
    inbox = Inbox(settings)
    assert inbox.look().settling == (path,)
    time.sleep(0.31)  # the time itself is what is tested
    assert names(inbox.look()) == ["m.csv"]


def test_a_clock_of_the_file_server_that_is_ahead_does_not_hold_a_manifest_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can set a file's change time, so our own clock is turned back."""
    settings = settings_in(tmp_path, quiet_s=0.2)
    drop(settings, "m.csv")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    inbox = Inbox(settings)
    assert names(inbox.look()) == []
    time.sleep(0.21)
    assert names(inbox.look()) == ["m.csv"]


def test_a_manifest_that_changes_between_two_looks_is_not_quiet_and_is_judged_anew(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    path = drop(settings, "m.csv")
    inbox = Inbox(settings)
    [one] = inbox.look().ready
    assert one.is_still_there
    path.write_text("no headers of ours\n1\n", encoding="utf-8")
    assert not one.is_still_there
    assert inbox.look().noted == (path,)
    path.unlink()
    assert not one.is_still_there


# --- notes ------------------------------------------------------------------------------------------------------


def _half(path: Path) -> None:
    sheets.xlsx(path, [sheets.GOOD])
    path.write_bytes(path.read_bytes()[:3000])


def _locked(path: Path) -> None:
    sheets.xlsx(path, [sheets.GOOD])
    path.with_name(f"~${path.name}").write_bytes(b"owner")


def _linked(path: Path) -> None:
    outside = path.parent.parent / "outside.csv"
    path.symlink_to(sheets.text(outside, [sheets.GOOD]))


def _linked_folder(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.mkdir()
    sheets.text(outside / "m.csv", [sheets.GOOD])
    path.symlink_to(outside)


ODD: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "half-written": ("m.xlsx", _half, "damaged"),
    "empty": ("m.csv", lambda path: path.touch(), "empty file"),
    "no zip": ("m.xlsx", lambda path: path.write_bytes(b"x" * 100), "not what its name says"),
    "old workbook": ("m.xls", lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0"), "neither .xlsx"),
    "open in Excel": ("m.xlsx", _locked, "open in a spreadsheet program"),
    "no manifest": ("vitals.csv", lambda path: path.write_text("a,b\n1,2\n"), "no column media"),
    "a folder": ("m.xlsx", lambda path: path.mkdir(), "is a folder"),
    "a pipe": ("m.csv", lambda path: os.mkfifo(path), "is no file"),
    "a link out": ("m.csv", _linked, "is a link"),
    "a link to nothing": ("m.csv", lambda path: path.symlink_to("nowhere"), "is a link"),
    "a link to itself": ("m.csv", lambda path: path.symlink_to(path), "is a link"),
    "a linked folder": ("lab", _linked_folder, "behind a link"),
    "a long name": ("m" * 250 + ".csv", lambda path: sheets.text(path, [sheets.GOOD]), "too long"),
    "a line break": ("m\n1.csv", lambda path: sheets.text(path, [sheets.GOOD]), "control character"),
    "no characters": (os.fsdecode(b"m\xff.csv"), lambda path: sheets.text(path, [sheets.GOOD]), "that are none"),
}


@pytest.mark.parametrize("case", ODD)
def test_what_cannot_be_taken_stays_with_a_note_that_goes_away_with_it(settings: Settings, case: str) -> None:
    name, make, why = ODD[case]
    path = settings.inbox / name
    make(path)
    drop(settings, "sound.csv")
    inbox = Inbox(settings)
    look = inbox.look()
    assert names(look) == ["sound.csv"]
    assert look.noted == (path,)
    assert os.path.lexists(path)
    [note] = settings.inbox.glob("*.note.txt")
    text = note.read_text(encoding="utf-8")
    assert text.startswith("Media2DICOM did not take m") or case in {"no manifest", "a linked folder"}
    assert why in text
    assert "Next: " in text
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()
    assert names(inbox.look()) == ["sound.csv"]
    assert not note.exists()


def test_a_note_goes_away_when_the_manifest_is_mended_and_nobody_elses_file_is_touched(settings: Settings) -> None:
    path, other = settings.inbox / "m.xlsx", settings.inbox / "other.xlsx"
    _half(path)
    _half(other)
    note_of(other).write_text("my own remarks")
    inbox = Inbox(settings)
    assert len(inbox.look().noted) == 2
    assert note_of(path).exists()
    sheets.xlsx(path, [sheets.GOOD])
    assert names(inbox.look()) == ["m.xlsx"]
    assert not note_of(path).exists()
    assert note_of(other).read_text() == "my own remarks"


def test_a_note_shows_nothing_of_the_rows_and_is_readable_for_whoever_reads_the_inbox(settings: Settings) -> None:
    settings.inbox.chmod(0o755)
    path = sheets.text(settings.inbox / "m.csv", [{"media": "a.jpg", "patient_name": "Canary", "patient_id": "C7"}])
    before = os.umask(0o077)
    try:
        assert Inbox(settings).look().noted == (path,)
    finally:
        os.umask(before)
    assert note_of(path).stat().st_mode & 0o777 == 0o644
    assert "Canary" not in note_of(path).read_text()
    assert "C7" not in note_of(path).read_text()


def test_folders_and_files_without_the_right_to_read_them_get_a_note(settings: Settings) -> None:
    """Root may read everything, so an unprivileged child looks."""
    drop(settings, "closed/m.csv").parent.chmod(0)
    drop(settings, "m.csv").chmod(0)
    drop(settings, "sound.csv").chmod(0o644)

    def look() -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        found = Inbox(settings).look()
        assert names(found) == ["sound.csv"]
        assert {path.name for path in found.noted} == {"closed", "m.csv"}

    folder = settings.inbox
    while folder != folder.parent and folder.stat().st_uid == os.geteuid() and os.geteuid() == 0:
        folder.chmod(0o777)
        folder = folder.parent
        if folder.name == "tmp":
            break
    assert run(look) == 0
    (settings.inbox / "closed").chmod(0o755)
    assert "Permission denied" in note_of(settings.inbox / "m.csv").read_text()
    assert "cannot be looked into" in note_of(settings.inbox / "closed").read_text()


def test_an_inbox_that_cannot_be_looked_into_is_no_empty_inbox(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.inbox.write_text("a file")
    with pytest.raises(CacheFailed):
        Inbox(settings).look()


# --- claims -----------------------------------------------------------------------------------------------------


def run(work: Callable[[], None]) -> int | None:
    """In a process of its own; its exit code."""
    process = _FORK.Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def test_a_manifest_is_claimed_once_and_a_killed_claim_falls(settings: Settings) -> None:
    path = drop(settings, "m.csv")
    here, there = _FORK.Pipe()

    def claim() -> None:
        with claimed(settings, path):
            there.send("mine")
            signal.pause()

    process = _FORK.Process(target=claim)
    process.start()
    assert here.recv() == "mine"
    with pytest.raises(AlreadyRunning, match=r"m\.csv is taken"), claimed(settings, path):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with claimed(settings, path):
        pass


# --- where a manifest goes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "causes", "ends"),
    [
        ("lab/m.csv", [STORED, (Status.SKIPPED, "")], "done/lab/m.csv"),
        ("lab/m.csv", [STORED, REFUSED], "attention/lab/m.csv"),
        ("m.csv", [(Status.UNCERTAIN, "store-uncertain")], "attention/m.csv"),
        ("m.csv", [STORED, (Status.FAILED, WindowEnded.code)], "m.csv"),
        ("m.csv", [STORED, (Status.PREPARED, "")], "m.csv"),
        ("attention/lab/m.csv", [STORED], "done/lab/m.csv"),
        ("attention/lab/m.csv", [REFUSED], "attention/lab/m.csv"),
        ("done/m.csv", [REFUSED], "done/m.csv"),
        ("../elsewhere/m.csv", [STORED], "../elsewhere/m.csv"),
    ],
)
def test_a_manifest_goes_with_its_results_to_where_it_belongs(
    bench: Workbench, begins: str, causes: list[tuple[Status, str]], ends: str
) -> None:
    path = drop(bench.settings, begins)
    (path.parent / "a.jpg").write_bytes(b"media")
    bench.ledger.begin_run("run", path.resolve(), media_sha256(path), "pacs", [])
    bench.ledger.finish_run("run", default_results_path(path.resolve()))
    filed = file_away(bench, path, summary_of(path, *causes))
    wanted = (bench.settings.inbox / ends).resolve()
    assert filed.manifest.resolve() == wanted
    assert wanted.is_file()
    assert filed.results is not None
    assert filed.results.resolve() == default_results_path(wanted)
    assert filed.results.is_file()
    assert path.exists() == (begins == ends)
    assert (path.parent / "a.jpg").is_file()
    run = last_run(bench, wanted)
    assert run is not None
    assert (run.run_id, run.results) == ("run", default_results_path(wanted))
    assert not list(bench.settings.inbox.glob(".*"))


def test_a_name_that_is_there_already_gets_a_number(bench: Workbench) -> None:
    for _ in range(3):
        path = drop(bench.settings, "m.csv")
        file_away(bench, path, summary_of(path, STORED))
    (bench.settings.inbox / "done" / "n.results.xlsx").write_bytes(b"of another one")
    path = drop(bench.settings, "n.csv")
    file_away(bench, path, summary_of(path, STORED))
    assert sorted(one.name for one in (bench.settings.inbox / "done").iterdir()) == [
        *("m (2).csv", "m (2).results.xlsx", "m (3).csv", "m (3).results.xlsx", "m.csv", "m.results.xlsx"),
        *("n (2).csv", "n (2).results.xlsx", "n.results.xlsx"),
    ]


def test_a_result_workbook_elsewhere_stays_there(bench: Workbench, tmp_path: Path) -> None:
    path = drop(bench.settings, "m.csv")
    results = tmp_path / "m.results.xlsx"
    results.touch()
    filed = file_away(bench, path, Summary("run", path, 1, {STORED: 1}, 0, results))
    assert filed.results == results
    assert [one.name for one in (bench.settings.inbox / "done").iterdir()] == ["m.csv"]


def test_folders_for_what_is_done_have_the_rights_of_the_inbox(bench: Workbench) -> None:
    bench.settings.inbox.chmod(0o775)
    path = drop(bench.settings, "lab/m.csv")
    before = os.umask(0o077)
    try:
        file_away(bench, path, summary_of(path, STORED))
    finally:
        os.umask(before)
    for folder in ("done", "done/lab"):
        assert (bench.settings.inbox / folder).stat().st_mode & 0o777 == 0o775


def test_a_manifest_that_cannot_be_moved_stays_with_its_runs(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    (bench.settings.inbox / "done").write_text("a file where the folder should be")
    path = drop(bench.settings, "m.csv").resolve()
    bench.ledger.begin_run("run", path, media_sha256(path), "pacs", [])
    filed = file_away(bench, path, summary_of(path, STORED))
    assert filed.manifest == path
    assert last_run(bench, path) is not None
    assert "could not be moved to done/" in caplog.text
    assert not list(bench.settings.inbox.glob(".*"))


def test_media_of_a_manifest_in_attention_are_found_where_they_were_dropped(settings: Settings) -> None:
    path = drop(settings, "attention/lab/m.csv")
    (settings.inbox / "lab").mkdir()
    (settings.inbox / "lab" / "a.jpg").write_bytes(b"media")
    assert home_of(settings, path) == (settings.inbox / "lab").resolve()
    for found in (read_here(settings, path), plan_manifest(path, settings, None, offline=True).manifest):
        assert [row.media_path for row in found.rows] == [(settings.inbox / "lab" / "a.jpg").resolve()]
    assert home_of(settings, drop(settings, "lab/m.csv")) == (settings.inbox / "lab").resolve()
    assert home_of(settings, Path("/elsewhere/m.csv")) == Path("/elsewhere")


# --- a kill in between ------------------------------------------------------------------------------------------

# what the killed process did last, and how often it had done it: the file's move comes before its results'
KILLS = [
    ("atomic_write", 1),
    ("move_manifest", 1),
    ("_rename", 1),
    ("_rename", 2),
]


@pytest.mark.parametrize(("after", "times"), KILLS)
@pytest.mark.parametrize("begins", ["lab/m.csv", "attention/lab/m.csv"])
def test_a_kill_while_a_manifest_is_filed_loses_neither_file_nor_runs(
    settings: Settings, after: str, times: int, begins: str
) -> None:
    path = drop(settings, begins).resolve()
    summary = summary_of(path, STORED)

    def killed() -> None:
        with walking.workbench(settings) as bench:
            bench.ledger.begin_run("run", path, media_sha256(path), "pacs", [])
            bench.ledger.finish_run("run", default_results_path(path))
            owner = type(bench.ledger) if after == "move_manifest" else inbox_module
            die_after(owner, after, times)
            file_away(bench, path, summary)

    assert run(killed) == -signal.SIGKILL
    new = settings.inbox.resolve() / "done" / "lab" / "m.csv"
    with walking.workbench(settings) as bench:
        drop(settings, "other.csv")
        complete_filing(bench)
        complete_filing(bench)
        found = bench.ledger.run("run")
        assert found is not None
        assert (found.manifest, found.results) == (new, default_results_path(new))
        assert new.is_file()
        assert default_results_path(new).is_file()
        assert not path.exists()
        assert not default_results_path(path).exists()
        assert not list(settings.inbox.glob(".*"))


def die_after(owner: Any, name: str, times: int) -> None:
    plain = getattr(owner, name)
    calls = 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if name == "atomic_write":  # what it writes is complete when its block is left
            return _DyingContext(plain(*arguments, **options))
        result = plain(*arguments, **options)
        if calls == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


class _DyingContext:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __enter__(self) -> Any:
        return self._inner.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._inner.__exit__(*error)
        os.kill(os.getpid(), signal.SIGKILL)


def test_the_next_filing_completes_what_a_kill_left_before_its_own(settings: Settings) -> None:
    path, other = drop(settings, "m.csv").resolve(), drop(settings, "other.csv").resolve()

    def killed() -> None:
        with walking.workbench(settings) as bench:
            die_after(inbox_module, "_rename", 1)
            file_away(bench, path, summary_of(path, STORED))

    assert run(killed) == -signal.SIGKILL
    with walking.workbench(settings) as bench:
        file_away(bench, other, summary_of(other, REFUSED))
    found = sorted(str(one.relative_to(settings.inbox)) for one in settings.inbox.rglob("*") if one.is_file())
    assert found == [
        *("attention/other.csv", "attention/other.results.xlsx", "done/m.csv", "done/m.results.xlsx"),
    ]


@pytest.mark.parametrize("text", ["no list", "[]", '["a.csv"]', '["/etc/hosts", "m.csv"]', '["a", "../b"]', "[1, 2]"])
def test_an_intent_that_is_not_ours_moves_nothing(bench: Workbench, text: str) -> None:
    path = drop(bench.settings, "m.csv")
    (bench.settings.inbox / ".filing.json").write_text(text)
    complete_filing(bench)
    assert path.is_file()
    assert not (bench.settings.inbox / ".filing.json").exists()
    assert Path("/etc/hosts").exists()


# --- which server -----------------------------------------------------------------------------------------------


def test_an_unchanged_manifest_goes_on_to_the_server_of_its_earlier_run(bench: Workbench) -> None:
    path = drop(bench.settings, "m.csv")
    (bench.settings.inbox / "a.jpg").write_bytes(b"media")
    assert server_of(bench, path, "other") == "other"
    begin_run(bench, path, "pacs", "run")
    assert server_of(bench, path, "other") == "pacs"
    path.write_text(path.read_text() + "\n")
    assert server_of(bench, path, "other") == "other"


def test_an_arrival_is_what_was_looked_at(settings: Settings) -> None:
    path = drop(settings, "m.csv")
    one = arrival(path)
    replacement = drop(settings, "n.csv")
    replacement.replace(path)
    assert not one.is_still_there


def test_a_manifest_that_another_night_files_during_the_look_gets_no_note(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = drop(settings, "m.csv")

    def filed_meanwhile(*arguments: Any, **options: Any) -> Any:
        path.unlink()
        return read_here(*arguments, **options)

    monkeypatch.setattr(arrivals, "read_here", filed_meanwhile)
    assert Inbox(settings).look() == Look((), (), ())
    assert not list(settings.inbox.iterdir())


def test_a_manifest_that_was_saved_anew_while_its_run_ended_stays_for_its_own_turn(
    bench: Workbench, settings: Settings
) -> None:
    path = drop(settings, "m.csv")
    bench.ledger.begin_run("run", path.resolve(), media_sha256(path), "pacs", [])
    summary = summary_of(path, STORED)
    path.write_text(path.read_text() + "\n")
    assert file_away(bench, path, summary).manifest == path
    assert names(Inbox(settings).look()) == ["m.csv"]
