"""Configuration: every setting with its default, from the table of `settings.py`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from media2dicom.conformance.markdown import Section, table, text
from media2dicom.conformance.names import count
from media2dicom.settings import ENV_PREFIX, UPLOAD_LIMIT_MB, Server, Settings

_LIMITS: Final = ((Ge, "ge", "at least"), (Gt, "gt", "more than"), (Le, "le", "at most"))


def configuration() -> Section:
    rows = [
        (f"`{name}`", "user", default, f"{words} {limits}".strip())
        for name, default, words, limits in _settings(Settings)
    ]
    rows.append(("upload limit", "fixed", f"{count(UPLOAD_LIMIT_MB)} MB", "An instance larger than this is not sent."))
    return Section(
        "Configuration",
        text(
            "Settings are in a TOML file; each may also be an environment variable, such as "
            f"`{ENV_PREFIX}AE_TITLE` or `{ENV_PREFIX}SERVERS__MAIN__PORT`. Unknown ones are refused. 1 MB is "
            "1,000,000 bytes.",
            table(("Setting", "Configurable", "Default", "Comment"), rows),
        ),
    )


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Name, default, description, limits; a table's own settings in its place."""
    for name, field in model.model_fields.items():
        inner = _table_of(name, field)
        if inner is not None:
            yield from _settings(inner, f"{prefix}{name}.NAME." if name == "servers" else f"{prefix}{name}.")
        else:
            yield prefix + name, _default(field), field.description or "", _limits(field)


def _table_of(name: str, field: FieldInfo) -> type[BaseModel] | None:
    if name == "servers":
        return Server
    kinds = [field.annotation, *get_args(field.annotation)]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "by platform"
    return "(required)" if field.default is PydanticUndefined else _shown(field.default)


def _shown(value: Any) -> str:  # whatever a setting may be
    match value:
        case None | () | "":
            return ""
        case bool():
            return str(value).lower()
        case Enum():
            return f"`{value.value}`"
        case int() | float():
            return _number(value)
        case str() | Path():
            return f"`{value}`"
        case _:
            raise TypeError(f"how is a default of type {type(value).__name__} shown?")


def _limits(field: FieldInfo) -> str:
    told = [
        f"{words} {_number(getattr(limit, name))}"
        for kind, name, words in _LIMITS
        for limit in field.metadata
        if isinstance(limit, kind)
    ]
    return f"({', '.join(told)})" if told else ""


def _number(value: float) -> str:
    return f"{value:,}" if value >= 100_000 else str(value)  # a port is no quantity
