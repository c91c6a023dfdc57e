"""A moon and stars over a lake."""

from typing import Final

import numpy as np

from deploy.paintings.sketch import Paint, Sketch, X, Y, bump, eddied, slope
from deploy.paintings.strokes import Scene

_NIGHT: Final = {
    "sky": Paint("050824 0b1650 142f8c 1d50b4 3a7ccb 72abd8 b4d6e4 e9efcf", 0.12, "lake", 0.08),
    "halo": Paint("1d50b4 3f86c8 78b4cc b9d7ae e6de78 f8cf34 fbdf70 fff6cf", 0.09, "sky", 0.06),
    "moon": Paint("d87812 f09c18 f8c030 fde07a fffbe0", 0.14, "halo", 0.08),
    "hill": Paint("040716 0a1434 12295c 1d4a82 3a7094 74a6a8", 0.12, "sky", 0.15),
    "roof": Paint("06070f 141a34 3a2a3c 7a3a30 b86a44", 0.14, "hill", 0.15),
    "lake": Paint("040824 08194e 0f3478 165a98 3490b4 84c6cc", 0.12, "sky", 0.15),
    "bank": Paint("02040a 08120f 0e241a 1e4224 486c2c 98a040", 0.16, "hill", 0.12),
}
_STARS: Final = (  # x, y, radius of the disc, reach of the halo; the first is the moon
    *((0.205, 0.165, 0.050, 0.135), (0.435, 0.075, 0.011, 0.042), (0.610, 0.150, 0.018, 0.070)),
    *((0.755, 0.060, 0.010, 0.038), (0.905, 0.150, 0.016, 0.060), (0.035, 0.045, 0.010, 0.035)),
    *((0.050, 0.335, 0.011, 0.045), (0.675, 0.330, 0.013, 0.055), (0.360, 0.375, 0.008, 0.030)),
    *((0.535, 0.040, 0.007, 0.024), (0.985, 0.040, 0.007, 0.026), (0.830, 0.370, 0.006, 0.022)),
)
_SWIRLS: Final = ((0.44, 0.25, 0.13, 3.2, 0.35), (0.79, 0.26, 0.085, -3.2, 0.35), (0.19, 0.40, 0.07, -3.2, 0.35))
_WATERLINE: Final = 0.603


def compose(rng: np.random.Generator) -> Scene:
    """The night, and what the lake makes of it."""
    s = Sketch(_NIGHT, rng)
    _night_sky(s)
    for k, (base, swell, light) in enumerate(((0.475, 0.045, 1.0), (0.515, 0.035, 0.75), (0.56, 0.02, 0.5))):
        into = Y - base - swell * np.sin(X * (5 + 2.3 * k) + 1.7 * k + 0.6) - 0.008 * np.sin(31 * X + k)
        s.fill(into, "hill", light - 6 * into + 0.14 * s.clouds(30), slope(into) + 0.4 * np.sin(9 * X + k), 0.8)
    for x in np.sort(rng.uniform(0.02, 0.8, 16)):
        _house(s, x)
    flat = 0.06 * np.sin(30 * X + 50 * Y)
    ripples = s.streaks(flat, 16, 44, reach=0.15)
    s.fill(Y - _WATERLINE - 0.003 * np.sin(20 * X), "lake", 0.36 + 0.17 * ripples, flat, 0.8)
    bank = Y - 0.745 + 0.2 * bump(X - 1.0, 0.2) - 0.02 * np.sin(9 * X)
    s.fill(bank, "bank", 0.3 + 0.28 * s.clouds(40, 14), -1.25 + 0.5 * np.sin(14 * X))
    for x, top, half in ((0.865, 0.30, 0.022), (0.93, 0.2, 0.03), (0.985, 0.33, 0.02)):
        _poplar(s, x, top, half)
    for x, _, _, reach in _STARS:
        _reflection(s, x, reach)
    return s.scene()


def _night_sky(s: Sketch) -> None:
    wind = 0.25 * np.sin(7 * X + 1) + 0.3 * np.sin(4 * X - 9 * Y)
    wind = eddied(wind, (*_SWIRLS, *((x, y, 1.15 * reach, 7, 0) for x, y, _, reach in _STARS)))
    bands = s.streaks(wind, 26, reach=0.3)
    s.fill(Y, "sky", 0.36 + 0.2 * bands + 0.12 * s.clouds(4) + 0.3 * bump(Y - 0.46, 0.06), wind)
    for x, y, radius, reach in _STARS:
        r = np.hypot(X - x, Y - y)
        glow, rings = bump(r, reach), np.where(r > radius, np.sin(210 * r), 0)
        s.fill(glow - 0.2 - 0.06 * bands, "halo", 0.95 * glow + 0.13 * rings, wind, 0.75)
        s.fill(radius - r, "moon", 0.45 + 0.55 * r / radius, wind, 0.6)


def _house(s: Sketch, x: float) -> None:
    half, tall = s.rng.uniform(0.012, 0.022), s.rng.uniform(0.018, 0.03)
    eaves = 0.6 - tall
    wall = np.minimum(half - np.abs(X - x), np.minimum(Y - eaves, _WATERLINE - Y))
    roof = np.minimum(1.4 * half * (Y - eaves + 0.9 * tall) / tall - np.abs(X - x), eaves - Y)
    s.fill(wall, "hill", s.rng.uniform(0.5, 0.9), np.pi / 2, 0.45)
    s.fill(roof, "roof", s.rng.uniform(0.3, 0.9), 0.5, 0.45)
    windows = (x, 0.595) - s.rng.uniform((-0.5, 0.1), (0.5, 0.7), (2, 2)) * (half, tall)
    s.dab("moon", windows, (0.009, 0.01), 0.6, turn=np.pi / 2)


def _poplar(s: Sketch, x: float, top: float, half: float) -> None:
    t = ((Y - top) / (0.62 - top)).clip(0, 1)
    side = (X - x - 0.008 * np.sin(14 * Y)) / half
    edge = np.abs(np.sin(np.pi * t**0.7)) ** 0.7 * (1 + 0.3 * np.sin(60 * Y + 3 * np.sin(90 * Y)))
    upwards = -np.pi / 2 + 0.5 * side + 0.4 * np.sin(40 * Y + 20 * X)
    s.fill(edge - np.abs(side), "bank", 0.25 - 0.2 * side + 0.15 * s.clouds(50, 16), upwards, 0.7)


def _reflection(s: Sketch, x: float, reach: float) -> None:
    n = int(1300 * reach - 10)
    depth = 0.01 + 0.19 * s.rng.random(n) ** (3.8 - 20 * reach)
    off = s.rng.normal(0, 0.26, n) * reach * (0.4 + 4 * depth)
    light = np.exp(-3 * np.abs(off) / reach) * np.sqrt(s.rng.random(n))
    spots = np.stack([x + off, _WATERLINE + depth], axis=-1)
    s.dab("halo", spots, (0.006 + 0.03 * depth, 0.025 + 0.12 * depth), 0.1 + 0.75 * light, on="lake")
