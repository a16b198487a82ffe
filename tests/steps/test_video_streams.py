"""Kept video streams through all steps: stored byte for byte, and told apart where a PACS refuses them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from media2dicom.planning import plan_manifest
from tests import peers, real_media
from tests.dicom import making
from tests.steps import walking
from tests.steps.walking import STORED, cells_of, outcomes, png, walk


def video_row(lab: Path, study: Dataset, mode: str = "native") -> dict[str, object]:
    if not (lab / "clip.mp4").exists():
        real_media.make_video(lab / "clip.mp4", seconds=1)
    return cells_of(study, media="clip.mp4", video_mode=mode)


@pytest.mark.parametrize("name", ["demo", "orthanc"])
def test_kept_stream_is_stored_byte_for_byte(tmp_path: Path, lab: Path, name: str) -> None:
    study = walking.new_study()
    sheet = walking.manifest(lab, [video_row(lab, study)])
    with peers.PACS[name](tmp_path / "pacs") as pacs:
        pacs.load([study])
        with walking.workbench(pacs.settings(tmp_path)) as bench:
            found = walk(bench, sheet)
            assert outcomes(found) == [STORED]
            [one] = found[0].instances
        assert one.instance.transfer_syntax_uid == "1.2.840.10008.1.2.4.102"
        _, [stream] = making.fragments(one.instance.path)
        held = [path.read_bytes() for path in (tmp_path / "pacs").rglob("*") if path.is_file()]
        assert sum(stream in content for content in held) == 1


def test_pacs_that_refuses_videos_is_told_of_and_the_other_rows_go_on(tmp_path: Path, lab: Path) -> None:
    study = walking.new_study()
    rows = [video_row(lab, study), video_row(lab, study, "cine"), cells_of(study, media=png(lab / "a.png").name)]
    sheet = walking.manifest(lab, rows)
    with walking.ObservedPacs(tmp_path / "pacs", compressed=[JPEGBaseline8Bit]) as pacs:
        pacs.load(study)
        settings = pacs.peer.settings(tmp_path)
        notes = plan_manifest(sheet, settings, None, offline=False).notes
        assert [note.code for note in notes if "videos" in note.message] == ["no-presentation-context"]
        with walking.workbench(settings) as bench:
            found = walk(bench, sheet)
    assert outcomes(found) == [("FAILED", "no-presentation-context"), STORED, STORED]
    assert "video_mode cine or frames" in found[0].outcome.next_step
    assert not found[0].outcome.transient


def test_pacs_that_takes_nothing_compressed_refuses_only_the_stream(study: Dataset, lab: Path, tmp_path: Path) -> None:
    sheet = walking.manifest(lab, [video_row(lab, study), cells_of(study, media=png(lab / "a.png").name)])
    with walking.ObservedPacs(tmp_path / "picky", compressed=()) as pacs:
        pacs.load(study)
        with walking.workbench(pacs.peer.settings(tmp_path)) as bench:
            assert outcomes(walk(bench, sheet)) == [("FAILED", "no-presentation-context"), STORED]
