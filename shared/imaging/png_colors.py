"""The colors that a PNG's chunks describe, as an ICC profile.

PNG (Third Edition), 4.3: of cICP, iCCP, sRGB, and gAMA with cHRM, the first that is there counts.
"""

import struct
from typing import Final

import numpy as np

from shared.imaging.containers.png import iter_chunks, read_profile
from shared.imaging.matrix_profiles import D65, P3_PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, Curve, Points, matrix_profile

# ITU-T H.273, tables 2 and 3: code points of cICP. Perceptual quantizer and hybrid log-gamma are missing: they are for
# high dynamic range, which an image with 256 levels cannot show.
_PRIMARIES: Final[dict[int, Points]] = {
    1: SRGB_PRIMARIES,
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    12: P3_PRIMARIES,
}
_BT1886_CURVE: Final = (2.4,)  # the display's side of BT.709, as in Chromium
_CURVES: Final[dict[int, Curve]] = {
    1: _BT1886_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: _BT1886_CURVE,
    8: (1.0,),
    13: SRGB_CURVE,
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
            return matrix_profile(_PRIMARIES[primaries], _CURVES[transfer])
    if b"iCCP" in chunks:
        return read_profile(chunks[b"iCCP"])
    if b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    gamma = int.from_bytes(chunks[b"gAMA"]) / 100_000
    is_srgb = b"cHRM" not in chunks and abs(2.2 * gamma - 1) < _GAMMA_TOLERANCE
    if is_srgb or not _GAMMA_BOUNDS[0] <= gamma <= _GAMMA_BOUNDS[1]:
        return None
    return matrix_profile(_points_of(chunks.get(b"cHRM")) or _PRIMARIES[1], (1 / gamma,))


def _points_of(content: memoryview | None) -> Points | None:
    """Return the primaries and the white point of a cHRM chunk; None if they span no colors."""
    if content is None:
        return None
    values = [value / 100_000 for value in struct.unpack(">8I", content)]
    white, red, green, blue = zip(values[::2], values[1::2], strict=True)
    points = (red, green, blue, white)
    area = np.linalg.det([[x, y, 1] for x, y in points[:3]])
    return points if abs(area) > 1e-3 and min(y for _, y in points) > 1e-3 else None  # noqa: PLR2004 - sRGB has 0.11
