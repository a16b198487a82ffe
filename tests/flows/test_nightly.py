"""Whole nights against a real PACS: what is taken, carried over, left, and told in the morning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from uuid import uuid4

import pytest

from flows.commands import embedded
from media2dicom.beginning import begin_run
from media2dicom.ledger import Ledger
from media2dicom.locks import manifest_lock
from media2dicom.model import Status
from media2dicom.runs import default_results_path
from media2dicom.settings import Server, Settings, load_settings
from media2dicom.steps.workbench import open_workbench
from tests import archive as sheets
from tests import peers
from tests.flows.test_archive_manifest import _prefect_records, patient
from tests.prefect_server import RunningUp
from tests.steps import walking


@dataclass
class Lab:
    """A PACS with a study, an inbox, and nights over it."""

    pacs: walking.ObservedPacs
    settings: Settings
    run: Callable[..., Any]
    study: Any
    pictures: int = 0

    def drop(self, name: str, count: int = 1, **cells: Any) -> Path:
        """A manifest with pictures that nobody else has, in the inbox, a folder of it, or elsewhere."""
        path = self.settings.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for _ in range(count):
            self.pictures += 1
            media = walking.png(path.parent / f"{self.pictures}.png", self.pictures)
            rows.append({**walking.cells_of(self.study), "media": media.name, **cells})
        return sheets.write_sheet(path, rows)

    def statuses(self, manifest: Path) -> list[str]:
        """Of the rows of its newest run."""
        with walking.workbench(self.settings) as bench:
            run = bench.ledger.runs(manifest.resolve())[0]
            return [str(row.status) for row in bench.ledger.rows(run.run_id)]

    def lying(self) -> list[str]:
        """Manifests, results and notes, by their path in the inbox."""
        found = [path for path in self.settings.inbox.rglob("*") if path.is_file() and path.suffix != ".png"]
        return sorted(str(path.relative_to(self.settings.inbox)) for path in found)


@pytest.fixture
def lab(
    configured: Callable[..., Path], prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Lab]:
    from flows.archive_nightly import archive_nightly

    def run(**parameters: Any) -> Any:
        with embedded._quick_flows():
            return archive_nightly(**parameters, return_state=True)

    monkeypatch.setenv("MEDIA2DICOM_NIGHTLY__QUIET_S", "0")
    with walking.ObservedPacs(tmp_path / "pacs") as pacs:
        configured(pacs=pacs.peer.server())
        study = patient()
        pacs.load(study)
        yield Lab(pacs, load_settings(), run, study)


def summary_page() -> str:
    """The newest morning summary on the Artifacts page."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
    from prefect.client.schemas.sorting import ArtifactSort

    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["nightly-summary"]))
        return str(client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.CREATED_DESC, limit=1)[0].data)


def child_runs(state: Any) -> list[Any]:
    """The runs that the night started."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    with get_client(sync_client=True) as client:
        parent = FlowRunFilterParentFlowRunId(any_=[state.state_details.flow_run_id])
        return client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent))


# --- the inbox --------------------------------------------------------------------------------------------------


def test_every_manifest_of_the_inbox_is_archived_by_a_run_of_its_own_and_filed(lab: Lab) -> None:
    lab.drop("knees.csv", 3)
    lab.drop("lab 2/week.csv", 2)
    state = lab.run()
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.message == "2 of 2 manifests done (5 rows stored)."
    assert len(lab.pacs.held()) == len(lab.pacs.received) == 5
    assert lab.lying() == [
        *("done/knees.csv", "done/knees.results.xlsx", "done/lab 2/week.csv", "done/lab 2/week.results.xlsx"),
    ]
    assert sorted(run.state.name for run in child_runs(state)) == ["Completed"] * 2
    assert "| `done/lab 2/week.csv` | 2 | 0 | 0 | 0 |" in summary_page()
    again = lab.run()
    assert again.message == "There was nothing to archive."
    assert len(lab.pacs.received) == 5


def test_a_night_without_an_inbox_makes_one(lab: Lab) -> None:
    assert lab.run().is_completed()
    assert lab.settings.inbox.is_dir()


def test_what_needs_a_person_keeps_nothing_else_from_its_turn(lab: Lab) -> None:
    lab.drop("bad rows.csv", 2, patient_id="SOMEBODY ELSE")
    (lab.settings.inbox / "half.xlsx").write_bytes(b"PK\x03\x04half")
    lab.drop("sound.csv")
    state = lab.run()
    assert (state.type.value, state.name) == ("COMPLETED", "Needs attention")
    assert state.message == "1 of 3 manifests done (1 row stored); 2 need attention (2 rows failed)."
    assert lab.lying() == [
        *("attention/bad rows.csv", "attention/bad rows.results.xlsx"),
        *("done/sound.csv", "done/sound.results.xlsx", "half.xlsx", "half.xlsx.note.txt"),
    ]
    assert sorted(run.state.type.value for run in child_runs(state)) == ["COMPLETED", "FAILED"]
    page = summary_page()
    assert "- `half.xlsx`: Read the note beside it." in page
    assert "- 2 rows: patient differs from the PACS" in page
    assert "SOMEBODY" not in page


@pytest.mark.slow
def test_a_fault_of_one_manifest_fails_the_night_after_the_others_had_their_turn(
    lab: Lab, configured: Callable[..., Path]
) -> None:
    """Two servers, none of them the default: a manifest that names none cannot be run."""
    server = lab.pacs.peer.server()
    configured(pacs=server, other=Server(host="127.0.0.1", port=peers.free_port(), ae_title="OTHER"))
    os.utime(lab.drop("a.csv"), (1e9, 1e9))
    lab.drop("b.csv", destination="pacs")
    state = lab.run()
    assert state.is_failed()
    assert "1 of 2 manifests done" in state.message
    assert "a.csv" in lab.lying()
    assert "done/b.csv" in lab.lying()
    assert "No server was named" in summary_page()
    assert lab.run(server="pacs").is_completed()
    assert "done/a.csv" in lab.lying()


def test_a_manifest_that_is_being_written_when_the_night_begins_is_waited_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIA2DICOM_NIGHTLY__QUIET_S", "1")
    lab.drop("fresh.csv")
    assert lab.run().message == "1 of 1 manifest done (1 row stored)."


@pytest.mark.slow
def test_a_manifest_corrected_in_attention_and_run_from_there_is_done(
    lab: Lab, archive: Callable[..., Any], tmp_path: Path
) -> None:
    path = lab.drop("lab/m.csv", patient_id="SOMEBODY ELSE")
    text = path.read_text()
    lab.run()
    waiting = lab.settings.inbox / "attention" / "lab" / "m.csv"
    waiting.write_text(text.replace("SOMEBODY ELSE", str(lab.study.PatientID)))
    state, _ = archive(waiting)
    assert state.is_completed()
    assert lab.lying() == ["done/lab/m.csv", "done/lab/m.results.xlsx"]
    assert lab.statuses(lab.settings.inbox / "done" / "lab" / "m.csv") == ["STORED"]


# --- what earlier runs left -------------------------------------------------------------------------------------


def test_what_may_pass_is_tried_again_in_the_next_night_and_then_done(lab: Lab) -> None:
    lab.drop("m.csv", 2)
    lab.pacs.mood = lambda _event: 0xA700
    state = lab.run()
    assert state.name == "Needs attention"
    assert "- 2 rows: PACS out of resources" in summary_page()
    assert lab.lying() == ["attention/m.csv", "attention/m.results.xlsx"]
    lab.pacs.mood = lambda _event: None
    lab.pacs.received.clear()
    assert lab.run(carry_over=False).message == "There was nothing to archive."
    state = lab.run()
    assert state.message == "1 of 1 manifest done (2 rows stored)."
    assert lab.lying() == ["done/m.csv", "done/m.results.xlsx"]
    assert len(lab.pacs.received) == len(lab.pacs.held()) == 2


def killed_run(
    lab: Lab, manifest: Path, run_id: str = "killed", server: str | None = None, *, approval: bool = False
) -> None:
    """What a run leaves that was killed when its rows were in the ledger."""
    with walking.workbench(lab.settings) as bench:
        begin_run(bench, manifest, server, run_id, approval=approval)


def suspended_run() -> str:
    """A run that waits for an answer, as Prefect has it."""
    from prefect.client.orchestration import get_client
    from prefect.states import Suspended

    from flows.archive_manifest import archive_manifest

    with get_client(sync_client=True) as client:
        return str(client.create_flow_run(archive_manifest, parameters={"manifest": "x"}, state=Suspended()).id)


def test_a_killed_run_is_run_again_wherever_its_manifest_lies(lab: Lab, tmp_path: Path) -> None:
    elsewhere = lab.drop(str(tmp_path / "elsewhere.csv"), 2)
    killed_run(lab, elsewhere)
    killed_run(lab, lab.drop("m.csv"), "another")
    state = lab.run()
    assert state.message == "2 of 2 manifests done (3 rows stored)."
    assert lab.statuses(elsewhere) == ["STORED"] * 2
    assert default_results_path(elsewhere).is_file()
    assert lab.lying() == ["done/m.csv", "done/m.results.xlsx"]
    assert len(child_runs(state)) == 2


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_server_it_was_meant_for(lab: Lab, configured: Callable[..., Path]) -> None:
    manifest = lab.drop("m.csv")
    server = lab.pacs.peer.server()
    configured(other=Server(host="127.0.0.1", port=peers.free_port(), ae_title="OTHER"), pacs=server)
    lab.settings = load_settings()
    killed_run(lab, manifest, server="pacs")
    assert lab.run(server="other").is_completed()
    assert len(lab.pacs.held()) == 1


def test_what_waits_for_an_approval_or_is_under_way_is_not_touched(lab: Lab) -> None:
    waiting, busy = lab.drop("waiting.csv"), lab.drop("busy.csv")
    killed_run(lab, waiting, suspended_run(), approval=True)
    with manifest_lock(lab.settings, busy):
        state = lab.run()
    assert state.message == "There was nothing to archive."
    assert lab.lying() == ["busy.csv", "waiting.csv"]
    assert "`waiting.csv` waits for an approval" in summary_page()
    assert "`busy.csv` is being archived by another run" in summary_page()
    assert not lab.pacs.received


def test_what_nobody_approved_and_nobody_can_approve_any_more_is_told_and_not_sent(lab: Lab) -> None:
    forgotten = lab.drop("forgotten.csv")
    killed_run(lab, forgotten, str(uuid4()), approval=True)
    state = lab.run()
    assert state.name == "Needs attention"
    assert "`forgotten.csv`: Its approval was never given" in summary_page()
    assert lab.lying() == ["forgotten.csv"]
    assert not lab.pacs.received


def test_manifests_that_are_gone_or_changed_are_told_and_what_is_old_is_left(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "changed"):
        killed_run(lab, lab.drop(str(tmp_path / f"{name}.csv")), name)
    (tmp_path / "gone.csv").unlink()
    changed = tmp_path / "changed.csv"
    changed.write_text(changed.read_text() + "\n")
    state = lab.run()
    assert state.name == "Needs attention"
    assert f"`{tmp_path}/gone.csv`: It is no longer there" in summary_page()
    assert f"`{changed}`: It was changed since" in summary_page()
    monkeypatch.setenv("MEDIA2DICOM_NIGHTLY__CARRY_OVER_DAYS", "0")
    assert lab.run().name == "Completed"
    assert not lab.pacs.received


@pytest.mark.slow
def test_a_manifest_in_attention_whose_rows_another_run_stored_is_filed(lab: Lab, archive: Callable[..., Any]) -> None:
    path = lab.drop("m.csv")
    text = path.read_text()
    lab.pacs.mood = lambda _event: 0xA700
    lab.run()
    lab.pacs.mood = lambda _event: None
    copy = path.with_name("copy.csv")
    copy.write_text(text)
    archive(copy)
    assert lab.run().is_completed()
    assert [name for name in lab.lying() if name.endswith(".csv")] == ["done/copy.csv", "done/m.csv"]
    assert len(lab.pacs.held()) == 1


# --- the window -------------------------------------------------------------------------------------------------


def test_after_the_window_nothing_is_begun_and_the_next_night_takes_it_up(lab: Lab, tmp_path: Path) -> None:
    lab.drop("m.csv", 2)
    killed_run(lab, lab.drop(str(tmp_path / "elsewhere.csv")))
    state = lab.run(window_hours=0)
    assert (state.name, state.message) == (
        *("Completed", "0 of 2 manifests done (0 rows stored); 2 are left for the next night."),
    )
    assert lab.lying() == ["m.csv"]
    assert not child_runs(state)
    assert "## Left for the next night" in summary_page()
    assert lab.run().message == "2 of 2 manifests done (3 rows stored)."


@pytest.mark.slow
def test_a_manifest_whose_time_runs_out_stays_in_the_inbox_and_goes_on_the_next_night(lab: Lab) -> None:
    """On a quick machine the window ends between two rows; on a slow one before the first."""
    lab.drop("m.csv", 10)
    lab.pacs.mood = lambda _event: threading.Event().wait(0.5) or None  # a slow PACS
    state = lab.run(window_hours=3 / 3600)
    assert state.name == "Completed"
    assert "1 is left for the next night" in state.message
    stored = len(lab.pacs.held())
    assert stored < 10
    assert "m.csv" in lab.lying()
    lab.pacs.mood = lambda _event: None
    assert lab.run().message == f"1 of 1 manifest done ({10 - stored} rows stored)."
    assert len(lab.pacs.received) == len(lab.pacs.held()) == 10


# --- notifications ----------------------------------------------------------------------------------------------

SECRET = "token-7f3a"


@dataclass
class Received:
    """What a service got."""

    port: int
    texts: list[str] = field(default_factory=list)


@contextmanager
def web_service(status: int = 200) -> Iterator[Received]:
    """Takes what is posted."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.texts.append(self.path + self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Received(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield received
        finally:
            server.shutdown()


@contextmanager
def mail_service() -> Iterator[Received]:
    """As little SMTP as a client needs (RFC 5321)."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                if line.upper().startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    received.texts.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")
                if line.upper().startswith(b"QUIT"):
                    return

    class MailServer(ThreadingTCPServer):
        daemon_threads = True

    with MailServer(("127.0.0.1", 0), Handler) as server:
        received = Received(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield received
        finally:
            server.shutdown()


def test_the_morning_is_told_by_web_block_and_mail_in_counts_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    caplog.set_level("DEBUG")
    lab.drop("Canary Clara.csv", 2)
    lab.drop("bad.csv", patient_id="SOMEBODY ELSE")
    with web_service() as web, mail_service() as mail:
        hook = CustomWebhookNotificationBlock(
            name="hook",
            url=f"http://127.0.0.1:{web.port}/hook/{SECRET}",
            json_data={"text": "{{subject}} {{body}}"},
        )
        hook.save("morning", overwrite=True)
        addresses = [
            f"json://127.0.0.1:{web.port}/json/{SECRET}",
            "custom-webhook/morning",
            f"mailto://127.0.0.1:{mail.port}?from=night@example.org&to=lab@example.org&mode=insecure",
        ]
        monkeypatch.setenv("MEDIA2DICOM_NIGHTLY__NOTIFY", json.dumps(addresses))
        state = lab.run()
    told = [*web.texts, *mail.texts]
    assert [text.split("{")[0] for text in web.texts] == [f"/json/{SECRET}", f"/hook/{SECRET}"]
    assert len(told) == 3
    for text in told:
        assert "1 of 2 manifests done (2 rows stored); 1 needs attention (1 row failed)." in " ".join(text.split())
        assert "patient differs from the PACS" in text
        assert "Canary" not in text
        assert "SOMEBODY" not in text
    assert state.name == "Needs attention"
    assert SECRET not in caplog.text
    assert not [text for text in _prefect_records() if SECRET in text]


@pytest.mark.slow
def test_a_notification_that_fails_is_a_warning_and_tells_no_secret(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    caplog.set_level("DEBUG")
    lab.drop("m.csv")
    with web_service(500) as web:
        hook = CustomWebhookNotificationBlock(name="hook", url=f"http://127.0.0.1:{web.port}/{SECRET}")
        hook.save("broken", overwrite=True)
        addresses = [
            f"json://127.0.0.1:{web.port}/{SECRET}",
            "custom-webhook/broken",
            f"json://127.0.0.1:{peers.free_port()}/{SECRET}",
            f"nonsense://{SECRET}",
            "slack-webhook/absent",
            "nothing",
        ]
        monkeypatch.setenv("MEDIA2DICOM_NIGHTLY__NOTIFY", json.dumps(addresses))
        state = lab.run()
    assert (state.name, state.message) == ("Completed", "1 of 1 manifest done (1 row stored).")
    page = summary_page()
    for number, address in enumerate(["json://...", "custom-webhook/broken", "json://...", "nonsense://..."], start=1):
        assert f"Notification {number} of 6 ({address}) could not be sent" in page
    assert "(slack-webhook/absent) could not be sent: there is no such block in Prefect." in page
    assert SECRET not in page + caplog.text
    assert not [text for text in _prefect_records() if SECRET in text]


# --- several nights at one time ---------------------------------------------------------------------------------


def test_two_nights_at_the_same_moment_archive_each_manifest_once(lab: Lab, tmp_path: Path) -> None:
    """Two machines' nights: each process with a Prefect server of its own; inbox, ledger and PACS are the same."""
    for number in range(6):
        lab.drop(f"{number}.csv", 2)
    program = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import sys\n"
        "from flows.commands import embedded\n"
        "from media2dicom.settings import load_settings\n"
        "embedded.prepare(load_settings())\n"
        "from flows.archive_nightly import archive_nightly\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with embedded._quick_flows():\n"
        "    print(archive_nightly(return_state=True).message)\n"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    pipe = subprocess.PIPE
    with ExitStack() as running:
        nights = []
        for number in range(2):
            environment = {**plain, "PREFECT_HOME": str(tmp_path / f"prefect-{number}")}
            command = [sys.executable, "-c", program]
            night = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            running.enter_context(night)
            running.callback(night.kill)
            nights.append(night)
        for night in nights:
            assert night.stdout is not None
            assert night.stdout.readline() == "ready\n"
        for night in nights:
            assert night.stdin is not None
            night.stdin.write("go\n")
            night.stdin.flush()
        said = [night.communicate(timeout=250) for night in nights]
    assert [night.returncode for night in nights] == [0, 0], said
    assert lab.lying() == [f"done/{number}.{kind}" for number in range(6) for kind in ("csv", "results.xlsx")]
    assert len(lab.pacs.received) == len(set(lab.pacs.received)) == len(lab.pacs.held()) == 12
    ledger = Ledger(lab.settings.ledger_location)
    runs = ledger.runs()
    ledger.close()
    assert len(runs) == len({run.manifest for run in runs}) == 6
    assert not [text for text, _ in said if "need" in text]


# --- the real server --------------------------------------------------------------------------------------------


def test_a_manifest_dropped_into_the_inbox_is_archived_by_the_deployment(up: RunningUp, tmp_path: Path) -> None:
    settings = up.settings
    study = patient()
    folder = settings.inbox / tmp_path.name
    folder.mkdir(parents=True)
    with up.pacs() as peer:
        peer.load([study])
        walking.pictures(folder, study, 1)
        run = up.run_deployment("archive-nightly")
        state = up.wait(run["id"])
        assert state["type"] == "COMPLETED", state
        done = settings.inbox / "done" / tmp_path.name / "manifest.csv"
        assert done.is_file()
        assert default_results_path(done).is_file()
        bench = open_workbench(settings)
        [last] = bench.ledger.runs(done.resolve())
        [row] = bench.ledger.rows(last.run_id)
        bench.ledger.close()
        assert (row.status, row.attempts) == (Status.STORED, 1)
        assert up.client.flow_run(last.run_id)["deployment_id"]
        stored = sheets.fetch(peer.server(), settings, str(study.StudyInstanceUID))
        assert len(stored) == 2
        other = walking.pictures(folder, study, 1)  # another one under the old name
        up.retry(last.run_id)
        up.wait(last.run_id, lambda state: state["type"] == "COMPLETED" and state["name"] != "AwaitingRetry")
        assert done.is_file()
        assert other.is_file()
        other.unlink()


def test_a_retry_in_the_morning_does_what_the_night_had_no_time_for(up: RunningUp, tmp_path: Path) -> None:
    study = patient()
    manifest = walking.pictures(tmp_path, study, 2)
    with up.pacs() as peer:
        peer.load([study])
        run_id = up.run_deployment("archive-manifest", manifest=manifest, until=datetime.now(UTC).isoformat())["id"]
        assert "2 window ended" in up.wait(run_id)["message"]
        up.retry(run_id)
        assert up.wait(run_id)["message"] == "All 2 rows are stored."
