"""compose.yaml and its image without a container engine: the schema, the commands, the variables, the files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis
import yaml

from flows.hosting import cluster
from media2dicom import __version__
from media2dicom.settings import ENV_PREFIX, Settings, load_settings
from tests import peers

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = ROOT / "deployments"
SECRETS = {"DASHBOARD_AUTH": "operator:secret", "POSTGRES_PASSWORD": "secret1", "REDIS_PASSWORD": "secret2"}


def resolved(value: Any, variables: Mapping[str, str]) -> Any:
    """`${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` as Compose replaces them."""
    if isinstance(value, dict):
        return {key: resolved(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, variables) for one in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        found = variables.get(match["name"], "")
        if found:
            return found
        if match["how"] == ":?":
            raise KeyError(match["name"])
        return match["text"] or ""

    return re.sub(r"(?P<dollar>\$\$)|\$\{(?P<name>\w+)(?:(?P<how>:[-?])(?P<text>[^}]*))?\}", replace, value)


@pytest.fixture(scope="module")
def text() -> Any:
    return yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def compose(text: Any) -> Any:
    return resolved(text, SECRETS)


@pytest.fixture(scope="module")
def ours(compose: Any) -> dict[str, Any]:
    """The services of our own image."""
    return {
        name: service for name, service in compose["services"].items() if service["image"].startswith("media2dicom:")
    }


def test_our_images_have_the_version_of_the_project(compose: Any) -> None:
    images = {service["image"] for service in compose["services"].values()}
    assert {image for image in images if image.startswith("media2dicom")} == {
        f"media2dicom:{__version__}",
        f"media2dicom-pacs:{__version__}",
    }


def test_it_is_what_the_compose_specification_allows(compose: Any) -> None:
    schema = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(compose, json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_without_a_secret_it_does_not_start(text: Any, missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        resolved(text, {name: value for name, value in SECRETS.items() if name != missing})


def test_what_a_service_names_is_there(compose: Any) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service["networks"]) <= set(compose["networks"])
        for mount in service.get("volumes", []):
            if mount["type"] == "volume":
                assert mount["source"] in compose["volumes"]
        for condition in service.get("depends_on", {}).items():
            if condition[1]["condition"] == "service_healthy":
                assert "healthcheck" in services[condition[0]]


def test_only_the_dashboard_can_be_reached_and_only_from_this_machine(compose: Any) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"server": ["127.0.0.1:4200:4200"]}
    assert compose["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert compose["services"][name]["networks"] == ["inside"]


def test_every_service_starts_again_has_limited_logs_and_no_rights(compose: Any) -> None:
    for name, service in compose["services"].items():
        assert service["restart"].startswith(("unless-stopped", "on-failure")), name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


@pytest.fixture
def environment_of_container(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Makes a service's environment ours; the settings file is the sample."""

    def enter(service: Any) -> None:
        for name in list(os.environ):
            if name.startswith((ENV_PREFIX, "PREFECT_")):
                monkeypatch.delenv(name)
        for name, value in service["environment"].items():
            assert isinstance(value, str), name
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MEDIA2DICOM_CONFIG", str(DEPLOYMENTS / "media2dicom.sample.toml"))

    return enter


def test_the_settings_of_every_service_can_be_read(
    ours: dict[str, Any], environment_of_container: Callable[[Any], None]
) -> None:
    titles = {}
    for name, service in ours.items():
        environment_of_container(service)
        settings = load_settings()
        assert settings.data_dir == Path("/var/lib/media2dicom")
        assert settings.media_roots == (Path("/srv/media2dicom/media"),)
        titles[name] = settings.ae_title
    assert titles["worker-1"] != titles["worker-2"]


def test_every_prefect_variable_is_one_that_prefect_knows(
    ours: dict[str, Any], environment_of_container: Callable[[Any], None]
) -> None:
    known = _known_to_prefect()
    for service in ours.values():
        environment_of_container(service)
        chosen = cluster.environment_of(service["command"][0], load_settings())
        unknown = {name for name in chosen if name.startswith("PREFECT_")} - known
        assert not unknown


def _known_to_prefect() -> set[str]:
    """Every name of a variable that a setting of Prefect, its server or prefect-redis is read from."""
    from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH
    from prefect.settings.base import PrefectBaseSettings
    from prefect_redis.cleanup_queue import RedisWorkerCleanupQueueSettings
    from prefect_redis.client import RedisMessagingSettings

    import_module("prefect.settings")
    known = {"PREFECT_HOME"}
    todo: list[type[PrefectBaseSettings]] = [PrefectBaseSettings]
    assert {RedisWorkerCleanupQueueSettings, RedisMessagingSettings} <= set(PrefectBaseSettings.__subclasses__())
    while todo:
        one = todo.pop()
        todo += one.__subclasses__()
        prefix = str(one.model_config.get("env_prefix", ""))
        for name, item in one.model_fields.items():
            known.add(f"{prefix}{name}".upper())
            for alias in getattr(item.validation_alias, "choices", [item.validation_alias]):
                if isinstance(alias, str):
                    known.add(alias.upper())
    return known | set(_of_logging(yaml.safe_load(DEFAULT_LOGGING_SETTINGS_PATH.read_text()), "PREFECT_LOGGING"))


def _of_logging(part: Any, name: str) -> Iterator[str]:
    """Each value of Prefect's logging.yml can be set by a variable, too."""
    if not isinstance(part, dict):
        yield name
        return
    for key, value in part.items():
        yield from _of_logging(value, f"{name}_{key.upper().replace('.', '_')}")


def test_every_service_has_a_role_and_prefect_takes_its_arguments(ours: dict[str, Any]) -> None:
    entry = re.findall(r"^ENTRYPOINT (.*)$", (DEPLOYMENTS / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert json.loads(entry[0]) == ["python", "-m", "flows.hosting.cluster"]
    for name, service in ours.items():
        role, *further = service["command"]
        assert role == name.split("-")[0]
        command = cluster.command_of(role, further)
        if command[2] == "prefect":
            help_text = _help_of(tuple(part for part in command[3:] if not part.startswith("-")))
            for option in [part for part in command if part.startswith("--")]:
                assert option in help_text, (name, option)
        else:
            import_module(command[2])
    assert {service["command"][0] for service in ours.values()} == set(cluster.ROLES)


@cache
def _help_of(words: tuple[str, ...]) -> str:
    known = [word for word in words if word in {"server", "services", "start", "worker"}]
    command = [sys.executable, "-W", "ignore", "-m", "prefect", *known, "--help"]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "200"}
    ).stdout


def test_redis_modules_are_there_and_have_what_prefect_looks_for() -> None:
    wanted = {"messaging": ("Publisher", "Consumer", "Cache"), "ordering": ("CausalOrdering",)}
    wanted |= {"lease_storage": ("ConcurrencyLeaseStorage",), "cleanup_queue": ("WorkerCleanupQueue",)}
    for name in set(cluster._THROUGH_REDIS.values()):
        module = import_module(name)
        for member in wanted[name.rpartition(".")[2]]:
            assert hasattr(module, member)


def test_redis_starts_with_its_password_and_takes_nobody_without(compose: Any, tmp_path: Path) -> None:
    peers.binary("redis-server")
    service, port = compose["services"]["redis"], peers.free_port()
    [script] = service["command"]
    script = script.replace("/tmp/", f"{tmp_path}/").replace("dir /data", f"dir {tmp_path}\\nport {port}")
    with peers._process([*service["entrypoint"], script], tmp_path, env=os.environ | service["environment"]) as process:
        password = service["environment"]["REDISCLI_AUTH"]
        with redis.Redis(port=port, password=password) as known, redis.Redis(port=port) as stranger:
            end = time.monotonic() + 30
            while not _answers(known):
                assert process.poll() is None
                assert time.monotonic() < end
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
    assert process.returncode == 0  # it ends when it is told to, by itself
    assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        time.sleep(0.05)
        return False


# --- the image ----------------------------------------------------------------------------------------------------


def _copied() -> list[str]:
    text = (DEPLOYMENTS / "Dockerfile").read_text(encoding="utf-8")
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ") and "--from" not in line]
    return [source for *sources, _target in lines for source in sources]


def test_what_the_image_copies_is_in_the_checkout_and_reaches_the_builder() -> None:
    ignore = (DEPLOYMENTS / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    for source in _copied():
        assert (ROOT / source).exists()
        assert source in let_in
    assert let_in == set(_copied())


def test_the_image_has_all_that_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"]}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    assert needed <= set(_copied())


def test_the_lock_of_the_cluster_holds_its_extra_and_what_that_needs() -> None:
    names = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)
    runtime = dict(names.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")))
    lock = dict(names.findall((DEPLOYMENTS / "cluster.lock").read_text(encoding="utf-8")))
    dev = dict(names.findall((ROOT / "requirements-dev.lock").read_text(encoding="utf-8")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extra = {re.split(r"[<>=]", one)[0] for one in project["project"]["optional-dependencies"]["cluster"]}
    assert set(lock) == extra
    assert lock.items() <= dev.items()
    assert {"prefect", "redis"} <= set(runtime)  # what prefect-redis requires


def test_the_pacs_to_try_with_knows_the_workers(compose: Any) -> None:
    modalities = json.loads((DEPLOYMENTS / "orthanc.json").read_text(encoding="utf-8"))["DicomModalities"]
    workers = {
        name: service["environment"]["MEDIA2DICOM_AE_TITLE"]
        for name, service in compose["services"].items()
        if name.startswith("worker-")
    }
    assert {name: one["AET"] for name, one in modalities.items()} == workers
    assert {one["Host"] for one in modalities.values()} == set(workers)
    assert {one["Port"] for one in modalities.values()} == {Settings.model_fields["port"].default}
