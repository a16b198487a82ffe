"""How files are recognised by their first HEAD_BYTES and their size. Videos: containers.py."""

from __future__ import annotations

import re
from typing import Final

HEAD_BYTES: Final = 4096  # what a type is recognised by; long enough for the name of a text STL


def is_jpeg(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"\xff\xd8\xff")


def is_png(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"\x89PNG\r\n\x1a\n")


def is_bmp(head: bytes, size_bytes: int) -> bool:
    # "BM", then the length of the DIB header at 14, which tells a bitmap from a text that begins with BM.
    return head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in {12, 16, 40, 52, 56, 64, 108, 124}


def is_gif(head: bytes, size_bytes: int) -> bool:
    return head.startswith((b"GIF87a", b"GIF89a"))


def is_tiff(head: bytes, size_bytes: int) -> bool:
    return head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"))  # TIFF 6.0 and BigTIFF


def is_webp(head: bytes, size_bytes: int) -> bool:
    return head.startswith(b"RIFF") and head[8:12] == b"WEBP"


def is_heic(head: bytes, size_bytes: int) -> bool:
    # ISO/IEC 23008-12 10; mif1 says only that pictures are inside, libheif says what they are.
    return head[4:8] == b"ftyp" and head[8:12] in {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2"}


def binary_stl_bytes(head: bytes) -> int:
    """How long a binary STL is by its count: 80 bytes of anything, the count, 50 bytes per triangle."""
    return 84 + 50 * int.from_bytes(head[80:84], "little")


def is_binary_stl(head: bytes, size_bytes: int) -> bool:
    """It has no magic: a file is one when it is as long as its count asks for."""
    return len(head) >= 84 and size_bytes == binary_stl_bytes(head)


def is_stl(head: bytes, size_bytes: int) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return is_binary_stl(head, size_bytes) or (text.startswith(b"solid") and b"facet" in text)


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
