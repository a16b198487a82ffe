"""Parameter types of the flows, for the forms of the dashboard: what can be chosen is looked up when a form is made.

The JSON schema is made when a deployment is registered (hosting/serving.py registers again when `stamp` changes). A
list is help, never a rule: it may be outdated, so any text passes here and is judged by who uses it. A dashboard shows
alternatives as tabs, named by their titles; the one that holds the default is open.

Paths of manifests are shown as people chose them: whoever names a manifest after a patient tells everybody.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import sqlalchemy as sa
from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from media2dicom.errors import ManifestUnusable, Media2DicomError, error_kinds
from media2dicom.inbox import ATTENTION, DONE
from media2dicom.ledger import DONE_STATUSES, Ledger, Run
from media2dicom.manifest.tables import is_manifest_name
from media2dicom.settings import Settings, load_settings
from media2dicom.steps.record import UNFINISHED

_MAX_CHOICES: Final = 100
_MAX_RUNS: Final = 100  # looked through for rows that are left


@dataclass(frozen=True)
class _Form:
    """A parameter's JSON schema, made when it is asked for. Without settings it is a plain text field."""

    make: Callable[[Settings], JsonSchemaValue]
    otherwise: JsonSchemaValue

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        try:
            return self.make(load_settings())
        except Media2DicomError:
            return self.otherwise


def _text(title: str) -> JsonSchemaValue:
    return {"title": title, "type": "string"}


def _one_of(title: str, choices: list[str]) -> list[JsonSchemaValue]:
    return [{"title": title, "type": "string", "enum": choices}] if choices else []


def _tabs(*alternatives: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": list(alternatives)} if len(alternatives) > 1 else alternatives[0]


# --- servers ----------------------------------------------------------------------------------------------------


def _server_form(settings: Settings) -> JsonSchemaValue:
    try:
        default = f"Default: {settings.server(None)[0]}"
    except Media2DicomError:
        default = "As the rows say"
    others = _one_of("Choose", sorted(settings.servers))
    return _tabs({"title": default, "type": "null"}, *others, _text("Type a name"))


ServerChoice = Annotated[
    str | None, _Form(_server_form, {"anyOf": [{"title": "Default", "type": "null"}, _text("Type a name")]})
]


# --- manifests --------------------------------------------------------------------------------------------------


def shown_path(settings: Settings, manifest: Path) -> str:
    """A manifest as a choice: relative to the inbox when it lies there; `resolve_manifest` finds it."""
    for inbox in (settings.inbox, settings.inbox.resolve()):
        if manifest.is_relative_to(inbox):
            return str(manifest.relative_to(inbox))
    return str(manifest)


def resolve_manifest(value: str | Path, settings: Settings | None = None) -> Path:
    """The manifest that was chosen or typed: relative to the inbox, else to where the program was started.

    A manifest that a run has filed from the inbox meanwhile keeps the path it had: its run knows where it is.
    Raises ManifestUnusable when nothing was named, or a folder.
    """
    text = str(value).strip().strip('"').removeprefix("file://")
    if not text:
        raise ManifestUnusable("No manifest was named.", next_step="Choose one of the inbox or type a path.")
    path = Path(text).expanduser()
    if not path.is_absolute():
        in_inbox = (settings or load_settings()).inbox / path
        path = path.absolute() if path.is_file() and not in_inbox.is_file() else in_inbox
    if path.is_dir():
        raise ManifestUnusable(f"{path} is a folder.", next_step="Name the manifest in it.")
    return path


def in_inbox(settings: Settings) -> list[str]:
    """Manifests that lie in the inbox now, those that need attention last. Whether they are complete is not asked."""
    found = []
    for folder, folders, names in os.walk(settings.inbox):
        here = Path(folder)
        top = here == settings.inbox
        folders[:] = [name for name in folders if not name.startswith(".") and not (top and name == DONE)]
        found += [here / name for name in names if is_manifest_name(name) and (here / name).is_file()]
    found.sort(key=lambda path: (path.is_relative_to(settings.inbox / ATTENTION), str(path)))
    return [shown_path(settings, path) for path in found[:_MAX_CHOICES]]


def with_rows_left(settings: Settings) -> list[str]:
    """Manifests whose latest run left rows, latest first."""
    return [shown_path(settings, run.manifest) for run, _ in _left(settings)]


def _left(settings: Settings) -> Iterator[tuple[Run, Counter[str]]]:
    """The latest run of each manifest that left rows, and how many of which cause."""
    ledger = _ledger(settings)
    if ledger is None:
        return
    seen: set[Path] = set()
    try:
        for run in ledger.runs(limit=_MAX_RUNS):
            if run.manifest in seen:
                continue
            seen.add(run.manifest)
            left: Counter[str] = Counter()
            for (status, code), count in ledger.causes(run.run_id).items():
                if status not in DONE_STATUSES:
                    left[code] += count
            if left:
                yield run, left
    except Media2DicomError:
        return


def _ledger(settings: Settings) -> Ledger | None:
    """None when there is none: a form is no reason to make one."""
    if not settings.has_ledger:
        return None
    try:
        return _opened(settings.ledger_location)
    except (Media2DicomError, sa.exc.SQLAlchemyError, OSError):
        return None


@cache
def _opened(url: str) -> Ledger:
    """Open for as long as the process lives: forms are made every few seconds."""
    return Ledger(url)


def _manifest_form(settings: Settings) -> JsonSchemaValue:
    return _tabs(*_one_of("In the inbox", in_inbox(settings)), _text("Type a path"))


def _failed_manifest_form(settings: Settings) -> JsonSchemaValue:
    left = with_rows_left(settings)
    # The empty text, the default, is a choice, too: else the form would open on the other tab.
    return _tabs(*_one_of("With rows left", [*left, ""] if left else []), _text("Type a path"))


def _to_text(value: object) -> object:
    return "" if value is None else str(value) if isinstance(value, Path) else value


_as_text = BeforeValidator(_to_text)

FormText = Annotated[str, _as_text]  # an empty field is no value

ManifestChoice = Annotated[str, _as_text, _Form(_manifest_form, _text("Type a path"))]
FailedManifestChoice = Annotated[str, _as_text, _Form(_failed_manifest_form, _text("Type a path"))]


# --- causes -----------------------------------------------------------------------------------------------------


def causes_left(settings: Settings) -> list[str]:
    """Error codes of the rows that are left, most frequent first."""
    found = sum((left for _, left in _left(settings)), Counter[str]())
    return sorted((code for code in found if code), key=lambda code: (-found[code], code))


def _all_causes() -> list[str]:
    """Every error code: an outdated list refuses nothing."""
    return sorted({*error_kinds(), UNFINISHED})


def _cause_form(settings: Settings) -> JsonSchemaValue:
    return {"type": "string", "enum": list(dict.fromkeys([*causes_left(settings), *_all_causes()]))}


CauseChoice = Annotated[str, _Form(_cause_form, {"type": "string"})]


def stamp(settings: Settings) -> list[Any]:
    """Changes when the forms may have to be made anew: what is in the inbox, the latest runs. Cheap."""
    ledger = _ledger(settings)
    try:
        runs = ledger.runs(limit=_MAX_RUNS) if ledger is not None else []
    except Media2DicomError:
        runs = []
    return [in_inbox(settings), [(run.run_id, str(run.manifest), run.finished_at) for run in runs]]
