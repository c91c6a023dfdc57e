"""Composing a Scene: a sheet on which areas are filled and dabs set, and the fields to fill them with.

Every shape is a map that is positive inside. Coordinates X and Y are in units of the longest side, y downwards.
"""

from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from deploy.paintings.strokes import Dabs, Floats, Scene

COLUMNS: Final = 640
ROWS: Final = 512
Y, X = (np.mgrid[:ROWS, :COLUMNS] + 0.5) / COLUMNS

Number = TypeVar("Number", bound=np.number[Any])
_SMEAR: Final = 12  # steps of a streak, each way


class Paint(NamedTuple):
    """What one kind of area is painted with."""

    colours: str  # sRGB in hexadecimal, dark to light
    spread: float  # standard deviation of tone between neighbouring strokes
    stray: str  # this other paint ...
    share: float  # ... takes the place of this share of the strokes


class Sketch:
    """The maps of a Scene while it is composed; each fill lies on top of the earlier ones."""

    def __init__(self, paints: dict[str, Paint], rng: np.random.Generator) -> None:
        """Begin with an empty sheet."""
        self.rng = rng
        self._paints, self._names = paints, list(paints)
        self._region = np.zeros((ROWS, COLUMNS), np.intp)
        self._tone, self._angle, self._brush = (np.zeros((ROWS, COLUMNS)) for _ in range(3))
        self._dabs: list[Dabs] = []

    def fill(self, shape: Floats, paint: str, tone: ArrayLike, angle: ArrayLike, brush: ArrayLike = 1.0) -> None:
        """Give the area where `shape` is positive its paint, tone, direction and size of brush."""
        inside = shape > 0
        self._region = np.where(inside, self._names.index(paint), self._region)
        self._tone = np.where(inside, tone, self._tone)
        self._angle = np.where(inside, angle, self._angle)
        self._brush = np.where(inside, brush, self._brush)

    def dab(
        self,
        paint: str,
        spots: Floats,
        size: tuple[ArrayLike, ArrayLike],
        tone: ArrayLike,
        *,
        turn: ArrayLike = 0.0,
        on: str = "",
    ) -> None:
        """Set touches at `spots` (n, 2), `size` (width, length), `turn` radians; with `on`, only where it lies now."""
        width, length, tone, angle = (np.broadcast_to(a, len(spots)) for a in (*size, tone, turn))
        under = at(self._region, spots[:, 0], spots[:, 1])
        some = under == self._names.index(on) if on else under >= 0
        index = self._names.index(paint)
        self._dabs.append(Dabs(spots[some], width[some], length[some], index, tone[some], angle[some]))

    def clouds(self, across: int, down: int | None = None) -> Floats:
        """Smooth noise, about [-1, 1], with `across` by `down` bumps."""
        bumps = Image.fromarray(self.rng.uniform(-1, 1, (down or across, across)).astype(np.float32))
        return np.asarray(bumps.resize((COLUMNS, ROWS), Image.Resampling.BICUBIC))

    def streaks(self, angle: Floats, across: int, down: int | None = None, *, reach: float) -> Floats:
        """Noise drawn out along a field over `reach`, mean 0, deviation 1 (Cabral and Leedom, SIGGRAPH 1993)."""
        noise = self.clouds(across, down)
        total = noise.copy()
        for step in (-reach / 2 / _SMEAR, reach / 2 / _SMEAR):
            x, y = X, Y
            for _ in range(_SMEAR):
                way = at(angle, x, y)
                x, y = x + step * np.cos(way), y + step * np.sin(way)
                total += at(noise, x, y)
        standard: Floats = (total - total.mean()) / total.std()
        return standard

    def scene(self) -> Scene:
        """What was composed so far."""
        paints = self._paints.values()
        return Scene(
            region=self._region,
            tone=self._tone,
            angle=self._angle,
            brush=self._brush,
            palettes=tuple(_palette(paint.colours) for paint in paints),
            spread=np.array([paint.spread for paint in paints]),
            stray=np.array([self._names.index(paint.stray) for paint in paints]),
            share=np.array([paint.share for paint in paints]),
            dabs=tuple(self._dabs),
        )


def at(field: NDArray[Number], x: Floats, y: Floats) -> NDArray[Number]:
    """The values of a map at places, those of its border outside."""
    row, column = (y * COLUMNS).astype(np.intp), (x * COLUMNS).astype(np.intp)
    there: NDArray[Number] = field[row.clip(0, ROWS - 1), column.clip(0, COLUMNS - 1)]
    return there


def bump(distance: Floats, reach: float) -> Floats:
    """1 at distance 0, falling to nothing beyond `reach`."""
    near: Floats = np.exp(-((distance / reach) ** 2))
    return near


def slope(height: Floats) -> Floats:
    """The direction in which a brush follows the contour lines of `height`, to the right where it grows downwards."""
    down, right = np.gradient(height)
    along: Floats = np.arctan2(-right, down)
    return along


def eddied(angle: Floats, eddies: tuple[tuple[float, ...], ...]) -> Floats:
    """The field with eddies stirred in, each (x, y, reach, strength, inward); clockwise where strength is above 0."""
    u, v = np.cos(angle), np.sin(angle)
    for x, y, reach, strength, inward in eddies:
        dx, dy = X - x, Y - y
        r = np.hypot(dx, dy) + 1e-4
        pull = abs(strength) * bump(r, reach) / r
        sense = np.sign(strength)
        u, v = u + pull * (-sense * dy - inward * dx), v + pull * (sense * dx - inward * dy)
    stirred: Floats = np.arctan2(v, u)
    return stirred


def _palette(colours: str) -> Floats:
    return np.array([list(bytes.fromhex(colour)) for colour in colours.split()]) / 255
