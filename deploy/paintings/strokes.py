"""Oil on canvas: curved, tapered strokes of bristly paint, laid from large brushes to small, then lit.

Strokes of several sizes that bend with a field: Hertzmann, Painterly Rendering with Curved Brush Strokes of Multiple
Sizes, SIGGRAPH 1998. Strokes that stop at edges: Litwinowicz, Processing Images and Video for an Impressionist Effect,
SIGGRAPH 1997. Here no photo is painted over: a Scene says what goes where. Lengths are in units of the longest side.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

_KNOTS: Final = 13  # points on a stroke's path
_DENSITY: Final = 1.4  # samples per canvas pixel, along and across: a bent stroke must have no holes
_CHUNK: Final = 1_000_000  # samples rasterised at once: bounds the memory
_WEAVE: Final = 170  # threads of the canvas along the longest side


@dataclass(frozen=True)
class Dabs:
    """Single touches of the brush at chosen places, laid in this order."""

    where: Floats  # (n, 2) x, y
    width: Floats  # (n,)
    length: Floats  # (n,)
    palette: int
    tone: Floats  # (n,)
    angle: Floats  # (n,) radians, y downwards


@dataclass(frozen=True)
class Scene:
    """What a painter decides before the first stroke; the maps (rows, columns) may be coarser than the canvas."""

    region: Ints  # which palette is used here
    tone: Floats  # 0 the palette's darkest, 1 its lightest
    angle: Floats  # where the brush moves, radians, y downwards
    brush: Floats  # size of the brushes here; 1 is a layer's own
    palettes: tuple[Floats, ...]  # each (colours, 3), sRGB in [0, 1], dark to light
    spread: Floats  # (palettes,) standard deviation of tone between neighbouring strokes
    stray: Ints  # (palettes,) the palette that some strokes are taken from instead ...
    share: Floats  # (palettes,) ... and how many
    dabs: tuple[Dabs, ...]  # on top of it all

    def at(self, points: Floats) -> tuple[Ints, Ints]:
        """Rows and columns of the maps under `points` (..., 2); outside, those of the nearest border."""
        rows, columns = self.region.shape
        cells = (points * max(rows, columns)).astype(np.intp)
        return cells[..., 1].clip(0, rows - 1), cells[..., 0].clip(0, columns - 1)


@dataclass(frozen=True)
class Strokes:
    """Strokes in the order they are laid."""

    path: Floats  # (n, _KNOTS, 2)
    width: Floats  # (n,)
    palette: Ints  # (n,)
    tone: Floats  # (n,)
    first: Floats  # (n,) where on its path the paint begins, in [0, 0.5] ...
    last: Floats  # (n,) ... and ends, in [0.5, 1]


class Canvas:
    """Which palette, how light and how thick the paint is, at each pixel."""

    def __init__(self, scene: Scene, longest: int, rng: np.random.Generator) -> None:
        """Prime a woven canvas with the scene's own tones, a little darker. `rng` is for the bristles."""
        rows, columns = scene.region.shape
        self._scale, self._scene, self._rng = longest, scene, rng
        self._shape = round(longest * rows / max(rows, columns)), round(longest * columns / max(rows, columns))
        down, right = np.mgrid[: self._shape[0], : self._shape[1]].reshape(2, -1) / longest
        here = scene.at(np.stack([right, down], axis=-1))
        self._palette = scene.region[here].astype(np.uint8)
        self._tone = scene.tone[here].astype(np.float32) - np.float32(0.1)
        weave = np.sin(2 * np.pi * _WEAVE * right) * np.sin(2 * np.pi * _WEAVE * down)
        self._height = (0.025 * weave).astype(np.float32)

    def lay(self, strokes: Strokes) -> None:
        """Paint `strokes` over what is there: opaque, the last one on top."""
        if not len(strokes.width):
            return
        reach = np.linalg.norm(np.diff(strokes.path, axis=1), axis=-1).sum(axis=1).max()
        along = 2 + int(reach * self._scale * _DENSITY)
        across = 3 + int(strokes.width.max() * self._scale * _DENSITY)
        hairs = 3 + int(strokes.width.max() * 400)
        bristles = self._rng.normal(0, 0.6, (2, len(strokes.width), 1, hairs)).astype(np.float32)
        size = max(1, _CHUNK // (along * across))
        for start in range(0, len(strokes.width), size):
            part = slice(start, start + size)
            self._drag(strokes, part, _between(bristles[:, part], np.linspace(0, 1, across, dtype=np.float32)), along)

    def _drag(self, strokes: Strokes, part: slice, bristles: Floats, along: int) -> None:
        """Sample the strokes of `part` on a grid along and across each, and drop the paint on the pixels below."""
        first, last, width = (a[part, None] for a in (strokes.first, strokes.last, strokes.width))
        u = np.linspace(0, 1, along, dtype=np.float32)
        v = np.linspace(-1, 1, bristles.shape[-1], dtype=np.float32)
        gone = ((u - first) / np.maximum(last - first, 1e-3)).clip(0, 1)  # share of the stroke's paint that is used up
        half = width / 2 * np.sqrt(np.minimum(9 * gone, 1) * (1 - gone**4))
        paint = bristles[0] * (1 - gone[..., None]) + bristles[1] * gone[..., None]
        centre, normal = _ribbon(strokes.path[part], u)
        spot = centre[:, :, None] + normal[:, :, None] * (half[..., None] * v)[..., None]
        pixel = np.floor(spot * self._scale).astype(np.intp)
        wet = ((u >= first) & (u <= last))[..., None] & (paint > 1.5 * gone[..., None] ** 3 - 1.25)
        wet &= (pixel >= 0).all(axis=-1) & (pixel[..., 0] < self._shape[1]) & (pixel[..., 1] < self._shape[0])
        flat = (pixel[..., 1] * self._shape[1] + pixel[..., 0])[wet]
        ridge = np.exp(-(((np.abs(v) - 0.8) / 0.2) ** 2))  # paint pushed aside by the brush
        body = (1 + 0.45 * paint + 0.5 * ridge) * np.sqrt(width[..., None])
        # Repeated pixels in one assignment: the last one stays, as on a real canvas.
        self._palette[flat] = np.broadcast_to(strokes.palette[part, None, None], wet.shape)[wet]
        self._tone[flat] = (strokes.tone[part, None, None] + 0.06 * paint)[wet]
        self._height[flat] = 0.4 * self._height[flat] + body[wet]

    def picture(self, longest: int) -> Image.Image:
        """Mix the colours, light the relief from the top left, and reduce to `longest` pixels."""
        colour = np.zeros((len(self._tone), 3), np.float32)
        for index, palette in enumerate(self._scene.palettes):
            mine = self._palette == index
            colour[mine] = _between(palette.T, self._tone[mine].clip(0, 1)).T
        relief = self._height.reshape(self._shape) * np.float32(self._scale / 60)
        down, right = np.gradient(relief)
        slope = (down + right).reshape(-1, 1)
        gloss = np.minimum(np.maximum(slope - 0.35, 0) ** 2, 1)
        lit = colour * (1 + 0.28 * np.tanh(slope)) + 0.14 * gloss
        pixels = (lit.clip(0, 1) * 255).astype(np.uint8).reshape(*self._shape, 3)
        height, width = (round(side * longest / self._scale) for side in self._shape)
        return Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)


def scattered(scene: Scene, width: float, length: float, cover: float, rng: np.random.Generator) -> Strokes:
    """A layer of strokes that covers the canvas `cover` times; they follow the scene and stop where a region ends."""
    sides = np.array(scene.region.shape[::-1]) / max(scene.region.shape) + 2 * width
    finest = scene.brush.min()
    start = rng.random((int(cover * sides.prod() / (width * length * finest**2)), 2)) * sides - width
    start = start[rng.random(len(start)) < (finest / scene.brush[scene.at(start)]) ** 2]
    here, count = scene.at(start), len(start)
    home, size = scene.region[here], scene.brush[here]
    path = _walk(scene, start, length * size * rng.uniform(0.6, 1.3, count), rng.normal(0, 0.12, count))
    first, last = _extent(scene.region[scene.at(path)] == home[:, None])
    palette = np.where(rng.random(count) < scene.share[home], scene.stray[home], home)
    tone = scene.tone[here] + scene.spread[home] * rng.normal(0, 1, count)
    return Strokes(path, width * size * rng.uniform(0.7, 1.2, count), palette, tone, first, last)


def touched(scene: Scene, dabs: Dabs, rng: np.random.Generator) -> Strokes:
    """The strokes of `dabs`, each whole, wherever it lies."""
    count = len(dabs.where)
    turn = dabs.angle - scene.angle[scene.at(dabs.where)] + rng.normal(0, 0.15, count)
    path, start = _walk(scene, dabs.where, dabs.length, turn), np.zeros(count)
    tone = dabs.tone + rng.normal(0, 0.08, count)
    return Strokes(path, dabs.width, np.full(count, dabs.palette), tone, start, start + 1)


def _between(values: Floats, spot: Floats) -> Floats:
    """`values` (..., k), evenly spaced over [0, 1], read at `spot` (n,): (..., n)."""
    place = spot * (values.shape[-1] - 1)
    low = np.minimum(place.astype(np.intp), values.shape[-1] - 2)
    share = place - low
    read: Floats = values[..., low] * (1 - share) + values[..., low + 1] * share
    return read.astype(np.float32)


def _walk(scene: Scene, start: Floats, length: Floats, turn: Floats) -> Floats:
    """Paths (n, _KNOTS, 2) through `start` along the field turned by `turn`: half the way back, half the way on."""
    halves = []
    for sign in (-1, 1):
        points = [start]
        for _ in range(_KNOTS // 2):
            angle = scene.angle[scene.at(points[-1])] + turn
            step = sign * (length / (_KNOTS - 1))[:, None]
            points.append(points[-1] + step * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
        halves.append(points)
    return np.stack(halves[0][:0:-1] + halves[1], axis=1).astype(np.float32)


def _extent(home: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Where each path enters and leaves its own region, seen from its middle, as shares of the path."""
    middle = _KNOTS // 2
    back = np.cumprod(home[:, middle::-1], axis=1).sum(axis=1) - 1
    on = np.cumprod(home[:, middle:], axis=1).sum(axis=1) - 1
    return (middle - back) / (_KNOTS - 1), (middle + on) / (_KNOTS - 1)


def _ribbon(path: Floats, u: Floats) -> tuple[Floats, Floats]:
    """Points (n, along, 2) at the shares `u` of each path, and the unit normals there."""
    ahead = np.gradient(path, axis=1)
    centre, heading = (np.moveaxis(_between(np.moveaxis(a, 1, -1), u), 1, -1) for a in (path, ahead))
    heading = heading / np.maximum(np.linalg.norm(heading, axis=-1, keepdims=True), 1e-9)
    return centre, np.stack([-heading[..., 1], heading[..., 0]], axis=-1)
