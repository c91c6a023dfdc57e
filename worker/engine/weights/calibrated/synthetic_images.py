"""Random training images for the filters, with structures that a few photos lack.

Filters learned from photos alone respond far too strongly to a painting's hard edges, flat colors and dense brush
strokes, and then these few filters dominate the Gram matrices.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Canvas = NDArray[np.float64]
"""(side, side, 3): RGB, 0..255."""

SATURATION: Final = 0.35
"""Relative to colors drawn uniformly from RGB: the mean of photos and paintings. With stronger colors, color would
be so frequent that the filters ignore it."""


def dead_leaves(side: int, rng: np.random.Generator, count: int = 400) -> Image.Image:
    """Draw overlapping ellipses of every size: their edges and scales have the statistics of photos.

    The model is from Lee, Mumford, Huang, "Occlusion models for natural images", IJCV 2001.
    """
    canvas, palette = np.zeros((side, side, 3)), _palette(rng)
    for age in np.linspace(1, 0, count):  # the oldest are large; the latest are small and on top
        radius = (3 + 0.4 * side * age**3) * rng.uniform(0.5, 1.5)
        stretch = rng.uniform(1, 2)
        color = palette[rng.integers(len(palette))] + _shade(rng, 20)
        _ellipse(canvas, rng.uniform(0, side, 2), rng.uniform(0, np.pi), (radius * stretch, radius / stretch), color)
    return _image(canvas)


def brush_strokes(side: int, rng: np.random.Generator, count: int = 1500) -> Image.Image:
    """Draw thin strokes that follow a smooth random field of directions, in regions of similar color."""
    palette = _palette(rng)
    canvas = np.full((side, side, 3), palette[0])
    direction, region = _random_field(rng), _random_field(rng)
    for _ in range(count):
        center = rng.uniform(0, side, 2)
        angle = 0.7 * np.pi * direction(center / side)
        place = (region(center / side) + 2 + rng.normal(0, 0.6)) / 4
        width = rng.uniform(1.2, 4)
        color = palette[int(place * len(palette)) % len(palette)] + _shade(rng, 25)
        _ellipse(canvas, center, angle, (width * rng.uniform(3, 7), width), color)
    return _image(canvas)


def _random_field(rng: np.random.Generator) -> Callable[[Canvas], float]:
    """Return a smooth field over the unit square, in [-2, 2]: the sum of a vertical and a horizontal sine."""
    frequency, phase = rng.uniform(0.5, 2, 2), rng.uniform(0, 2 * np.pi, 2)
    return lambda point: float(np.sin(2 * np.pi * frequency * point + phase).sum())


def _palette(rng: np.random.Generator) -> Canvas:
    colors = rng.uniform(0, 255, (6, 3))
    gray = colors.mean(1, keepdims=True)
    desaturated: Canvas = gray + SATURATION * (colors - gray)
    return desaturated


def _shade(rng: np.random.Generator, spread: float) -> Canvas:
    """Return a random offset in brightness, and a smaller one in hue."""
    shade: Canvas = rng.normal(0, spread) + rng.normal(0, spread / 6, 3)
    return shade


def _ellipse(canvas: Canvas, center: Canvas, angle: float, axes: tuple[float, float], color: Canvas) -> None:
    """Draw a filled ellipse; `axes` are half its length and half its width. Only its bounding box is touched."""
    (length, width), reach = axes, max(axes)
    top, left = np.maximum(center - reach, 0).astype(int)
    bottom, right = (center + reach + 1).astype(int)
    box = canvas[top:bottom, left:right]
    y, x = np.mgrid[top : top + box.shape[0], left : left + box.shape[1]]
    y, x = y - center[0], x - center[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    box[(along / length) ** 2 + (across / width) ** 2 < 1] = color


def _image(canvas: Canvas) -> Image.Image:
    """Convert with a slight blur, like a lens's, so that edges are wider than one pixel."""
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))
