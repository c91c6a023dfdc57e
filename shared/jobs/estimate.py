"""A job's cost before it runs: pixel evaluations, and upper bounds of its peak memory."""

import math
from collections.abc import Sequence
from typing import Final, Literal

from shared.presets import with_size
from shared.recipe import LBFGS, Recipe

MemoryKind = Literal["host", "gpu"]
"""The memory that decides whether a job fits a worker: the host's, or the GPU's if the worker has one."""

DEFAULT_PIXELS_PER_SECOND: Final = 100_000.0
"""Pixels per second whose loss and gradient two cores evaluate; used until a worker has measured its own speed."""
START_SECONDS: Final = 15.0
"""TensorFlow's import, loading the weights, tracing: once per job on a cold worker."""

# Peak resident memory of a worker process whose caches are full of other sizes. Each number is the size of arrays, from
# their shapes or from measurements. The bound is the sum of those that exist at the same time, times a margin.
# tests/unit/shared/test_estimate.py compares it with the peaks that `benchmarks.engine.peak` measured.
_MARGIN: Final = 1.1  # runs of the same job differ by a few percent
_BASE_BYTES: Final = 1600 * 2**20  # Python, TensorFlow, VGG19 in two forms, evaluations of six shapes, the worker
_BYTES_PER_STAGE: Final = 70 * 2**20  # the evaluation of one more shape
_BYTES_PER_PIXEL: Final = 1460  # of the image: activations and their gradients
# Block 2 is convolved in overlapping tiles, in images up to this size (worker/engine/vgg19/convolution.py).
_MAX_TILED_PIXELS: Final = 2**19
_TILE_BYTES_PER_PIXEL: Final = 440
_BYTES_PER_MASKED_PIXEL: Final = 4 * 64  # for each mask: the features of block 1 times its guide
# Counted, not measured: activations of a layer of the match loss, centered, normalized, the most similar ones, products
# and gradients. For each region again.
_MATCH_COPIES: Final = 8
_BYTES_PER_POSTPROCESSED_PIXEL: Final = 24  # of the content as uploaded, in floats while it is scaled
_BYTES_PER_STYLE_PIXEL: Final = 680  # at the style's size: one layer at a time, before the image's activations exist
_PATCH_MATCHING_BYTES: Final = 420 * 2**20  # 72,000 patches of 17 pixels a side, and what is made of them
_MASKED_PATCHES_BYTES: Final = 200 * 2**20  # with masks: a copy of the patches, of all styles together
_PATCH_MATCHING_BYTES_PER_PIXEL: Final = 40  # of the image: coordinates of places, the color transfer
_PATCH_MATCHING_BYTES_PER_STYLE_PIXEL: Final = 60  # of all styles, at the image's area
_BYTES_PER_INPUT_PIXEL: Final = 34  # of the largest upload, while it is scaled
_BYTES_PER_UPLOAD_PIXEL: Final = 8  # of all uploads: 16 bits, with alpha
_IMAGES: Final = 4  # that either optimizer keeps; L-BFGS two more for each pair of its history
_COPIES_OF_STATE: Final = 2  # the one in use, and the copy in one piece that is sent to S3 during the next steps
_BYTES_PER_IMAGE_PIXEL: Final = 3 * 4

# Peak memory of a worker's GPU, an upper bound. *The current code has not been measured*: each number has its reason
# next to it. The only readings are the peaks of TensorFlow's allocator at version 0.1.0, on an NVIDIA H100 with
# TensorFlow 2.21: 448 MB for `tutorial` at 512x384 and 1,163 MB at 1024x768, 820 and 1,743 MB for `default` with 20
# pairs of L-BFGS history. Uploads are scaled on the CPU and take no GPU memory.
_GPU_CONTEXT_BYTES: Final = 512 * 2**20  # not measured: an allowance for CUDA's own context, outside the allocator
_GPU_BASE_BYTES: Final = 512 * 2**20  # not measured: VGG19's kernels (80 MB), and an allowance for cuDNN and cuBLAS
_GPU_BYTES_PER_STAGE: Final = 100 * 2**20  # not measured: as on the host
# Not measured: 1,280 for the activations that the gradient tape keeps (block1 512, pools and deeper blocks 768), and
# as much again for five gradients as wide as block1's layers (256 each), or for a convolution's workspace. The two
# readings of `tutorial` are 1,200 bytes a pixel apart.
_GPU_BYTES_PER_PIXEL: Final = 2600
_GPU_BYTES_PER_STYLE_PIXEL: Final = 1300  # not measured: all activations, should none be freed before the last layer
# Not measured: the images kept; a second copy of them, since an L-BFGS step stacks all pairs; and temporarily a
# product as large as half of the pairs, counted as a whole copy.
_GPU_COPIES_OF_STATE: Final = 3


def pixel_evaluations(recipe: Recipe, width: int, height: int) -> float:
    """Return pixels times evaluations, summed over all stages and patch matching, for a content image of this shape."""
    patches = sum(i.pixel_evaluations(_pixels(i.longest_side, width, height)) for i in recipe.patch_iterations())
    return patches + sum(_pixels(longest, width, height) * steps for longest, steps in recipe.schedule())


def cost(recipe: Recipe, width: int, height: int) -> int:
    """Return what the job counts for in its tenant's share: thousands of pixel evaluations.

    In this unit the sum over years fits into the 53 bits of a score in Redis (shared/ledger/scripts/fair_share.lua).
    """
    return max(1, math.ceil(pixel_evaluations(recipe, width, height) / 1000))


def algorithm(recipe: Recipe) -> str:
    """Return a name for what a run computes, such as "adam" or "patches, lbfgs".

    Runs of one name are compared for time estimates: patch matching takes other hardware than evaluations do.
    """
    parts = ["patches"] if recipe.init == "patches" else []
    return ", ".join([*parts, recipe.optimizer.kind] if recipe.steps else parts)


def result_size(recipe: Recipe, width: int, height: int) -> tuple[int, int]:
    """Return (width, height) of the result in pixels, for a content image of this shape."""
    longest = recipe.schedule()[-1][0]
    return max(1, round(width * longest / max(width, height))), max(1, round(height * longest / max(width, height)))


def peak_memory(
    recipe: Recipe, width: int, height: int, others: Sequence[int] = (), *, masks: int = 0, kind: MemoryKind = "host"
) -> int:
    """Return an upper bound in bytes, for a content image of this shape.

    `others` are the pixels of the style images and the start image, as uploaded. Once scaled, each style image is taken
    to be a square.
    """
    longest, uploaded = max(size for size, _ in recipe.schedule()), width * height
    image = _pixels(longest, width, height) + 4 * recipe.padding * (longest + recipe.padding)
    style = (longest * max(recipe.scales(1))) ** 2
    state = image * _BYTES_PER_IMAGE_PIXEL * _optimizer_images(recipe)
    if kind == "gpu":
        match_loss = image * _match_bytes_per_pixel(recipe, masks)
        return int(match_loss + _gpu_peak_memory(image * (1 + masks / 10), style, state, len(recipe.stages)))
    uploads = [uploaded, *others, *[uploaded] * masks]
    phases: list[float] = [max(uploads) * _BYTES_PER_INPUT_PIXEL]
    if recipe.init == "patches":
        all_styles = image * sum(scale**2 for scale in recipe.scales(max(1, len(others))))
        pixels = image * _PATCH_MATCHING_BYTES_PER_PIXEL + all_styles * _PATCH_MATCHING_BYTES_PER_STYLE_PIXEL
        phases.append(_PATCH_MATCHING_BYTES + pixels + (_MASKED_PATCHES_BYTES if masks else 0))
    if recipe.steps:
        held = len(recipe.stages) * _BYTES_PER_STAGE + _COPIES_OF_STATE * state
        phases += [held + style * _BYTES_PER_STYLE_PIXEL, held + _evaluation_memory(recipe, image, masks)]
    if masks or recipe.color == "content":  # previews need the content
        phases = [phase + uploaded * _BYTES_PER_POSTPROCESSED_PIXEL for phase in phases]
    return int(_MARGIN * (_BASE_BYTES + sum(uploads) * _BYTES_PER_UPLOAD_PIXEL + max(phases)))


def fitting_size(
    recipe: Recipe,
    width: int,
    height: int,
    memory_bytes: int,
    others: Sequence[int] = (),
    *,
    masks: int = 0,
    kind: MemoryKind = "host",
) -> int | None:
    """Return the largest `size` up to the recipe's, a multiple of 8 pixels, that fits; None if not even 64 does."""

    def fits(size: int) -> bool:
        return peak_memory(with_size(recipe, size), width, height, others, masks=masks, kind=kind) <= memory_bytes

    return next(filter(fits, range(recipe.size // 8 * 8, 63, -8)), None)


def _evaluation_memory(recipe: Recipe, image: float, masks: int) -> float:
    tiles = _TILE_BYTES_PER_PIXEL if image <= _MAX_TILED_PIXELS else 0
    masked = masks * _BYTES_PER_MASKED_PIXEL + _match_bytes_per_pixel(recipe, masks)
    return image * (_BYTES_PER_PIXEL + tiles + masked)


def _match_bytes_per_pixel(recipe: Recipe, masks: int) -> float:
    """Return the bytes per pixel of the image for the match loss, whose layers have 512 channels in floats."""
    if not recipe.match_weight:
        return 0
    return _MATCH_COPIES * max(1, masks) * sum(4 * 512 / 4.0 ** (int(layer[5]) - 1) for layer in recipe.match_layers)


def _gpu_peak_memory(image: float, style: float, state: float, stages: int) -> float:
    working = max(image * _GPU_BYTES_PER_PIXEL, style * _GPU_BYTES_PER_STYLE_PIXEL)
    fixed = _GPU_CONTEXT_BYTES + _GPU_BASE_BYTES + stages * _GPU_BYTES_PER_STAGE
    return fixed + working + _GPU_COPIES_OF_STATE * state


def _optimizer_images(recipe: Recipe) -> int:
    """Return how many images the optimizer keeps between evaluations; patch matching keeps one between iterations."""
    if not recipe.steps:
        return 1
    return (
        _IMAGES + (recipe.averaging > 0) + (2 * recipe.optimizer.history if isinstance(recipe.optimizer, LBFGS) else 0)
    )


def _pixels(longest: int, width: int, height: int) -> float:
    return longest * longest * min(width, height) / max(width, height)
