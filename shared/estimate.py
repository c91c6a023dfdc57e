"""What a job will cost before it has run: the arithmetic is known, the machine's speed is measured."""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from shared.recipe import LBFGS, Recipe, resized

DEFAULT_PIXELS_PER_SECOND: Final = 100_000.0
"""Pixels whose loss and gradient two cores evaluate in a second, until a worker has measured its own."""
START_SECONDS: Final = 15.0
"""TensorFlow's import, the weights, tracing: once per job on a cold worker."""

# Peak resident memory of a worker's process that has met as many sizes before as it keeps, an upper bound of what
# `benchmarks.engine.peak` measured from 64 to 1024 pixels on two Intel Xeon cores with TensorFlow 2.21 for CPU.
_BASE_BYTES: Final = 1600 * 2**20  # Python, TensorFlow, VGG19 in two forms, steps of six shapes
_BYTES_PER_STAGE: Final = 100 * 2**20  # the step of one more shape
_BYTES_PER_PIXEL: Final = 1800  # of the painting: activations forward and back, and what the allocator wastes
_BYTES_PER_STYLE_PIXEL: Final = 680  # at the style's size: one layer at a time, and none of the painting's then
_BYTES_PER_INPUT_PIXEL: Final = 34  # of the largest upload, while it is scaled
_BYTES_PER_UPLOAD_PIXEL: Final = 3  # of all uploads
_IMAGES: Final = 4  # that either optimiser keeps; L-BFGS two more for each pair of its history
_COPIES_OF_STATE: Final = 5  # the one in use, and those on its way into a checkpoint, which S3 wants in one piece
_BYTES_PER_IMAGE_PIXEL: Final = 3 * 4


class Quote(BaseModel):
    """What one job will take of one worker, but for the time: that is learned (api/forecast.py)."""

    peak_memory_bytes: int
    width: int
    height: int


def pixel_evaluations(recipe: Recipe, width: int, height: int) -> float:
    """Pixels times evaluations over all stages, for a content image of this shape."""
    return sum(_pixels(longest, width, height) * steps for longest, steps in recipe.schedule())


def quote(recipe: Recipe, width: int, height: int, styles: Sequence[int] = ()) -> Quote:
    """For a content image of `width` x `height` pixels; `styles` are the pixels of each style as it was uploaded."""
    longest = recipe.schedule()[-1][0]
    return Quote(
        peak_memory_bytes=peak_memory(recipe, width, height, styles),
        width=max(1, round(width * longest / max(width, height))),
        height=max(1, round(height * longest / max(width, height))),
    )


def peak_memory(recipe: Recipe, width: int, height: int, styles: Sequence[int] = ()) -> int:
    """Bytes that a worker takes at most, for a content image of this shape and styles of so many pixels each.

    Scaled, each style is taken to be as large as a square.
    """
    uploads = [width * height, *styles]
    longest = max(size for size, _ in recipe.schedule())
    painting = _pixels(longest, width, height) + 4 * recipe.bleed * (longest + recipe.bleed)
    working = max(
        painting * _BYTES_PER_PIXEL,
        (longest * recipe.style_scale) ** 2 * _BYTES_PER_STYLE_PIXEL,
        max(uploads) * _BYTES_PER_INPUT_PIXEL,
    )
    state = painting * _BYTES_PER_IMAGE_PIXEL * _images(recipe)
    fixed = _BASE_BYTES + len(recipe.stages) * _BYTES_PER_STAGE + sum(uploads) * _BYTES_PER_UPLOAD_PIXEL
    return int(fixed + working + _COPIES_OF_STATE * state)


def fitting_size(recipe: Recipe, width: int, height: int, memory_bytes: int, styles: Sequence[int] = ()) -> int | None:
    """The largest `size` up to the recipe's, a multiple of 8 pixels, whose peak fits; None where not even 64 does."""
    sizes = range(recipe.size // 8 * 8, 63, -8)
    fits = (size for size in sizes if peak_memory(resized(recipe, size), width, height, styles) <= memory_bytes)
    return next(fits, None)


def _images(recipe: Recipe) -> int:
    """How many images the optimiser keeps between evaluations."""
    return _IMAGES + (2 * recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 0)


def _pixels(longest: int, width: int, height: int) -> float:
    return longest * longest * min(width, height) / max(width, height)
