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
UPLOAD_LIMIT_MB: Final = 4000  # fixed: no setting
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

    ca_file: Path | None = Field(None, description="The trusted certificates; else the platform's.")
    cert_file: Path | None = Field(None, description="Our certificate, when the PACS wants one.")
    key_file: Path | None = Field(None, description="Its private key.")
    verify_host: bool = Field(True, description="Whether the PACS's certificate must be for its host.")


class Server(_Strict):
    """One PACS."""

    host: Host = Field(description="Host name, IPv4 or IPv6 address.")
    port: Port = Field(description="Its TCP port.")
    ae_title: AeTitle = Field(description="Its AE title.")
    description: str = Field("", description="For people.")
    tls: Tls | None = Field(None, description="TLS; without this table the connection is plain TCP.")
    retrieve: Retrieve = Field(Retrieve.GET, description="How the header of a study is fetched: C-GET or C-MOVE.")
    verify: Verify = Field(
        Verify.FIND, description="How arrival is proved: by C-FIND, by storage commitment besides, or not at all."
    )
    # One is safe with every PACS; dcmqrscp, for one, mixes up files that two associations store at a time.
    max_associations: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Batches at the PACS at a time.")


class Timeouts(_Strict):
    """Seconds. `store_floor` and `store_bytes_per_s` scale the wait for a C-STORE answer with the object's size."""

    connect: Annotated[float, Field(gt=0)] = Field(10, description="Wait for the TCP connection, in seconds.")
    acse: Annotated[float, Field(gt=0)] = Field(
        30, description="Wait for the answer to an association request (ARTIM)."
    )
    dimse: Annotated[float, Field(gt=0)] = Field(
        60, description="Wait for a DIMSE answer, and for a commitment report."
    )
    stall: Annotated[float, Field(gt=0)] = Field(30, description="Wait for a peer that stops reading in mid object.")
    store_floor: Annotated[float, Field(gt=0)] = Field(120, description="Wait for a C-STORE answer, at the least.")
    store_bytes_per_s: Annotated[float, Field(gt=0)] = Field(
        1_000_000, description="Added to it: a second for so many bytes of the object."
    )


class Retries(_Strict):
    """How often a task tries again after a transient error, and how long it waits (doubling, with jitter)."""

    attempts: Annotated[int, Field(ge=0, le=20)] = Field(3, description="Further attempts at what may pass.")
    delay_s: Annotated[float, Field(ge=0)] = Field(5, description="Seconds before the first; they double, with jitter.")


def _cron(value: str) -> str:
    if len(value.split()) != 5:  # what is in them is the scheduler's matter (flows/hosting/serving.py)
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

    host: Host = Field("127.0.0.1", description="The address it is shown at.")
    port: Port = Field(4200, description="And its port.")
    auth: SecretStr | None = Field(None, description='"user:password"; demanded when others can reach the host.')


class Nightly(_Strict):
    """The scheduled run over the inbox."""

    cron: Annotated[str, AfterValidator(_cron)] = Field("0 2 * * *", description="When, as five fields of cron.")
    timezone: Annotated[str, AfterValidator(_time_zone)] | None = Field(None, description="Else the machine's own.")
    window_hours: Annotated[float, Field(gt=0, le=24)] = Field(
        6, description="Afterwards nothing is begun; the next night goes on."
    )
    quiet_s: Annotated[float, Field(ge=0)] = Field(
        60, description="A manifest younger than this may still be being written."
    )
    carry_over_days: Annotated[int, Field(ge=0)] = Field(7, description="How long what may pass is tried again.")
    notify: tuple[str, ...] = Field(
        (), description='Prefect blocks ("slack-webhook/morning") or Apprise URLs ("mailtos://...").'
    )


class Settings(BaseSettings):
    """Everything that can be configured, with its default."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    ae_title: AeTitle = Field("MEDIA2DICOM", description="Our AE title, calling and called.")
    port: Port = Field(11113, description="C-MOVE and storage commitment reach us here.")
    default_server: str | None = Field(None, description="The server of a run that names none; else the only one.")
    servers: dict[str, Server] = Field(default_factory=dict, description="The PACS servers, by name.")
    cache_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_cache_dir(APP_NAME, appauthor=False)),
        description="Prepared instances and source headers; the user's cache folder.",
    )
    data_dir: Path = Field(
        default_factory=lambda: Path(platformdirs.user_data_dir(APP_NAME, appauthor=False)),
        description="Ledger, locks, the dashboard's database; the user's data folder.",
    )
    inbox_dir: Path | None = Field(None, description="Where manifests are dropped for the night; else data_dir/inbox.")
    ledger_url: str | None = Field(None, description="An SQLAlchemy URL; else SQLite in data_dir.")
    upload_size_warning_mb: Annotated[int, Field(ge=1, le=UPLOAD_LIMIT_MB)] = Field(
        256, description="An instance larger than this is sent with a warning."
    )
    media_roots: tuple[Path, ...] = Field((), description="Folders of media beside the manifest's own.")
    max_pixels: Annotated[int, Field(ge=1)] = Field(250_000_000, description="Of one picture or frame.")
    max_video_hours: Annotated[float, Field(gt=0)] = Field(24, description="Of one video.")
    max_video_frames: Annotated[int, Field(ge=1)] = Field(20_000, description="Of one row.")
    sop_class_policy: SopClassPolicy = Field(
        SopClassPolicy.SECONDARY_CAPTURE, description="What pictures become in rows that say nothing of it."
    )
    jpeg_quality: Annotated[int, Field(ge=50, le=100)] = Field(
        95, description="Where the project itself encodes JPEG with loss."
    )
    parallel_batches: Annotated[int, Field(ge=1, le=64)] = Field(4, description="Batches of rows under way in a run.")
    rows_per_run: Annotated[int, Field(ge=1, le=10_000)] = Field(
        2000, description="A larger manifest is cut into several runs."
    )
    parallel_runs: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="Of one large manifest, on whatever workers there are."
    )
    dashboard: Dashboard = Field(Dashboard(), description="Where `media2dicom up` shows the dashboard.")
    nightly: Nightly = Field(Nightly(), description="The scheduled run over the inbox.")
    timeouts: Timeouts = Field(Timeouts(), description="Of associations, in seconds.")
    retries: Retries = Field(Retries(), description="Of what may pass.")

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
        return self.ledger_url or f"sqlite:///{self._ledger_file}"

    @property
    def has_ledger(self) -> bool:
        """Whether there is one to ask. To look into an absent one would be to make it."""
        return self.ledger_url is not None or self._ledger_file.is_file()

    @property
    def _ledger_file(self) -> Path:
        return self.data_dir / "ledger.sqlite"


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
