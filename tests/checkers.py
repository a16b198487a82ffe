"""The real checkers, offline: dciodvfy (dicom3tools), dicom-validator (PS3.3 from the wheel dicom-standard)."""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

EDITION = "2020b"  # what the wheel dicom-standard holds


@dataclass(frozen=True)
class Findings:
    """What the two checkers say of one file."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    validator: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not (self.errors or self.warnings or self.validator)


def check(path: Path, standard: Path) -> Findings:
    """Both checkers' findings of `path`; `standard` is a folder made by `write_standard`."""
    lines = dciodvfy(path)
    return Findings(
        tuple(line for line in lines if line.startswith("Error")),
        tuple(line for line in lines if line.startswith("Warning")),
        tuple(dicom_validator(path, standard)),
    )


@cache
def _program(name: str) -> Path:
    """The wheel's own program: what lies in bin/ starts a Python first, and takes ten times as long."""
    files = distribution("dicom3tools").files or []
    return Path(str(next(file for file in files if file.parts[-3:] == ("dicom3tools", "bin", name)).locate()))


def dciodvfy(path: Path) -> list[str]:
    command = [_program("dciodvfy"), "-new", path]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode in (0, 1), done.stderr
    return (done.stderr + done.stdout).splitlines()


@cache
def _validator(standard: Path) -> Any:
    from dicom_validator.spec_reader.edition_reader import EditionReader

    return EditionReader(standard).load_dicom_info(EDITION)


def dicom_validator(path: Path, standard: Path) -> list[str]:
    import logging

    from dicom_validator.validator.dicom_file_validator import DicomFileValidator

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                lines.append(record.getMessage())

    lines: list[str] = []
    logger = logging.getLogger("validator")
    handler = Collect()
    logger.addHandler(handler)
    try:
        results = DicomFileValidator(_validator(standard), log_level=logging.WARNING).validate(path)
    finally:
        logger.removeHandler(handler)
    for result in results.values():
        lines.extend(_messages(result))
    return lines


def _messages(result: Any) -> list[str]:
    if isinstance(result, str):
        return [result]
    status = getattr(result, "status", None)
    messages = [] if status is None or str(status.name) == "Passed" else [f"status {status.name}"]
    for module, errors in getattr(result, "module_errors", {}).items():
        messages.extend(f"{module}: {tag} {error}" for tag, error in errors.items())
    return messages


# --- PS3.3 as dicom-validator wants it ------------------------------------------------------------------------


def write_standard(base: Path) -> None:
    """Turn the wheel's JSON (modules, types, condition text) into dicom-validator's cache below `base`."""
    from dicom_validator import __version__
    from dicom_validator.spec_reader.condition import ConditionType
    from dicom_validator.spec_reader.condition_parser import ConditionParser
    from dicom_validator.spec_reader.serializer import DefinitionEncoder
    from pydicom._dicom_dict import DicomDictionary
    from pydicom._uid_dict import UID_dictionary
    from pydicom.valuerep import INT_VR

    files = {Path(str(file)).name: file.locate() for file in distribution("dicom-standard").files or []}
    integers = {str(vr) for vr in INT_VR}

    def table(name: str) -> list[dict[str, Any]]:
        return json.loads(Path(str(files[f"{name}.json"])).read_text(encoding="utf-8"))

    dictionary = {
        _tag(tag): {"name": name, "vr": vr, "vm": vm, "prop": "RET" if retired else ""}
        for tag, (vr, vm, name, retired, _keyword) in DicomDictionary.items()
    }
    uids: dict[str, dict[str, str]] = {}
    for uid, (name, kind, *_rest) in UID_dictionary.items():
        uids.setdefault(kind, {})[uid] = name
    conditions = ConditionParser(dictionary)
    names = {attribute["id"]: attribute["name"] for attribute in table("attributes")}

    def modules(rows: list[dict[str, Any]], key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for row in rows:
            path = row["path"].split(":")[1:]
            here = found.setdefault(row[key], {})
            for part in path[:-1]:
                parent = here.get(f"({part[:4].upper()},{part[4:].upper()})")
                if parent is None:
                    break
                here = parent.setdefault("items", {})
            else:
                tag = row["tag"].upper()
                if "X" not in tag:
                    here[tag] = entry(row, tag, names.get(path[-1], tag))
        return found

    def entry(row: dict[str, Any], tag: str, name: str) -> dict[str, Any]:
        kind = row["type"] if row["type"] not in (None, "None") else "3"
        result: dict[str, Any] = {"name": name, "type": kind}
        if kind in ("1C", "2C", "3"):
            condition = conditions.parse(_text(row["description"]))
            if condition.type != ConditionType.UserDefined:
                result["cond"] = condition
        enums = _enums(row["description"], integer=dictionary.get(tag, {}).get("vr", "") in integers)
        return result | ({"enums": enums} if enums else {})

    def usage(row: dict[str, Any], ref: str) -> dict[str, Any]:
        use = row["usage"] or "U"
        if not row.get("conditionalStatement"):
            return {"ref": row[ref], "use": use}
        use = f"{use} - {row['conditionalStatement']}"
        return {"ref": row[ref], "use": use, "cond": conditions.parse(use)}

    iods = {iod["id"]: {"title": f"{iod['name']} IOD", "modules": {}, "group_macros": {}} for iod in table("ciods")}
    module_names = {module["id"]: module["name"] for module in table("modules")}
    macro_names = {macro["id"]: macro["name"] for macro in table("macros")}
    for row in table("ciod_to_modules"):
        iods[row["ciodId"]]["modules"][module_names.get(row["moduleId"], row["moduleId"])] = usage(row, "moduleId")
    for row in table("ciod_to_fg_macros"):
        iods[row["ciodId"]]["group_macros"][macro_names.get(row["macroId"], row["macroId"])] = usage(row, "macroId")
    by_name = {iod["name"]: iod["id"] for iod in table("ciods")}
    classes = {
        sop["id"]: iods[iod]
        for sop in table("sops")
        if (iod := by_name.get(sop["ciod"]) or by_name.get(sop["ciod"].replace(" IOD", "")))
    }
    classes.setdefault("1.2.840.10008.5.1.4.1.1.104.3", iods["encapsulated-stl"])  # named otherwise in the table

    folder = base / EDITION
    (folder / "json").mkdir(parents=True)
    (folder / "docbook").mkdir()
    for part in (3, 4, 6):
        (folder / "docbook" / f"part{part:02}.xml").write_text("<book/>")
    module_info = modules(table("module_to_attributes"), "moduleId") | modules(table("macro_to_attributes"), "macroId")
    for name, content in {
        "iod_info": classes,
        "module_info": module_info,
        "dict_info": dictionary,
        "uid_info": uids,
    }.items():
        (folder / "json" / f"{name}.json").write_text(json.dumps(content, cls=DefinitionEncoder))
    (folder / "json" / "version").write_text(__version__)
    (base / "editions.json").write_text(json.dumps([EDITION]))


def _tag(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _text(markup: str | None) -> str:
    spaced = re.sub(r"</?(p|dd|dt|dl|li|td|h\d|div|ul)[^>]*>", " ", markup or "")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", spaced))).strip()


def _enums(markup: str | None, *, integer: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    pattern = r"Enumerated Values[^<]*:?\s*</(?:p|h3|b|strong|span)>(.*?)</dl>"
    for match in re.finditer(pattern, markup or "", re.DOTALL):
        if re.match(r"Enumerated Values (for|if|when|of)", _text((markup or "")[match.start() :][:160])):
            continue  # holds only under a condition
        values: list[Any] = [_text(value) for value in re.findall(r"<dt[^>]*>(.*?)</dt>", match.group(1), re.DOTALL)]
        if integer:
            try:
                values = [int(value[:-1], 16) if value.endswith("H") else int(value) for value in values]
            except ValueError:
                continue
        if values:
            found.append({"val": values})
    return found
