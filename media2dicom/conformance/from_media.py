"""Media formats in, objects out, by the policy that a row or the site chooses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from media2dicom.conformance.markdown import Section, bullets, table, text
from media2dicom.conformance.names import uid_name
from media2dicom.dicom.documents import MODALITY as DOCUMENT_MODALITY
from media2dicom.dicom.encapsulated import SOP_CLASS
from media2dicom.dicom.models import MODALITY as MODEL_MODALITY
from media2dicom.dicom.picture_classes import KINDS, NATIVE_KINDS, PICTURE_KINDS, Kind
from media2dicom.media import MEDIA_TYPES, MediaType, payload
from media2dicom.model import SopClassPolicy, VideoMode

_KIND_NAMES = {"image": "picture", "video": "video", "mesh": "3D model", "document": "document"}
_POLICY = ("Policy", "Source", "Single picture", "Colour cine", "Grey cine", "Kept video", "Modality")
_MODES = {
    VideoMode.FRAMES: "an instance for each frame that is sampled; one series",
    VideoMode.CINE: "one multi-frame instance of the sampled frames (a single picture when there is one frame)",
    VideoMode.NATIVE: "one multi-frame instance of the clip's own stream; refused when no transfer syntax holds it",
    VideoMode.TRANSCODE: "as native; a stream that may not be kept is coded anew",
}


def from_media_to_objects() -> Section:
    return Section(
        "From media to objects",
        text(
            "A file's type is decided by its content; the ending of its name must agree.",
            table(("Format", "Kind", "Endings", "Becomes"), (_format(one) for one in MEDIA_TYPES)),
            "What a picture becomes is a matter of policy: of the row (`sop_class_policy`), else of the manifest, "
            "else of the site. A policy that cannot conform for a source or a picture refuses the row with the reason.",
            table(_POLICY, _policies()),
            "Limits of these kinds of object:",
            table(("Single picture", "Colour", "Bits of grey, at most"), (_limits(kind) for kind in PICTURE_KINDS)),
            "Under `native` all other source classes are refused: they demand what only an acquisition has, or hold "
            "no pictures. What a video becomes (`video_mode`):",
            bullets(f"`{mode.value}`: {words}" for mode, words in _MODES.items()),
            f"3D models are of Modality {MODEL_MODALITY}, documents of Modality {DOCUMENT_MODALITY}. Text STL becomes "
            "binary STL. GPS positions, thumbnails and comments of a media file never reach the object.",
        ),
    )


def _format(one: MediaType) -> tuple[str, ...]:
    endings = " ".join(f"`{suffix}`" for suffix in one.suffixes)
    return one.name, _KIND_NAMES[one.kind], endings, _becomes(one)


def _becomes(one: MediaType) -> str:
    if one.kind in ("image", "video"):
        return "by policy" if one.kind == "image" else "by policy and `video_mode`"
    mime_type = getattr(payload, one.name, None)  # of what is stored as it is
    if mime_type is None:
        return f"{uid_name(SOP_CLASS[payload.STL])}, when the row says `convert_to_stl`"
    name = uid_name(SOP_CLASS[mime_type])
    if mime_type == payload.OBJ:
        library = uid_name(SOP_CLASS[payload.MTL])
        return f"{name}, and {library} for each material library; or STL with `convert_to_stl`"
    return name


def _policies() -> Iterator[tuple[str, ...]]:
    for policy, kind in KINDS.items():
        yield (f"`{policy.value}`", "any", *_classes(kind))
    sources: dict[Kind, list[str]] = defaultdict(list)
    for uid, kind in NATIVE_KINDS.items():
        sources[kind].append(uid)
    for kind, uids in sources.items():
        named = ", ".join(f"{uid_name(uid)} (`{uid}`)" for uid in uids)
        yield (f"`{SopClassPolicy.NATIVE.value}`", named, *_classes(kind))


def _classes(kind: Kind) -> tuple[str, ...]:
    cines = (uid_name(uid) if uid else "refused" for uid in (kind.color_cine, kind.grey_cine, kind.video))
    return uid_name(kind.single), *cines, kind.modality or "the row's, else the source's"


def _limits(kind: Kind) -> tuple[str, ...]:
    return uid_name(kind.single), "yes" if kind.color else "refused", str(kind.max_bits_stored)
