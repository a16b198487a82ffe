"""sRGB to the CIELab values that DICOM stores (PS3.3 C.10.7.1.1)."""

from __future__ import annotations

# sRGB primaries to XYZ, adapted to D50 (Bradford): the white that PCS-Values are relative to.
_SRGB_TO_XYZ_D50 = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
_D50_WHITE = (0.96422, 1.0, 0.82521)


def _linear(channel: int) -> float:
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)


def _lab_curve(ratio: float) -> float:
    return ratio ** (1 / 3) if ratio > 216 / 24389 else (24389 / 27 * ratio + 16) / 116


def rgb_to_lab(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    """CIE 1976 L*a*b* relative to D50 of an sRGB colour with channels 0 to 255."""
    linear = [_linear(channel) for channel in rgb]
    xyz = [sum(factor * value for factor, value in zip(row, linear, strict=True)) for row in _SRGB_TO_XYZ_D50]
    x, y, z = (_lab_curve(value / white) for value, white in zip(xyz, _D50_WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def rgb_to_cielab_us(rgb: tuple[int, int, int]) -> list[int]:
    """Recommended Display CIELab Value (0062,000D): three US, L* 0..100 and a*, b* -128..127 scaled to 0..65535."""
    lightness, a, b = rgb_to_lab(rgb)
    encoded = (lightness * 65535 / 100, (a + 128) * 257, (b + 128) * 257)
    return [min(65535, max(0, round(value))) for value in encoded]
