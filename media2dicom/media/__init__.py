"""Media files in, payloads out. The registry: one line per media type; its reader is one file beside this one.

A file's type is decided by its content; the ending of its name must agree with it. Readers are imported when a
file of their type is met (start-up), so a new type is one reader and one line in MEDIA_TYPES.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from media2dicom.errors import MediaDamaged, MediaMissing, MediaUnsupported, RowRefused
from media2dicom.media import signatures
from media2dicom.media.containers import CONTAINERS
from media2dicom.model import Options

if TYPE_CHECKING:
    from media2dicom.media.payload import MediaPlan, Payload
    from media2dicom.settings import Settings


class Reader(Protocol):
    """What each reader module offers."""

    def plan(self, path: Path, options: Options, limits: Settings) -> MediaPlan: ...
    def open_payload(self, path: Path, options: Options, limits: Settings, work_folder: Path) -> Payload: ...


@dataclass(frozen=True)
class MediaType:
    """One kind of media: how its files are named and recognised, and the module that reads them."""

    name: str  # for people
    kind: str  # MediaPlan.kind; types of one kind may carry each other's ending (a PNG named .jpg)
    suffixes: tuple[str, ...]
    matches: Callable[[bytes, int], bool]  # (the first HEAD_BYTES, the file's size) -> it is one
    module: str

    @property
    def reader(self) -> Reader:
        return cast(Reader, import_module(self.module))


_VIDEO, _MESH, _CONVERSION = (f"{__name__}.{module}" for module in ("video", "mesh", "conversion"))

MEDIA_TYPES: Final = (
    MediaType("JPEG", "image", (".jpg", ".jpeg", ".jpe", ".jfif"), signatures.is_jpeg, f"{__name__}.jpeg_reader"),
    MediaType("PNG", "image", (".png",), signatures.is_png, f"{__name__}.png"),
    MediaType("BMP", "image", (".bmp", ".dib"), signatures.is_bmp, f"{__name__}.bmp"),
    MediaType("TIFF", "image", (".tif", ".tiff"), signatures.is_tiff, f"{__name__}.tiff"),
    MediaType("WebP", "image", (".webp",), signatures.is_webp, f"{__name__}.webp"),
    MediaType("GIF", "image", (".gif",), signatures.is_gif, f"{__name__}.gif"),
    MediaType("HEIC", "image", (".heic", ".heif", ".hif"), signatures.is_heic, f"{__name__}.heif"),
    *(MediaType(one.name, "video", one.suffixes, one.matches, _VIDEO) for one in CONTAINERS),
    MediaType("STL", "mesh", (".stl",), signatures.is_stl, _MESH),
    MediaType("OBJ", "mesh", (".obj",), signatures.is_obj, f"{__name__}.obj"),
    MediaType("PLY", "mesh", (".ply",), signatures.is_ply, _CONVERSION),
    MediaType("OFF", "mesh", (".off",), signatures.is_off, _CONVERSION),
    MediaType("3MF", "mesh", (".3mf",), signatures.is_3mf, _CONVERSION),
    MediaType("GLB", "mesh", (".glb",), signatures.is_glb, _CONVERSION),
    MediaType("PDF", "document", (".pdf",), signatures.is_pdf, f"{__name__}.pdf"),
    MediaType("CDA", "document", (".xml", ".cda"), signatures.is_cda, f"{__name__}.cda"),
)


def media_type_of(path: Path) -> MediaType:
    """The type of a file, by its content; the ending of its name must agree in kind.

    Raises MediaMissing, MediaDamaged (empty), MediaUnsupported (unknown, or name and content disagree).
    """
    head, size_bytes = _head(path)
    suffix = path.suffix.lower()
    named = [media_type for media_type in MEDIA_TYPES if suffix in media_type.suffixes]
    if not named:
        raise MediaUnsupported(f"Files whose names end in {suffix or 'nothing'} are not known as media.")
    kind = named[0].kind
    # The named type is asked first: an STL's 80 free bytes may begin like another type's magic.
    for media_type in (*named, *MEDIA_TYPES):
        if media_type.matches(head, size_bytes):
            if media_type.kind != kind:
                raise MediaUnsupported(f"The name ends in {suffix}, but the file holds {media_type.name}.")
            return media_type
    if named[0].name in ("STL", "OBJ", "CDA"):
        return named[0]  # they have no magic: their readers say what is wrong with the file
    raise MediaUnsupported(f"The name ends in {suffix}, but the file does not hold {named[0].name}.")


def plan_media(path: Path, options: Options, limits: Settings) -> MediaPlan:
    """A cheap look: how many instances and about how many bytes. Raises RowRefused errors, as open_media does."""
    return media_type_of(path).reader.plan(path, options, limits)


def open_media(path: Path, options: Options, settings: Settings, work_folder: Path) -> Payload:
    """The file's payload. What must be written on the way goes below work_folder, which is the caller's to clear.

    Raises MediaUnsupported, MediaDamaged, MediaTooLarge, OptionRefused, MediaMissing; frames of a video are
    decoded when its Pictures are opened, so MediaDamaged may also come from there.
    """
    return media_type_of(path).reader.open_payload(path, options, settings, work_folder)


def may_become_smaller(path: Path) -> bool:
    """Whether what is made of the file may be smaller than it: frames of a video, a text STL turned binary."""
    try:
        media_type = media_type_of(path)
    except RowRefused:
        return False
    return media_type.kind == "video" or (media_type.name == "STL" and not signatures.is_binary_stl(*_head(path)))


def media_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits; memory does not grow with the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(path: Path, own_sha256: str | None = None) -> str:
    """SHA-256 of all that the file's objects are made of: of the file, and of those beside it that belong to it.

    `own_sha256` is media_sha256 of the file, and the answer where nothing belongs to it. Raises RowRefused errors.
    """
    own_sha256 = own_sha256 or media_sha256(path)
    try:
        if media_type_of(path).name != "OBJ":
            return own_sha256
    except RowRefused:
        return own_sha256
    from media2dicom.media.obj import companions

    others = [(reference, media_sha256(other)) for reference, other in companions(path)]
    return hashlib.sha256(repr((own_sha256, others)).encode()).hexdigest() if others else own_sha256


def _head(path: Path) -> tuple[bytes, int]:
    try:
        if not path.is_file():
            raise MediaMissing("There is no such file.")
        with path.open("rb") as file:
            head, size_bytes = file.read(signatures.HEAD_BYTES), path.stat().st_size
    except OSError as error:
        raise MediaMissing(f"The file cannot be read: {error.strerror}.") from None
    if not head:
        raise MediaDamaged("The file is empty.")
    return head, size_bytes
