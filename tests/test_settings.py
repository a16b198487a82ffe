"""Settings: the defaults that the design promises, and refusals that name file, key and reason."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from media2dicom.errors import ServerUnknown, SettingsError
from media2dicom.settings import Retrieve, Server, Settings, Verify, config_path, load_settings

PACS = {"host": "pacs.example", "port": 104, "ae_title": "PACS"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("MEDIA2DICOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user-config"))
    monkeypatch.chdir(tmp_path)


def config(folder: Path, text: str) -> Path:
    path = folder / "media2dicom.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_designs() -> None:
    settings = load_settings()
    assert settings.cache_dir == Path(platformdirs.user_cache_dir("media2dicom", appauthor=False))
    assert settings.data_dir == Path(platformdirs.user_data_dir("media2dicom", appauthor=False))
    assert settings.upload_size_warning_mb == 256
    assert (settings.ae_title, settings.port) == ("MEDIA2DICOM", 11113)
    assert settings.servers == {}
    assert settings.media_roots == ()
    assert settings.timeouts.connect == 10
    server = Server.model_validate(PACS)
    assert (server.description, server.tls) == ("", None)
    assert (server.retrieve, server.verify) == (Retrieve.GET, Verify.FIND)
    assert server.max_associations >= 1


def test_sample_settings_are_the_defaults_and_two_servers() -> None:
    path = Path(__file__).parent.parent / "deployments" / "media2dicom.sample.toml"
    sample = load_settings(path)
    assert [name for name in Settings.model_fields if name not in path.read_text(encoding="utf-8")] == []
    defaults = Settings().model_dump(exclude={"servers"})
    assert sample.model_dump(exclude={"servers"}) == defaults
    assert set(sample.servers) == {"hospital", "secure"}


def test_file_is_looked_for_where_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_path() == tmp_path / "user-config" / "media2dicom" / "media2dicom.toml"
    local = config(tmp_path, "")
    assert config_path() == local
    monkeypatch.setenv("MEDIA2DICOM_CONFIG", str(tmp_path / "by-variable.toml"))
    assert config_path() == tmp_path / "by-variable.toml"
    assert config_path(tmp_path / "said.toml") == tmp_path / "said.toml"


def test_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(tmp_path, "port = 4000\nae_title = 'FILE'\n[timeouts]\nconnect = 5\n")
    monkeypatch.setenv("MEDIA2DICOM_PORT", "5000")
    monkeypatch.setenv("MEDIA2DICOM_TIMEOUTS__ACSE", "7")
    settings = load_settings()
    assert (settings.port, settings.ae_title) == (5000, "FILE")
    assert (settings.timeouts.connect, settings.timeouts.acse) == (5, 7)


def test_server_comes_from_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in PACS.items():
        monkeypatch.setenv(f"MEDIA2DICOM_SERVERS__MAIN__{key.upper()}", str(value))
    assert load_settings().server(None) == ("main", Server.model_validate(PACS))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 4000", ["prot", "no such setting"]),
        ("port = 70000", ["port", "65535"]),
        ("port = 'x'", ["port", "integer"]),
        ("ae_title = 'MUCH TOO LONG A TITLE'", ["ae_title", "16"]),
        ("upload_size_warning_mb = 0", ["upload_size_warning_mb"]),
        ("upload_size_warning_mb = 4001", ["upload_size_warning_mb", "4000"]),
        ("jpeg_quality = 10", ["jpeg_quality"]),
        ("[servers.main]\nhost = 'h'\nport = 1\nae_title = 'A'\ncolour = 'red'", ["servers.main.colour", "no such"]),
        ("[servers.main]\nhost = 'h'\nport = 1", ["servers.main.ae_title"]),
        ("[servers.main]\nhost = 'http://h'\nport = 1\nae_title = 'A'", ["servers.main.host", "scheme"]),
        ("[servers.main]\nhost = 'h'\nport = 1\nae_title = 'A'\nverify = 'maybe'", ["servers.main.verify", "find"]),
        ("[timeouts]\nconnect = 0", ["timeouts.connect"]),
        ("[retries]\nattempts = -1", ["retries.attempts"]),
        ("port = ", ["TOML"]),
    ],
)
def test_wrong_value_is_refused_with_file_key_and_reason(tmp_path: Path, text: str, words: list[str]) -> None:
    path = config(tmp_path, text)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert all(word in str(refused.value) for word in [str(path), *words])


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    config(tmp_path, "port = 0\njpeg_quality = 10\nother = 1")
    with pytest.raises(SettingsError, match=r"(?s)port.*jpeg_quality.*other|other.*port.*jpeg_quality"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MEDIA2DICOM_PROT", "1", ["MEDIA2DICOM_PROT", "prot"]),
        ("MEDIA2DICOM_PORT", "x", ["environment", "port"]),
        ("MEDIA2DICOM_TIMEOUTS__CONECT", "3", ["timeouts.conect", "no such"]),
        ("MEDIA2DICOM_SERVERS", "{", ["MEDIA2DICOM", "servers"]),
        ("MEDIA2DICOM_UPLOAD_LIMIT_MB", "9000", ["fixed", "4000"]),
    ],
)
def test_wrong_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: list[str]) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert all(word in str(refused.value) for word in words)


@pytest.mark.parametrize("key", ["upload_limit", "upload_limit_mb"])
def test_upload_limit_is_fixed(tmp_path: Path, key: str) -> None:
    config(tmp_path, f"{key} = 5000")
    with pytest.raises(SettingsError, match="fixed at 4000 MB"):
        load_settings()


def test_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such settings file"):
        load_settings(tmp_path / "absent.toml")


def test_relative_folders_are_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    path = config(folder, "cache_dir = 'cache'\ndata_dir = '../data'\nmedia_roots = ['media', '/srv']")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(path)
    assert settings.cache_dir == folder / "cache"
    assert settings.data_dir == folder / ".." / "data"
    assert settings.media_roots == (folder / "media", Path("/srv"))


def test_relative_config_gives_absolute_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(tmp_path, "cache_dir = 'cache'\n[servers.main]\nhost='h'\nport=1\nae_title='A'\ntls = {ca_file = 'ca.pem'}")
    settings = load_settings(Path("media2dicom.toml"))
    monkeypatch.chdir("/")
    assert settings.cache_dir == tmp_path / "cache"
    tls = settings.servers["main"].tls
    assert tls is not None
    assert tls.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("host", "kept"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("2001:DB8::1", "2001:db8::1"),
        (" pacs.hospital.example ", "pacs.hospital.example"),
        ("pacs_1", "pacs_1"),
        ("localhost", "localhost"),
    ],
)
def test_host_is_a_name_or_an_address(host: str, kept: str) -> None:
    assert Server.model_validate(PACS | {"host": host}).host == kept


@pytest.mark.parametrize(
    "host", ["", "a b", "http://pacs", "pacs:104", "256.1.1.1", "1.2.3", "-x", "a..b", "::g", "a" * 64]
)
def test_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="host"):
        Server.model_validate(PACS | {"host": host})


@pytest.mark.parametrize("title", ["A", "SIXTEEN SIGNS OK", "  padded  ", "a-b_c.d"])
def test_ae_title_of_the_standard_is_accepted(title: str) -> None:
    assert Server.model_validate(PACS | {"ae_title": title}).ae_title == title.strip()


@pytest.mark.parametrize("title", ["", "    ", "SEVENTEEN SIGNS !", "A\\B", "A\tB", "ÄRZTE", "A\n"])
def test_ae_title_against_the_standard_is_refused(title: str) -> None:
    with pytest.raises(ValueError, match="AE title"):
        Server.model_validate(PACS | {"ae_title": title})


def test_server_is_chosen_by_name_default_or_being_the_only_one() -> None:
    one, two = Server.model_validate(PACS), Server.model_validate(PACS | {"port": 105})
    assert Settings(servers={"one": one}).server(None) == ("one", one)
    both = Settings(servers={"one": one, "two": two}, default_server="two")
    assert both.server(None) == ("two", two)
    assert both.server("one") == ("one", one)
    with pytest.raises(ServerUnknown, match="one, two"):
        both.server("three")
    with pytest.raises(ServerUnknown, match="No server"):
        Settings(servers={"one": one, "two": two}).server(None)
