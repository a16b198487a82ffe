"""PLY, OBJ, 3MF, OFF and GLB to binary STL, in a process of its own with limits of memory and time.

Whatever a hostile file does (archives and counts that unfold to gigabytes, loops of parts) ends that process, not
ours; nothing outside of the file is opened. Geometry is not repaired: nothing is merged, filled or turned.

A file that states its unit (3MF; GLB is always in metres) is scaled to the row's; of the others the row's unit
is the file's.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import numpy as np

from media2dicom.errors import (
    CacheFailed,
    MediaDamaged,
    MediaTooLarge,
    MediaUnsupported,
    OptionRefused,
    ProgramFailed,
    Unforeseen,
)
from media2dicom.limits import refuse_over_limit
from media2dicom.media import media_type_of, opc, threemf
from media2dicom.media.extent import MILLIMETRES, Extent
from media2dicom.media.payload import DATASET_BYTES, MediaPlan, Model, Payload
from media2dicom.model import Options, Units
from media2dicom.settings import MEGABYTE, Settings

_PROCESS: Final = "media2dicom.media.trimesh_process"
_PACKAGES: Final = Path(__file__).parents[2]
_LARGEST_BYTES: Final = 500 * MEGABYTE  # of the file, and of what a 3MF unfolds to: trimesh holds it whole
_MEMORY_BYTES: Final = 6_000_000_000  # address space of the converting process
_LARGEST_DIRECTORY_BYTES: Final = 10 * MEGABYTE  # of a 3MF: zipfile holds all of it, in some ten times its size
_SECONDS: Final = 600
_ONE_AT_A_TIME: Final = threading.Semaphore()  # however many batches are under way: it may take much memory
_MODEL_PART: Final = re.compile(r".*\.model", re.IGNORECASE)


def plan(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """Raises OptionRefused unless the row wants the conversion, MediaTooLarge, MediaDamaged, MediaUnsupported."""
    name = media_type_of(path).name
    if not options.convert_to_stl:
        raise OptionRefused(
            f"DICOM has no object for {name} models.", next_step="Set convert_to_stl to yes, or save the model as STL."
        )
    size_bytes = path.stat().st_size
    if size_bytes > _LARGEST_BYTES:
        raise _too_large(name)
    if name == "3MF":
        _check_archive(path)
    return MediaPlan(
        kind="mesh",
        estimated_bytes=2 * size_bytes + DATASET_BYTES,
        largest_instance_bytes=0,
    )


def open_payload(path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload:
    """The model as a binary STL below work_folder, in the row's units.

    Raises as `plan`, and CacheFailed, ProgramFailed.
    """
    plan(path, options, limits)
    name = media_type_of(path).name
    with tempfile.NamedTemporaryFile(dir=work_folder, suffix=".stl", delete=False) as output:
        target = Path(output.name)
    said = _converted(path, name, target, _scale(path, name, options.units))
    if "refused" in said:
        raise MediaDamaged(f"The {name} file {said['refused']}.")
    if "damaged" in said:
        raise MediaDamaged(said["damaged"])
    if "unsupported" in said:
        raise MediaUnsupported(said["unsupported"], next_step=said["next_step"])
    size_bytes = target.stat().st_size
    refuse_over_limit(size_bytes, "The model")
    extent = Extent(np.array(said["lowest"]), np.array(said["highest"]))
    return Model(target, size_bytes, warnings=(*extent.warnings(options.units), *said["warnings"]))


def _too_large(name: str) -> MediaTooLarge:
    return MediaTooLarge(
        f"The {name} model is too large to be converted (more than {_LARGEST_BYTES // MEGABYTE} MB).",
        next_step="Export it as STL, or as a coarser mesh.",
    )


def _unfolding(name: str) -> MediaTooLarge:
    return MediaTooLarge(
        f"The {name} model asks for more memory or time than a conversion may have.",
        next_step="Export it as STL, or as a coarser mesh.",
    )


def _converted(path: Path, name: str, target: Path, scale: float) -> dict[str, Any]:
    """Run trimesh_process; what it says."""
    command = [sys.executable, "-P", "-m", _PROCESS, name.lower(), str(path), str(target), repr(scale)]
    # One thread: each thread of the numeric libraries takes address space of its own.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(_PACKAGES)}
    try:
        with _ONE_AT_A_TIME:
            done = subprocess.run(
                [*command, str(_MEMORY_BYTES), str(_SECONDS)],
                env=environment,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                stdin=subprocess.DEVNULL,
            )
    except subprocess.TimeoutExpired:
        raise _unfolding(name) from None
    except OSError as error:
        raise ProgramFailed(f"The model cannot be converted: {error.strerror}.") from None
    if done.returncode == -signal.SIGKILL:  # by the system, when memory is short
        raise ProgramFailed("The process that converts the model was ended from outside.")
    if done.returncode < 0:
        raise _unfolding(name)
    if done.returncode:
        raise Unforeseen("The process that converts the model did not start.")
    said: dict[str, Any] = json.loads(done.stdout)
    if "memory" in said:
        raise _unfolding(name)
    if "disk" in said:
        raise CacheFailed(f"The converted model cannot be written: {said['disk']}.")
    return said


# --- 3MF: an archive of XML -------------------------------------------------------------------------------------


def _check_archive(path: Path) -> None:
    """Refuse what is no sound archive, unfolds to very much, or declares entities. Raises RowRefused errors."""
    if opc.directory_bytes(path) > _LARGEST_DIRECTORY_BYTES:
        raise _too_large("3MF")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if sum(part.file_size for part in parts) > _LARGEST_BYTES:
                raise _too_large("3MF")
            models = [part.filename for part in parts if _MODEL_PART.fullmatch(part.filename)]
            for part in {opc.main_part(archive), *models}:
                opc.check_xml(archive, part)
    except (ParseError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError):
        raise MediaDamaged("The 3MF file holds no model, is damaged, or is protected by a password.") from None


def _scale(path: Path, name: str, units: Units) -> float:
    """What coordinates are multiplied by: from the file's own unit, where it has one, to the row's."""
    if name == "GLB":  # glTF 2.0, 3.4
        return MILLIMETRES[Units.M] / MILLIMETRES[units]
    if name != "3MF":
        return 1.0
    try:
        return threemf.unit_in_millimetres(path) / MILLIMETRES[units]
    except (KeyError, ParseError):
        raise MediaDamaged("The 3MF file states a unit that 3MF does not know, or its XML is damaged.") from None
