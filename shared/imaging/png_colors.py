"""The colors that a PNG's chunks describe, as an ICC profile.

PNG (Third Edition), 4.3: of cICP, iCCP, sRGB, and gAMA with cHRM, the first that is there counts.
"""

import struct
from typing import Final

import numpy as np

from shared.imaging.code_points import code_point_profile
from shared.imaging.containers.png import iter_chunks, read_profile
from shared.imaging.matrix_profiles import SRGB_PRIMARIES, Points, matrix_profile

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
        if (matrix, full_range) == (0, 1) and (profile := code_point_profile(primaries, transfer)):
            return profile
    if b"iCCP" in chunks:
        return read_profile(chunks[b"iCCP"])
    if b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    gamma = int.from_bytes(chunks[b"gAMA"]) / 100_000
    is_srgb = b"cHRM" not in chunks and abs(2.2 * gamma - 1) < _GAMMA_TOLERANCE
    if is_srgb or not _GAMMA_BOUNDS[0] <= gamma <= _GAMMA_BOUNDS[1]:
        return None
    return matrix_profile(_points_of(chunks.get(b"cHRM")) or SRGB_PRIMARIES, (1 / gamma,))


def _points_of(content: memoryview | None) -> Points | None:
    """Return the primaries and the white point of a cHRM chunk; None if they span no colors."""
    if content is None:
        return None
    values = [value / 100_000 for value in struct.unpack(">8I", content)]
    white, red, green, blue = zip(values[::2], values[1::2], strict=True)
    points = (red, green, blue, white)
    area = np.linalg.det([[x, y, 1] for x, y in points[:3]])
    return points if abs(area) > 1e-3 and min(y for _, y in points) > 1e-3 else None  # noqa: PLR2004 - sRGB has 0.11
