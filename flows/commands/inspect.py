"""`media2dicom inspect`: what one DICOM file holds, and what the validator finds. Part of the contract (cli.py)."""

from __future__ import annotations

import warnings
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from flows.commands.terminal import JsonOption, console_for, exits, print_json, say

if TYPE_CHECKING:
    from rich.console import Console

    from media2dicom.inspection import Facts
    from media2dicom.validation import Finding
    from media2dicom.validation.written import Written


class Verdict(IntEnum):
    """Exit codes of this command."""

    CONFORMS = 0
    FINDINGS = 1
    NO_DICOM = 2
    NOT_WRITTEN = 3


def inspect(
    file: Annotated[Path, typer.Argument(help="A DICOM file, this program's or another's.")],
    out: Annotated[Path | None, typer.Option(help="A new file for the picture; else FILE.png beside the file.")] = None,
    extract: Annotated[Path | None, typer.Option(help="A folder for the payload: .stl, .pdf, .jpg, .mp4 ...")] = None,
    identity: Annotated[bool, typer.Option("--identity", help="Show patient, study and free text too.")] = False,
    json: JsonOption = False,
) -> None:
    """What a DICOM file holds, a picture of it, and what the validator finds.

    Exit 1 with findings, 2 when it is no DICOM file, 3 when a file could not be written.
    """
    from media2dicom.inspection import facts_of, is_ours
    from media2dicom.validation import check
    from media2dicom.validation.written import open_written

    console = console_for(json)
    warnings.simplefilter("ignore")  # pydicom's hold values
    try:
        written = open_written(file)
    except OSError as error:
        _end_without(console, f"{file} cannot be read: {error.strerror or type(error).__name__}.", json=json)
    except Exception:  # noqa: BLE001 - whatever pydicom makes of other bytes
        _end_without(console, f"{file} is no DICOM file (PS3.10).", json=json)
    with exits(console, json=json, otherwise=Verdict.NOT_WRITTEN):
        facts, found, ours = facts_of(written, identity=identity), tuple(check(written)), is_ours(written)
        picture, reason = _save_picture(written, out)
        extracted = _extract(written, extract) if extract is not None else []
    _show(console, facts, found, ours=ours)
    say(console, f"Picture: {picture}" if picture else f"No picture: {reason}")
    for path in extracted:
        say(console, f"Extracted: {path}")
    if json:
        print_json(_as_json(file, facts, found, ours, picture, extracted))
    raise typer.Exit(Verdict.FINDINGS if found else Verdict.CONFORMS)


def _end_without(console: Console, text: str, *, json: bool) -> NoReturn:
    say(console, text)
    if json:
        print_json({"error": {"code": "no-dicom", "message": text}, "exit_code": int(Verdict.NO_DICOM)})
    raise typer.Exit(Verdict.NO_DICOM)


def _save_picture(written: Written, out: Path | None) -> tuple[Path | None, str]:
    """Where the picture is, or why there is none. A folder that takes none is an error only when --out named it.

    Only the picture of an earlier look, FILE.png, is written over: what --out names may be anything.
    """
    from media2dicom.errors import CacheFailed, Media2DicomError
    from media2dicom.rendering import picture_of, save_picture

    path = out or written.path.with_name(written.path.name + ".png")
    try:
        picture = picture_of(written)
    except Media2DicomError as error:
        return None, error.message
    try:
        save_picture(picture, path, replace=out is None)
    except OSError as error:
        text = f"{path} cannot be written: {error.strerror or type(error).__name__}."
        if out is not None:
            raise CacheFailed(text, next_step="Name another --out.") from None
        return None, text
    return path, ""


def _extract(written: Written, folder: Path) -> list[Path]:
    from media2dicom.rendering import extract

    return extract(written, folder)


def _show(console: Console, facts: Facts, found: tuple[Finding, ...], *, ours: bool) -> None:
    for group, lines in facts.items():
        say(console, group, "bold cyan")
        width = max(len(what) for what in lines)
        for what, text in lines.items():
            say(console, f"  {what:<{width}}  {text}")
    if not found:
        say(console, "The validator finds nothing.", "green")
        return
    if not ours:
        say(console, "Another program wrote this object; here it differs from what Media2DICOM would write:")
    for finding in found:
        say(console, str(finding), "red")
    say(console, f"{len(found)} finding{'s' if len(found) > 1 else ''}.", "red")


def _as_json(
    file: Path, facts: Facts, found: tuple[Finding, ...], ours: bool, picture: Path | None, extracted: list[Path]
) -> dict[str, Any]:
    return {
        "file": str(file),
        "written_by_media2dicom": ours,
        "facts": facts,
        "findings": [{"attribute": one.attribute, "text": one.text, "rule": one.rule} for one in found],
        "picture": str(picture) if picture else None,
        "extracted": [str(path) for path in extracted],
        "exit_code": int(Verdict.FINDINGS if found else Verdict.CONFORMS),
    }
