"""The command line `media2dicom`: a contract (commands, options, exit codes) that scripts rely on.

Each command imports what it needs when it runs. People's output goes to stdout, and to stderr with --json.
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from media2dicom.errors import AlreadyRunning, ManifestUnusable, Media2DicomError, PacsError, SettingsError, sealed
from media2dicom.settings import CONFIG_VARIABLE, config_path, load_settings

if TYPE_CHECKING:
    from media2dicom.runs import Selection

app = typer.Typer(
    name="media2dicom",
    help="Files photos, videos and 3D models into the patients' imaging record, in bulk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks show local variables: patient data
    add_completion=False,
)
servers = typer.Typer(help="The configured PACS servers.", no_args_is_help=True)
cache = typer.Typer(help="The cache folder: source headers and prepared instances.", no_args_is_help=True)
app.add_typer(servers, name="servers")
app.add_typer(cache, name="cache")


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
ManifestArgument = Annotated[Path, typer.Argument(help="The manifest: .xlsx, .csv or .tsv.")]
ServerOption = Annotated[str | None, typer.Option("--server", help="A configured server; else the default one.")]
ResultsOption = Annotated[
    Path | None, typer.Option("--results", help="Where the result workbook goes; else beside the manifest.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]


@app.callback()
def _main(config: ConfigOption = None) -> None:
    os.umask(0o077)  # ledger and cache hold patient data; a result workbook gets the manifest's own rights


@contextmanager
def _exits(console: Console, *, json: bool = False) -> Iterator[None]:
    """Errors as a line for people, as JSON where it was asked for, and as the contract's exit code."""
    try:
        with sealed("The command"):
            yield
    except Media2DicomError as error:
        code = _exit_code(error)
        console.print(f"[bold red]{type(error).__name__}[/] ({error.code}): ", end="")
        console.print(error.message, markup=False, highlight=False)
        console.print(error.next_step, markup=False, highlight=False)
        if json:
            found = {"code": error.code, "message": error.message, "next_step": error.next_step}
            _print_json({"error": found, "exit_code": int(code)})
        raise typer.Exit(code) from None


def _exit_code(error: BaseException) -> Exit:
    if isinstance(error, ManifestUnusable):
        return Exit.MANIFEST
    if isinstance(error, AlreadyRunning):
        return Exit.ALREADY_RUNNING
    if isinstance(error, PacsError | SettingsError):
        return Exit.PACS_OR_SETTINGS
    return Exit.ROWS_NOT_STORED


def _console(json: bool = False) -> Console:
    return Console(stderr=json, soft_wrap=False)


def _print_json(value: Any) -> None:
    sys.stdout.write(jsonlib.dumps(value, indent=2, default=str) + "\n")


# --- servers ----------------------------------------------------------------------------------------------------


@servers.command("add")
def servers_add(
    name: Annotated[str, typer.Argument(help="The name to use in --server and in the column destination.")],
    host: Annotated[str, typer.Option(help="Host name, IPv4 or IPv6 address.")],
    port: Annotated[int, typer.Option(help="1 to 65535.")],
    ae_title: Annotated[str, typer.Option(help="The PACS's AE title, 1 to 16 characters.")],
    description: Annotated[str, typer.Option(help="For people.")] = "",
    retrieve: Annotated[str, typer.Option(help="get or move: how a study's header is fetched.")] = "get",
    verify: Annotated[str, typer.Option(help="find, commitment or none: how arrival is proved.")] = "find",
    no_verify: Annotated[bool, typer.Option("--no-verify", help="Save without a C-ECHO.")] = False,
    config: ConfigOption = None,
) -> None:
    """Add a server, or replace the one of that name; a C-ECHO must succeed first."""
    from media2dicom.servers import keeping, make_server, save_server

    console = _console()
    with _exits(console):
        path, settings = config_path(), load_settings(may_be_missing=True)
        values = {"host": host, "port": port, "ae_title": ae_title, "description": description}
        server = make_server(name, values | {"retrieve": retrieve, "verify": verify})
        if not no_verify:
            from media2dicom.pacs.associations import echo

            echo(keeping(server, settings.servers.get(name)), settings)
            console.print(f"C-ECHO succeeded: {server.ae_title} at {server.host} port {server.port}.", markup=False)
        save_server(path, name, server)
        console.print(f"Saved {name} in {path}.", markup=False, highlight=False)


@servers.command("list")
def servers_list(json: JsonOption = False, config: ConfigOption = None) -> None:
    """The configured servers."""
    from rich.table import Table

    console = _console()
    with _exits(console, json=json):
        settings = load_settings()
    if json:
        _print_json({name: server.model_dump(mode="json") for name, server in settings.servers.items()})
        return
    table = Table(header_style="bold")
    for title in ("name", "host", "port", "AE title", "retrieve", "verify", "TLS", "description"):
        table.add_column(title)
    for name, one in sorted(settings.servers.items()):
        tls = "yes" if one.tls else ""
        shown = f"{name} (default)" if name == settings.default_server else name
        table.add_row(shown, one.host, str(one.port), one.ae_title, one.retrieve, one.verify, tls, one.description)
    console.print(table if settings.servers else "No server is configured: media2dicom servers add NAME ...")


@servers.command("echo")
def servers_echo(name: str, config: ConfigOption = None) -> None:
    """C-ECHO a configured server."""
    from media2dicom.pacs.associations import echo

    console = _console()
    with _exits(console):
        settings = load_settings()
        _, server = settings.server(name)
        echo(server, settings)
    console.print(f"C-ECHO succeeded: {server.ae_title} at {server.host} port {server.port}.", markup=False)


@servers.command("remove")
def servers_remove(name: str, config: ConfigOption = None) -> None:
    """Remove a server from the settings file."""
    from media2dicom.servers import remove_server

    console = _console()
    with _exits(console):
        path = config_path()
        remove_server(path, name)
    console.print(f"Removed {name} from {path}.", markup=False, highlight=False)


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
    from flows.screens import show_plan
    from flows.views import plan_json
    from media2dicom.planning import plan_manifest

    console = _console(json)
    with _exits(console, json=json):
        settings = load_settings()
        if not offline and server is None and not settings.servers:
            console.print("No server is configured: checking offline.")
            offline = True
        with console.status("Checking ..."):
            plan = plan_manifest(manifest, settings, server, offline=offline)
    show_plan(console, plan)
    if json:
        _print_json(plan_json(plan))
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
    from media2dicom.model import Status
    from media2dicom.runs import Selection

    console = _console(json)
    if status is not None and status.upper() not in Status.__members__:
        known = ", ".join(one.lower() for one in Status)
        console.print(f"--status {status}: there is no such status; known: {known}.", markup=False)
        raise typer.Exit(Exit.MANIFEST)
    selection = Selection(Status(status.upper()) if status else None, cause)
    raise typer.Exit(_archive(manifest, None, results, selection, json=json))


def _archive(
    manifest: Path, server: str | None, results: Path | None, selection: Selection | None, *, json: bool
) -> Exit:
    from flows.embedded import archive

    console = _console(json)
    with _exits(console, json=json):
        settings = load_settings()
        outcome = archive(settings, manifest, server, results, selection, console=console)
    from flows.screens import show_rows, show_summary
    from flows.views import run_json

    show_rows(console, outcome.rows, outcome.summary.run_id)
    show_summary(console, outcome.summary)
    code = Exit.OK
    if outcome.summary.results is None:
        console.print("The result workbook could not be written; media2dicom status has every outcome.", style="red")
        code = Exit.ROWS_NOT_STORED
    if outcome.summary.not_stored:
        code = Exit.PACS_OR_SETTINGS if outcome.no_pacs_answered else Exit.ROWS_NOT_STORED
    if json:
        _print_json(run_json(outcome.rows, outcome.summary) | {"exit_code": int(code)})
    return code


@app.command()
def status(
    manifest: Annotated[Path | None, typer.Argument(help="A manifest; else all runs.")] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """The ledger's view: how the rows of a manifest stand, or all runs."""
    from flows.screens import show_rows, show_runs, show_summary
    from flows.views import run_json, runs_json
    from media2dicom.runs import last_run, summarise
    from media2dicom.steps.workbench import open_workbench

    console = _console(json)
    with _exits(console, json=json):
        bench = open_workbench(load_settings())
        if manifest is None:
            runs = bench.ledger.runs()
            show_runs(console, bench.ledger, runs)
            if json:
                _print_json(runs_json(bench.ledger, runs))
            return
        last = last_run(bench, manifest)
        if last is None:
            console.print(f"The ledger knows no run of {manifest}.", markup=False, highlight=False)
            if json:
                _print_json({"manifest": str(manifest), "run_id": None, "rows": []})
            return
        rows, summary = bench.ledger.rows(last.run_id), summarise(bench, last.run_id, manifest, last.results)
    show_rows(console, rows, last.run_id)
    show_summary(console, summary)
    if json:
        _print_json(run_json(rows, summary))


@app.command()
def convert(
    media: Annotated[list[Path], typer.Argument(help="Media files.")],
    source: Annotated[Path, typer.Option(help="A DICOM file of the study: it lends patient and study.")],
    out: Annotated[Path, typer.Option(help="The folder for the DICOM files.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="column=value, as in a manifest.")] = None,
    config: ConfigOption = None,
) -> None:
    """Media to DICOM files, without a PACS. Exit 1 when a file could not be converted."""
    from media2dicom.offline import convert_file, make_folder, parse_options, read_source
    from media2dicom.steps.workbench import open_workbench

    console = _console()
    with _exits(console):
        bench = open_workbench(load_settings())
        options, header = parse_options(set_ or []), read_source(source)
        make_folder(out)
    if not str(header.get("PatientID") or ""):
        console.print(f"{source}: the source has no Patient ID.", style="yellow", markup=False, highlight=False)
    failed = False
    for path in media:
        try:
            instances, warnings = convert_file(bench, path, header, options, out)
        except Media2DicomError as error:
            failed = True
            console.print(f"{path}: {error.message} {error.next_step}", style="red", markup=False, highlight=False)
            continue
        for instance in instances:
            console.print(f"{path} -> {instance.path}", markup=False, highlight=False)
        for warning in warnings:
            console.print(f"{path}: {warning}", style="yellow", markup=False, highlight=False)
    if failed:
        raise typer.Exit(Exit.ROWS_NOT_STORED)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its PACS, media and results.")] = Path(
        "media2dicom-demo"
    ),
) -> None:
    """The main job end to end on an embedded PACS: a sample manifest, its outcomes, where everything is."""
    from flows.demo import run_demo

    console = _console()
    with _exits(console):
        run_demo(folder.resolve(), console)


# --- this machine -----------------------------------------------------------------------------------------------


@cache.command("info")
def cache_info(config: ConfigOption = None) -> None:
    """What the cache folder holds."""
    from media2dicom.cache import Cache
    from media2dicom.limits import megabytes

    console = _console()
    with _exits(console):
        settings = load_settings()
    use = Cache(settings.cache_dir).use()
    console.print(f"{settings.cache_dir}: {use.files} files, {megabytes(use.size_bytes)}", markup=False, soft_wrap=True)


@cache.command("clear")
def cache_clear(config: ConfigOption = None) -> None:
    """Remove what no unfinished row needs; what may still be sent is kept."""
    from media2dicom.limits import megabytes
    from media2dicom.steps.workbench import open_workbench

    console = _console()
    with _exits(console):
        bench = open_workbench(load_settings())
        running = {run.run_id for run in bench.ledger.runs() if run.finished_at is None}
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
