"""`media2dicom servers`: add, list, echo, remove. Part of the command line's contract (flows/cli.py)."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.commands.terminal import ConfigOption, JsonOption, console_for, exits, print_json, say
from media2dicom.settings import config_path, load_settings

servers = typer.Typer(help="The configured PACS servers.", no_args_is_help=True)


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

    console = console_for()
    with exits(console):
        path, settings = config_path(), load_settings(may_be_missing=True)
        values = {"host": host, "port": port, "ae_title": ae_title, "description": description}
        server = make_server(name, values | {"retrieve": retrieve, "verify": verify})
        if not no_verify:
            from media2dicom.pacs.associations import echo

            echo(keeping(server, settings.servers.get(name)), settings)
            say(console, f"C-ECHO succeeded: {server.ae_title} at {server.host} port {server.port}.")
        save_server(path, name, server)
        say(console, f"Saved {name} in {path}.")


@servers.command("list")
def servers_list(json: JsonOption = False, config: ConfigOption = None) -> None:
    """The configured servers."""
    from rich.table import Table

    console = console_for()
    with exits(console, json=json):
        settings = load_settings()
    if json:
        print_json({name: server.model_dump(mode="json") for name, server in settings.servers.items()})
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

    console = console_for()
    with exits(console):
        settings = load_settings()
        _, server = settings.server(name)
        echo(server, settings)
    say(console, f"C-ECHO succeeded: {server.ae_title} at {server.host} port {server.port}.")


@servers.command("remove")
def servers_remove(name: str, config: ConfigOption = None) -> None:
    """Remove a server from the settings file."""
    from media2dicom.servers import remove_server

    console = console_for()
    with exits(console):
        path = config_path()
        remove_server(path, name)
    say(console, f"Removed {name} from {path}.")
