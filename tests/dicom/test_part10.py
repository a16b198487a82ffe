"""The streaming writer: complete or not at all, payload unchanged, memory flat whatever the size."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread

from media2dicom.dicom.part10 import Bulk, document_bulk, write_part10
from media2dicom.dicom.transcoding import transcode
from media2dicom.errors import MediaChanged, MediaDamaged, OptionRefused, OverUploadLimit
from media2dicom.media.payload import PDF, Document, Model, Picture, Pictures
from media2dicom.model import Options, Units, VideoMode
from tests.dicom import making
from tests.dicom.making import BASELINE, EXPLICIT, IMPLICIT

SOURCE = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT", FrameOfReferenceUID="1.2.3.9")


@pytest.mark.parametrize("extra", [b"", b"\x00", b"xyz"])
def test_document_of_any_length_keeps_its_bytes_and_tells_its_own_length(extra: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF-1.4 nobody reads further here" + extra)
    size_bytes = path.stat().st_size
    (instance,) = making.build(Document(path, size_bytes, PDF), SOURCE, tmp_path)
    for to in (None, EXPLICIT, IMPLICIT):
        one = instance if to is None else transcode(instance, to, tmp_path / "other.dcm")
        written = dcmread(one.path)
        assert written.EncapsulatedDocumentLength == size_bytes
        assert written.EncapsulatedDocument == path.read_bytes() + b"\x00" * (size_bytes % 2)
        assert one.size_bytes == one.path.stat().st_size
        assert one.size_bytes % 2 == 0


def test_model_tells_units_colour_opacity_group_and_space(tmp_path: Path) -> None:
    options = Options(
        units=Units.UM,
        model_group="jaw",
        part_name="Unterkiefer für Jürgen",
        color=(200, 30, 40),
        opacity=0.25,
        mirrored=True,
        modified=True,
        model_usage="129013",
    )
    (instance,) = making.build(making.model(tmp_path), SOURCE, tmp_path, options)
    written = dcmread(instance.path)
    assert (written.Modality, written.MIMETypeOfEncapsulatedDocument) == ("M3D", "model/stl")
    units = written.MeasurementUnitsCodeSequence[0]
    assert (units.CodeValue, units.CodingSchemeDesignator) == ("um", "UCUM")
    assert list(written.RecommendedDisplayCIELabValue) == [28904, 49322, 43621]
    assert written.RecommendedPresentationOpacity == 0.25
    assert (written.ModelMirroring, written.ModelModification) == ("YES", "YES")
    assert written.ModelUsageCodeSequence[0].CodeMeaning == "Planning Intent"
    # After the document in tag order, where the writer starts anew: the character set must hold there too.
    assert (written.ContentDescription, written.DocumentTitle) == ("Unterkiefer für Jürgen",) * 2
    assert "für".encode() in instance.path.read_bytes()
    assert written.FrameOfReferenceUID == "1.2.3.9"
    assert written.ConceptNameCodeSequence[0].CodeValue == "85040-4"


def test_colour_is_told_in_the_description_where_that_is_asked_for(tmp_path: Path) -> None:
    options = Options(part_name="jaw", color=(1, 2, 3), color_in_description=True)
    written = dcmread(making.build(making.model(tmp_path), SOURCE, tmp_path, options)[0].path)
    assert (written.ContentDescription, written.DocumentTitle) == ("ColorRGB(1, 2, 3)", "jaw")


def test_parts_of_one_assembly_share_group_and_space_also_without_the_sources(tmp_path: Path) -> None:
    source = making.made_source("1.2.840.10008.5.1.4.1.1.88.11", "SR")
    parts = []
    for number, group in enumerate(("jaw", "jaw", None)):
        options = Options(model_group=group, part_name=str(number))
        (one,) = making.build(making.model(tmp_path), source, tmp_path, options, media_sha256=f"{number:064x}")
        parts.append(dcmread(one.path))
    assert parts[0].ModelGroupUID == parts[1].ModelGroupUID != parts[2].ModelGroupUID
    assert parts[0].FrameOfReferenceUID == parts[1].FrameOfReferenceUID != parts[2].FrameOfReferenceUID
    assert parts[0].SOPInstanceUID != parts[1].SOPInstanceUID


def test_model_in_a_syntax_for_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionRefused):
        making.build(making.model(tmp_path), SOURCE, tmp_path, Options(transfer_syntax=BASELINE))


# --- faults -----------------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_error_in_mid_write_leaves_no_file(tmp_path: Path) -> None:
    (instance,) = making.build(making.model(tmp_path), SOURCE, tmp_path)
    dataset = dcmread(instance.path)
    out = tmp_path / "out2"

    def broken(file: object) -> None:
        raise RuntimeError("in mid write")

    with pytest.raises(RuntimeError, match="in mid write"):
        write_part10(out / "a.dcm", dataset, EXPLICIT, Bulk(0x00420011, "OB", 2, broken))
    assert _files(out) == []


def test_error_in_mid_write_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    (instance,) = making.build(making.model(tmp_path), SOURCE, tmp_path)
    before = instance.path.read_bytes()
    short = Model(tmp_path / "model.stl", 10_000_000)
    with pytest.raises(MediaChanged):
        making.build(short, SOURCE, tmp_path)
    assert instance.path.read_bytes() == before
    assert _files(tmp_path / "out") == [instance.path]


def test_model_that_became_shorter_is_not_written(tmp_path: Path) -> None:
    model = making.model(tmp_path)
    with model.path.open("r+b") as file:
        file.truncate(model.size_bytes - 1)
    with pytest.raises(MediaChanged):
        making.build(model, SOURCE, tmp_path)
    assert _files(tmp_path / "out") == []


def test_decoder_that_fails_in_mid_cine_leaves_no_file(tmp_path: Path) -> None:
    @contextmanager
    def opener() -> Iterator[Iterator[Picture]]:
        def frames() -> Iterator[Picture]:
            yield making.picture(making.pixels(), time_ms=0.0)
            raise MediaDamaged("The clip ends early.")

        yield frames()

    payload = Pictures(count=5, times_ms=(0.0, 1.0, 2.0, 3.0, 4.0), opener=opener(), cine=True)
    with pytest.raises(MediaDamaged):
        making.build(payload, SOURCE, tmp_path, Options(video_mode=VideoMode.CINE))
    assert _files(tmp_path / "out") == []


def test_clip_with_fewer_frames_than_it_told_is_not_written(tmp_path: Path) -> None:
    for cine in (True, False):
        whole = making.clip((0.0, 40.0, 80.0), cine=cine)
        told = Pictures(count=4, times_ms=(0.0, 40.0, 80.0, 120.0), opener=whole.opener, cine=cine)
        with pytest.raises(MediaDamaged):
            making.build(told, SOURCE, tmp_path, Options(video_mode=VideoMode.CINE))


def test_model_over_the_upload_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(OverUploadLimit, match="4,001 MB"):
        making.build(Model(tmp_path / "is-not-there.stl", 4_000_000_001), SOURCE, tmp_path)
    assert _files(tmp_path) == []


_IN_A_PROCESS = """
import resource, sys
from pathlib import Path
from media2dicom.errors import CacheFailed
from media2dicom.media.payload import Model
from media2dicom.model import Options, VideoMode
from tests.dicom import making
folder, what, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
source = making.made_source("1.2.840.10008.5.1.4.1.1.2", "CT")
if what == "model":
    path = folder / "large.stl"
    with path.open("wb") as file:
        file.truncate(100_000_084)
    payload, options = Model(path, 100_000_084), Options()
else:
    payload = making.clip([40.0 * number for number in range(60)], cine=True, rows=256, columns=256)
    options = Options(video_mode=VideoMode.CINE, transfer_syntax=making.EXPLICIT)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    (instance,) = making.build(payload, source, folder, options)
except CacheFailed as error:
    print("CacheFailed", [path.name for path in (folder / "out").rglob("*")])
    sys.exit()
if what == "model":
    from media2dicom.dicom.transcoding import transcode
    transcode(instance, making.IMPLICIT, folder / "implicit.dcm")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def _in_a_process(folder: Path, what: str, limit: int = 0) -> str:
    command = [sys.executable, "-W", "error", "-c", _IN_A_PROCESS, str(folder), what, str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_memory_does_not_grow_with_the_document(tmp_path: Path) -> None:
    assert int(_in_a_process(tmp_path, "model")) < 40_000  # KiB, for 97,000 KiB written and rewritten
    assert (tmp_path / "implicit.dcm").stat().st_size > 100_000_084


@pytest.mark.parametrize("what", ["model", "cine"])
def test_full_disk_is_a_fault_of_the_cache_and_leaves_no_file(what: str, tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE
    assert _in_a_process(tmp_path, what, limit=5_000_000) == "CacheFailed []"


def test_document_bulk_of_a_part_of_a_file_is_that_part(tmp_path: Path) -> None:
    path, out = tmp_path / "a", tmp_path / "b"
    path.write_bytes(bytes(range(100)))
    with out.open("w+b") as file:
        document_bulk(path, 7, offset=10).write(file)
    assert out.read_bytes() == bytes(range(10, 17)) + b"\x00"
