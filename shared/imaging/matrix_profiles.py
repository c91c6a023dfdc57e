"""ICC profiles of RGB color spaces, made from primaries and a curve."""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Points = Sequence[tuple[float, float]]
"""Chromaticities (x, y) of red, green, blue and white."""
Curve = tuple[float, ...]
"""The parameters of a parametricCurveType (ICC.1:2022, 10.18): g, or g, a, b, c, d."""

D65: Final = (0.3127, 0.3290)
SRGB_PRIMARIES: Final[Points] = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65)
P3_PRIMARIES: Final[Points] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65)
SRGB_CURVE: Final[Curve] = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

_D50: Final = np.array([0.9642, 1.0, 0.8249])  # of the profile connection space (ICC.1:2022, 7.2.16)
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def matrix_profile(points: Points, curve: Curve, *, description: str = "") -> bytes:
    """Return a display profile of primaries, a white point and a curve (ICC.1:2022, 8.3.3).

    To be embedded in files, it needs a description.
    """
    adaptation = _adaptation(points)
    columns = [_s15fixed16(column) for column in (adaptation @ to_xyz(points)).T]
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + _s15fixed16(_D50),
        **{name: b"XYZ \0\0\0\0" + column for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        b"rTRC": struct.pack(">4sIHH", b"para", 0, 0 if len(curve) == 1 else 3, 0) + _s15fixed16(curve),
    }
    tags[b"gTRC"] = tags[b"bTRC"] = tags[b"rTRC"]
    if description:
        tags |= {b"desc": _localized(description), b"cprt": _localized("CC0-1.0")}
        tags[b"chad"] = b"sf32\0\0\0\0" + _s15fixed16(adaptation.ravel())
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header += _s15fixed16(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def to_xyz(points: Points) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from linear RGB to XYZ."""
    xyz = _xyz(points)
    matrix: NDArray[np.float64] = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    return matrix


def _adaptation(points: Points) -> NDArray[np.float64]:
    """Return the matrix (3, 3) that adapts XYZ from the white point to D50, by Bradford (ICC.1:2022, annex E)."""
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ _xyz(points)[:, 3])
    matrix: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return matrix


def _xyz(points: Points) -> NDArray[np.float64]:
    return np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T


def _localized(text: str) -> bytes:
    """Return a multiLocalizedUnicodeType in American English (ICC.1:2022, 10.15), padded to four bytes."""
    encoded = text.encode("utf-16-be")
    tag = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(encoded), 28) + encoded
    return tag + b"\0" * (-len(tag) % 4)


def _s15fixed16(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))
