"""What all commands share: exit codes, --config and --json, errors as lines for people and JSON for programs."""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from media2dicom.errors import AlreadyRunning, ManifestUnusable, Media2DicomError, PacsError, SettingsError, sealed
from media2dicom.settings import CONFIG_VARIABLE


class Exit(IntEnum):
    """Exit codes of the contract."""

    OK = 0
    ROWS_NOT_STORED = 1
    MANIFEST = 2
    PACS_OR_SETTINGS = 3
    ALREADY_RUNNING = 75


def _use_config(value: Path | None) -> Path | None:
    """Everything below reads the settings file that this variable names."""
    if value is not None:
        os.environ[CONFIG_VARIABLE] = str(value.resolve())
    return value


ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="The settings file.", callback=_use_config, is_eager=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


@contextmanager
def exits(console: Console, *, json: bool = False, otherwise: int = Exit.ROWS_NOT_STORED) -> Iterator[None]:
    """Errors as a line for people, as JSON where it was asked for, and as an exit code.

    `otherwise`: the code of what is neither the manifest, nor a PACS or the settings, nor a run under way.
    """
    try:
        with sealed("The command"):
            yield
    except Media2DicomError as error:
        code = _exit_code(error, otherwise)
        console.print(f"[bold red]{type(error).__name__}[/] ({error.code}): ", end="")
        say(console, error.message)
        say(console, error.next_step)
        if json:
            found = {"code": error.code, "message": error.message, "next_step": error.next_step}
            print_json({"error": found, "exit_code": int(code)})
        raise typer.Exit(code) from None


def _exit_code(error: BaseException, otherwise: int) -> int:
    if isinstance(error, ManifestUnusable):
        return Exit.MANIFEST
    if isinstance(error, AlreadyRunning):
        return Exit.ALREADY_RUNNING
    if isinstance(error, PacsError | SettingsError):
        return Exit.PACS_OR_SETTINGS
    return otherwise


def console_for(json: bool = False) -> Console:
    return Console(stderr=json)


def say(console: Console, text: str, style: str = "") -> None:
    """A line as it is: no markup, and never broken in two, so that paths can be copied and found by grep."""
    console.print(Text(text, style=style), soft_wrap=True)


def print_json(value: Any) -> None:
    sys.stdout.write(jsonlib.dumps(value, indent=2, default=str) + "\n")
