"""Adding and removing servers in the settings file; everything else in the file stays as its author wrote it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from tomlkit.exceptions import TOMLKitError

from media2dicom.cache import atomic_write
from media2dicom.errors import ServerUnknown, SettingsError
from media2dicom.settings import Server

_KEPT = ("tls", "max_associations")  # no command sets them, so no command may take them away
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def make_server(name: str, values: dict[str, Any]) -> Server:
    """A server from values as typed. Raises SettingsError naming the value and the reason."""
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name for a server: letters, digits, - and _, at most 63.")
    try:
        return Server.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(f"Server {name}: {reasons}") from None


def keeping(server: Server, known: Server | None) -> Server:
    """The server as it will be after `save_server`, which keeps the TLS of the known one: for a C-ECHO before it."""
    kept = {key: getattr(known, key) for key in _KEPT if known is not None and key not in server.model_fields_set}
    return server.model_copy(update=kept)


def save_server(path: Path, name: str, server: Server) -> None:
    """Write the server into the settings file, which is made when it is not there.

    Of a server that is there, `tls` and `max_associations` stay unless `server` was made with its own.
    """
    document = _read(path)
    servers = document.setdefault("servers", tomlkit.table(is_super_table=True))
    table = tomlkit.table()
    for key, value in server.model_dump(mode="json", exclude_defaults=True).items():
        table[key] = value
    known = servers.get(name, {})
    for key in _KEPT:
        if key in known and key not in server.model_fields_set:
            table[key] = known[key].unwrap()
    servers[name] = table
    _write(path, document)


def remove_server(path: Path, name: str) -> None:
    """Take the server out of the settings file. Raises ServerUnknown when the file has none of that name."""
    document = _read(path)
    servers = document.get("servers", {})
    if name not in servers:
        raise ServerUnknown(f"{path} has no server named {name!r}.")
    del servers[name]
    if document.get("default_server") == name:
        del document["default_server"]
    _write(path, document)


def _read(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text(encoding="utf-8")) if path.is_file() else tomlkit.document()
    except (TOMLKitError, OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read as TOML: {error}") from None


def _write(path: Path, document: tomlkit.TOMLDocument) -> None:
    target = path.resolve()  # a linked settings file stays a link
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    with atomic_write(target) as file:
        file.write(tomlkit.dumps(document).encode())
        os.fchmod(file.fileno(), mode)
