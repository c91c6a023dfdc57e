"""Patch matching from coarse to fine: which iterations there are, and what one of them does.

An iteration searches the best patch of the styles for every place, blends the patches, and mixes in the content where
it has detail. The constants were found by looking at results at 224 to 384 pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from shared.imaging.images import MIN_SIDE
from shared.patch_iterations import PatchIteration
from shared.recipe import Recipe
from worker.engine.image_ops import as_tensor, resize, resize_longest_side, with_mask
from worker.engine.patches.colors import ColorDistribution, Pixels
from worker.engine.patches.sampling import sample_patches
from worker.engine.patches.search import Indices, PatchIndex
from worker.engine.patches.synthesis import blend
from worker.engine.regions import Regions

_NOISE: Final = 0.2  # standard deviations of the styles' colors
_KEPT_DETAIL: Final = 0.7  # share of the content's fine detail that is added when the scale changes
_DETAIL_DEVIATION: Final = 1.5  # pixels; finer structures are detail
_STYLE_COLORS: Final = 200_000  # sampled from all styles
_COLOR_STREAM: Final = 2**32 - 1  # of random numbers; iterations have the others


@dataclass(frozen=True)
class _Scale:
    """The content at one scale."""

    longest_side: int
    content: Pixels  # in the styles' colors
    detail: NDArray[np.float32]  # (height, width, 1): strength of edges, 1 on average, at most 3
    styles: tuple[Pixels, ...]  # with their masks, as in sample_patches


class PatchMatching:
    """The patch matching of one run. Iterations depend on the inputs, the recipe's seed, and the image before them."""

    def __init__(
        self,
        content: NDArray[Any],
        styles: Sequence[NDArray[Any]],
        recipe: Recipe,
        regions: Regions | None = None,
    ) -> None:
        """`content` and `styles` are as in `stylize`.

        With `regions` each style applies to one of them, otherwise all are mixed.
        """
        self._recipe, self._regions = recipe, regions
        self._iterations = recipe.patch_iterations()
        self._shares = recipe.shares(len(styles))
        image = resize_longest_side(as_tensor(content), self._iterations[-1].longest_side)
        self._style_scales = recipe.scales(len(styles))
        self._styles = self._scaled_to((with_mask(as_tensor(style)) for style in styles), image)
        pixels = [style.numpy() for style in self._styles]
        groups = [([style], (1.0,)) for style in pixels] if regions else [(pixels, self._shares)]
        self._palettes = [ColorDistribution(_color_sample(*group)) for group in groups]
        self._deviation = np.mean([palette.deviation for palette in self._palettes], axis=0)
        random = np.random.default_rng((recipe.seed, _COLOR_STREAM))
        masks = self._masks(image.shape[:2])
        colored = [palette.transfer(image.numpy(), random) for palette in self._palettes]
        self._content = tf.constant(_blended(colored, masks))
        self._scale: _Scale | None = None
        self._index: list[PatchIndex] | None = None

    def iterate(self, number: int, image: Pixels | None) -> Pixels:
        """Return the image after iteration `number`, from the one before, or None before the first; in [0, 1]."""
        iteration, random = self._iterations[number], np.random.default_rng((self._recipe.seed, number))
        scale = self._scale_of(iteration)
        size = scale.content.shape[:2]
        if image is None:
            image = scale.content + self._noise(size, random)
        elif image.shape[:2] != size:
            fine = scale.content - _blur(scale.content, _DETAIL_DEVIATION)
            image = resize(tf.constant(image), size).numpy() + _KEPT_DETAIL * fine
        rows, columns = (_places(length, iteration.patch, iteration.stride) for length in size)
        flatness = np.maximum(0, 1 - scale.detail / 1.5)
        noisy, masks = image + flatness * self._noise(size, random), self._masks(size)
        patches, matches = self._best_matches(scale, iteration, noisy, (rows, columns), masks)
        weight = iteration.content_weight * (0.05 + 1.5 * scale.detail)
        mixed = (blend(patches, matches, rows, columns, size) + weight * scale.content) / (1 + weight)
        if masks is None:
            mixed = self._palettes[0].match_moments(mixed)
        else:
            mixed = _blended(
                [palette.match_moments(mixed, mask) for palette, mask in zip(self._palettes, masks, strict=True)], masks
            )
        return np.clip(mixed, 0, 1)

    def _scaled_to(self, styles: Iterable[tf.Tensor], content: tf.Tensor) -> list[tf.Tensor]:
        return [_with_area(style, content, scale) for style, scale in zip(styles, self._style_scales, strict=True)]

    def _noise(self, size: tuple[int, ...], random: np.random.Generator) -> Pixels:
        noise: Pixels = _NOISE * self._deviation * random.standard_normal((*size, 3), np.float32)
        return noise

    def _scale_of(self, iteration: PatchIteration) -> _Scale:
        if self._scale is None or self._scale.longest_side != iteration.longest_side:
            content = resize_longest_side(self._content, iteration.longest_side)
            styles = tuple(style.numpy() for style in self._scaled_to(self._styles, content))
            self._scale = _Scale(iteration.longest_side, content.numpy(), _detail(content.numpy()), styles)
            self._index = None
        return self._scale

    def _masks(self, size: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Return the regions as (regions, height, width, 1) that sum to 1: the first one has what none covers."""
        if self._regions is None:
            return None
        masks: NDArray[np.float32] = self._regions.at((size[0], size[1])).numpy()
        masks[0] += 1 - masks.sum(axis=0)
        return masks

    def _best_matches(
        self,
        scale: _Scale,
        iteration: PatchIteration,
        image: Pixels,
        places: tuple[Indices, Indices],
        masks: NDArray[np.float32] | None,
    ) -> tuple[NDArray[np.float32], Indices]:
        """Return patches, and the number of the best one for each place; in regions, of the region's style."""
        indexes = self._index_of(iteration, scale)
        if masks is None:
            return indexes[0].patches, indexes[0].best_matches(image, *places)
        centers = np.ix_(*(first + iteration.patch // 2 for first in places))
        region = masks[..., 0].argmax(axis=0)[centers]
        starts = np.cumsum([0, *(len(index.patches) for index in indexes)])
        matches = [start + index.best_matches(image, *places) for start, index in zip(starts, indexes, strict=False)]
        return np.concatenate([index.patches for index in indexes]), np.choose(region, matches)

    def _index_of(self, iteration: PatchIteration, scale: _Scale) -> list[PatchIndex]:
        """Return one index of all styles' patches, or one for each style if there are regions."""
        if self._index is None or self._index[0].side != iteration.patch:
            self._index = None  # frees its memory before the next one is made
            random = np.random.default_rng((self._recipe.seed, iteration.longest_side, iteration.patch))
            groups: list[tuple[Sequence[Pixels], Sequence[float]]] = [(scale.styles, self._shares)]
            if self._regions:
                groups = [([style], [1 / len(scale.styles)]) for style in scale.styles]
            self._index = [
                PatchIndex(sample_patches(styles, shares, iteration.patch, random), random) for styles, shares in groups
            ]
        return self._index


def _with_area(style: tf.Tensor, content: tf.Tensor, style_scale: float) -> tf.Tensor:
    """Return the style with the area of the content times `style_scale` squared, or more to reach MIN_SIDE."""
    height, width = style.shape[:2]
    factor = style_scale * (content.shape[0] * content.shape[1] / (height * width)) ** 0.5
    factor = max(factor, MIN_SIDE / min(height, width))
    return resize(style, (round(height * factor), round(width * factor)))


def _color_sample(styles: Sequence[Pixels], shares: Sequence[float]) -> Pixels:
    """Return (n, 3): evenly spaced pixels of each style in the proportion of its share."""
    parts = []
    for style, share in zip(styles, shares, strict=True):
        pixels = style[style[..., 3] > style[..., 3].max() / 2, :3]  # mostly inside of the mask
        parts.append(pixels[np.linspace(0, len(pixels) - 1, round(_STYLE_COLORS * share)).astype(int)])
    return np.concatenate(parts)


def _blended(images: Sequence[Pixels], masks: NDArray[np.float32] | None) -> Pixels:
    """Return the sum of the images, each times its mask; without masks, the only image."""
    if masks is None:
        return images[0]
    result: Pixels = sum(mask * image for mask, image in zip(masks, images, strict=True))
    return result


def _detail(content: Pixels) -> NDArray[np.float32]:
    """Return the blurred magnitude of the brightness gradient, divided by its mean and limited to 3; (h, w, 1)."""
    vertical, horizontal = np.gradient(content.mean(axis=-1))
    strength = _blur(np.hypot(vertical, horizontal)[..., None], 2.0)
    limited: NDArray[np.float32] = np.minimum(strength / (strength.mean() + 1e-6), 3).astype(np.float32)
    return limited


def _blur(image: NDArray[Any], deviation: float) -> NDArray[Any]:
    """Return the image under a Gaussian filter; edges are repeated."""
    radius = round(3 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(radius, radius) if axis == padded else (0, 0) for padded in range(image.ndim)]
        padded = np.pad(image, padding, mode="edge")
        length = image.shape[axis]
        image = sum(weight * np.take(padded, np.arange(i, i + length), axis) for i, weight in enumerate(kernel))
    return image


def _places(length: int, patch: int, stride: int) -> Indices:
    """Return the first pixel of each patch along one axis; the last one ends at the edge."""
    return np.append(np.arange(0, length - patch, stride), length - patch)
