"""A wave before a low sun."""

from typing import Final

import numpy as np

from deploy.paintings.sketch import Paint, Sketch, X, Y, at, bump, eddied, slope
from deploy.paintings.strokes import Scene

_STORM: Final = {
    "sky": Paint("3a0c2c 7a1834 b8302c e05a24 f48a2c fbb84c fde08c fff4cc", 0.1, "dusk", 0.1),
    "dusk": Paint("1a1030 3a1e50 5c3468 8c5074 c47c78 eeb088", 0.12, "sky", 0.15),
    "sun": Paint("f4601c f88c28 fcb840 fee48c fffbe4", 0.12, "sun", 0.0),
    "sea": Paint("020c18 04222e 083c48 0c5c64 1c8484 50b09c a4dcb8 e8f6dc", 0.12, "dusk", 0.08),
    "foam": Paint("5c94a8 98c4c4 cfe4d8 f2f6e8 ffffff", 0.16, "sky", 0.06),
}
_GLOW: Final = (0.21, 0.31)


def compose(rng: np.random.Generator) -> Scene:
    """Fire above, cold water below."""
    s = Sketch(_STORM, rng)
    _burning_sky(s)
    swell = 0.05 + 0.10 * np.cos(9 * X + 6 * Y)
    rollers = s.streaks(swell, 14, 26, reach=0.2)
    s.fill(Y - 0.42, "sea", 0.33 + 0.17 * rollers + 0.25 * bump(Y - 0.42, 0.04), swell, 0.8)
    _glitter(s, 150)
    _breaker(s)
    return s.scene()


def _glitter(s: Sketch, count: int) -> None:
    down = 0.26 * s.rng.random(count)
    across = _GLOW[0] + s.rng.normal(0, 0.025, count) + s.rng.normal(0, 0.18, count) * down
    size = 0.005 + 0.022 * down, 0.02 + 0.1 * down
    s.dab("sun", np.stack([across, 0.425 + down], axis=-1), size, s.rng.uniform(0.1, 0.9, count), on="sea")


def _burning_sky(s: Sketch) -> None:
    wind = 0.2 * np.sin(6 * X + 4 * Y) + 0.25 * np.sin(3 * X - 8 * Y)
    wind = eddied(wind, ((_GLOW[0], 0.28, 0.2, 5, 0), (0.5, 0.1, 0.1, -2.5, 0.3), (0.88, 0.12, 0.1, 2.5, 0.3)))
    bands = s.streaks(wind, 16, reach=0.35)
    sun = np.hypot(X - _GLOW[0], Y - _GLOW[1])
    s.fill(Y, "sky", 0.35 + 0.14 * bands + 0.5 * bump(sun, 0.2), wind)
    s.fill(bands - 3 * bump(sun, 0.18) + s.clouds(4) + 0.5 - 3 * Y, "dusk", 0.4 + 0.2 * bands, wind)
    s.fill(0.07 - sun, "sun", 0.95 - 5 * sun, np.arctan2(X - _GLOW[0], _GLOW[1] - Y), 0.7)


def _breaker(s: Sketch) -> None:
    high = (0.72 - Y).clip(0, 1)
    lean = X - 0.58 + 2.3 * (high - 0.1).clip(0, 1) ** 2 - 0.2 * high  # the crest runs ahead of its foot: it overhangs
    into = Y - 0.72 + 0.5 * np.where(lean < 0, np.exp(-(np.abs(lean / 0.17) ** 3)), bump(lean, 0.62))
    into += 0.012 * s.clouds(16) * (high > 0)
    face = slope(into)
    lace = s.streaks(face, 30, reach=0.3)
    s.fill(into, "sea", np.maximum(0.8 - 2 * into, 0.25) + 0.17 * lace + 0.1 * s.clouds(6), face)
    lip = np.minimum(0.03 + 0.36 * high**2 + 0.06 * s.clouds(26) - into, 0.12 - lean)
    s.fill(np.minimum(into, lip), "foam", 0.65 + 0.3 * s.clouds(40), face, 0.6)
    torn = np.minimum(lace + 0.8 * s.clouds(7) - 1.15, into - 0.05)
    s.fill(torn, "foam", 0.15 + 0.3 * s.clouds(40), face, 0.6)
    spots = s.rng.uniform((0.15, 0.05), (0.65, 0.5), (6000, 2))
    spray = spots[s.rng.random(6000) < 0.25 * np.exp(at(into, spots[:, 0], spots[:, 1]) / 0.02)]
    s.dab("foam", spray, (0.004 + 0.005 * s.rng.random(len(spray)), 0.011), 0.85, on="sky")
