"""The top elements of Matroska and WebM files (RFC 8794, RFC 9559), to tell a whole file from a cut one."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from media2dicom.errors import MediaDamaged

_SEGMENT: Final = 0x18538067


def check_whole_matroska(path: Path) -> tuple[int, ...]:
    """Raises MediaDamaged when an element runs past the end. A live recording gives no length: it cannot be told.

    There is no count of frames in the container: ().
    """
    size_bytes = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        while at < size_bytes:
            file.seek(at)
            identifier, length = _identifier(file), _length(file)
            if identifier is None or (length == 0 and identifier == _SEGMENT):
                raise MediaDamaged("The video is damaged: it has no Matroska segment.")
            if length is None:
                return ()
            end = file.tell() + length
            if end > size_bytes:
                raise MediaDamaged(f"The video is cut off: {end - size_bytes:,} bytes are missing at its end.")
            if identifier == _SEGMENT:
                return ()
            at = end
    raise MediaDamaged("The video is cut off: it has no Matroska segment.")


def _identifier(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first or not first[0] & 0xF0:
        return None
    return int.from_bytes(first + file.read(8 - first[0].bit_length()), "big")


def _length(file: BinaryIO) -> int | None:
    """A variable-size integer; None when it is unknown (all ones)."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    more = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + file.read(more), "big")
    return None if value == (1 << 7 * (more + 1)) - 1 else value
