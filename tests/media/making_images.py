"""Image files that no library writes: PNG of every colour type, bitmaps of every variant, odd JPEG and TIFF files.

Written from the formats' own specifications (ISO/IEC 15948, Microsoft's BITMAPINFO headers, OS/2 2.0), so that a
reader is compared with something other than itself.
"""

from __future__ import annotations

import struct
import zlib
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

# --- PNG ----------------------------------------------------------------------------------------------------------

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of(
    columns: int,
    rows: int,
    bits: int,
    colour_type: int,
    raw: bytes,
    *chunks: tuple[bytes, bytes],
    interlaced: bool = False,
) -> bytes:
    """A PNG file of filtered scan lines."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, colour_type, 0, 0, interlaced))
    middle = b"".join(png_chunk(*one) for one in chunks) + png_chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + header + middle + png_chunk(b"IEND", b"")


def png(
    samples: NDArray[np.uint16], bits: int, colour_type: int, *chunks: tuple[bytes, bytes], interlaced: bool = False
) -> bytes:
    """A PNG file of samples (rows, columns, channels of the colour type), no filters."""
    assert samples.shape[2] == _CHANNELS[colour_type]
    rows, columns, _ = samples.shape
    passes = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    raw = b"".join(b"\0" + _packed(line.ravel(), bits) for part in passes if part.size for line in part)
    return png_of(columns, rows, bits, colour_type, raw, *chunks, interlaced=interlaced)


def _packed(samples: NDArray[np.uint16], bits: int) -> bytes:
    """Samples side by side, most significant bit first."""
    if bits == 16:
        return samples.astype(">u2").tobytes()
    one_by_one = np.unpackbits(samples.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :]
    return np.packbits(one_by_one.ravel()).tobytes()


# --- BMP ----------------------------------------------------------------------------------------------------------


def bmp(
    columns: int,
    rows: int,
    bits: int,
    pixels: bytes,
    *,
    compression: int = 0,
    palette: bytes = b"",
    header_bytes: int = 40,
    masks: tuple[int, ...] = (),
    colors_used: int = 0,
    profile: bytes = b"",
) -> bytes:
    """A bitmap of pixel bytes as stored; negative `rows` is top-down. Masks: red, green, blue[, alpha]."""
    if header_bytes == 12:  # BITMAPCOREHEADER of OS/2 1.x
        header = struct.pack("<IHHHH", 12, columns, rows, 1, bits)
    else:
        header = struct.pack(
            "<IiiHHIIiiII", header_bytes, columns, rows, 1, bits, compression, len(pixels), 2835, 2835, colors_used, 0
        )
        if header_bytes >= 56:
            header += struct.pack("<4I", *(*masks, 0, 0, 0, 0)[:4])
        if header_bytes >= 108:
            header += (b"DEBM" if profile else b"BGRs") + bytes(48)
        if header_bytes == 124:
            offset = header_bytes + len(palette) + len(pixels) if profile else 0
            header += struct.pack("<IIII", 4, offset, len(profile), 0)
        header = header.ljust(header_bytes, b"\0")
        if header_bytes == 40:
            header += struct.pack(f"<{len(masks)}I", *masks)
    at = 14 + len(header) + len(palette)
    return (
        struct.pack("<2sIHHI", b"BM", at + len(pixels) + len(profile), 0, 0, at) + header + palette + pixels + profile
    )


def bmp_rows(lines: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32], bits: int = 0) -> bytes:
    """Rows bottom-up, each padded to four bytes; `bits` packs palette indices of less than a byte."""
    stored = [_packed(line, bits) if bits else line.astype(line.dtype.newbyteorder("<")).tobytes() for line in lines]
    return b"".join(line + bytes(-len(line) % 4) for line in reversed(stored))


def rle8(indices: NDArray[np.uint8]) -> bytes:
    """RLE8: encoded runs, absolute runs where three or more differ, an end mark per row and one for the bitmap."""
    return b"".join(_rle8_row(bytes(line)) + b"\0\0" for line in indices[::-1])[:-2] + b"\0\1"


def _rle8_row(line: bytes) -> bytes:
    out, loose = bytearray(), bytearray()

    def flush() -> None:
        if len(loose) >= 3:
            out.extend(b"\0" + bytes([len(loose)]) + loose + bytes(len(loose) % 2))
        else:
            out.extend(b"".join(bytes([1, value]) for value in loose))
        loose.clear()

    for value, group in groupby(line):
        length = len(list(group))
        if length == 1 and len(loose) < 255:
            loose.append(value)
            continue
        flush()
        out.extend(bytes([length, value]))
    flush()
    return bytes(out)


def rle4(indices: NDArray[np.uint8]) -> bytes:
    """RLE4 of pairs: each run alternates between two indices."""
    out = bytearray()
    for line in indices[::-1]:
        for at in range(0, len(line), 2):
            pair = line[at : at + 2]
            out.extend([len(pair), int(pair[0]) << 4 | (int(pair[1]) if len(pair) > 1 else 0)])
        out.extend(b"\0\0")
    return bytes(out[:-2]) + b"\0\1"


# --- JPEG ---------------------------------------------------------------------------------------------------------


def with_segment(jpeg: bytes, marker: int, payload: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + jpeg[2:]


def with_zeros(jpeg: bytes, count: int = 200) -> bytes:
    """A stretch in the middle of the pixels lost, as by a bad block of a disk."""
    middle = (jpeg.index(b"\xff\xda") + len(jpeg)) // 2
    return jpeg[:middle] + bytes(count) + jpeg[middle + count :]


def arithmetic_jpeg(columns: int, rows: int) -> bytes:
    """A flat grey picture in the arithmetic process: decoders feed zeros when the data end (ISO/IEC 10918-1 D.2.6)."""
    quantisation = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    frame = b"\xff\xc9" + struct.pack(">HBHHB", 11, 8, rows, columns, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + quantisation + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\xff\xd9"


# --- TIFF ---------------------------------------------------------------------------------------------------------


def tiff(columns: int, rows: int, data: bytes, tags: dict[int, tuple[str, int]]) -> bytes:
    """A little-endian TIFF file of one strip; tags: number -> (H or I, value)."""
    fields = {256: ("I", columns), 257: ("I", rows), 278: ("I", rows), 279: ("I", len(data)), **tags}
    at = 8 + 2 + 12 * (len(fields) + 1) + 4
    fields[273] = ("I", at)
    kinds = {"H": 3, "I": 4}
    entries = b"".join(
        struct.pack("<HHI", tag, kinds[kind], 1) + struct.pack(f"<{kind}", value).ljust(4, b"\0")
        for tag, (kind, value) in sorted(fields.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + entries + bytes(4) + data


# --- ICC ----------------------------------------------------------------------------------------------------------


def cmyk_profile() -> bytes:
    """An ICC profile (ICC.1 10.11, lut8Type) by which every mixture of inks is the same grey, L* 50."""
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + bytes([128, 128, 128]) * 16 + ramp * 3
    table += bytes(-len(table) % 4)
    tags = struct.pack(">I4sII", 1, b"A2B0", 128 + 16, len(table))
    white = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    header = struct.pack(">I4sI4s4s4s", 128 + len(tags) + len(table), b"", 0x04200000, b"prtr", b"CMYK", b"Lab ")
    header += bytes(12) + b"acsp" + bytes(28) + white
    return header.ljust(128, b"\0") + tags + table
