"""Patch matching: colors, search, blend, and a run that starts with it."""

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from support.small_runs import CONTENT, STYLE, digest, run, small

from shared.presets import resolve
from shared.recipe import Adam, Recipe
from shared.recipe_effects import fields_without_effect
from worker.engine import stylize
from worker.engine.patches.colors import ColorDistribution
from worker.engine.patches.matching import PatchMatching
from worker.engine.patches.sampling import sample_patches
from worker.engine.patches.search import PatchIndex
from worker.engine.patches.synthesis import blend
from worker.engine.weights.sources import Weights

RANDOM = np.random.default_rng(3)
NOISE = RANDOM.random((64, 128, 3), np.float32)
SMOOTH = np.cumsum(RANDOM.standard_normal((40, 50, 3)), axis=1).astype(np.float32) / 20 + 0.5
SIDE = 5
ROWS, COLUMNS = np.arange(0, 36, 2), np.arange(0, 46, 2)  # of patches that cover 39 x 49 pixels
MATCHES = np.arange(ROWS.size * COLUMNS.size).reshape(ROWS.size, COLUMNS.size)


def windows(image: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return every patch of the image, (rows, columns, side, side, 3)."""
    return sliding_window_view(image, (side, side, 3))[:, :, 0]


def patches_of_smooth() -> NDArray[np.float32]:
    return windows(SMOOTH, SIDE)[np.ix_(ROWS, COLUMNS)].reshape(-1, SIDE, SIDE, 3)


def matched(content: NDArray[Any], styles: list[NDArray[Any]], recipe: Recipe) -> list[NDArray[np.float32]]:
    """Return the image after each iteration."""
    matching, images = PatchMatching(content, styles, recipe), [None]
    for number in range(len(recipe.patch_iterations())):
        images.append(matching.iterate(number, images[-1]))
    return images[1:]


def test_the_linear_map_gives_an_image_the_mean_and_covariance_of_the_styles() -> None:
    style = NOISE.reshape(-1, 3) @ np.array([[0.5, 0.2, 0], [0, 0.4, 0.1], [0, 0, 0.3]], np.float32)
    matched = ColorDistribution(style).match_moments(SMOOTH).reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(axis=0), style.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(style.T), atol=1e-4)


def test_the_transfer_gives_an_image_the_distribution_of_each_channel() -> None:
    style = NOISE.reshape(-1, 3) ** 3
    colored = ColorDistribution(style).transfer(SMOOTH, np.random.default_rng(0))
    assert colored.min() >= 0
    assert colored.max() <= 1
    for level in (0.1, 0.5, 0.9):
        expected = np.quantile(style, level, axis=0)
        np.testing.assert_allclose(np.quantile(colored.reshape(-1, 3), level, axis=0), expected, atol=0.08)


def test_a_patch_that_no_place_is_close_to_is_preferred_over_one_that_is_used() -> None:
    """The reference computes d(q, k) - min(d_k, 3 median d) for all pairs; all 27 components are kept."""
    keys, places = windows(SMOOTH[:12, :12], 3).reshape(-1, 3, 3, 3), windows(NOISE[:9, :11], 3)
    chosen = PatchIndex(keys, np.random.default_rng(0)).best_matches(NOISE[:9, :11], np.arange(7), np.arange(9))
    distances = ((places.reshape(-1, 1, 27) - keys.reshape(1, -1, 27)) ** 2).sum(axis=-1)
    nearest = distances.min(axis=0)
    scores = distances - np.minimum(nearest, 3 * np.median(nearest))
    assert (scores.argmin(axis=1) != distances.argmin(axis=1)).any()
    np.testing.assert_allclose(scores[np.arange(63), chosen.ravel()], scores.min(axis=1), atol=1e-4)


def _plain(size: tuple[int, int], value: float) -> NDArray[np.float32]:
    """Return a style in one gray, with a mask of all of it."""
    return np.dstack([np.full((*size, 3), value, np.float32), np.ones(size, np.float32)])


def test_styles_have_patches_in_the_proportions_of_their_shares() -> None:
    styles = [_plain((90, 90), value) for value in (0.25, 0.5, 0.75)]
    values = sample_patches(styles, (0.75, 0.25, 0), SIDE, np.random.default_rng(0))[:, 2, 2, 0]
    assert [round((abs(values - value) < 0.01).mean(), 2) for value in (0.25, 0.5, 0.75)] == [0.75, 0.25, 0]


def test_patches_of_a_turned_style_are_of_the_style_alone() -> None:
    patches = sample_patches([_plain((40, 60), 0.5)], [1.0], SIDE, np.random.default_rng(0))
    np.testing.assert_allclose(patches, 0.5, atol=1e-5)
    assert len(patches) > 8 * 36 * 56, "some free rotations have room for a patch"


def test_patches_that_agree_are_blended_into_the_image_that_they_were_cut_from() -> None:
    blended = blend(patches_of_smooth(), MATCHES, ROWS, COLUMNS, (39, 49))
    np.testing.assert_allclose(blended, SMOOTH[:39, :49], atol=1e-5)


def test_a_patch_that_disagrees_with_the_others_hardly_shows() -> None:
    patches, matches = patches_of_smooth(), MATCHES.copy()
    matches[9, 12] = matches[0, 0]
    blended = blend(patches, matches, ROWS, COLUMNS, (39, 49))
    error = np.abs(blended[20, 26] - SMOOTH[20, 26]).max()
    assert error < 0.1 * np.abs(patches[0, 2, 2] - SMOOTH[20, 26]).max()


@pytest.mark.parametrize(
    ("size", "sides"),
    [(64, [64]), (128, [128]), (144, [72, 144]), (384, [96, 192, 384]), (1024, [128, 256, 512, 1024])],
)
def test_the_coarsest_scale_has_about_96_pixels_at_any_size(size: int, sides: list[int]) -> None:
    iterations = resolve({"init": "patches", "size": size, "stages": [{"scale": 1, "share": 1}]}).patch_iterations()
    assert list(dict.fromkeys(iteration.longest_side for iteration in iterations)) == sides


@pytest.mark.parametrize("shape", [(32, 400, 3), (400, 32, 3), (33, 35, 3)])
def test_styles_and_contents_of_any_shape_can_be_matched(shape: tuple[int, ...]) -> None:
    recipe = resolve({"init": "patches", "size": 64, "style_scale": 0.25, "stages": [{"scale": 1, "share": 1}]})
    style = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for content in (CONTENT, (255 * NOISE).astype(np.uint8)):
        image = matched(content, [style], recipe)[-1]
        assert max(image.shape) == 64
        assert np.isfinite(image).all()


def test_any_iteration_can_be_repeated_from_the_image_before_it() -> None:
    recipe = resolve({"init": "patches", "size": 144, "stages": [{"scale": 1, "share": 1}]})
    images = matched(CONTENT, [STYLE], recipe)
    assert [max(image.shape) for image in images] == [72] * 4 + [144] * 3
    for number in range(1, len(images)):
        repeated = PatchMatching(CONTENT, [STYLE], recipe).iterate(number, images[number - 1])
        np.testing.assert_array_equal(repeated, images[number])


def test_a_run_starts_with_patch_matching_and_ends_with_evaluations(weights: Weights) -> None:
    recipe = small(init="patches")
    iterates = run(weights, recipe)
    assert [iterate.step for iterate in iterates] == list(range(recipe.total_steps + 1))
    assert [iterate.phase for iterate in iterates] == ["patches, 64 px"] * 3 + ["64 px"] * 4 + ["80 px"] * 5
    assert [iterate.losses is None for iterate in iterates] == [True] * 3 + [False] * 9
    fractions = [iterate.fraction for iterate in iterates]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_first_evaluation_is_of_the_image_that_patch_matching_made(weights: Weights) -> None:
    iterates = run(weights, small(init="patches"))
    np.testing.assert_allclose(iterates[3].image, iterates[2].image, atol=1e-6)


def test_a_run_resumed_within_or_after_patch_matching_ends_in_the_same_bytes(weights: Weights) -> None:
    iterates = run(weights, small(init="patches"))
    for cut in (0, 1, 2, 3):
        resumed = run(weights, small(init="patches"), state=iterates[cut].state())
        assert [iterate.step for iterate in resumed] == list(range(cut + 1, 12))
        assert digest(resumed[-1].image) == digest(iterates[-1].image)


def test_the_seed_changes_the_patches(weights: Weights) -> None:
    first, second, third = (run(weights, small(init="patches", seed=seed))[2].image for seed in (1, 1, 2))
    assert digest(first) == digest(second)
    assert digest(first) != digest(third)


def test_what_is_refused_without_evaluations_has_no_effect_on_patch_matching() -> None:
    recipe = resolve({"preset": "patches", "size": 64})
    others = {
        "content_layers": {"block1_conv1": 1.0},
        "style_layers": {"block5_conv4": 1.0},
        "style_loss": "wasserstein",
        "match_weight": 1.0,
        "content_weight": 5.0,
        "style_weight": 1.0,
        "variation_weight": 9.0,
        "chroma_variation": 1.0,
        "normalize": False,
        "pooling": "average",
        "padding": 20,
        "averaging": 0.5,
        "optimizer": Adam(),
    }
    assert others.keys() <= fields_without_effect(recipe).keys()
    results = [[*stylize(CONTENT, [STYLE], it, weights=None)] for it in (recipe, recipe.model_copy(update=others))]
    assert len({digest(iterates[-1].image) for iterates in results}) == 1
