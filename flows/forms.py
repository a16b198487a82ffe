"""Parameter types of the flows, for the forms of the dashboard: what can be chosen is looked up when a form is made.

The JSON schema is made when a deployment is registered (flows/serving.py registers again when settings or inbox
change). A list is help, never a rule: it may be outdated, so any text passes here and is judged by who uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from media2dicom.errors import ManifestUnusable, Media2DicomError, error_kinds
from media2dicom.ledger import Ledger
from media2dicom.model import Status
from media2dicom.settings import Settings, load_settings

_MANIFESTS = (".xlsx", ".csv", ".tsv")
_MAX_CHOICES = 200


@dataclass(frozen=True)
class _Choices:
    """Makes a text parameter's JSON schema with what `find` offers at that moment."""

    find: Callable[[Settings], Iterable[str]]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": self.found()}

    def found(self) -> list[str]:
        """Empty when nothing can be looked up: a form is made all the same."""
        try:
            return list(dict.fromkeys(self.find(load_settings())))[:_MAX_CHOICES]
        except (Media2DicomError, OSError):
            return []


def _servers(settings: Settings) -> Iterable[str]:
    return sorted(settings.servers, key=lambda name: (name != settings.default_server, name))


def _in_inbox(settings: Settings) -> Iterable[str]:
    return []


ServerChoice = Annotated[str | None, _Choices(_servers)]
ManifestChoice = Annotated[str, _Choices(_in_inbox)]
FailedManifestChoice = Annotated[str | None, _Choices(_in_inbox)]
CauseChoice = Annotated[str, _Choices(_in_inbox)]


def resolve_manifest(value: str | Path, settings: Settings | None = None) -> Path:
    """The manifest that was chosen or typed: in the inbox, else where the path says. Raises ManifestUnusable."""
    path = Path(str(value).strip()).expanduser()
    inbox = (settings or load_settings()).inbox
    if not path.is_absolute() and (inbox / path).is_file():
        return inbox / path
    if not path.is_file():
        raise ManifestUnusable(f"{value}: there is no such file.")
    return path
