"""From a media cell to a file below the manifest's folder or a media root, and its size and SHA-256.

Nothing outside the roots is opened or listed. What is inside the file is `media2dicom.media`'s.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from media2dicom.errors import CellRefused, MediaDamaged, MediaMissing, MediaOutsideRoots
from media2dicom.media import content_sha256, may_become_smaller
from media2dicom.settings import UPLOAD_LIMIT_BYTES

_ELSEWHERE: Final = re.compile(r"[A-Za-z]:|\\\\|//|[A-Za-z][A-Za-z0-9+.-]+://")  # drive letter, UNC, URL
_OUTSIDE: Final = "the path leads outside the manifest's folder and the media roots"


@dataclass(frozen=True)
class MediaFile:
    path: Path  # real path, inside a root
    size_bytes: int
    sha256: str | None  # None: not asked for, or over the upload limit
    content_sha256: str | None  # with what belongs to it (media.content_sha256)


class MediaFinder:
    """Resolves media cells of one manifest; every distinct file is hashed once, every folder listed once."""

    def __init__(self, folder: Path, media_roots: Iterable[Path], *, hash_media: bool) -> None:
        self._roots = tuple(dict.fromkeys(Path(os.path.realpath(root)) for root in (folder, *media_roots)))
        self._hash_media = hash_media
        self._files: dict[Path, MediaFile] = {}
        self._names: dict[Path, dict[str, list[str]]] = {}

    def find(self, text: str) -> MediaFile:
        """Raises CellRefused, MediaMissing, MediaOutsideRoots or MediaDamaged (0 bytes), naming no path."""
        if any(unicodedata.category(character) == "Cc" for character in text):
            raise CellRefused("the path holds a control character", next_step="Write the path on one line.")
        if _ELSEWHERE.match(text):
            raise MediaOutsideRoots(f"{_OUTSIDE} (a drive, a network share or an address)")
        try:
            path = self._resolve(text)
            known = self._files.get(path)
            if known is None:
                known = self._files[path] = self._read(path)
        except PermissionError:
            raise MediaMissing(
                "the file cannot be read: no permission", next_step="Give this account the right to read it."
            ) from None
        except OSError as error:
            raise MediaMissing(f"the file cannot be read ({error.strerror or type(error).__name__})") from None
        return known

    def _resolve(self, text: str) -> Path:
        spellings = [text, text.replace("\\", "/")] if "\\" in text else [text]
        for spelling in spellings:
            inside = False
            for root in self._roots:
                # normpath first: `..` is judged as written, before any link is followed
                wanted = Path(os.path.normpath(root / spelling))
                if not self._is_inside(wanted):
                    continue
                inside = True
                found = wanted if os.path.lexists(wanted) else self._by_normalised_name(root, wanted)
                if found is not None:
                    return self._checked(found)
        if not inside:
            raise MediaOutsideRoots(_OUTSIDE)
        raise MediaMissing("the file is not there")

    def _checked(self, found: Path) -> Path:
        try:
            path = found.resolve(strict=True)
        except (FileNotFoundError, RuntimeError):  # RuntimeError: a loop of links
            raise MediaMissing("the link points to nothing") from None
        if not self._is_inside(path):
            raise MediaOutsideRoots("a link leads outside the manifest's folder and the media roots")
        if not path.is_file():
            raise CellRefused("the path names a folder or a device, not a file", next_step="Name one media file.")
        return path

    def _is_inside(self, path: Path) -> bool:
        return any(path.is_relative_to(root) for root in self._roots)

    def _by_normalised_name(self, root: Path, wanted: Path) -> Path | None:
        """macOS writes u + combining dots where others write one letter: compare names in NFC."""
        base = next((other for other in self._roots if wanted.is_relative_to(other)), root)
        place = base
        for part in wanted.relative_to(base).parts:
            if os.path.lexists(place / part):
                place = place / part
                continue
            matches = self._listing(place).get(unicodedata.normalize("NFC", part), [])
            if len(matches) > 1:
                raise CellRefused(
                    "two files have this name, written with different Unicode characters",
                    next_step="Rename one of the two files.",
                )
            if not matches:
                return None
            place = place / matches[0]
        return place

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names:
            real = Path(os.path.realpath(folder))
            names: dict[str, list[str]] = {}
            if self._is_inside(real) and real.is_dir():
                for entry in real.iterdir():
                    names.setdefault(unicodedata.normalize("NFC", entry.name), []).append(entry.name)
            self._names[folder] = names
        return self._names[folder]

    def _read(self, path: Path) -> MediaFile:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes == 0:
                raise MediaDamaged("the file is empty (0 bytes)")
            # What makes an instance over the limit for certain is refused anyway: its gigabytes are not read.
            wanted = self._hash_media and (size_bytes <= UPLOAD_LIMIT_BYTES or may_become_smaller(path))
            sha256 = hashlib.file_digest(file, "sha256").hexdigest() if wanted else None
        return MediaFile(path, size_bytes, sha256, content_sha256(path, sha256) if sha256 is not None else None)
