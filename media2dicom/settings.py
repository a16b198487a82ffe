"""One Settings: every default, limit and server in one place. TOML file and `MEDIA2DICOM_...` variables.

Where the file is: `--config`, else MEDIA2DICOM_CONFIG, else ./media2dicom.toml, else the platform's user
configuration folder. Variables win over the file. Servers are kept by `servers.py`.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from media2dicom.errors import ServerUnknown, SettingsError
from media2dicom.model import SopClassPolicy

APP_NAME: Final = "media2dicom"
ENV_PREFIX: Final = "MEDIA2DICOM_"
CONFIG_VARIABLE: Final = ENV_PREFIX + "CONFIG"

MEGABYTE: Final = 1_000_000  # 1 MB = 1,000,000 bytes, in settings, messages and limits alike
UPLOAD_LIMIT_MB: Final = 4000  # fixed (conformance statement, section 4.1)
UPLOAD_LIMIT_BYTES: Final = UPLOAD_LIMIT_MB * MEGABYTE


def _ae_title(value: str) -> str:
    """AE (PS3.5 6.2): 1 to 16 characters of the default repertoire, no backslash, no control characters."""
    value = value.strip(" ")
    if not 1 <= len(value) <= 16:
        raise ValueError(f"an AE title has 1 to 16 characters, this one has {len(value)}")
    if not re.fullmatch(r"[\x20-\x5B\x5D-\x7E]+", value):
        raise ValueError("an AE title holds ASCII characters only, no backslash and no control characters")
    return value


def _host(value: str) -> str:
    """A host name, an IPv4 or an IPv6 address (brackets are taken off)."""
    value = value.strip()
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0])) + "".join(bare.partition("%")[1:])
    except ValueError:
        pass
    label = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    if len(value) > 253 or not re.fullmatch(rf"{label}(\.{label})*\.?", value):
        raise ValueError("give a host name, an IPv4 or an IPv6 address, without scheme and port")
    if re.fullmatch(r"[\d.]+", value):
        raise ValueError("this looks like an IPv4 address, but is none")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Retrieve(StrEnum):
    GET = "get"
    MOVE = "move"


class Verify(StrEnum):
    FIND = "find"
    COMMITMENT = "commitment"
    NONE = "none"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Strict):
    """TLS of one server. The files are PEM."""

    ca_file: Path | None = None  # None: the platform's trusted certificates
    cert_file: Path | None = None  # ours, when the PACS wants a client certificate
    key_file: Path | None = None
    verify_host: bool = True


class Server(_Strict):
    """One PACS."""

    host: Host
    port: Port
    ae_title: AeTitle
    description: str = ""
    tls: Tls | None = None
    retrieve: Retrieve = Retrieve.GET
    verify: Verify = Verify.FIND
    # One is safe with every PACS; dcmqrscp, for one, mixes up files that two associations store at a time.
    max_associations: Annotated[int, Field(ge=1, le=64)] = 1


class Timeouts(_Strict):
    """Seconds. `store_floor` and `store_bytes_per_s` scale the wait for a C-STORE answer with the object's size."""

    connect: Annotated[float, Field(gt=0)] = 10
    acse: Annotated[float, Field(gt=0)] = 30
    dimse: Annotated[float, Field(gt=0)] = 60
    stall: Annotated[float, Field(gt=0)] = 30  # a peer that stops reading in mid object
    store_floor: Annotated[float, Field(gt=0)] = 120
    store_bytes_per_s: Annotated[float, Field(gt=0)] = 1_000_000


class Retries(_Strict):
    """How often a task tries again after a transient error, and how long it waits (doubling, with jitter)."""

    attempts: Annotated[int, Field(ge=0, le=20)] = 3
    delay_s: Annotated[float, Field(ge=0)] = 5


def _cron(value: str) -> str:
    if len(value.split()) != 5:  # what is in them is the scheduler's matter (flows/serving.py)
        raise ValueError('give five fields of cron, such as "0 2 * * *" for two at night')
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError('give a time zone of the IANA data base, such as "Europe/Berlin"') from None
    return value


class Dashboard(_Strict):
    """Where `media2dicom up` shows the dashboard."""

    host: Host = "127.0.0.1"
    port: Port = 4200
    auth: SecretStr | None = None  # "user:password"; demanded when others can reach the host


class Nightly(_Strict):
    """The scheduled run over the inbox."""

    cron: Annotated[str, AfterValidator(_cron)] = "0 2 * * *"
    timezone: Annotated[str, AfterValidator(_time_zone)] | None = None  # None: the machine's own
    window_hours: Annotated[float, Field(gt=0, le=24)] = 6  # afterwards nothing is begun; the next night goes on
    quiet_s: Annotated[float, Field(ge=0)] = 60  # a manifest younger than this may still be being written
    carry_over_days: Annotated[int, Field(ge=0)] = 7  # how long what failed transiently is tried again
    notify: tuple[str, ...] = ()  # Prefect blocks ("slack-webhook/morning") or Apprise URLs ("mailtos://...")


class Settings(BaseSettings):
    """Everything that can be configured, with its default."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    ae_title: AeTitle = "MEDIA2DICOM"
    port: Port = 11113  # C-MOVE and storage commitment reach us here
    default_server: str | None = None
    servers: dict[str, Server] = Field(default_factory=dict)
    cache_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_cache_dir(APP_NAME, appauthor=False)))
    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir(APP_NAME, appauthor=False)))
    inbox_dir: Path | None = None  # None: data_dir/inbox
    ledger_url: str | None = None  # an SQLAlchemy URL; None: SQLite in data_dir
    upload_size_warning_mb: Annotated[int, Field(ge=1, le=UPLOAD_LIMIT_MB)] = 256
    media_roots: tuple[Path, ...] = ()  # beside the manifest's own folder
    max_pixels: Annotated[int, Field(ge=1)] = 250_000_000  # of one picture or frame
    max_video_hours: Annotated[float, Field(gt=0)] = 24
    max_video_frames: Annotated[int, Field(ge=1)] = 20_000  # of one row
    sop_class_policy: SopClassPolicy = SopClassPolicy.SECONDARY_CAPTURE  # of rows that say nothing of it
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = 95  # where the project itself encodes baseline JPEG
    parallel_batches: Annotated[int, Field(ge=1, le=64)] = 4  # of one run
    rows_per_run: Annotated[int, Field(ge=1, le=10_000)] = 2000  # a larger manifest is cut into several runs
    parallel_runs: Annotated[int, Field(ge=1, le=64)] = 2  # of one large manifest, on whatever workers there are
    dashboard: Dashboard = Dashboard()
    nightly: Nightly = Nightly()
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The file's values arrive as init arguments; a variable wins over them.
        return env_settings, init_settings

    def server(self, name: str | None) -> tuple[str, Server]:
        """The named server; without a name the default one, else the only one. Raises ServerUnknown."""
        if name is None:
            name = self.default_server or (next(iter(self.servers)) if len(self.servers) == 1 else None)
        if name is None:
            known = ", ".join(sorted(self.servers)) or "none is configured"
            raise ServerUnknown(f"No server was named and no default_server is set (known: {known}).")
        if name not in self.servers:
            known = ", ".join(sorted(self.servers)) or "none is configured"
            raise ServerUnknown(f"There is no server named {name!r} (known: {known}).")
        return name, self.servers[name]

    @property
    def inbox(self) -> Path:
        """Where manifests are dropped for the nightly run."""
        return self.inbox_dir or self.data_dir / "inbox"

    @property
    def ledger_location(self) -> str:
        """The SQLAlchemy URL of the ledger."""
        return self.ledger_url or f"sqlite:///{self.data_dir / 'ledger.sqlite'}"


def config_path(explicit: Path | None = None) -> Path:
    """The settings file in force; it need not exist."""
    if explicit is not None:
        return explicit
    if from_variable := os.environ.get(CONFIG_VARIABLE):
        return Path(from_variable)
    local = Path("media2dicom.toml")
    if local.is_file():
        return local.resolve()
    return Path(platformdirs.user_config_dir(APP_NAME, appauthor=False)) / "media2dicom.toml"


def load_settings(explicit: Path | None = None, *, may_be_missing: bool = False) -> Settings:
    """Read file and variables. Raises SettingsError naming file, key and reason for all that is wrong at once.

    A file that was named must be there, unless `may_be_missing`: then it is about to be made.
    """
    path = config_path(explicit)
    named = explicit is not None or CONFIG_VARIABLE in os.environ
    values: dict[str, Any] = {}
    if path.is_file():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise SettingsError(f"{path} cannot be read as TOML: {error}") from None
    elif named and not may_be_missing:
        raise SettingsError(f"{path}: there is no such settings file.")
    _refuse_unknown_variables()
    _refuse_fixed(values, path)
    _resolve_paths(values, path.absolute().parent)
    try:
        return Settings(**values)
    except ValidationError as error:
        reasons = "; ".join(_reason(item, path) for item in error.errors(include_input=False, include_url=False))
        raise SettingsError(reasons) from None
    except Exception as error:  # pydantic-settings' own SettingsError: a variable that is no JSON
        if type(error).__module__.startswith("pydantic_settings"):
            raise SettingsError(f"A variable {ENV_PREFIX}... cannot be read: {error}") from None
        raise


def _refuse_fixed(values: Mapping[str, Any], path: Path) -> None:
    for key in ("upload_limit_mb", "upload_limit"):
        if key in values or f"{ENV_PREFIX}{key.upper()}" in os.environ:
            where = path if key in values else "environment"
            raise SettingsError(f"{where}: {key}: the upload limit is fixed at {UPLOAD_LIMIT_MB} MB; remove the key.")


def _refuse_unknown_variables() -> None:
    """pydantic-settings passes over variables it does not know; a mistyped one must not be passed over."""
    for name in sorted(os.environ):
        if not name.startswith(ENV_PREFIX) or name == CONFIG_VARIABLE:
            continue
        key = name.removeprefix(ENV_PREFIX).lower().split("__")[0]
        if key not in Settings.model_fields and key not in {"upload_limit", "upload_limit_mb"}:
            raise SettingsError(f"environment: {name}: there is no setting {key!r}.")


def _resolve_paths(values: dict[str, Any], base: Path) -> None:
    """Relative paths in the file are relative to the file, wherever the command is started."""

    def resolve(table: dict[str, Any], key: str) -> None:
        if isinstance(table.get(key), str):
            table[key] = base / Path(table[key]).expanduser()

    for key in ("cache_dir", "data_dir", "inbox_dir"):
        resolve(values, key)
    if isinstance(values.get("media_roots"), list):
        values["media_roots"] = [
            base / Path(root).expanduser() if isinstance(root, str) else root for root in values["media_roots"]
        ]
    servers = values.get("servers")
    for server in servers.values() if isinstance(servers, dict) else ():
        if isinstance(server, dict) and isinstance(server.get("tls"), dict):
            for key in ("ca_file", "cert_file", "key_file"):
                resolve(server["tls"], key)


def _reason(item: Mapping[str, Any], path: Path) -> str:
    key = ".".join(str(part) for part in item["loc"])
    variable = ENV_PREFIX + "__".join(str(part) for part in item["loc"]).upper()
    where = "environment" if variable in os.environ else str(path)
    reason = "there is no such setting" if item["type"] == "extra_forbidden" else str(item["msg"])
    return f"{where}: {key}: {reason}"
