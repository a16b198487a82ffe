"""The command line as scripts use it: exit codes, JSON on stdout, files where they are said to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from typer.testing import CliRunner, Result

from flows.cli import app
from flows.hosting.orphans import temporary_servers
from media2dicom.ledger import Ledger
from media2dicom.locks import manifest_lock
from media2dicom.model import Status
from media2dicom.settings import CONFIG_VARIABLE, load_settings
from tests import archive as sheets
from tests import peers, real_media
from tests.flows.test_archive_manifest import fetched, patient


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PREFECT_HOME", os.environ.get("PREFECT_HOME", str(tmp_path / "prefect")))
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "media2dicom.toml"))
    before, umask = dict(os.environ), os.umask(0o022)
    try:
        yield lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    finally:
        os.umask(umask)
        os.environ.clear()
        os.environ.update(before)


# --- servers ----------------------------------------------------------------------------------------------------


def test_a_server_is_saved_only_after_its_echo(cli: Callable[..., Result], tmp_path: Path) -> None:
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        address = ("--host", "localhost", "--port", pacs.port)
        wrong = cli("servers", "add", "main", *address, "--ae-title", "WRONG")
        assert (wrong.exit_code, "called AE title" in wrong.output) == (3, True)
        assert not (tmp_path / "media2dicom.toml").exists()
        assert cli("servers", "add", "main", *address, "--ae-title", pacs.ae_title).exit_code == 0
        assert cli("servers", "echo", "main").exit_code == 0
        assert "DEMOPACS" in cli("servers", "list").output
    assert cli("servers", "echo", "main").exit_code == 3
    assert load_settings().servers["main"].port == pacs.port
    assert cli("servers", "remove", "main").exit_code == 0
    assert load_settings().servers == {}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("not a host", "104", "PACS"), "host"),
        (("http://pacs", "104", "PACS"), "host"),
        (("pacs", "0", "PACS"), "port"),
        (("pacs", "70000", "PACS"), "port"),
        (("pacs", "104", "AN AE TITLE THAT IS TOO LONG"), "16 characters"),
        (("pacs", "104", "BACK\\SLASH"), "backslash"),
    ],
)
def test_a_server_that_cannot_be_is_refused_with_the_reason(
    cli: Callable[..., Result], values: tuple[str, str, str], reason: str, tmp_path: Path
) -> None:
    host, port, ae_title = values
    command = ("servers", "add", "main", "--host", host, "--port", port, "--ae-title", ae_title)
    result = cli(*command, "--no-verify")
    assert result.exit_code == 3
    assert reason in result.output
    assert not (tmp_path / "media2dicom.toml").exists()


def test_no_verify_saves_a_server_that_is_not_there_yet(cli: Callable[..., Result]) -> None:
    command = ("servers", "add", "later", "--host", "::1", "--port", "104", "--ae-title", "LATER")
    assert cli(*command, "--no-verify", "--description", "the new one").exit_code == 0
    assert load_settings().servers["later"].description == "the new one"


# --- check ------------------------------------------------------------------------------------------------------


def test_check_tells_all_problems_at_once_and_sends_nothing(
    cli: Callable[..., Result], configured_for: Callable[..., Path], tmp_path: Path
) -> None:
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        configured_for(pacs)
        study = patient()
        pacs.load([study])
        who = sheets.Patient(study).cells
        rows: list[dict[str, Any]] = [
            {"media": "photo.jpg", **who},
            {"media": "bikes.mp4", **who, "frame_interval_s": "2"},
            {"media": "screen.png", **who, "patient_id": "somebody-else"},
            {"media": "nowhere.png", **who},
            {"media": "binary.stl", **who, "study_instance_uid": "1.2.3"},
        ]
        good = cli("check", sheets.write_sheet(tmp_path / "good.csv", rows[:2]), "--json")
        bad = cli("check", sheets.write_sheet(tmp_path / "bad.csv", rows), "--json")
        offline = cli("check", tmp_path / "bad.csv", "--offline", "--json")
        assert len(fetched(pacs, study)) == 0
    assert (good.exit_code, bad.exit_code, offline.exit_code) == (0, 2, 2)
    plan = json.loads(good.stdout)
    assert [(one["kind"], one["instances"]) for one in plan["plan"]] == [("image", 1), ("video", 5)]
    assert plan["asked"] == ["pacs"]
    problems = {(one["row"], one["code"]) for one in json.loads(bad.stdout)["problems"] if one["severity"] == "error"}
    assert problems == {(4, "identity-mismatch"), (5, "media-missing"), (6, "study-not-found")}
    assert {one["row"] for one in json.loads(offline.stdout)["problems"] if one["severity"] == "error"} == {5}


# --- run, retry, status -----------------------------------------------------------------------------------------


def test_run_and_status_agree_and_the_exit_code_says_how_it_ended(
    cli: Callable[..., Result], configured_for: Callable[..., Path], tmp_path: Path, prefect_server: None
) -> None:
    sheets.make_media(tmp_path)
    with peers.demo_pacs(tmp_path / "pacs") as pacs:
        configured_for(pacs)
        study = patient()
        pacs.load([study])
        who = sheets.Patient(study).cells
        manifest = sheets.write_sheet(tmp_path / "m.csv", [{"media": "photo.jpg", **who}])
        done = cli("run", manifest, "--json", "--results", tmp_path / "out.xlsx")
        found = json.loads(done.stdout)
        assert (done.exit_code, found["exit_code"]) == (0, 0)
        assert [row["status"] for row in found["rows"]] == ["STORED"]
        assert (tmp_path / "out.xlsx").is_file()
        sheets.write_sheet(manifest, [{"media": "photo.jpg", **who}, {"media": "scan.bmp", "patient_id": "x"}])
        assert cli("run", manifest).exit_code == 1
        again = json.loads(cli("status", manifest, "--json").stdout)
        assert [row["status"] for row in again["rows"]] == ["STORED", "REFUSED"]
        assert again["summary"]["already_stored"] == 1
        assert len(json.loads(cli("status", "--json").stdout)) == 2
        with manifest_lock(load_settings(), manifest):
            assert cli("run", manifest).exit_code == 75
            assert cli("retry", manifest).exit_code == 75
    misspelt = cli("retry", manifest, "--cause", "pacs-out-of-resource")
    assert (misspelt.exit_code, "there is no such cause" in misspelt.output) == (2, True)
    retried = cli("retry", manifest, "--json")
    assert (retried.exit_code, json.loads(retried.stdout)["rows"][0]["status"]) == (1, "STORED")
    sheets.write_sheet(manifest, [{"media": "binary.stl", **who}])
    changed = cli("retry", manifest, "--json")
    assert (changed.exit_code, json.loads(changed.stdout)["error"]["code"]) == (2, "manifest-unusable")
    checked = cli("check", manifest, "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["problems"][0]["code"]) == (2, "pacs-unreachable")
    down = cli("run", manifest, "--json")
    assert (down.exit_code, json.loads(down.stdout)["rows"][0]["code"]) == (3, "pacs-unreachable")
    none = cli("retry", manifest, "--cause", "pacs-busy", "--json")
    assert (none.exit_code, json.loads(none.stdout)["error"]["message"]) == (
        1,
        "No row matches. m.csv has 1 left: 1 PACS unreachable (pacs-unreachable).",
    )


def test_what_cannot_run_says_so_at_once(
    cli: Callable[..., Result], configured: Callable[..., Path], tmp_path: Path
) -> None:
    configured()
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "good.csv").write_text("media,accession_number,patient_id\nx.png,1,1\n")
    assert cli("check", tmp_path / "none.csv", "--offline").exit_code == 2
    assert cli("check", tmp_path / "empty.csv", "--offline").exit_code == 2
    assert cli("check", tmp_path / "other.csv", "--offline").exit_code == 2
    assert cli("run", tmp_path / "none.csv").exit_code == 2
    assert cli("run", tmp_path / "good.csv", "--server", "nowhere").exit_code == 3
    (tmp_path / "media2dicom.toml").write_text("chache_dir = '/tmp'\n")
    refused = cli("status")
    assert refused.exit_code == 3
    assert "chache_dir" in refused.output


# --- convert, cache, version ------------------------------------------------------------------------------------


def test_convert_writes_files_without_a_pacs(cli: Callable[..., Result], configured: Any, tmp_path: Path) -> None:
    configured()
    media = sheets.make_media(tmp_path / "media")
    source = get_testdata_file("MR_small.dcm")
    files = (media["photo.jpg"], media["text.stl"], media["bikes.mp4"])
    out = tmp_path / "out"
    result = cli("convert", *files, "--source", source, "--out", out, "--set", "frame_interval_s=5", "--set", "units=m")
    assert result.exit_code == 0
    found = {path.name: dcmread(path) for path in sorted(out.iterdir())}
    assert list(found) == ["bikes-0001.dcm", "bikes-0002.dcm", "photo.dcm", "text.dcm"]
    assert {one.PatientID for one in found.values()} == {dcmread(source).PatientID}
    assert found["text.dcm"].MeasurementUnitsCodeSequence[0].CodeValue == "m"
    (tmp_path / "x.png").write_bytes(b"no picture")
    assert cli("convert", tmp_path / "x.png", "--source", source, "--out", out).exit_code == 1
    assert cli("convert", media["photo.jpg"], "--source", source, "--out", out, "--set", "opacity=9").exit_code == 1


def test_convert_never_writes_over_another_instance(
    cli: Callable[..., Result], configured: Any, tmp_path: Path
) -> None:
    configured()
    media = sheets.make_media(tmp_path / "media")
    source, out = get_testdata_file("MR_small.dcm"), tmp_path / "out"
    (tmp_path / "photo.png").write_bytes(media["screen.png"].read_bytes())
    both = cli("convert", media["photo.jpg"], tmp_path / "photo.png", "--source", source, "--out", out)
    assert (both.exit_code, "holds something else" in both.output) == (1, True)
    assert dcmread(out / "photo.dcm").LossyImageCompression == "01"
    assert cli("convert", media["photo.jpg"], "--source", source, "--out", out).exit_code == 0
    assert cli("convert", media["photo.jpg"], "--source", source, "--out", media["photo.jpg"]).exit_code == 1


def test_a_result_workbook_that_cannot_be_written_is_told_before_the_run(
    cli: Callable[..., Result], configured: Any, tmp_path: Path
) -> None:
    configured()
    manifest = sheets.write_sheet(tmp_path / "m.csv", [{"media": "x.png", "accession_number": "1", "patient_id": "1"}])
    for target in (manifest, tmp_path, tmp_path / "nowhere" / "x.xlsx"):
        refused = cli("run", manifest, "--results", target, "--json")
        assert (refused.exit_code, json.loads(refused.stdout)["error"]["code"]) == (1, "results-not-written")


def test_version_and_cache_info_answer(cli: Callable[..., Result], configured: Any) -> None:
    configured()
    assert cli("version").output.strip().count(".") == 2
    assert "0 files" in cli("cache", "info").output
    assert cli("cache", "clear").exit_code == 0


# --- the worst hour ---------------------------------------------------------------------------------------------


def test_a_killed_run_is_completed_by_the_next_without_loss_or_duplicate(tmp_path: Path) -> None:
    """kill -9 of the command in mid run, then the same command again, against Orthanc."""
    with peers.orthanc(tmp_path / "orthanc") as pacs:
        study = patient()
        pacs.load([study])
        who = sheets.Patient(study).cells
        rows = []
        for number in range(40):
            vertices = real_media.sphere() * (1 + number)
            (tmp_path / f"{number}.stl").write_bytes(real_media.binary_stl(vertices))
            rows.append({"media": f"{number}.stl", **who})
        manifest = sheets.write_sheet(tmp_path / "m.csv", rows)
        config = tmp_path / "media2dicom.toml"
        config.write_text(
            f'cache_dir = "cache"\ndata_dir = "data"\n[servers.pacs]\nhost = "{pacs.host}"\n'
            f'port = {pacs.port}\nae_title = "{pacs.ae_title}"\n'
        )
        command = [sys.executable, "-m", "flows.cli", "run", str(manifest), "--config", str(config), "--json"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_some_are_stored(tmp_path / "data" / "ledger.sqlite", first, at_least=5)
        finally:
            first.kill()
            first.wait()
        home = tmp_path / "data" / "prefect"
        assert list(temporary_servers(home)), "the killed run left its Prefect server behind"
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        assert list(temporary_servers(home)) == []
        found = json.loads(done.stdout)
        assert [row["status"] for row in found["rows"]] == ["STORED"] * 40
        there = [one.SOPInstanceUID for some in fetched_from(pacs, study, tmp_path) for one in some]
        assert len(there) == len(set(there)) == 40
        assert sorted(there) == sorted(uid for row in found["rows"] for uid in row["sop_instance_uids"])


def fetched_from(pacs: peers.Peer, study: Any, folder: Path) -> list[list[Any]]:
    settings = pacs.settings(folder)
    found = sheets.fetch(pacs.server(), settings, str(study.StudyInstanceUID))
    return [[one for one in found if one.SOPInstanceUID != study.SOPInstanceUID]]


def _wait_until_some_are_stored(ledger: Path, process: subprocess.Popen[bytes], *, at_least: int) -> None:
    """Ask the ledger until so many rows are stored; the process must still be at work then."""
    while process.poll() is None:
        if ledger.is_file() and ledger.stat().st_size:
            book = Ledger(f"sqlite:///{ledger}")
            runs = book.runs()
            stored = book.counts(runs[0].run_id).get(Status.STORED, 0) if runs else 0
            book.close()
            if stored >= at_least:
                assert stored < 40, "the run was over before it could be killed"
                return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail("the run ended before it could be killed")
