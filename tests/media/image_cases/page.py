"""docs/images.md: the rules in words, and the table by format."""

from __future__ import annotations

from itertools import groupby

from tests.media.image_cases import CASES

_INTRODUCTION = """# Image files: what becomes of each

For those who choose how to export. The tables are written from the tests, each line of which makes such a file and
looks at what comes out (`python -m tests.media.image_cases > docs/images.md`).

- **Size** is read from the header and refused before anything is decoded: over `max_pixels`, or 65,500 a side, where
  the decoders of viewers end. A file far larger than its picture (over four times the bytes of its pixels and 64 MB;
  GIF and HEIC: any over 256 MB) is refused unread.
- **Orientation** of EXIF, else XMP (JPEG, PNG, WebP), of TIFF and of HEIC (its own turns and mirrors, not its EXIF) is
  applied once; the picture is stored upright. A JPEG file that must be turned is decoded and stored without further
  loss.
- **Transparency** is laid over white. **Grey** of more than 8 bits keeps them; **colour** of more is rounded to 8.
- **CMYK** becomes sRGB, by the file's own profile where that works.
- **ICC profiles** of RGB are carried on when they are whole, as input profiles: what colours are converted by, the
  profile's own description and its copyright. Others are dropped. Gamma and chromaticities without a profile are not
  applied.
- **Lossy history**: JPEG, also inside TIFF, is told as ISO_10918_1, HEIC always as ISO_23008_2. VP8 (lossy WebP) has
  no term in DICOM: Lossy Image Compression is 01, and Derivation Description names RFC_6386 and the ratio. All this
  stays told when the pixels are stored without further loss.
- **Pixels are taken as square**, but for TIFF: where its resolutions across and down differ by more than 5 percent, as
  those of a fax of 204 x 98 dots per inch do, their ratio becomes Pixel Aspect Ratio (0028,0034), by which viewers
  stretch the picture. The pixels stay as they are. Nothing else is made of a resolution: it gives no Pixel Spacing.
- **Animations and bursts**: the first picture (HEIC: the primary one), with a warning. A TIFF document of several pages
  is refused: its other pages would be missed.
- **Damage** that a decoder can notice is refused. JPEG, also lossless and of 12 bits, is read through code by code: its
  codes must be whole, and as many as its pixels need. PNG and Deflate have checksums. VP8, HEVC, CCITT, PackBits and
  arithmetic JPEG have neither, so a flipped bit in them may pass, as one in JPEG may that makes another whole code.
- **Nothing else** of a file is read or stored: no place, no camera, no thumbnail, no comment, no text
  but that of its ICC profile.
- Other formats (AVIF, JPEG 2000, JPEG XL, camera raw, PSD, SVG) are refused as not known.
"""


def page() -> str:
    parts = [_INTRODUCTION]
    for name, cases in groupby(CASES, key=lambda case: case.format):
        lines = [f"| {case.what} | {case.outcome} |" for case in cases]
        parts.append("\n".join([f"## {name}", "", "| File | Becomes |", "|---|---|", *lines, ""]))
    return "\n".join(parts)
