"""The colors that a PNG's chunks describe, as an ICC profile.

PNG (Third Edition), 4.3: of cICP, iCCP, sRGB, and gAMA with cHRM, the first that is there counts.
"""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shared.imaging.containers.png import iter_chunks, read_profile

_Points = Sequence[tuple[float, float]]
_Curve = tuple[float, ...]
"""The parameters of a parametricCurveType (ICC.1:2022, 10.18): g, or g, a, b, c, d."""

_D65: Final = (0.3127, 0.3290)
_D50: Final = np.array([0.9642, 1.0, 0.8249])  # of the profile connection space (ICC.1:2022, 7.2.16)
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

# ITU-T H.273, tables 2 and 3: code points of cICP. Perceptual quantizer and hybrid log-gamma are missing: they are for
# high dynamic range, which an image with 256 levels cannot show.
_PRIMARIES: Final[dict[int, _Points]] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT1886_CURVE: Final = (2.4,)  # the display's side of BT.709, as in Chromium
_CURVES: Final[dict[int, _Curve]] = {
    1: _BT1886_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT1886_CURVE,
    8: (1.0,),
    13: _SRGB_CURVE,
    14: _BT1886_CURVE,
    15: _BT1886_CURVE,
}
_GAMMA_TOLERANCE: Final = 0.05  # as in libpng: programs write gAMA 1/2.2 and mean sRGB
_GAMMA_BOUNDS: Final = (0.01, 100)


def png_profile(data: bytes) -> bytes | None:
    """Return the ICC profile of a PNG without metadata (see `without_metadata`); None for sRGB, or if none is known."""
    chunks: dict[bytes, memoryview] = {}
    for kind, content, _ in iter_chunks(data):
        if kind == b"IDAT":
            break
        chunks[kind] = content
    if b"cICP" in chunks:
        primaries, transfer, matrix, full_range = chunks[b"cICP"]
        if primaries in _PRIMARIES and transfer in _CURVES and (matrix, full_range) == (0, 1):
            return _matrix_profile(_PRIMARIES[primaries], _CURVES[transfer])
    if b"iCCP" in chunks:
        return read_profile(chunks[b"iCCP"])
    if b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    gamma = int.from_bytes(chunks[b"gAMA"]) / 100_000
    is_srgb = b"cHRM" not in chunks and abs(2.2 * gamma - 1) < _GAMMA_TOLERANCE
    if is_srgb or not _GAMMA_BOUNDS[0] <= gamma <= _GAMMA_BOUNDS[1]:
        return None
    return _matrix_profile(_points_of(chunks.get(b"cHRM")) or _PRIMARIES[1], (1 / gamma,))


def _points_of(content: memoryview | None) -> _Points | None:
    """Return the primaries and the white point of a cHRM chunk; None if they span no colors."""
    if content is None:
        return None
    values = [value / 100_000 for value in struct.unpack(">8I", content)]
    white, red, green, blue = zip(values[::2], values[1::2], strict=True)
    points = (red, green, blue, white)
    area = np.linalg.det([[x, y, 1] for x, y in points[:3]])
    return points if abs(area) > 1e-3 and min(y for _, y in points) > 1e-3 else None  # noqa: PLR2004 - sRGB has 0.11


def _matrix_profile(points: _Points, curve: _Curve) -> bytes:
    """Return a display profile of primaries, a white point (x, y each) and a curve (ICC.1:2022, 8.3.3)."""
    columns = [_s15fixed16(column) for column in _to_d50(points).T]
    tags = {
        b"wtpt": b"XYZ \0\0\0\0" + _s15fixed16(_D50),
        **{name: b"XYZ \0\0\0\0" + column for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)},
        b"rTRC": struct.pack(">4sIHH", b"para", 0, 0 if len(curve) == 1 else 3, 0) + _s15fixed16(curve),
    }
    tags[b"gTRC"] = tags[b"bTRC"] = tags[b"rTRC"]
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4xI4s4s4s12x4s28x", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header += _s15fixed16(_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _to_d50(points: _Points) -> NDArray[np.float64]:
    """Return the matrix (3, 3) from linear RGB to XYZ, adapted to D50 by Bradford (ICC.1:2022, annex E)."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    white = xyz[:, 3]
    matrix = xyz[:, :3] * np.linalg.solve(xyz[:, :3], white)
    gains = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ matrix
    return adapted


def _s15fixed16(values: Sequence[float] | NDArray[np.float64]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))
