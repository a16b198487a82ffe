"""What a night came to, for the morning: the line of the run, the summary page, the notification. No patient data.

Paths are shown as people chose them, in the dashboard only; a notification leaves the house, so it holds counts alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from media2dicom.errors import WindowEnded, cause_words
from media2dicom.model import Status
from media2dicom.summary import Summary

_TROUBLED: Final = frozenset({Status.FAILED, Status.REFUSED, Status.CONFLICT, Status.UNCERTAIN})


@dataclass(frozen=True)
class Turn:
    """A manifest's run of this night."""

    manifest: Path  # where it lies now
    summary: Summary | None = None  # None: the run did not come to an end
    trouble: str = ""  # why not, or what else went wrong

    @property
    def stored(self) -> int:
        """Rows that this run stored."""
        return self._count(Status.STORED) - self.already_stored

    @property
    def already_stored(self) -> int:
        return self.summary.already_stored if self.summary else 0

    @property
    def left(self) -> int:
        """Rows whose turn did not come."""
        return self.summary.not_stored - self.troubled if self.summary else 0

    @property
    def troubled(self) -> int:
        """Rows that were tried in vain."""
        return sum(self.causes.values())

    @property
    def causes(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for status, code, count in self.summary.causes if self.summary else ():
            if status in _TROUBLED and code != WindowEnded.code:
                found[cause_words(code) if code else str(status).lower()] += count
        return found

    def _count(self, wanted: Status) -> int:
        by_cause = self.summary.by_cause if self.summary else {}
        return sum(count for (status, _), count in by_cause.items() if status is wanted)


@dataclass
class Night:
    """What happened so far."""

    inbox: Path
    turns: list[Turn] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)  # the time was over before they were begun
    told: list[tuple[Path, str]] = field(default_factory=list)  # could not be begun, and a person must see to it
    elsewhere: list[tuple[Path, str]] = field(default_factory=list)  # nothing to do for this night
    warnings: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @property
    def broken(self) -> list[Turn]:
        """Runs that did not come to an end."""
        return [turn for turn in self.turns if turn.summary is None]

    @property
    def needing(self) -> list[Turn]:
        """Runs whose rows need a person."""
        return [turn for turn in self.turns if turn.summary is not None and (turn.troubled or turn.trouble)]

    @property
    def waiting(self) -> int:
        """Manifests of which something is left for the next night."""
        return len(self.left) + sum(turn.left > 0 for turn in self.turns)

    @property
    def causes(self) -> Counter[str]:
        return sum((turn.causes for turn in self.turns), Counter[str]())

    def headline(self) -> str:
        """One line: "4 of 6 manifests done (208 rows stored); 1 needs attention; 1 is left for the next night." """
        attention = len(self.needing) + len(self.broken) + len(self.told)
        total = len(self.turns) + len(self.left) + len(self.told)
        if not total:
            return "There was nothing to archive."
        done = sum(turn.summary is not None and not turn.summary.not_stored and not turn.trouble for turn in self.turns)
        stored = sum(turn.stored for turn in self.turns)
        parts = [f"{done} of {total} {_words(total, 'manifest')} done ({_rows(stored)} stored)"]
        if attention:
            failed = sum(turn.troubled for turn in self.turns)
            parts.append(f"{attention} {'needs' if attention == 1 else 'need'} attention ({_rows(failed)} failed)")
        if self.waiting:
            parts.append(f"{self.waiting} {_are(self.waiting)} left for the next night")
        return "; ".join(parts) + "."

    def counts(self) -> str:
        """The notification: nothing but numbers and causes."""
        lines = [
            self.headline(),
            "",
            f"Rows stored: {sum(turn.stored for turn in self.turns)}",
            f"Rows stored by earlier runs: {sum(turn.already_stored for turn in self.turns)}",
            f"Rows failed: {sum(turn.troubled for turn in self.turns)}",
            f"Rows left for the next night: {sum(turn.left for turn in self.turns)}",
            f"Took: {self._took()}",
        ]
        lines += [f"- {count} {cause}" for cause, count in self.causes.most_common()]
        return "\n".join(lines)

    def as_markdown(self) -> str:
        """The page of the morning."""
        return "\n\n".join(part for part in self._parts() if part)

    def _parts(self) -> Iterable[str]:
        yield f"**{self.headline()}** It took {self._took()}."
        yield _list("Needs attention", self._attention())
        causes = [f"{_rows(count)}: {cause}" for cause, count in self.causes.most_common()]
        yield _list("Why rows failed", causes)
        yield _list("Left for the next night", [self._path(path) for path in self._waiting()])
        yield _list("Not touched", [f"{self._path(path)} {why}" for path, why in self.elsewhere])
        yield _list("Warnings", self.warnings)
        if self.turns:
            head = "| Manifest | Rows stored | Stored before | Failed | Left |\n| --- | ---: | ---: | ---: | ---: |"
            yield "\n".join(["## Manifests", "", head, *map(self._line, self.turns)])

    def _attention(self) -> Iterable[str]:
        for turn in self.broken:
            yield f"{self._path(turn.manifest)}: {_plain(turn.trouble)}"
        for turn in self.needing:
            yield f"{self._path(turn.manifest)}: {_plain(turn.trouble or str(turn.summary))}"
        for path, why in self.told:
            yield f"{self._path(path)}: {_plain(why)}"

    def _waiting(self) -> Iterable[Path]:
        yield from (turn.manifest for turn in self.turns if turn.left)
        yield from self.left

    def _line(self, turn: Turn) -> str:
        counts = (turn.stored, turn.already_stored, turn.troubled, turn.left)
        shown = counts if turn.summary is not None else ("?", "?", "?", "?")
        return f"| {self._path(turn.manifest)} | {' | '.join(map(str, shown))} |"

    def _path(self, path: Path) -> str:
        """Within the inbox as it lies there."""
        inbox = self.inbox.resolve()
        return f"`{_plain(str(path.relative_to(inbox) if path.is_relative_to(inbox) else path))}`"

    def _took(self) -> str:
        minutes = round((time.monotonic() - self.started) / 60)
        return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else "seconds"


def _plain(text: str) -> str:
    """Nothing in it breaks a line, a cell or a code span of the page."""
    text = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    return text.encode("utf-8", "replace").decode()


def _list(title: str, items: Iterable[str]) -> str:
    lines = [f"- {item}" for item in items]
    return "\n".join([f"## {title}", "", *lines]) if lines else ""


def _rows(count: int) -> str:
    return f"{count} {_words(count, 'row')}"


def _words(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
