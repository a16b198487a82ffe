"""Run by test_kills.py: archives manifests with the steps, each in a process that kills itself at a given point.

The point is "never" or one of POINTS. The kill is SIGKILL: nothing is tidied up.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from media2dicom.dicom import pictures
from media2dicom.ledger import Ledger
from media2dicom.pacs.store import StoreSession
from media2dicom.settings import load_settings
from media2dicom.steps import store as store_module
from media2dicom.steps.workbench import open_workbench
from tests.steps.walking import walk

# point: (where the function is kept, its name, at which call, die before the call is made)
POINTS: dict[str, tuple[Any, str, int, bool]] = {
    "before the rows are in the ledger": (Ledger, "begin_run", 1, True),
    "after the rows are in the ledger": (Ledger, "begin_run", 1, False),
    "before the second study is kept": (Ledger, "put_source", 1, True),
    "in mid conversion, after the video's first frame": (pictures, "write_part10", 2, False),
    "after the first row is prepared": (Ledger, "put_prepared", 1, False),
    "after the second row is prepared": (Ledger, "put_prepared", 2, False),
    "before SENDING is committed": (Ledger, "mark_sending", 2, True),
    "after SENDING is committed": (Ledger, "mark_sending", 2, False),
    "after the send": (StoreSession, "send", 2, False),
    "in mid row, after its second instance": (StoreSession, "send", 4, False),
    "after the attempt is recorded": (Ledger, "record_attempt", 2, False),
    "before the proof": (store_module, "verify", 2, True),
    "after the proof": (store_module, "verify", 2, False),
    "before STORED is committed": (Ledger, "set_outcome", -1, True),
    "before the run is finished": (Ledger, "finish_run", 1, True),
}


def die_at(owner: Any, name: str, call: int, before: bool) -> None:
    plain: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        now = calls == call or (call < 0 and options.get("stored_run") is not None)
        if now and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*arguments, **options)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, dying)


def archive(config: str, sheet: str, point: str) -> int:
    if point != "never":
        die_at(*POINTS[point])
    bench = open_workbench(load_settings(Path(config)))
    rows = walk(bench, Path(sheet))
    return 0 if all(row.status == "STORED" for row in rows) else 1


if __name__ == "__main__":
    # One job a line: settings file, manifest, point. Each is done by a fork, which need not import everything anew.
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(archive(*line.rstrip("\n").split("\t")))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
