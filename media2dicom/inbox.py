"""The inbox folder: where a manifest belongs, and where it goes when its run is over.

Labs drop manifests into the inbox. What is stored goes to `done/`, what needs a person to `attention/`, each in its
own folder below. Media stay where they are. What is ready to be taken is `arrivals.py`'s.
"""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from media2dicom.cache import atomic_write
from media2dicom.errors import CacheFailed, WindowEnded
from media2dicom.ledger import NOT_SENT, Ledger
from media2dicom.locks import exclusive
from media2dicom.manifest.reading import read_manifest
from media2dicom.manifest.report import Manifest
from media2dicom.media import media_sha256
from media2dicom.settings import Settings
from media2dicom.steps.workbench import Workbench
from media2dicom.summary import Summary

DONE: Final = "done"
ATTENTION: Final = "attention"
_LOCK: Final = "inbox/filing"
_INTENT: Final = ".filing.json"  # in the inbox: what a killed filing had begun
_PATIENCE_S: Final = 60  # filing takes milliseconds
_LOGGER = logging.getLogger("media2dicom")


def place_in(settings: Settings, manifest: Path) -> tuple[str, Path] | None:
    """("", "done" or "attention", path below it) of a manifest in the inbox; None for one elsewhere."""
    real, inbox = manifest.resolve(), settings.inbox.resolve()
    if not real.is_relative_to(inbox):
        return None
    below = real.relative_to(inbox)
    if below.parts[0] in {DONE, ATTENTION} and len(below.parts) > 1:
        return below.parts[0], Path(*below.parts[1:])
    return "", below


def home_of(settings: Settings, manifest: Path) -> Path:
    """The folder that the manifest's media are looked for in: where it lay in the inbox before it was filed."""
    place = place_in(settings, manifest)
    return manifest.resolve().parent if place is None else settings.inbox.resolve() / place[1].parent


def read_here(settings: Settings, manifest: Path, *, hash_media: bool = True) -> Manifest:
    """As `read_manifest`, by this site's settings; the media of one that was filed are where it lay before."""
    return read_manifest(
        manifest,
        media_roots=(*settings.media_roots, home_of(settings, manifest)),
        known_servers=settings.servers,
        hash_media=hash_media,
        sop_class_policy=settings.sop_class_policy,
    )


def file_away(bench: Workbench, manifest: Path, summary: Summary) -> Summary:
    """Move a manifest of the inbox, with its result workbook, to where it belongs after its run; the new paths.

    All stored or skipped: done/. Else attention/, unless rows were not tried yet: then it waits in the inbox. To be
    called by the run that holds the manifest's lock. A manifest that cannot be moved stays, and the log says so.
    """
    place = place_in(bench.settings, manifest)
    if place is None:
        return summary
    where, below = place
    wanted = ATTENTION if summary.not_stored else DONE
    if where in {wanted, DONE} or (wanted == ATTENTION and _waits(summary)):
        return summary
    inbox = bench.settings.inbox.resolve()
    with exclusive(bench.settings, _LOCK, wait_s=_PATIENCE_S):
        run = bench.ledger.run(summary.run_id)
        if run is not None and media_sha256(manifest) != run.manifest_sha256:
            return summary  # another one was saved under its name meanwhile: its turn comes
        try:
            _complete(bench.ledger, inbox)
            move = _plan(inbox, manifest.resolve(), inbox / wanted / below, summary.results)
            _make_folder(inbox, move.new.parent)
            with atomic_write(inbox / _INTENT) as file:
                file.write(move.as_json(inbox))
        except (OSError, CacheFailed) as error:
            _warn(f"A manifest could not be moved to {wanted}/", error)
            return summary
        try:
            move.make(bench.ledger)
        except OSError as error:
            _warn(f"A manifest could not be moved to {wanted}/", error)
            if not move.new.exists():
                move.take_back(bench.ledger, inbox)
                return summary
        (inbox / _INTENT).unlink(missing_ok=True)
    results = move.results[1] if move.results is not None and move.results[1].is_file() else summary.results
    return replace(summary, manifest=move.new, results=results)


def complete_filing(bench: Workbench) -> None:
    """Finish what a killed run had begun to file. To be called before the ledger is asked where a manifest lies."""
    inbox = bench.settings.inbox.resolve()
    if (inbox / _INTENT).is_file():
        with exclusive(bench.settings, _LOCK, wait_s=_PATIENCE_S):
            try:
                _complete(bench.ledger, inbox)
            except OSError as error:
                _warn("A manifest that was being moved could not be moved on", error)


def _warn(what: str, error: OSError | CacheFailed) -> None:
    _LOGGER.warning("%s: %s", what, error.message if isinstance(error, CacheFailed) else error.strerror)


def _waits(summary: Summary) -> bool:
    return any(status in NOT_SENT or code == WindowEnded.code for status, code in summary.by_cause)


# --- the move ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Move:
    """Old to new path, of the manifest and of its result workbook. Written down before it is made: a kill half-way
    is completed by whoever comes next."""

    old: Path
    new: Path
    results: tuple[Path, Path] | None = None

    def make(self, ledger: Ledger) -> None:
        """Again and again with the same result."""
        ledger.move_manifest(self.old, self.new, self.results)
        _rename(self.old, self.new)
        if self.results is not None and not self.old.exists():  # else they are another manifest's by now
            _rename(*self.results)

    def take_back(self, ledger: Ledger, inbox: Path) -> None:
        back = (self.results[1], self.results[0]) if self.results is not None else None
        ledger.move_manifest(self.new, self.old, back)
        with suppress(OSError):
            (inbox / _INTENT).unlink(missing_ok=True)

    def as_json(self, inbox: Path) -> bytes:
        return json.dumps(
            [str(path.relative_to(inbox)) for path in (self.old, self.new, *(self.results or ()))]
        ).encode()


def _plan(inbox: Path, old: Path, wanted: Path, results: Path | None) -> _Move:
    """A result workbook beside its manifest and named for it goes along; neither takes the name of another file."""
    tail = None
    if results is not None and results.resolve().parent == old.parent and results.name.startswith(old.stem):
        tail = results.name.removeprefix(old.stem)
    number, new = 1, wanted
    while new.exists() or (tail is not None and new.with_name(new.stem + tail).exists()):
        number += 1
        new = wanted.with_name(f"{wanted.stem} ({number}){wanted.suffix}")
    return _Move(old, new, None if tail is None else (old.with_name(old.stem + tail), new.with_name(new.stem + tail)))


def _complete(ledger: Ledger, inbox: Path) -> None:
    """Make the move again that a killed process had begun. Raises OSError when that cannot be done."""
    intent = inbox / _INTENT
    if not intent.is_file():
        return
    try:
        old, new, *results = (_inside(inbox, path) for path in json.loads(intent.read_bytes()))
    except (ValueError, TypeError):  # not ours: ours are complete, and they name what lies in the inbox
        _LOGGER.warning("%s in the inbox is none of ours and is removed", _INTENT)
    else:
        _Move(old, new, (results[0], results[1]) if results else None).make(ledger)
    intent.unlink()


def _inside(inbox: Path, path: str) -> Path:
    """Whoever may write into the inbox could name a file elsewhere. Raises ValueError."""
    found = inbox / path
    if not found.parent.resolve().is_relative_to(inbox) or found.name in {"", ".."}:
        raise ValueError("outside the inbox")
    return found


def _rename(old: Path, new: Path) -> None:
    if old.exists() and not new.exists():
        old.rename(new)


def _make_folder(inbox: Path, folder: Path) -> None:
    """With the rights of the inbox: whoever drops manifests there looks for their results here."""
    for one in (*reversed(folder.relative_to(inbox).parents), folder.relative_to(inbox)):
        made = inbox / one
        if not made.is_dir():
            made.mkdir()
            shutil.copymode(inbox, made)
