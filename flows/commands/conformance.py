"""`media2dicom conformance`: the DICOM conformance statement of this version. Part of the contract (flows/cli.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.terminal import console_for, exits, say


def conformance(
    out: Annotated[Path | None, typer.Option(help="The file to write; else it is printed.")] = None,
) -> None:
    """The DICOM conformance statement (PS3.2) of this version, as Markdown."""
    from media2dicom.conformance import statement

    if out is None:
        typer.echo(statement(), nl=False)
        return
    console = console_for()
    with exits(console):
        out.write_text(statement(), encoding="utf-8")
        out.chmod(0o644)  # nothing in it is anybody's secret
    say(console, f"Written: {out}")
