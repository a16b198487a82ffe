"""The chunks of AVI files (RIFF, OpenDML), as far as needed to tell a whole file from a cut one."""

from __future__ import annotations

from pathlib import Path

from media2dicom.errors import MediaDamaged


def check_whole_avi(path: Path) -> tuple[int, ...]:
    """Raises MediaDamaged when a RIFF chunk is unfinished or runs past the end. Counts are not trusted: ()."""
    size_bytes = path.stat().st_size
    at = 0
    with path.open("rb") as file:
        while at + 12 <= size_bytes:
            file.seek(at)
            head = file.read(12)
            if head[:4] != b"RIFF" or head[8:] not in (b"AVI ", b"AVIX"):
                break  # what some writers leave behind the last chunk
            length = int.from_bytes(head[4:8], "little")
            if length < 4:
                raise MediaDamaged("The video was never finished: its AVI header gives no length.")
            end = at + 8 + length
            if end > size_bytes:
                raise MediaDamaged(f"The video is cut off: {end - size_bytes:,} bytes are missing at its end.")
            at = end + length % 2
    return ()
