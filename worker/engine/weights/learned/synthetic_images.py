"""Pictures made of nothing but a random generator: they teach filters what a few photos do not show.

Photos alone leave filters that a painting's hard edges, even colours and restless strokes excite far out of
proportion, and then those few filters are all that a Gram matrix sees.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Canvas = NDArray[np.float64]
"""(side, side, 3): RGB, 0..255."""

SATURATION: Final = 0.35
"""Of 1, that of colours drawn evenly from RGB: the mean of photos and paintings. With louder colours the filters
would take colour for common and pay it no heed."""


def leaves(side: int, rng: np.random.Generator, count: int = 400) -> Image.Image:
    """Overlapping ellipses of every size, which have the edges and the scales of photos.

    The dead leaves model: Lee, Mumford, Huang, "Occlusion models for natural images", IJCV 2001.
    """
    canvas, palette = np.zeros((side, side, 3)), _palette(rng)
    for age in np.linspace(1, 0, count):  # the oldest are large; the young are small and lie on top
        radius = (3 + 0.4 * side * age**3) * rng.uniform(0.5, 1.5)
        stretch = rng.uniform(1, 2)
        color = palette[rng.integers(len(palette))] + _shade(rng, 20)
        _ellipse(canvas, rng.uniform(0, side, 2), rng.uniform(0, np.pi), (radius * stretch, radius / stretch), color)
    return _image(canvas)


def strokes(side: int, rng: np.random.Generator, count: int = 1500) -> Image.Image:
    """Thin strokes that follow a swirling field of directions, in regions of like colour: a painting's surface."""
    palette = _palette(rng)
    canvas = np.full((side, side, 3), palette[0])
    swirl, region = _waves(rng), _waves(rng)
    for _ in range(count):
        center = rng.uniform(0, side, 2)
        angle = 0.7 * np.pi * swirl(center / side)
        place = (region(center / side) + 2 + rng.normal(0, 0.6)) / 4
        width = rng.uniform(1.2, 4)
        color = palette[int(place * len(palette)) % len(palette)] + _shade(rng, 25)
        _ellipse(canvas, center, angle, (width * rng.uniform(3, 7), width), color)
    return _image(canvas)


def _waves(rng: np.random.Generator) -> Callable[[Canvas], float]:
    """A smooth random field over the unit square, in [-2, 2]: one sine down and one across."""
    frequency, phase = rng.uniform(0.5, 2, 2), rng.uniform(0, 2 * np.pi, 2)
    return lambda at: float(np.sin(2 * np.pi * frequency * at + phase).sum())


def _palette(rng: np.random.Generator) -> Canvas:
    colors = rng.uniform(0, 255, (6, 3))
    gray = colors.mean(1, keepdims=True)
    calmer: Canvas = gray + SATURATION * (colors - gray)
    return calmer


def _shade(rng: np.random.Generator, spread: float) -> Canvas:
    """A little lighter or darker, and a little off in hue."""
    shade: Canvas = rng.normal(0, spread) + rng.normal(0, spread / 6, 3)
    return shade


def _ellipse(canvas: Canvas, center: Canvas, angle: float, axes: tuple[float, float], color: Canvas) -> None:
    """Filled; `axes` are half its length and half its width. Only the box around it is looked at."""
    (length, width), reach = axes, max(axes)
    top, left = np.maximum(center - reach, 0).astype(int)
    bottom, right = (center + reach + 1).astype(int)
    box = canvas[top:bottom, left:right]
    y, x = np.mgrid[top : top + box.shape[0], left : left + box.shape[1]]
    y, x = y - center[0], x - center[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    box[(along / length) ** 2 + (across / width) ** 2 < 1] = color


def _image(canvas: Canvas) -> Image.Image:
    """Slightly blurred, as a lens would, so that edges are not all of one pixel."""
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))
