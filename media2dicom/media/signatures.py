"""How 3D models and documents are recognised by their first bytes. Pictures and STL: the registry's own."""

from __future__ import annotations

import re
from typing import Final

HEAD_BYTES: Final = 4096  # what a type is recognised by; long enough for the name of a text STL


def is_obj(head: bytes, size_bytes: int) -> bool:
    """Text with a vertex or the name of a material library: OBJ has no magic."""
    return b"\0" not in head and re.search(rb"(?m)^[ \t]*(?:v[ \t]+[-+.\d]|mtllib[ \t])", head) is not None


def is_ply(head: bytes, size_bytes: int) -> bool:
    return head.startswith((b"ply\n", b"ply\r"))


def is_off(head: bytes, size_bytes: int) -> bool:
    return re.match(rb"(?:ST)?C?N?OFF\b(?! BINARY)", head) is not None


def is_3mf(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"PK\x03\x04")  # a ZIP archive (Open Packaging Conventions)


def is_glb(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"glTF\x02\0\0\0")  # glTF 2.0, 4.4.2


def is_pdf(head: bytes, size_bytes: int) -> bool:
    return b"%PDF-" in head[:1024]  # as readers look for it (ISO 32000-1 Annex H.3)


def is_cda(head: bytes, size_bytes: int) -> bool:
    return b"ClinicalDocument" in head.replace(b"\0", b"")  # UTF-16 too
