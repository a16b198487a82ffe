"""The conformance statement is the code's: current on disk, complete, and true of objects that the builders write."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import MPEG4HP41
from typer.testing import CliRunner

from flows.cli import app
from media2dicom import conformance
from media2dicom.conformance.activities import STORED_SYNTAXES
from media2dicom.conformance.configuration import configuration
from media2dicom.conformance.markdown import Section, document, table
from media2dicom.conformance.objects import written_when
from media2dicom.conformance.origins import ORIGINS, Origin, Presence, Source, origin_of
from media2dicom.conformance.written import WRITTEN, syntaxes_of
from media2dicom.dicom.transfer_syntaxes import NATIVE_SYNTAXES
from media2dicom.errors import OptionRefused, PacsError, error_kinds
from media2dicom.manifest.columns import COLUMN
from media2dicom.media.payload import Clip, LossyHistory, Payload
from media2dicom.model import Instance, Options, SopClassPolicy
from media2dicom.pacs.query import LEVELS
from media2dicom.pacs.store import STATUSES, judge
from media2dicom.settings import Server, Settings
from media2dicom.validation import Finding, findings
from media2dicom.validation.definitions import Attribute, Module
from media2dicom.validation.iods import IODS
from tests.dicom import making
from tests.dicom.test_encapsulated import FILES, RICH, opened

REPOSITORY = Path(__file__).parents[1]
ON_DISK = REPOSITORY / "docs" / "conformance-statement.md"
SUFFIX = "1.2.840.10008.5.1.4.1.1."


@cache
def statement() -> str:
    return conformance.statement()


# --- the document -----------------------------------------------------------------------------------------------


def test_the_statement_on_disk_is_what_the_code_generates() -> None:
    assert ON_DISK.read_text(encoding="utf-8") == statement(), (
        "docs/conformance-statement.md is not current. Make it again: make statement "
        "(media2dicom conformance --out docs/conformance-statement.md), and look at what changed."
    )


def test_the_statement_is_the_same_in_another_process_with_other_settings(tmp_path: Path) -> None:
    settings = tmp_path / "media2dicom.toml"
    settings.write_text('ae_title = "OTHER"\nport = 104\n')
    code = "from media2dicom.conformance import statement; import sys; sys.stdout.write(statement())"
    environment = {"PYTHONHASHSEED": "7", "HOME": str(tmp_path), "MEDIA2DICOM_CONFIG": str(settings)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=REPOSITORY, capture_output=True, check=True, encoding="utf-8"
    )
    assert run.stdout == statement()


def test_the_command_prints_the_statement_or_writes_it_for_everyone_to_read(tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["conformance"])
    assert (printed.exit_code, printed.stdout) == (0, statement())

    out = tmp_path / "statement.md"
    assert CliRunner().invoke(app, ["conformance", "--out", str(out)]).exit_code == 0
    assert out.read_text(encoding="utf-8") == statement()
    assert out.stat().st_mode & 0o777 == 0o644

    nowhere = CliRunner().invoke(app, ["conformance", "--out", str(tmp_path / "no" / "statement.md")])
    assert nowhere.exit_code == 1


def test_every_link_of_the_statement_leads_somewhere() -> None:
    text = statement()
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", text, re.M)
    }
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 100
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (ON_DISK.parent / target).is_file(), target


def test_every_table_of_the_statement_has_as_many_cells_in_each_line_as_its_header() -> None:
    tables = re.findall(r"(?:^\|.*\|$\n?)+", statement(), re.M)
    assert len(tables) > 60
    for one in tables:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in one.strip().split("\n")}
        assert len(counts) == 1, one[:200]


def test_a_document_refuses_twins_and_references_that_lead_nowhere() -> None:
    with pytest.raises(ValueError):
        document("T", "", (Section("One"), Section("One")))
    with pytest.raises(KeyError):
        document("T", "", (Section("One", "See [[Two]]."),))
    assert table(("a", "b"), [("1|2", "3\n4")]) == "| a | b |\n| --- | --- |\n| 1\\|2 | 3 4 |"


# --- complete ---------------------------------------------------------------------------------------------------


def test_every_class_that_the_validator_lets_pass_is_in_the_statement_and_no_other() -> None:
    assert {iod.sop_class_uid for iod in WRITTEN} == set(IODS)
    for iod in WRITTEN:
        assert f"`{iod.sop_class_uid}`" in statement()
    own = {uid for iod in WRITTEN for uid in syntaxes_of(iod.sop_class_uid)}
    assert own.union(NATIVE_SYNTAXES) == set(STORED_SYNTAXES)


def test_every_setting_is_in_the_statement_with_words() -> None:
    text = configuration().text
    for model in (Settings, Server):
        for name, setting in model.model_fields.items():
            assert setting.description, name
            assert name in text
    lines = [line for line in text.split("\n") if line.startswith("| `")]
    assert len(lines) > 40
    assert all(line.rstrip(" |").rpartition("|")[2].strip() for line in lines)


def test_every_status_of_the_table_is_judged_as_the_statement_says() -> None:
    instance = Instance("1.2", "1.3", "1.4", "1.5", "1.6", Path("x"), 1, 0)
    for rule in STATUSES[:-1]:
        result = judge(instance, rule.status, "PACS")
        refused = result.error is not None
        assert refused == (rule.judgement.name in ("TRANSIENT", "REFUSED")), rule
        assert f"| 0x{rule.status:04X} | {rule.words} |" in statement() or rule.mask != 0xFFFF
    assert judge(instance, 0x1234, "PACS").error is not None


def test_every_query_key_and_every_cause_of_the_pacs_side_is_in_the_statement() -> None:
    for level in LEVELS:
        for keyword in level.keys:
            tag = Tag(keyword)
            cells = rf"\| {level.name} \| [^|]+ \| \({tag.group:04X},{tag.element:04X}\) \|"
            assert re.search(cells, statement()), keyword
    for code, kind in error_kinds().items():
        if issubclass(kind, PacsError) and kind is not PacsError:
            assert f"| `{code}` |" in statement()


# --- where values come from ------------------------------------------------------------------------------------


def _told() -> Iterator[tuple[Module, Attribute, str]]:
    """Module, attribute, and the sequence that it is an item of."""

    def items(module: Module, one: Attribute) -> Iterator[tuple[Module, Attribute, str]]:
        for inner in one.items:
            yield module, inner, one.keyword
            yield from items(module, inner)

    for iod in WRITTEN:
        for use in iod.uses:
            for one in use.module.attributes:
                yield use.module, one, ""
                yield from items(use.module, one)


def test_types_and_presence_agree() -> None:
    """Type 1 has always a value, type 2 is always there (PS3.5 7.4)."""
    allowed = {"1": {"ALWAYS"}, "2": {"ALWAYS", "VNAP", "EMPTY"}}
    for module, one, sequence in _told():
        origin = origin_of(module.name, one.keyword, sequence)
        if one.type != "3":
            assert origin is not None, (module.name, one.keyword)
            assert origin.presence.value in allowed.get(one.type, set(Presence.__members__) | {"never"}), one.keyword


def test_no_line_of_the_table_of_origins_is_left_over() -> None:
    keys = set()
    for module, one, sequence in _told():
        keys |= {one.keyword, f"{module.name}.{one.keyword}", f"{sequence}.{one.keyword}"}
    assert set(ORIGINS) <= keys


def test_columns_and_settings_that_origins_name_are_there() -> None:
    for key, origin in ORIGINS.items():
        for name in re.findall(r"`(\w+)`", origin.words):
            assert name in COLUMN or name in Settings.model_fields, (key, name)
        named = any(name in COLUMN for name in re.findall(r"`(\w+)`", origin.words))
        assert named <= (Source.ROW in origin.sources or "series_group" in origin.words or "IconImage" in key), key


# --- true of written objects ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    source: Callable[[], Dataset]
    payload: Callable[[Path], Payload]
    plain: Options = field(default_factory=Options)
    rich: Options = field(default_factory=Options)


def _of(suffix: str, modality: str, **attributes: Any) -> Callable[[], Dataset]:
    return lambda: making.made_source(SUFFIX + suffix, modality, **attributes)


def _still(**how: Any) -> Callable[[Path], Payload]:
    return lambda _: making.still(making.picture(making.pixels(**how), bits=how.get("bits", 8)))


def _cine(color: bool = True, *times_ms: float) -> Callable[[Path], Payload]:
    return lambda _: making.clip(times_ms or (0.0, 40.0, 80.0), cine=True, color=color)


def _stream(folder: Path) -> Payload:
    path = folder / "clip.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    lossy = (LossyHistory(40.0, "ISO_14496_10"),)
    return Clip(path, path.stat().st_size, (str(MPEG4HP41),), 64, 64, (0.0, 40.0, 80.0), lossy)


def _filed(name: str) -> Callable[[Path], Payload]:
    return lambda folder: opened(FILES[name][0](folder))


PICTURE = Options(
    series_description="Wound",
    series_number=7,
    instance_order=3,
    accession_override="B-8",
    content_date="20240101",
    content_time="101112",
    body_part="HAND",
    laterality="L",
    burned_in_annotation=False,
)
NATIVE = Options(sop_class_policy=SopClassPolicy.NATIVE)
RICH_NATIVE = replace(PICTURE, sop_class_policy=SopClassPolicy.NATIVE)
LIGHT = Options(sop_class_policy=SopClassPolicy.VISIBLE_LIGHT)
RICH_LIGHT = replace(PICTURE, sop_class_policy=SopClassPolicy.VISIBLE_LIGHT)
HAND = {"BodyPartExamined": "HAND"}
CASES = {
    "colour still": Case(_of("2", "CT"), _still(), rich=PICTURE),
    "still of a report": Case(_of("88.11", "SR"), _still(color=False, bits=12), rich=PICTURE),
    "kept JPEG": Case(_of("2", "CT"), lambda _: making.still(making.kept_picture(making.pixels())), rich=PICTURE),
    "video frames": Case(_of("4", "MR"), lambda _: making.clip((0.0, 40.5), cine=False), rich=PICTURE),
    "colour cine": Case(_of("2", "CT"), _cine(), rich=PICTURE),
    "uneven grey cine": Case(_of("2", "CT"), _cine(False, 0.0, 40.0, 120.5), rich=PICTURE),
    "stream": Case(_of("2", "CT"), _stream, rich=PICTURE),
    "US": Case(_of("6.1", "US"), _still(), NATIVE, RICH_NATIVE),
    "US cine": Case(_of("3.1", "US"), _cine(), NATIVE, RICH_NATIVE),
    "CR": Case(_of("1", "CR"), _still(color=False), NATIVE, RICH_NATIVE),
    "photograph": Case(_of("2", "CT"), _still(), LIGHT, RICH_LIGHT),
    "film of a hand": Case(_of("2", "CT", **HAND), _cine(), LIGHT, RICH_LIGHT),
    "endoscopy": Case(_of("77.1.1", "ES"), _still(), NATIVE, RICH_NATIVE),
    "film of an endoscopy": Case(_of("77.1.1.1", "ES", **HAND), _cine(), NATIVE, RICH_NATIVE),
    **{name: Case(_of("2", "CT", FrameOfReferenceUID="1.2.3"), _filed(name), rich=RICH) for name in FILES},
}


def _written(case: Case, options: Options, folder: Path) -> list[Dataset]:
    folder.mkdir()
    return [dcmread(one.path) for one in making.build(case.payload(folder), case.source(), folder, options)]


@pytest.mark.parametrize("name", CASES)
def test_an_object_has_what_the_statement_says_and_nothing_else(name: str, tmp_path: Path) -> None:
    plain = _written(CASES[name], CASES[name].plain, tmp_path / "plain")
    rich = _written(CASES[name], CASES[name].rich, tmp_path / "rich")
    for dataset in plain + rich:
        _assert_as_told(dataset)
    for before, after in zip(plain, rich, strict=True):
        _assert_row_gives_what_is_the_rows(before, after)


def test_each_class_is_among_the_objects_that_are_looked_at(tmp_path: Path) -> None:
    seen = {
        str(dataset.SOPClassUID)
        for number, case in enumerate(CASES.values())
        for dataset in _written(case, case.plain, tmp_path / str(number))
    }
    assert seen == {iod.sop_class_uid for iod in WRITTEN}


@pytest.mark.parametrize(
    "name", ["colour cine", "uneven grey cine", "US cine", "film of a hand", "film of an endoscopy"]
)
def test_statement_builder_and_validator_agree_on_which_cines_may_be_a_video_kept_whole(
    name: str, tmp_path: Path
) -> None:
    case = CASES[name]
    (cine,) = making.build(case.payload(tmp_path), case.source(), tmp_path, case.plain)
    uid = cine.sop_class_uid
    stated = str(MPEG4HP41) in syntaxes_of(uid)
    assert stated == ("YBR_PARTIAL_420" in IODS[uid].enumerated["PhotometricInterpretation"])

    with_stream = dcmread(cine.path)
    with_stream.file_meta.TransferSyntaxUID = MPEG4HP41
    with_stream.save_as(tmp_path / "stream.dcm", enforce_file_format=False)
    found = Finding("TransferSyntaxUID", "is none that this object is written in", "PS3.5 8.2, 10")
    assert stated == (found not in findings(tmp_path / "stream.dcm"))

    try:
        (kept,) = making.build(_stream(tmp_path), case.source(), tmp_path / "kept", case.plain)
    except OptionRefused:
        assert not stated
    else:
        assert stated == (kept.sop_class_uid == uid)


def _origins(dataset: Dataset) -> Iterator[tuple[str, Attribute, Origin, bool]]:
    """Module name, attribute, its origin, whether the module is always written; modules never written left out."""
    for use in IODS[str(dataset.SOPClassUID)].uses:
        written = written_when(use)
        for one in use.module.attributes:
            origin = origin_of(use.module.name, one.keyword)
            if origin is not None and written != "never":
                yield use.module.name, one, origin, written == "always"


def _assert_as_told(dataset: Dataset) -> None:
    known: set[str] = set()
    may_be_empty = {one.keyword for _, one, origin, _ in _origins(dataset) if origin.presence is Presence.VNAP}
    for module, one, origin, always in _origins(dataset):
        where = (module, one.keyword, origin.presence)
        present = one.keyword in dataset
        filled = present and not dataset[one.keyword].is_empty
        match origin.presence:
            case Presence.ALWAYS:
                assert filled if always else filled == present, where
            case Presence.VNAP:
                assert present or not always, where
            case Presence.EMPTY:
                assert present or not always, where
                assert not filled, where
            case Presence.ANAP:
                assert filled == present or one.type == "2C" or one.keyword in may_be_empty, where
            case Presence.NEVER:
                assert not present, where
        known |= {one.keyword} if origin.presence is not Presence.NEVER else set()
        for item in dataset[one.keyword].value or () if present and one.items else ():
            _assert_items_as_told(module, one, item)
    assert {element.keyword for element in dataset} <= known


def _assert_items_as_told(module: str, sequence: Attribute, item: Dataset) -> None:
    for inner in sequence.items:
        origin = origin_of(module, inner.keyword, sequence.keyword)
        assert origin is not None
        if origin.presence is Presence.NEVER:
            assert inner.keyword not in item
        elif origin.presence is Presence.ALWAYS and inner.type == "1":
            assert not item[inner.keyword].is_empty
        for nested in item[inner.keyword].value or () if inner.items and inner.keyword in item else ():
            _assert_items_as_told(module, inner, nested)
    assert sequence.more or {element.keyword for element in item} <= {inner.keyword for inner in sequence.items}


def _assert_row_gives_what_is_the_rows(plain: Dataset, rich: Dataset) -> None:
    """What only the row gives is not there without it; what it does not give is no other with it."""
    for module, one, origin, _ in _origins(plain):
        if origin.sources == (Source.ROW,) and origin.presence is Presence.ANAP:
            assert one.keyword not in plain, (module, one.keyword)
        if not {Source.ROW, Source.MADE} & set(origin.sources) and one.keyword != "IconImageSequence":
            assert plain.get(one.keyword) == rich.get(one.keyword), (module, one.keyword)
