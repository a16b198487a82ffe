"""OFF, text: vertices and faces; colours, normals and texture coordinates are passed over."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from media2dicom.errors import MediaDamaged
from media2dicom.media.polygons import Polygons


def read(path: Path) -> Polygons:
    """Raises MediaDamaged for a file that is cut off; ValueError or IndexError for what is no OFF."""
    text = re.sub(rb"#[^\r\n]*", b"", path.read_bytes())
    lines = [words for line in text.splitlines() if (words := line.split())]
    said = lines.pop(0)[1:] or lines.pop(0)  # some write the counts behind the magic word
    vertices, faces = int(said[0]), int(said[1])
    counted = [[int(word) for word in words[: 1 + int(words[0])]] for words in lines[vertices : vertices + faces]]
    if len(counted) < faces or any(len(corners) != count for count, *corners in counted):
        raise MediaDamaged("The OFF file is cut off: it holds fewer faces than it says.")
    places = np.array([words[:3] for words in lines[:vertices]], np.float64).reshape(-1, 3)
    return Polygons.of(places, [corners for _, *corners in counted])
