"""A style with a mask as its fourth channel: only what the mask shows is used."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.small_runs import CACHE, CONTENT, small

from shared.errors import InvalidMask
from shared.presets import resolve
from shared.recipe import Recipe
from worker.engine import stylize
from worker.engine.cache import Network
from worker.engine.color import match_colors
from worker.engine.image_ops import as_tensor
from worker.engine.model import load_vgg19
from worker.engine.patches.sampling import sample_patches
from worker.engine.vgg19.convolution import KernelCache
from worker.engine.weights.sources import Weights

RANDOM = np.random.default_rng(3)
DARK, BRIGHT = RANDOM.integers(0, 60, (80, 40, 3), np.uint8), RANDOM.integers(195, 255, (80, 40, 3), np.uint8)
RIGHT = np.repeat([[0] * 40 + [255] * 40], 80, axis=0).astype(np.uint8)
STYLE = np.dstack([np.hstack([DARK, BRIGHT]), RIGHT])
"""Dark on the left and bright on the right, with a mask of the right half."""
PATCHES = resolve({"preset": "patches", "size": 80})


def test_the_gram_matrices_are_those_of_the_part_that_the_mask_shows(weights: Weights) -> None:
    recipe = small(style_layers={"block1_conv1": 1, "block2_conv1": 1})
    network = Network(load_vgg19(weights.path), KernelCache(), recipe)
    masked, part, whole = (network.gram_matrices(as_tensor(style)) for style in (STYLE, BRIGHT, STYLE[..., :3]))
    for layer in recipe.style_layers:
        distance, other = (tf.norm(gram[layer] - part[layer]) / tf.norm(part[layer]) for gram in (masked, whole))
        assert distance < 0.1
        assert other > 0.3


def test_patches_lie_inside_of_the_mask() -> None:
    patches = sample_patches([as_tensor(STYLE).numpy()], [1.0], 7, RANDOM)
    assert len(patches) > 1000
    assert patches.min() > 0.6  # rotations interpolate


def test_a_mask_smaller_than_a_patch_has_the_patches_with_the_most_of_it() -> None:
    style = as_tensor(STYLE).numpy()
    style[..., 3] = 0
    style[30:33, 50:53, 3] = 1
    patches = sample_patches([style], [1.0], 7, RANDOM)
    assert len(patches) > 100
    assert patches.min() > 0.6  # rotations interpolate


def test_a_style_that_is_transparent_everywhere_is_refused(weights: Weights) -> None:
    empty = np.dstack([BRIGHT, np.zeros(BRIGHT.shape[:2], np.uint8)])
    with pytest.raises(InvalidMask):
        next(stylize(CONTENT, [empty], small(), weights=weights, cache=CACHE))


def test_a_style_that_is_half_transparent_everywhere_is_used_as_an_opaque_one(weights: Weights) -> None:
    half = np.dstack([BRIGHT, np.full(BRIGHT.shape[:2], 100, np.uint8)])
    assert _brightness(weights, half, PATCHES) == pytest.approx(_brightness(weights, BRIGHT, PATCHES), abs=0.02)


def test_matched_colors_are_those_inside_of_the_mask() -> None:
    matched = match_colors(STYLE, CONTENT, 80)
    inside, outside = matched[:, 40:, :3].mean(axis=(0, 1)), matched[:, :40, :3].mean(axis=(0, 1))
    np.testing.assert_allclose(inside, CONTENT.mean(axis=(0, 1)) / 255, atol=0.03)
    assert (outside < inside - 0.3).all()
    np.testing.assert_array_equal(matched[..., 3], RIGHT / 255)


@pytest.mark.parametrize("recipe", [PATCHES, small(style_weight=1e3)], ids=["patches", "evaluations"])
def test_the_result_has_the_brightness_of_the_part_that_the_mask_shows(weights: Weights, recipe: Recipe) -> None:
    masked, whole = (_brightness(weights, style, recipe) for style in (STYLE, STYLE[..., :3]))
    assert masked > whole + 0.05


def _brightness(weights: Weights, style: NDArray[np.uint8], recipe: Recipe) -> float:
    *_, last = stylize(CONTENT, [style], recipe, weights=weights, cache=CACHE)
    return float(last.image.mean())
