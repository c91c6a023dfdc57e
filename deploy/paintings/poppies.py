"""A field of poppies in summer."""

from typing import Final

import numpy as np

from deploy.paintings.sketch import Paint, Sketch, X, Y, at, bump, eddied
from deploy.paintings.strokes import Scene

_SUMMER: Final = {
    "sky": Paint("3a7fb0 56a4c4 86c4cc b8dcd0 ecdcb8 f8cc98 fae4c0 fff6e4", 0.08, "cloud", 0.1),
    "cloud": Paint("8c84b4 b49cc0 dcb4bc f4c8b4 fbe2c8 fffaf0", 0.1, "sky", 0.12),
    "hill": Paint("2c3470 48549a 6c7ab4 94a0c8 c0b8cc", 0.1, "sky", 0.12),
    "tree": Paint("0c1e24 16382c 2a5a34 54803c 92a848 d0c860", 0.15, "hill", 0.1),
    "wheat": Paint("6c3c10 a8641a d89424 f2bc3c f9da70 fff2b8", 0.13, "grass", 0.1),
    "grass": Paint("10301e 24542a 4a7c30 86a43c c0c458 ece48c", 0.15, "wheat", 0.15),
    "poppy": Paint("5c0614 980c18 d01c14 ee3c18 fa7030 fdb060", 0.12, "poppy", 0.0),
    "house": Paint("7a4a5c b08484 e4c8b0 fff0dc", 0.1, "cloud", 0.1),
}
_TREES: Final = (  # x, y, radius, height by width
    *((0.06, 0.29, 0.06, 1.2), (0.15, 0.30, 0.045, 1.0), (0.24, 0.31, 0.030, 1.0), (0.40, 0.318, 0.018, 1.0)),
    *((0.47, 0.32, 0.014, 1.0), (0.78, 0.31, 0.025, 1.0), (0.86, 0.29, 0.045, 1.4), (0.94, 0.27, 0.06, 1.5)),
)
_FLOWERS: Final = (  # paint, how many, size, tones from the shaded petal to the lit one
    ("hill", 260, 0.5, (0.1, 0.4, 0.7)),
    ("cloud", 200, 0.45, (0.6, 0.9, 1.0)),
    ("poppy", 800, 1.0, (0.2, 0.5, 0.75)),
)
_SUN: Final = (0.62, 0.235)
_FAR: Final = 0.3  # depth of the field beyond which the rows show, not the blades


def compose(rng: np.random.Generator) -> Scene:
    """The sun goes down behind a field of wheat and flowers."""
    s = Sketch(_SUMMER, rng)
    _summer_sky(s)
    for k, (base, swell) in enumerate(((0.26, 0.035), (0.29, 0.02))):
        into = Y - base - swell * np.sin((6 + 3 * k) * X + 2 * k)
        s.fill(into, "hill", 0.75 - 0.35 * k - 3 * into, 0.3 * np.cos(6 * X + k), 0.7)
    _field(s)
    for x, y, radius, tall in _TREES:
        dx, dy = (X - x) / radius, (Y - y) / radius / tall
        light = 0.4 - 0.3 * (dy + dx * np.sign(x - _SUN[0])) + 0.2 * s.clouds(50)
        crown = 1 + 0.22 * s.clouds(26) - np.hypot(dx, dy)
        s.fill(crown, "tree", light, np.arctan2(dx, -dy) + 1.3 * s.clouds(34), 0.5)
    _cottage(s, 0.315)
    for flower in _FLOWERS:
        _sow(s, *flower)
    return s.scene()


def _summer_sky(s: Sketch) -> None:
    wind = -0.15 + 0.35 * np.sin(5 * X + 1) + 0.3 * np.sin(9 * X - 14 * Y)
    wind = eddied(wind, ((0.3, 0.12, 0.12, 2.5, 0.2), (0.72, 0.08, 0.1, -2.5, 0.2)))
    bands = s.streaks(wind, 18, reach=0.25)
    s.fill(Y, "sky", 0.1 + 2.2 * Y + 0.08 * bands, wind)
    s.fill(bands + s.clouds(5, 4) - 0.55, "cloud", 0.55 + 0.2 * bands - 0.3 * s.clouds(12), wind)
    sun, around = np.hypot(X - _SUN[0], Y - _SUN[1]), np.arctan2(X - _SUN[0], _SUN[1] - Y)
    s.fill(0.13 + 0.03 * bands - sun, "sky", 0.62 + 0.5 * bump(sun, 0.09), around)
    s.fill(0.035 - sun, "wheat", 0.95, around, 0.6)


def _field(s: Sketch) -> None:
    into = Y - 0.325 - 0.006 * np.sin(12 * X)
    depth = (into / 0.475).clip(0, 1)  # 0 at the horizon, 1 at the painter's feet
    row = (X - _SUN[0]) / (0.05 + depth) + 0.25 * np.sin(5 * depth)
    blades = -1.45 + 0.35 * np.sin(8 * X + 5 * Y) + 0.2 * s.clouds(20)
    lean = np.where(depth < _FAR, np.arctan2(0.5, 1.2 * (X - _SUN[0])), blades)
    ripe = 0.62 + 0.25 * np.sin(9 * row) + 0.25 * s.clouds(30) - 0.2 * depth
    s.fill(into, "wheat", ripe, lean, 0.4 + 0.75 * depth)
    green = np.sin(4.5 * row + 0.8) + 0.9 * s.clouds(10, 8) + 1.2 * depth - 0.75
    s.fill(np.minimum(into, green), "grass", 0.5 + 0.35 * s.clouds(36, 30) - 0.3 * depth, lean, 0.4 + 0.75 * depth)


def _cottage(s: Sketch, x: float) -> None:
    side = np.abs(X - x)
    s.fill(np.minimum(0.028 - side, 0.016 - np.abs(Y - 0.312)), "house", 0.8 + 5 * (X - x), np.pi / 2, 0.4)
    s.fill(np.minimum(1.1 * (Y - 0.262) - side, 0.297 - Y), "poppy", 0.45 + 8 * (X - x), 0.5, 0.4)
    openings = np.array([(x - 0.014, 0.311), (x + 0.01, 0.316), (x + 0.01, 0.32)])
    s.dab("hill", openings, (0.009, 0.014), 0.1, turn=np.pi / 2)


def _sow(s: Sketch, kind: str, count: int, size: float, tones: tuple[float, ...]) -> None:
    depth = np.sort(s.rng.random(count) ** 1.3)  # the near ones cover the far ones
    x, y = s.rng.uniform(-0.02, 1.02, count), 0.36 + 0.46 * depth
    grows = at(s.clouds(8, 14), x, y) + s.rng.normal(0, 0.2, count) > 0
    x, y, depth = x[grows], y[grows], depth[grows]
    width = size * (0.006 + 0.024 * depth) * s.rng.uniform(0.6, 1.3, len(x))
    for tone, lift in zip(tones, (0.3, 0, -0.3), strict=True):
        petals = np.stack([x + s.rng.normal(0, 0.3, len(x)) * width, y + lift * width], axis=-1)
        s.dab(kind, petals, (0.75 * width, 1.25 * width), tone, turn=s.rng.uniform(-0.8, 0.8, len(x)))
