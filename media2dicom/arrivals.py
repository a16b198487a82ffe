"""What has arrived in the inbox: which manifests are ready to be taken, and a note beside each that cannot be.

A manifest is left alone while it is being written or edited. What is wrong with one as a whole is said in
`NAME.note.txt` beside it, for as long as it is so. Where a manifest goes after its run is `inbox.py`'s.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import time
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from media2dicom.cache import atomic_write
from media2dicom.errors import CacheFailed, ManifestUnusable, Media2DicomError, sealed
from media2dicom.inbox import ATTENTION, DONE, read_here
from media2dicom.manifest.tables import RESULTS_SUFFIX, is_manifest_name, is_passing_name
from media2dicom.settings import Settings

_OTHER_SHEETS: Final = (".xls", ".xlsm", ".xlsb", ".ods", ".numbers")  # meant as manifests, but not to be read
_NOTE: Final = ".note.txt"
_NOTE_BEGINS: Final = "Media2DICOM did not take "
_MAX_NAME_BYTES: Final = 255  # of a name in Linux's and other file systems
_ROOM_BYTES: Final = len(" (999)" + RESULTS_SUFFIX)  # what names are made of it by appending
_LOGGER = logging.getLogger("media2dicom")


@dataclass(frozen=True)
class Arrival:
    """A manifest in the inbox as it was when it was looked at."""

    path: Path
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int  # of the file or its name; nobody can set it

    @property
    def is_still_there(self) -> bool:
        """Whether nobody moved, changed or replaced it since."""
        with suppress(OSError):
            return arrival(self.path) == self
        return False


@dataclass(frozen=True)
class Look:
    """What a look into the inbox found."""

    ready: tuple[Arrival, ...]  # oldest first
    settling: tuple[Path, ...]  # changed a moment ago: perhaps still being written
    noted: tuple[Path, ...]  # cannot be taken as they are: the note says why


def arrival(path: Path) -> Arrival:
    """Raises OSError."""
    found = path.lstat()
    return Arrival(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass
class Inbox:
    """Looks into the inbox of one night. It remembers what it saw: a file is quiet when it stays as it is."""

    settings: Settings
    _first_seen: dict[Arrival, float] = field(default_factory=dict)
    _judged: dict[Arrival, Media2DicomError | None] = field(default_factory=dict)

    def look(self) -> Look:
        """Everything in the inbox, and the notes brought up to date. Raises CacheFailed when there is no inbox."""
        folder = self.settings.inbox.resolve()
        ready, settling, noted = [], [], []
        notes: set[Path] = set()
        with sealed("Looking into the inbox"):
            if not folder.is_dir():
                folder.mkdir(parents=True)
            found = list(_entries(folder))
        for path, problem in found:
            if path.name.endswith(_NOTE):
                notes.add(path)
                continue
            try:
                one = arrival(path)
                problem = problem or _odd(path) or _open_elsewhere(path)
                if problem is None and not self._is_quiet(one):
                    settling.append(path)
                    continue
                problem = problem or self._judge(one)
            except OSError:  # gone meanwhile
                continue
            if problem is None:
                ready.append(one)
            elif one.is_still_there:  # else another night has filed it meanwhile, or it is being written anew
                noted.append(path)
                _write_note(path, problem)
        _remove_notes(notes - {_note_of(path) for path in (*noted, *settling)})
        ready.sort(key=lambda one: (one.modified_ns, str(one.path)))
        return Look(tuple(ready), tuple(settling), tuple(noted))

    def _is_quiet(self, one: Arrival) -> bool:
        """Unchanged for `quiet_s`: by its times, or, where these lie in the future, by our own clock."""
        now = time.time()
        # A copy may keep the modification time of its original, so the other one counts, too.
        modified_s, changed_s = one.modified_ns / 1e9, one.changed_ns / 1e9
        latest = changed_s if modified_s > now else max(modified_s, changed_s)
        seen = self._first_seen.setdefault(one, time.monotonic())
        return max(now - latest, time.monotonic() - seen) >= self.settings.nightly.quiet_s

    def _judge(self, one: Arrival) -> Media2DicomError | None:
        """Why the manifest as a whole cannot be used."""
        if one not in self._judged:
            self._judged[one] = None
            try:
                with sealed("Reading the manifest"):
                    read_here(self.settings, one.path, hash_media=False)
            except Media2DicomError as error:
                self._judged[one] = error
        return self._judged[one]


# --- what lies there --------------------------------------------------------------------------------------------


def _entries(inbox: Path) -> Iterator[tuple[Path, Media2DicomError | None]]:
    """What may be meant as a manifest, and our notes; with what is wrong with it already by its kind."""
    folders = [inbox]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if folder == inbox:  # one that cannot be listed is no empty one
                raise
            reason = f"The folder cannot be looked into: {error.strerror}."
            yield folder, ManifestUnusable(reason, next_step="Correct its rights.")
            continue
        for entry in entries:
            path, name = folder / entry.name, entry.name
            if is_passing_name(name) or (folder == inbox and name in {DONE, ATTENTION}):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
                if _means_manifest(name):
                    advice = "Give it a name without such an ending."
                    yield path, ManifestUnusable("It is a folder, not a manifest.", next_step=advice)
            elif entry.is_symlink() and path.is_dir():
                advice = "Put manifests into the inbox itself."
                yield (
                    path,
                    ManifestUnusable("Manifests behind a link to a folder are not looked for.", next_step=advice),
                )
            elif name.endswith(_NOTE) or _means_manifest(name):
                yield path, None


def _means_manifest(name: str) -> bool:
    return is_manifest_name(name) or name.lower().endswith(_OTHER_SHEETS)


def _odd(path: Path) -> Media2DicomError | None:
    """What keeps a file from being taken, whatever is in it."""
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return ManifestUnusable("It is a link.", next_step="Put the file itself here.")
    if not stat.S_ISREG(mode):
        return ManifestUnusable("It is no file.", next_step="Remove it.")
    advice = "Give it another name."
    try:
        name = str(path).encode()
    except UnicodeEncodeError:
        return ManifestUnusable("Its name or that of its folder holds characters that are none.", next_step=advice)
    if any(unicodedata.category(character) == "Cc" for character in name.decode()):
        return ManifestUnusable("Its name or that of its folder holds a control character.", next_step=advice)
    if len(path.name.encode()) + _ROOM_BYTES > _MAX_NAME_BYTES:
        return ManifestUnusable("Its name is too long for its result workbook.", next_step=advice)
    return None


def _open_elsewhere(path: Path) -> Media2DicomError | None:
    """Excel and LibreOffice lay a file beside one that is open; a crash leaves it there."""
    for name in (f"~${path.name}", f".~lock.{path.name}#"):
        if os.path.lexists(path.with_name(name)):
            return ManifestUnusable(
                "It is open in a spreadsheet program.",
                next_step=f"Close it. If nobody has it open, remove the file {name} beside it.",
            )
    return None


# --- the notes --------------------------------------------------------------------------------------------------


def _note_of(path: Path) -> Path:
    name = path.name
    while len(os.fsencode(name)) + len(_NOTE) > _MAX_NAME_BYTES:
        name = name[:-1]
    return path.with_name(name + _NOTE)


def _is_ours(note: Path) -> bool:
    with suppress(OSError):
        if stat.S_ISREG(note.lstat().st_mode):  # a pipe would not open
            with note.open("rb") as file:
                return file.read(len(_NOTE_BEGINS)) == _NOTE_BEGINS.encode()
    return False


def _write_note(path: Path, problem: Media2DicomError) -> None:
    note = _note_of(path)
    text = (
        f"{_NOTE_BEGINS}{path.name}.\n\n"
        f"Why:  {problem.message}\nNext: {problem.next_step}\nWhen: {datetime.now():%Y-%m-%d %H:%M}\n\n"
        "It is looked at again in every nightly run; this note goes away by itself.\n"
    )
    if os.path.lexists(note) and not _is_ours(note):
        return  # somebody's own file
    try:
        with atomic_write(note) as file:
            file.write(text.encode("utf-8", "replace"))
        shutil.copymode(note.parent, note)  # whoever may look into the folder may read it
        note.chmod(stat.S_IMODE(note.stat().st_mode) & 0o666)
    except (OSError, CacheFailed):
        _LOGGER.warning("A note could not be written into the inbox: see to the rights of its folders")


def _remove_notes(notes: set[Path]) -> None:
    for note in notes:
        if _is_ours(note):
            with suppress(OSError):
                note.unlink()
