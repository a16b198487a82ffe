"""`media2dicom demo`: the main job end to end on the embedded PACS, in a folder of its own.

The sample manifest, its media and the studies it files into are in manifests/demo; nothing of it is made up here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import tomlkit
from pydicom import dcmread
from rich.console import Console

from flows.commands.embedded import archive
from flows.commands.screens import show_rows, show_summary
from flows.commands.terminal import say
from media2dicom.model import Instance
from media2dicom.pacs.demo import DemoPacs
from media2dicom.pacs.store import StoreSession
from media2dicom.settings import CONFIG_VARIABLE, Server, Settings, load_settings

_IN_WHEEL = Path(__file__).parents[1] / "demo_files"
_IN_CHECKOUT = Path(__file__).parents[2] / "manifests" / "demo"
_SERVER = "demo"


def run_demo(folder: Path, console: Console) -> None:
    """Start the PACS below `folder`, put the sample studies into it, archive the sample manifest, show the outcome.

    A second time it finds everything stored and sends nothing.
    """
    files = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("manifest.xlsx", "media"):
        _copy(files / name, folder / name)
    manifest = folder / "manifest.xlsx"
    with DemoPacs(folder / "pacs") as pacs:
        server = Server(host=pacs.host, port=pacs.port, ae_title=pacs.ae_title, description="Embedded PACS")
        os.environ[CONFIG_VARIABLE] = str(_write_settings(folder, server))
        settings = load_settings()
        _load_studies(sorted((files / "studies").glob("*.dcm")), server, settings)
        done = archive(settings, manifest, _SERVER, None, None, console=console)
    show_rows(console, done.rows, done.summary.run_id)
    show_summary(console, done.summary)
    for what, where in (
        ("Manifest and media", manifest),
        ("What the PACS holds", folder / "pacs"),
        ("DICOM files as sent", settings.cache_dir / "rows"),
        ("Settings", folder / "media2dicom.toml"),
    ):
        say(console, f"{what + ':':21}{where}")
    console.print("Two rows are refused on purpose: another patient's ID, and half a file.")
    console.print("Run it again: what is stored is found stored, and nothing is sent.")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _write_settings(folder: Path, server: Server) -> Path:
    """Everything of the demo stays in its folder; the user's own settings are not touched."""
    document = tomlkit.document()
    document["cache_dir"] = "cache"
    document["data_dir"] = "data"
    document["servers"] = {_SERVER: server.model_dump(mode="json", exclude_defaults=True)}
    path = folder / "media2dicom.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def _load_studies(paths: list[Path], server: Server, settings: Settings) -> None:
    instances = []
    for path in paths:
        header = dcmread(path, stop_before_pixels=True)
        instances.append(
            Instance(
                sop_instance_uid=str(header.SOPInstanceUID),
                sop_class_uid=str(header.SOPClassUID),
                series_instance_uid=str(header.SeriesInstanceUID),
                study_instance_uid=str(header.StudyInstanceUID),
                transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
                path=path,
                size_bytes=path.stat().st_size,
                number=0,
            )
        )
    with StoreSession(server, settings, instances) as session:
        for instance in instances:
            result = session.send(instance)
            if result.error is not None:
                raise result.error
