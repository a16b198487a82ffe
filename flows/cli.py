"""The command line `media2dicom`: a contract (commands, options, exit codes) that scripts rely on.

Each command imports what it needs when it runs. People's output goes to stdout, and to stderr with --json.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.conformance import conformance
from flows.commands.inspect import inspect
from flows.commands.servers import servers
from flows.commands.terminal import ConfigOption, Exit, JsonOption, console_for, exits, print_json, say
from media2dicom.errors import Media2DicomError
from media2dicom.settings import load_settings

if TYPE_CHECKING:
    from media2dicom.selection import Selection

app = typer.Typer(
    name="media2dicom",
    help="Files photos, videos and 3D models into the patients' imaging record, in bulk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show local variables: patient data
    add_completion=False,
)
cache = typer.Typer(help="The cache folder: source headers and prepared instances.", no_args_is_help=True)
app.add_typer(servers, name="servers")
app.add_typer(cache, name="cache")
app.command()(inspect)
app.command()(conformance)


ManifestArgument = Annotated[Path, typer.Argument(help="The manifest: .xlsx, .csv or .tsv.")]
ServerOption = Annotated[str | None, typer.Option("--server", help="A configured server; else the default one.")]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", help="Where the result workbook goes; else beside the manifest.")
]


@app.callback()
def _main(config: ConfigOption = None) -> None:
    os.umask(0o077)  # ledger and cache hold patient data; a result workbook gets the manifest's own rights


# --- manifests --------------------------------------------------------------------------------------------------


@app.command()
def check(
    manifest: ManifestArgument,
    server: ServerOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no PACS.")] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """All problems of a manifest and the plan of a run; nothing is sent. Exit 2 when there are problems."""
    from flows.commands.screens import show_plan
    from flows.commands.views import plan_json
    from media2dicom.planning import plan_manifest

    console = console_for(json)
    with exits(console, json=json):
        settings = load_settings()
        if not offline and server is None and not settings.servers:
            console.print("No server is configured: checking offline.")
            offline = True
        with console.status("Checking ..."):
            plan = plan_manifest(manifest, settings, server, offline=offline)
    show_plan(console, plan)
    if json:
        print_json(plan_json(plan))
    if plan.errors:
        raise typer.Exit(Exit.MANIFEST)


@app.command()
def run(
    manifest: ManifestArgument,
    server: ServerOption = None,
    results: ResultsOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Archive a manifest: every row into its study in the PACS, an outcome on every row."""
    raise typer.Exit(_archive(manifest, server, results, None, json=json))


@app.command()
def retry(
    manifest: ManifestArgument,
    status: Annotated[str | None, typer.Option(help="Only rows with this status, e.g. failed.")] = None,
    cause: Annotated[str | None, typer.Option(help="Only rows with this cause, e.g. pacs-unreachable.")] = None,
    results: ResultsOption = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Take up what a manifest's last run left, from the prepared files."""
    from media2dicom.errors import error_kinds
    from media2dicom.model import Status
    from media2dicom.selection import Selection
    from media2dicom.steps.record import UNFINISHED

    console = console_for(json)
    if status is not None and status.upper() not in Status.__members__:
        known = ", ".join(one.lower() for one in Status)
        say(console, f"--status {status}: there is no such status; known: {known}.")
        raise typer.Exit(Exit.MANIFEST)
    if cause is not None and cause not in {*error_kinds(), UNFINISHED}:
        say(console, f"--cause {cause}: there is no such cause; media2dicom status {manifest} shows those of its rows.")
        raise typer.Exit(Exit.MANIFEST)
    selection = Selection(Status(status.upper()) if status else None, (cause,) if cause else ())
    raise typer.Exit(_archive(manifest, None, results, selection, json=json))


def _archive(
    manifest: Path, server: str | None, results: Path | None, selection: Selection | None, *, json: bool
) -> Exit:
    from flows.commands.embedded import archive

    console = console_for(json)
    with exits(console, json=json):
        settings = load_settings()
        outcome = archive(settings, manifest, server, results, selection, console=console)
    from flows.commands.screens import show_rows, show_summary
    from flows.commands.views import run_json

    show_rows(console, outcome.rows, outcome.summary.run_id)
    show_summary(console, outcome.summary)
    code = Exit.OK
    if outcome.summary.results is None:
        say(console, "The result workbook could not be written; media2dicom status has every outcome.", "red")
        code = Exit.ROWS_NOT_STORED
    if outcome.summary.not_stored:
        code = Exit.PACS_OR_SETTINGS if outcome.no_pacs_answered else Exit.ROWS_NOT_STORED
    if json:
        print_json(run_json(outcome.rows, outcome.summary) | {"exit_code": int(code)})
    return code


@app.command()
def status(
    manifest: Annotated[Path | None, typer.Argument(help="A manifest; else all runs.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """The ledger's view: how the rows of a manifest stand, or all runs."""
    from flows.commands.screens import show_dashboard, show_rows, show_runs, show_summary
    from flows.commands.served import dashboard_link
    from flows.commands.views import run_json, runs_json
    from media2dicom.runs import last_run
    from media2dicom.steps.workbench import open_workbench
    from media2dicom.summary import summarise

    console = console_for(json)
    with exits(console, json=json):
        bench = open_workbench(load_settings())
        if manifest is None:
            runs = bench.ledger.runs()
            show_runs(console, bench.ledger, runs)
            show_dashboard(console, dashboard_link(bench.settings, None))
            if json:
                print_json(runs_json(bench.ledger, runs))
            return
        last = last_run(bench, manifest)
        if last is None:
            say(console, f"The ledger knows no run of {manifest}.")
            if json:
                print_json({"manifest": str(manifest), "run_id": None, "rows": []})
            return
        rows, summary = bench.ledger.rows(last.run_id), summarise(bench, last.run_id, manifest, last.results)
        dashboard = dashboard_link(bench.settings, last.run_id)
    show_rows(console, rows, last.run_id)
    show_summary(console, summary)
    show_dashboard(console, dashboard)
    if json:
        print_json(run_json(rows, summary) | {"dashboard": dashboard})


@app.command()
def convert(
    media: Annotated[list[Path], typer.Argument(help="Media files.")],
    source: Annotated[Path, typer.Option(help="A DICOM file of the study: it lends patient and study.")],
    out: Annotated[Path, typer.Option(help="The folder for the DICOM files.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="column=value, as in a manifest.")] = None,
    config: ConfigOption = None,
) -> None:
    """Media to DICOM files, without a PACS. Exit 1 when a file could not be converted."""
    from media2dicom.dicom.values import text_of
    from media2dicom.offline import convert_file, make_folder, parse_options, read_source
    from media2dicom.steps.workbench import open_workbench

    console = console_for()
    with exits(console):
        bench = open_workbench(load_settings())
        options, header = parse_options(set_ or [], bench.settings), read_source(source)
        make_folder(out)
    if not text_of(header, "PatientID"):
        say(console, f"{source}: the source has no Patient ID.", "yellow")
    failed = False
    for path in media:
        try:
            instances, warnings = convert_file(bench, path, header, options, out)
        except Media2DicomError as error:
            failed = True
            say(console, f"{path}: {error.message} {error.next_step}", "red")
            continue
        for instance in instances:
            say(console, f"{path} -> {instance.path}")
        for warning in warnings:
            say(console, f"{path}: {warning}", "yellow")
    if failed:
        raise typer.Exit(Exit.ROWS_NOT_STORED)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its PACS, media and results.")] = Path(
        "media2dicom-demo"
    ),
) -> None:
    """The main job end to end on an embedded PACS: a sample manifest, its outcomes, where everything is."""
    from flows.commands.demo import run_demo

    console = console_for()
    with exits(console):
        run_demo(folder.resolve(), console)


# --- this machine -----------------------------------------------------------------------------------------------


@app.command()
def up(config: ConfigOption = None) -> None:
    """Dashboard, nightly run and retries on this machine, until Ctrl-C."""
    from flows.commands.up import run_up

    console = console_for()
    with exits(console):
        run_up(load_settings(), console)


@cache.command("info")
def cache_info(config: ConfigOption = None) -> None:
    """What the cache folder holds."""
    from media2dicom.cache import Cache
    from media2dicom.limits import megabytes

    console = console_for()
    with exits(console):
        folder = load_settings().cache_dir
        use = Cache(folder).use()
    say(console, f"{folder}: {use.files} files, {megabytes(use.size_bytes)}")


@cache.command("clear")
def cache_clear(config: ConfigOption = None) -> None:
    """Remove what no unfinished row needs; what may still be sent is kept."""
    from media2dicom.limits import megabytes
    from media2dicom.steps.workbench import open_workbench

    console = console_for()
    with exits(console):
        bench = open_workbench(load_settings())
        running = {run.run_id for run in bench.ledger.runs(unfinished=True)}
        removed = bench.cache.clear(keep_rows=bench.ledger.unfinished_row_keys(), keep_runs=running)
    console.print(f"Removed {removed.files} files, {megabytes(removed.size_bytes)}.")


@app.command()
def version() -> None:
    """The version."""
    from media2dicom import __version__

    typer.echo(__version__)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
