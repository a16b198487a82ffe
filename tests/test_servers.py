"""Servers added to and removed from a settings file that somebody wrote by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from media2dicom.errors import ServerUnknown, SettingsError
from media2dicom.servers import keeping, make_server, remove_server, save_server
from media2dicom.settings import Tls, load_settings

HAND_WRITTEN = """\
# our lab
port = 4000  # agreed with IT

[servers.old]  # to be retired
host = "old.example"
port = 104
ae_title = "OLD"  # theirs
"""
VALUES = {"host": "new.example", "port": 11112, "ae_title": "NEW", "description": "the new one"}


def test_added_server_is_there_and_the_rest_as_its_author_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    server = make_server("new", VALUES)
    save_server(path, "new", server)
    assert path.read_text(encoding="utf-8").startswith(HAND_WRITTEN.rstrip())
    assert load_settings(path).servers["new"] == server
    assert load_settings(path).port == 4000


def test_added_and_removed_server_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    save_server(path, "new", make_server("new", VALUES))
    remove_server(path, "new")
    assert path.read_text(encoding="utf-8").split() == HAND_WRITTEN.split()


def test_server_is_replaced_by_one_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    save_server(path, "old", make_server("old", VALUES))
    assert load_settings(path).servers["old"].host == "new.example"
    assert "# our lab" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "tls", ['[servers.old.tls]\nca_file = "ca.pem"\n', 'tls = { ca_file = "ca.pem" }\n', 'tls.ca_file = "ca.pem"\n']
)
def test_replaced_server_keeps_what_the_command_line_cannot_set(tmp_path: Path, tls: str) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text(HAND_WRITTEN + "max_associations = 4\n" + tls, encoding="utf-8")
    before, server = load_settings(path).servers["old"], make_server("old", VALUES)
    save_server(path, "old", server)
    after = load_settings(path).servers["old"]
    assert (after.host, after.max_associations) == ("new.example", 4)
    assert after.tls == before.tls == Tls(ca_file=tmp_path / "ca.pem")
    assert keeping(server, before) == after
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    save_server(path, "old", make_server("old", VALUES | {"tls": {"ca_file": "other.pem"}}))
    assert load_settings(path).servers["old"].tls == Tls(ca_file=tmp_path / "other.pem")


def test_first_server_makes_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "media2dicom.toml"
    save_server(path, "new", make_server("new", VALUES | {"tls": {"ca_file": "ca.pem"}, "verify": "commitment"}))
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(load_settings(path).servers) == ["new"]


def test_default_goes_with_its_server(tmp_path: Path) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text('default_server = "old"\n' + HAND_WRITTEN, encoding="utf-8")
    remove_server(path, "old")
    assert load_settings(path).default_server is None


def test_unknown_server_cannot_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text(HAND_WRITTEN, encoding="utf-8")
    with pytest.raises(ServerUnknown, match="'other'"):
        remove_server(path, "other")
    assert path.read_text(encoding="utf-8") == HAND_WRITTEN


def test_linked_settings_file_stays_a_link_with_its_rights(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "media2dicom.toml"
    real.write_text(HAND_WRITTEN, encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    save_server(link, "new", make_server("new", VALUES))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "new" in load_settings(link).servers


@pytest.mark.parametrize("name", ["", "a b", "a.b", "-a", "ä", "a" * 64, "a\n"])
def test_name_that_would_be_no_key_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no name"):
        make_server(name, VALUES)


def test_all_wrong_values_are_named() -> None:
    with pytest.raises(SettingsError, match=r"(?s)host.*port.*ae_title"):
        make_server("new", {"host": "a b", "port": 0, "ae_title": ""})


def test_file_that_is_no_toml_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "media2dicom.toml"
    path.write_text("port = ", encoding="utf-8")
    with pytest.raises(SettingsError, match="TOML"):
        save_server(path, "new", make_server("new", VALUES))
    assert path.read_text(encoding="utf-8") == "port = "
