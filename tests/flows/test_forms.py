"""The forms of the dashboard: what they offer, what they take, and how a browser shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from media2dicom.errors import ManifestUnusable, error_kinds
from media2dicom.ledger import Entry
from media2dicom.model import Outcome, Row, Status
from media2dicom.settings import CONFIG_VARIABLE, Server, Settings, load_settings
from media2dicom.steps.workbench import open_workbench
from tests import peers


@pytest.fixture
def lab(configured: Callable[..., Path]) -> Settings:
    """Two servers; an inbox with manifests and other files; a ledger with a failed run and a good one."""
    one, two = (Server(host="127.0.0.1", port=peers.free_port(), ae_title=name) for name in ("ONE", "TWO"))
    path = configured(main=one, backup=two)
    path.write_text('default_server = "main"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    settings = load_settings()
    for name in (
        "b.xlsx",
        "lab/a.csv",
        "attention/lab/failed.csv",
        "done/old.csv",
        "b.results.xlsx",
        "~$b.xlsx",
        "x.png",
    ):
        file = settings.inbox / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (settings.inbox / "folder.csv").mkdir()
    os.mkfifo(settings.inbox / "pipe.csv")
    bench = open_workbench(settings)
    failed = Outcome(Status.FAILED, "pacs-unreachable", "m", "n", True)
    for name, outcome in (("attention/lab/failed.csv", failed), ("done/old.csv", Outcome(Status.STORED))):
        row = Row(2, "2", "a.png", None, None, None, "1.2.3", None, "P1")
        bench.ledger.begin_run(
            name,
            settings.inbox / name,
            "",
            "main",
            [Entry(name, 2, "main", "2", "a.png", row, Outcome(Status.CHECKED))],
        )
        bench.ledger.set_outcome(name, outcome)
        bench.ledger.finish_run(name, None)
    return settings


def schema(kind: Any) -> dict[str, Any]:
    return TypeAdapter(kind).json_schema()


def test_forms_offer_what_is_there_when_they_are_made(lab: Settings) -> None:
    from flows import forms

    assert schema(forms.ManifestChoice)["anyOf"] == [
        {"title": "In the inbox", "type": "string", "enum": ["b.xlsx", "lab/a.csv", "attention/lab/failed.csv"]},
        {"title": "Type a path", "type": "string"},
    ]
    assert schema(forms.ServerChoice)["anyOf"] == [
        {"title": "Default: main", "type": "null"},
        {"title": "Choose", "type": "string", "enum": ["backup", "main"]},
        {"title": "Type a name", "type": "string"},
    ]
    assert schema(forms.FailedManifestChoice)["anyOf"] == [
        {"title": "With rows left", "type": "string", "enum": ["attention/lab/failed.csv", ""]},
        {"title": "Type a path", "type": "string"},
    ]
    causes = schema(list[forms.CauseChoice])["items"]["enum"]  # type: ignore[name-defined]
    assert causes[0] == "pacs-unreachable"
    assert {*error_kinds(), "unfinished"} == set(causes)
    before = forms.stamp(lab)
    (lab.inbox / "c.tsv").touch()
    assert "c.tsv" in schema(forms.ManifestChoice)["anyOf"][0]["enum"]
    assert forms.stamp(lab) != before


def test_forms_are_made_without_settings_and_without_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: Callable[..., Path]
) -> None:
    from flows import forms

    kinds = (forms.ManifestChoice, forms.ServerChoice, forms.FailedManifestChoice, forms.CauseChoice)
    configured()
    assert all(schema(kind) for kind in kinds)
    assert not (tmp_path / "data").exists()  # looking makes nothing
    broken = tmp_path / "broken.toml"
    broken.write_text("port = [", encoding="utf-8")
    monkeypatch.setenv(CONFIG_VARIABLE, str(broken))
    assert all(schema(kind) for kind in kinds)


def test_an_outdated_list_refuses_nothing(lab: Settings) -> None:
    from flows import forms

    for kind in (forms.ManifestChoice, forms.ServerChoice, forms.FailedManifestChoice, forms.CauseChoice):
        assert TypeAdapter(kind).validate_python("came later") == "came later"
    assert TypeAdapter(forms.ManifestChoice).validate_python(Path("a/b.csv")) == "a/b.csv"
    assert TypeAdapter(forms.FailedManifestChoice).validate_python(None) == ""
    assert TypeAdapter(forms.ServerChoice).validate_python(None) is None


def test_a_manifest_is_found_in_the_inbox_or_where_its_path_says(
    lab: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.forms import resolve_manifest

    elsewhere = tmp_path / "elsewhere" / "own.csv"
    elsewhere.parent.mkdir()
    elsewhere.touch()
    assert resolve_manifest("lab/a.csv") == lab.inbox / "lab/a.csv"
    assert resolve_manifest(f'"{elsewhere}" ') == elsewhere  # as a file manager copies it
    assert resolve_manifest(elsewhere) == elsewhere
    monkeypatch.chdir(elsewhere.parent)
    assert resolve_manifest("own.csv") == elsewhere
    (elsewhere.parent / "b.xlsx").touch()
    assert resolve_manifest("b.xlsx") == lab.inbox / "b.xlsx"  # what a form offers is the inbox's
    for wrong in ("", "  ", str(lab.inbox)):
        with pytest.raises(ManifestUnusable):
            resolve_manifest(wrong)


def test_every_field_has_a_help_text_and_a_default_unless_it_must_be_filled(
    lab: Settings, prefect_server: None
) -> None:
    from prefect.utilities.callables import parameter_schema

    from flows.hosting.serving import DEPLOYMENTS

    for one in DEPLOYMENTS:
        found = parameter_schema(one.flow.fn)
        for name, field in found.properties.items():
            assert field.get("description"), (one.name, name)
            assert ("default" in field) == (name not in found.required), (one.name, name)
        assert one.flow.description
