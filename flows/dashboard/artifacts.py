"""Artifacts of the flow run that is under way: tables, markdown, progress. What is in them is others'.

What is shown is a courtesy: outside a flow run nothing is shown, and a server that cannot be reached fails no run.
"""

from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey

from media2dicom.inbox import place_in
from media2dicom.settings import Settings

LOGGER = logging.getLogger("media2dicom")


@contextmanager
def courtesy(doing: str) -> Iterator[None]:
    """Whatever goes wrong in the block is a line in the log, without details: they may hold what is not to be shown."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - nothing that is only shown may fail a run
        not_told(doing, error)


def not_told(doing: str, error: Exception) -> None:
    LOGGER.warning("The dashboard could not be told %s (%s).", doing, type(error).__name__)


def flow_run_id() -> UUID | None:
    """Of the flow run under way here, if there is one."""
    found = runtime.flow_run.id
    return UUID(str(found)) if found else None


def key_of(kind: str, settings: Settings, manifest: Path, suffix: str = "") -> str:
    """An artifact's key: lower case, digits, dashes. One for all runs of a manifest, so that they are a series."""
    place = place_in(settings, manifest)
    parts = (place[1] if place is not None else Path(manifest.name)).with_suffix("").parts
    plain = unicodedata.normalize("NFKD", " ".join((*parts, suffix))).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return f"{kind}-{slug[:150] or 'manifest'}"


def rename(name: str, tags: Iterable[str] = ()) -> None:
    """Name the flow run under way, and add tags to it."""
    run = flow_run_id()
    if run is None:
        return
    with courtesy("the run's name"), get_client(sync_client=True) as client:
        client.update_flow_run(run, name=name, tags=sorted({*runtime.flow_run.tags, *tags}))


def markdown_table(headers: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    def cell(value: object) -> str:
        return str(value).replace("|", "\\|").replace("\n", " ")

    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in (headers, ["---"] * len(headers), *lines))


def put_markdown(key: str, text: str, description: str | None = None) -> UUID | None:
    return _put(key, "markdown", text, description)


def put_table(key: str, rows: Sequence[Mapping[str, object]], description: str | None = None) -> UUID | None:
    return _put(key, "table", json.dumps(rows), description)


def put_progress(key: str, percent: float, description: str | None = None) -> UUID | None:
    return _put(key, "progress", percent, description)


def update_progress(client: SyncPrefectClient, artifact_id: UUID, percent: float) -> None:
    client.update_artifact(artifact_id, ArtifactUpdate(data=percent))


def _put(key: str, kind: str, data: object, description: str | None) -> UUID | None:
    """Show it on the run's page and as the newest of its key; a run that is tried again shows only its last."""
    run = flow_run_id()
    if run is None:
        return None
    with courtesy(f"its {kind}"), get_client(sync_client=True) as client:
        before = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]), key=ArtifactFilterKey(any_=[key]))
        for one in client.read_artifacts(artifact_filter=before):
            if one.id is not None:
                client.delete_artifact(one.id)
        made = ArtifactCreate(key=key, type=kind, data=data, description=description, flow_run_id=run)
        return client.create_artifact(made).id
    return None
