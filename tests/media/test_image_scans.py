"""JPEG whose damage no decoder tells: lossless, and extended of 12 bits. Sound streams of every form pass the walk."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from media2dicom.errors import MediaDamaged
from media2dicom.media.jpeg import read_jpeg
from media2dicom.media.jpeg_scan import refuse_broken_scans
from tests.media.image_cases.table import PHOTO, by_pillow
from tests.media.image_cases.taking import taken
from tests.media.making_images import with_segment, with_zeros

SIZE = (101, 67)  # odd, and no multiple of 8


def noisy(top: int, samples: int = 1, size: tuple[int, int] = SIZE) -> NDArray[Any]:
    rows, columns = size
    noise = np.random.default_rng(3).integers(0, max(2, top // 20), (rows, columns, samples))
    ramp = np.add.outer(np.arange(rows) * 30, np.arange(columns) * 20)[..., None]
    pixels = ((ramp * np.arange(1, samples + 1) + noise) % top).astype(np.uint8 if top <= 256 else np.uint16)
    return pixels[..., 0] if samples == 1 else pixels


def lossless(bits: int, predictor: int = 1, samples: int = 1, size: tuple[int, int] = SIZE) -> bytes:
    pixels = noisy(1 << bits, samples, size)
    return bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=bits))


def extended(samples: int = 1, **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(noisy(4096, samples), level=90, bitspersample=12, **options))


def planes_apart() -> bytes:
    """Three components in a scan each, the second and third of half the size (ISO/IEC 10918-1 A.2.2)."""
    sizes, made = ((67, 101), (34, 51), (34, 51)), []
    for size in sizes:
        buffer = io.BytesIO()
        PHOTO.convert("L").resize(size).save(buffer, "JPEG")
        made.append(buffer.getvalue())
    frame = b"\xff\xc0\0\x11\x08\0\x65\0\x43\x03\1\x22\0\2\x11\0\3\x11\0"
    tables = made[0][: made[0].index(b"\xff\xc0")] + frame + made[0][made[0].index(b"\xff\xc4") :]
    scans = [one[one.index(b"\xff\xda") : -2] for one in made]
    named = [scan[:5] + bytes([number]) + scan[6:] for number, scan in enumerate(scans, 1)]
    return tables[: tables.index(b"\xff\xda")] + b"".join(named) + b"\xff\xd9"


SOUND = {
    **{f"lossless, predictor {number}": lossless(16, number) for number in range(1, 8)},
    **{f"lossless, {bits} bits": lossless(bits) for bits in range(2, 17)},
    "lossless, RGB": lossless(8, samples=3),
    "lossless, RGB, 16 bits": lossless(16, samples=3),
    "lossless, longer than is looked up at a time": lossless(16, size=(900, 900)),
    "12 bits": extended(),
    "12 bits, codes of its own": extended(optimize=True),
    **{f"12 bits, {how}": extended(3, subsampling=how) for how in ("444", "422", "420", "411", "440")},
    # of 8 bits there is a strict decoder, so these show that the walk and it agree
    **{f"8 bits, {how}": simplejpeg.encode_jpeg(noisy(256, 3), 95, colorsubsampling=how) for how in ("444", "420")},
    "8 bits, restart markers": by_pillow(PHOTO, "JPEG", restart_marker_blocks=2)(),
    "8 bits, fill before a marker": by_pillow(PHOTO, "JPEG")()[:-2] + b"\xff\xff\xff\xd9",
    "8 bits, a scan for each component": planes_apart(),
}


@pytest.mark.parametrize("form", SOUND)
def test_sound_stream_passes_the_walk(form: str) -> None:
    refuse_broken_scans(read_jpeg(SOUND[form]))
    if form.startswith("8 bits"):
        simplejpeg.decode_jpeg(SOUND[form], strict=True)
        assert Image.open(io.BytesIO(SOUND[form])).convert("L").getextrema() != (128, 128)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("how", ["a block of zeros", "cut off with an end put behind", "bytes lost", "rows added"])
@pytest.mark.parametrize("form", ["lossless, 16 bits", "lossless, 8 bits", "lossless, RGB", "12 bits", "12 bits, 420"])
def test_damage_that_decoders_pass_over_is_refused(form: str, how: str, tmp_path: Path) -> None:
    content = SOUND[form]
    middle = (content.index(b"\xff\xda") + len(content)) // 2
    match how:
        case "a block of zeros":
            broken = with_zeros(content, 400)
        case "cut off with an end put behind":
            broken = content[:middle] + b"\xff\xd9"
        case "bytes lost":
            broken = content[:middle] + content[middle + 300 :]
        case _:
            broken = content.replace(b"\0\x65\0\x43", b"\0\x79\0\x43", 1)
            assert broken != content
    taken(written(tmp_path / "a.jpg", content))
    with pytest.raises(MediaDamaged):
        taken(written(tmp_path / "a.jpg", broken))


@pytest.mark.parametrize("form", ["lossless, 16 bits", "12 bits"])
def test_stream_whose_tables_are_broken_is_refused(form: str, tmp_path: Path) -> None:
    content, table = SOUND[form], SOUND[form].index(b"\xff\xc4")
    length = int.from_bytes(content[table + 2 : table + 4], "big")
    for broken in (
        content[:table] + content[table + 2 + length :],
        content[: table + 2] + b"\0\x08" + content[table + 4 : table + 10] + content[table + 2 + length :],
        with_segment(content, 0xDD, b"\0\x03"),
    ):
        with pytest.raises(MediaDamaged):
            taken(written(tmp_path / "a.jpg", broken))
