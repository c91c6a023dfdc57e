"""Patch matching: colors, search, blend, and a run that starts with it."""

from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from support.small_runs import CONTENT, STYLE, digest, run, small

from shared.recipe import Recipe, resolve
from worker.engine.patches.colors import ColorDistribution
from worker.engine.patches.matching import PatchMatching
from worker.engine.patches.search import PatchIndex
from worker.engine.patches.synthesis import blend
from worker.engine.weights.sources import Weights

RANDOM = np.random.default_rng(3)
SMOOTH = np.cumsum(RANDOM.standard_normal((40, 50, 3)), axis=1).astype(np.float32) / 20 + 0.5
PATCH = 5


def index_of(*styles: NDArray[np.float32], shares: tuple[float, ...] = (1.0,), patch: int = PATCH) -> PatchIndex:
    return PatchIndex(styles, shares, patch, np.random.default_rng(0))


def places(length: int, patch: int = PATCH) -> NDArray[np.intp]:
    return np.arange(0, length - patch + 1, 2)


def patch_starts(**fields: Any) -> Recipe:
    return small(init="patches", **fields)


def test_the_linear_map_gives_an_image_the_mean_and_covariance_of_the_styles() -> None:
    style = RANDOM.random((5000, 3), np.float32) @ np.array([[0.5, 0.2, 0], [0, 0.4, 0.1], [0, 0, 0.3]], np.float32)
    matched = ColorDistribution(style).match_moments(SMOOTH).reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(axis=0), style.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(style.T), atol=1e-4)


def test_the_transfer_gives_an_image_the_distribution_of_each_channel() -> None:
    style = RANDOM.beta(0.5, 2, (5000, 3)).astype(np.float32)
    colored = ColorDistribution(style).transfer(SMOOTH, np.random.default_rng(0))
    assert colored.min() >= 0
    assert colored.max() <= 1
    for level in (0.1, 0.5, 0.9):
        expected = np.quantile(style, level, axis=0)
        np.testing.assert_allclose(np.quantile(colored.reshape(-1, 3), level, axis=0), expected, atol=0.08)


def test_a_patch_that_no_place_is_close_to_is_preferred_over_one_that_is_used() -> None:
    """The reference computes d(q, k) - min(d_k, 3 median d) for all pairs; all 27 components are kept."""
    style, image = SMOOTH[:12, :12], RANDOM.random((9, 11, 3), np.float32)
    index, rows, columns = index_of(style, patch=3), places(9, 3), places(11, 3)
    numbers = index.best_matches(image, rows, columns)
    keys = index._keys.vectors(np.arange(len(index._keys.corners)))
    queries = sliding_window_view(image, (3, 3, 3))[:, :, 0][np.ix_(rows, columns)].reshape(-1, 27)
    distances = ((queries[:, None] - keys) ** 2).sum(axis=-1)
    nearest = distances.min(axis=0)
    scores = distances - np.minimum(nearest, 3 * np.median(nearest))
    chosen = np.take_along_axis(scores, numbers.reshape(-1, 1), axis=1)[:, 0]
    np.testing.assert_allclose(chosen, scores.min(axis=1), atol=1e-4)


def test_a_style_without_a_share_has_no_patches() -> None:
    white = np.ones((30, 30, 3), np.float32)
    index = index_of(SMOOTH, white, shares=(1.0, 0.0))
    numbers = index.best_matches(white, places(30), places(30))
    assert not (index.pixel(numbers, 0, 0) == 1).all()


def test_patches_that_agree_are_blended_into_the_image_that_they_were_cut_from() -> None:
    index, rows, columns = index_of(SMOOTH), places(39), places(49)
    numbers = np.searchsorted(
        index._keys.corners, rows[:, None] * SMOOTH.shape[1] + columns
    )  # the unturned view is first
    np.testing.assert_allclose(blend(index, numbers, rows, columns, (39, 49)), SMOOTH[:39, :49], atol=1e-5)


def test_a_patch_that_disagrees_with_the_others_hardly_shows() -> None:
    index, rows, columns = index_of(SMOOTH), places(39), places(49)
    numbers = np.searchsorted(index._keys.corners, rows[:, None] * SMOOTH.shape[1] + columns)
    numbers[9, 12] = numbers[0, 0]
    blended = blend(index, numbers, rows, columns, (39, 49))
    plain = 0.25 * np.abs(index.pixel(numbers[9, 12], 2, 2) - SMOOTH[20, 26]).max()
    assert np.abs(blended[20, 26] - SMOOTH[20, 26]).max() < plain


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
    style = RANDOM.integers(0, 256, shape, np.uint8)
    for content in (CONTENT, RANDOM.integers(0, 256, (64, 128, 3), np.uint8)):
        matching, image = PatchMatching(content, [style], recipe), None
        for number in range(len(recipe.patch_iterations())):
            image = matching.iterate(number, image)
        assert image is not None
        assert max(image.shape) == 64
        assert np.isfinite(image).all()


def test_a_run_starts_with_patch_matching_and_ends_with_evaluations(weights: Weights) -> None:
    recipe = patch_starts()
    iterates = run(weights, recipe)
    assert [iterate.step for iterate in iterates] == list(range(recipe.total_steps + 1))
    assert [iterate.phase for iterate in iterates] == ["patches, 64 px"] * 3 + ["64 px"] * 4 + ["80 px"] * 5
    assert [iterate.losses is None for iterate in iterates] == [True] * 3 + [False] * 9
    fractions = [iterate.fraction for iterate in iterates]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_the_first_evaluation_is_of_the_image_that_patch_matching_made(weights: Weights) -> None:
    iterates = run(weights, patch_starts())
    np.testing.assert_allclose(iterates[3].image, iterates[2].image, atol=1e-6)


def test_a_run_resumed_within_or_after_patch_matching_ends_in_the_same_bytes(weights: Weights) -> None:
    iterates = run(weights, patch_starts())
    for cut in (0, 1, 2, 3):
        resumed = run(weights, patch_starts(), state=iterates[cut].state())
        assert [iterate.step for iterate in resumed] == list(range(cut + 1, 12))
        assert digest(resumed[-1].image) == digest(iterates[-1].image)


def test_the_seed_changes_the_patches(weights: Weights) -> None:
    first, second, third = (run(weights, patch_starts(seed=seed))[2].image for seed in (1, 1, 2))
    assert digest(first) == digest(second)
    assert digest(first) != digest(third)


def test_two_styles_give_their_patches_in_the_proportions_of_the_mix() -> None:
    red, blue = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = STYLE[:64, :64, 0], STYLE[:64, :64, 2]

    def mean_color(*mix: float) -> NDArray[np.float32]:
        recipe = resolve({"init": "patches", "size": 64, "style_mix": mix, "stages": [{"scale": 1, "share": 1}]})
        matching, image = PatchMatching(CONTENT, [red, blue], recipe), None
        for number in range(3):
            image = matching.iterate(number, image)
        return np.mean(image, axis=(0, 1))

    assert mean_color(3, 1)[0] > 2 * mean_color(3, 1)[2]
    assert mean_color(1, 3)[2] > 2 * mean_color(1, 3)[0]
