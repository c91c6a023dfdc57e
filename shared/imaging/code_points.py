"""Colors by code points of ITU-T H.273, as ICC profiles: a PNG's cICP, and the nclx of AVIF and HEIC files."""

import struct
from typing import Final

from shared.imaging.matrix_profiles import D65, P3_PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, Curve, Points, matrix_profile

# Tables 2 and 3. Perceptual quantizer and hybrid log-gamma are missing: they are for high dynamic range, which an image
# with 256 levels cannot show.
_PRIMARIES: Final[dict[int, Points]] = {
    1: SRGB_PRIMARIES,
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    12: P3_PRIMARIES,
}
_CURVES: Final[dict[int, Curve]] = {4: (2.2,), 5: (2.8,), 8: (1.0,), 13: SRGB_CURVE}
_BT1886_CURVE: Final = (2.4,)  # the display's side of BT.709
_BT709_TRANSFERS: Final = (1, 6, 14, 15)
_NCLX: Final = b"colrnclx"  # ISO/IEC 14496-12, 12.1.5; then primaries and transfer


def code_point_profile(primaries: int, transfer: int, *, bt709: Curve = _BT1886_CURVE) -> bytes | None:
    """Return the ICC profile of code points, with this curve for those of BT.709; None if one is unknown."""
    curve = bt709 if transfer in _BT709_TRANSFERS else _CURVES.get(transfer)
    return matrix_profile(_PRIMARIES[primaries], curve) if primaries in _PRIMARIES and curve else None


def nclx_profile(data: bytes) -> bytes | None:
    """Return the ICC profile of the first nclx in an AVIF or HEIC file; None for sRGB, or if none is known.

    Chromium takes the curve of BT.709 for that of sRGB here, but not in a PNG.
    """
    at = data.find(_NCLX) + len(_NCLX)
    if at < len(_NCLX) or at + 4 > len(data):
        return None
    profile = code_point_profile(*struct.unpack_from(">HH", data, at), bt709=SRGB_CURVE)
    return None if profile == code_point_profile(1, 13) else profile
