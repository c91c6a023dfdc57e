"""What a job will cost before it has run: the arithmetic is known, the machine's speed is measured."""

from bisect import bisect_right
from typing import Final

from pydantic import BaseModel

from shared.recipe import LBFGS, Recipe

DEFAULT_PIXELS_PER_SECOND: Final = 100_000.0
"""Pixels whose loss and gradient two cores evaluate in a second, until a worker has measured its own."""
START_SECONDS: Final = 15.0
"""TensorFlow's import, the weights, tracing: once per job on a cold worker."""

_BASE_BYTES: Final = 900 * 2**20
_BYTES_PER_PIXEL: Final = 3600
_BYTES_PER_PIXEL_AND_PAIR: Final = 2 * 3 * 4


class Quote(BaseModel):
    """Predicted cost of one job on one worker, waiting not counted."""

    seconds: float
    peak_memory_bytes: int
    width: int
    height: int


def pixel_evaluations(recipe: Recipe, width: int, height: int) -> float:
    """Pixels times evaluations over all stages, for a content image of this shape."""
    return sum(_pixels(longest, width, height) * steps for longest, steps in recipe.schedule())


def quote(recipe: Recipe, width: int, height: int, pixels_per_second: float | None) -> Quote:
    """The cost for a content image of `width` x `height` pixels on a worker of this measured speed."""
    speed = pixels_per_second or DEFAULT_PIXELS_PER_SECOND
    longest = recipe.schedule()[-1][0]
    pixels = max(_pixels(size, width, height) for size, _ in recipe.schedule())
    pairs = recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 2
    return Quote(
        seconds=round(START_SECONDS + pixel_evaluations(recipe, width, height) / speed, 1),
        peak_memory_bytes=int(_BASE_BYTES + pixels * (_BYTES_PER_PIXEL + pairs * _BYTES_PER_PIXEL_AND_PAIR)),
        width=max(1, round(width * longest / max(width, height))),
        height=max(1, round(height * longest / max(width, height))),
    )


def fitting_size(recipe: Recipe, width: int, height: int, memory_bytes: int) -> int | None:
    """The largest size, a multiple of 8 from 64 to the recipe's, whose predicted peak fits; None where none does."""

    def peak(size: int) -> int:
        return quote(recipe.model_copy(update={"size": size}), width, height, None).peak_memory_bytes

    sizes = range(64, recipe.size + 1, 8)
    fitting = bisect_right(sizes, memory_bytes, key=peak)
    return sizes[fitting - 1] if fitting else None


def _pixels(longest: int, width: int, height: int) -> float:
    return longest * longest * min(width, height) / max(width, height)
