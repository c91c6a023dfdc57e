"""What a job will cost before it has run: the arithmetic is known, the machine's speed is measured."""

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, Field

from shared.recipe import LBFGS, Recipe, resized

MemoryKind = Literal["host", "gpu"]
"""Which memory decides whether a job fits a worker: the machine's, or that of its GPU where it has one."""

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

# Peak memory of a worker's GPU, an upper bound. *The present code has not been measured*: each number has its reason
# beside it. All that was read are the peaks of TensorFlow's allocator at version 0.1.0, on an NVIDIA H100 with
# TensorFlow 2.21: 448 MB for `tutorial` at 512x384 and 1,163 MB at 1024x768, 820 and 1,743 MB for `default` with 20
# pairs of L-BFGS history. Uploads are scaled on the processor and take no GPU memory.
_GPU_CONTEXT_BYTES: Final = 512 * 2**20  # not measured: an allowance for CUDA's own context, beside the allocator
_GPU_BASE_BYTES: Final = 512 * 2**20  # not measured: VGG19's kernels (80 MB), and an allowance for cuDNN and cuBLAS
_GPU_BYTES_PER_STAGE: Final = 100 * 2**20  # not measured: as on the host
# Not measured: 1,280 for the activations that the gradient tape keeps (block1 512, pools and deeper blocks 768), and
# as much again for five gradients as wide as block1's layers (256 each), or for a convolution's workspace. The two
# readings of `tutorial` are 1,200 bytes a pixel apart.
_GPU_BYTES_PER_PIXEL: Final = 2600
_GPU_BYTES_PER_STYLE_PIXEL: Final = 1300  # not measured: all activations, should none be freed before the last layer
# Not measured: the images kept; a second copy of them, since an L-BFGS step stacks all pairs; and for a moment a
# product as large as one half of the pairs, counted as a whole copy.
_GPU_COPIES_OF_STATE: Final = 3


class Quote(BaseModel):
    """What one job will take of one worker, but for the time: that is learned (api/eta/forecast.py)."""

    peak_memory_bytes: int = Field(description="Of the machine's memory, on a worker without a GPU.")
    peak_gpu_memory_bytes: int = Field(description="Of the GPU's memory, on a worker with one.")
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
        peak_gpu_memory_bytes=peak_memory(recipe, width, height, styles, kind="gpu"),
        width=max(1, round(width * longest / max(width, height))),
        height=max(1, round(height * longest / max(width, height))),
    )


def peak_memory(
    recipe: Recipe, width: int, height: int, styles: Sequence[int] = (), *, kind: MemoryKind = "host"
) -> int:
    """Bytes that a worker takes at most, for a content image of this shape and styles of so many pixels each.

    Scaled, each style is taken to be as large as a square.
    """
    longest = max(size for size, _ in recipe.schedule())
    painting = _pixels(longest, width, height) + 4 * recipe.bleed * (longest + recipe.bleed)
    style = (longest * recipe.style_scale) ** 2
    state = painting * _BYTES_PER_IMAGE_PIXEL * _images(recipe)
    if kind == "gpu":
        return int(_gpu_peak(painting, style, state, len(recipe.stages)))
    uploads = [width * height, *styles]
    working = max(painting * _BYTES_PER_PIXEL, style * _BYTES_PER_STYLE_PIXEL, max(uploads) * _BYTES_PER_INPUT_PIXEL)
    fixed = _BASE_BYTES + len(recipe.stages) * _BYTES_PER_STAGE + sum(uploads) * _BYTES_PER_UPLOAD_PIXEL
    return int(fixed + working + _COPIES_OF_STATE * state)


def fitting_size(
    recipe: Recipe,
    width: int,
    height: int,
    memory_bytes: int,
    styles: Sequence[int] = (),
    *,
    kind: MemoryKind = "host",
) -> int | None:
    """The largest `size` up to the recipe's, a multiple of 8 pixels, whose peak fits; None where not even 64 does."""

    def fits(size: int) -> bool:
        return peak_memory(resized(recipe, size), width, height, styles, kind=kind) <= memory_bytes

    return next(filter(fits, range(recipe.size // 8 * 8, 63, -8)), None)


def _gpu_peak(painting: float, style: float, state: float, stages: int) -> float:
    working = max(painting * _GPU_BYTES_PER_PIXEL, style * _GPU_BYTES_PER_STYLE_PIXEL)
    fixed = _GPU_CONTEXT_BYTES + _GPU_BASE_BYTES + stages * _GPU_BYTES_PER_STAGE
    return fixed + working + _GPU_COPIES_OF_STATE * state


def _images(recipe: Recipe) -> int:
    """How many images the optimiser keeps between evaluations."""
    return _IMAGES + (2 * recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 0)


def _pixels(longest: int, width: int, height: int) -> float:
    return longest * longest * min(width, height) / max(width, height)
