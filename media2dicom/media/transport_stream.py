"""MPEG-2 transport streams (ISO/IEC 13818-1 2.4), plain and with the time codes of camcorders (192 bytes a packet).

ffmpeg gets the packets of pictures and sound and the tables that name them. The service tables are held back: their
texts may name a patient, and reading them ends some builds of ffmpeg.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from media2dicom.errors import MediaDamaged

_PACKET_BYTES: Final = 188
_SYNC: Final = 0x47
_SERVICE_TABLES: Final = (0x10, 0x11, 0x12, 0x13, 0x14)  # NIT, SDT, EIT, RST, TDT (ETSI EN 300 468 5.1.3)
_BLOCK_PACKETS: Final = 1 << 14
_LEADS: Final = (0, 4)  # bytes before each packet: none, or a time code


def _lead_bytes(head: bytes) -> int | None:
    for lead in _LEADS:
        step = _PACKET_BYTES + lead
        syncs = head[lead::step]
        if len(syncs) >= 3 and set(syncs) == {_SYNC}:
            return lead
    return None


def is_transport_stream(head: bytes, size_bytes: int) -> bool:
    return _lead_bytes(head) is not None


def write_packets(path: Path, target: BinaryIO) -> None:
    """The stream without its service tables. Raises MediaDamaged when it is out of step or ends within a packet."""
    with path.open("rb") as file:
        lead = _lead_bytes(file.read(4096))
        if lead is None:
            raise MediaDamaged("The video is damaged: it is no transport stream.")
        step = _PACKET_BYTES + lead
        file.seek(0)
        while block := file.read(_BLOCK_PACKETS * step):
            if len(block) % step:
                raise MediaDamaged("The video is cut off: it ends within a packet.")
            packets = np.frombuffer(block, np.uint8).reshape(-1, step)[:, lead:]
            if (packets[:, 0] != _SYNC).any():
                raise MediaDamaged("The video is damaged: a packet does not begin where it should.")
            identifiers = (packets[:, 1].astype(np.uint16) & 0x1F) << 8 | packets[:, 2]
            target.write(packets[~np.isin(identifiers, _SERVICE_TABLES)].tobytes())
