"""The recipe's `color`: whose colors the result has."""

from typing import Any

import numpy as np
import pytest
from benchmarks.quality.metrics import color_distance
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from skimage import data, transform
from support.small_runs import CACHE, digest, small

from shared.imaging.display_p3 import convert
from worker.engine import restore_iterate, stylize
from worker.engine.color import from_oklab, match_colors, to_oklab
from worker.engine.weights.sources import Weights


def photo(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(255 * transform.resize(image, (60, 80), anti_aliasing=True)).astype(np.uint8)


CONTENT, STYLE = photo(data.chelsea()), photo(data.coffee())
AS_FLOATS = CONTENT.astype(np.float32) / 255


def result(weights: Weights, **fields: Any) -> NDArray[np.float32]:
    *_, last = stylize(CONTENT, [STYLE], small(**fields), weights=weights, cache=CACHE)
    return last.image


def chroma_difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the mean distance in the chroma plane of OkLab."""
    difference = (to_oklab(one) - to_oklab(other))[..., 1:]
    return float(np.hypot(*np.moveaxis(difference, -1, 0)).mean())


@given(arrays.arrays(np.float32, (7, 3), elements=st.floats(0, 1, width=32)))
def test_oklab_and_back_gives_the_same_colors(colors: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(from_oklab(to_oklab(colors)), colors, atol=1e-4)


def test_oklab_of_white_and_red_is_as_published() -> None:
    colors = np.array([[1, 1, 1], [1, 0, 0]], np.float32)
    np.testing.assert_allclose(to_oklab(colors), [[1, 0, 0], [0.628, 0.225, 0.126]], atol=1e-3)


def test_oklab_is_the_same_for_a_color_in_either_space() -> None:
    wide = convert(CONTENT, "srgb", "display-p3").astype(np.float32) / 0xFFFF
    np.testing.assert_allclose(to_oklab(wide, "display-p3"), to_oklab(AS_FLOATS), atol=2e-3)
    np.testing.assert_allclose(from_oklab(to_oklab(wide, "display-p3"), "display-p3"), wide, atol=1e-4)


def test_the_chroma_of_a_wide_content_is_kept(weights: Weights) -> None:
    red = np.broadcast_to(np.array([180, 20, 10], np.uint8), CONTENT.shape)  # in Display P3; sRGB does not have it
    recipe = small(color="content", color_space="display-p3", steps=2)
    *_, last = stylize(red, [STYLE], recipe, weights=weights, cache=CACHE)
    kept, wanted = to_oklab(last.image, "display-p3"), to_oklab(red.astype(np.float32) / 255, "display-p3")
    assert np.hypot(*np.moveaxis((kept - wanted)[..., 1:], -1, 0)).mean() <= 0.02


def test_the_colors_of_the_content_are_kept(weights: Weights) -> None:
    kept, styled = result(weights, color="content"), result(weights)
    assert chroma_difference(kept, AS_FLOATS) <= 0.02 < chroma_difference(styled, AS_FLOATS)
    np.testing.assert_allclose(to_oklab(kept)[..., 0], to_oklab(styled)[..., 0], atol=0.05)


def test_half_the_strength_moves_the_colors_half_the_way(weights: Weights) -> None:
    none, half = (result(weights, color="content", color_strength=strength) for strength in (0, 0.5))
    np.testing.assert_allclose(none, result(weights), atol=1e-4)
    assert chroma_difference(half, AS_FLOATS) == pytest.approx(chroma_difference(none, AS_FLOATS) / 2, rel=0.1)


def test_matched_styles_have_the_contents_mean_color_and_covariance() -> None:
    matched = match_colors(STYLE, CONTENT, 80).reshape(-1, 3)
    pixels = AS_FLOATS.reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(axis=0), pixels.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(pixels.T), atol=0.01)


@pytest.mark.parametrize(
    ("shape", "size"), [((300, 900, 3), (74, 222)), ((600, 600, 3), (128, 128)), ((40, 50, 3), (40, 50))]
)
def test_matched_styles_are_as_large_as_patch_matching_needs_them(
    shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    assert match_colors(np.zeros(shape, np.uint8), CONTENT, 128).shape[:2] == size


def test_styles_are_matched_by_the_strength(weights: Weights) -> None:
    none, half, full = (
        result(weights, color="match", color_strength=strength, style_weight=100) for strength in (0, 0.5, 1)
    )
    np.testing.assert_array_equal(none, result(weights, style_weight=100))
    distances = [color_distance(image, AS_FLOATS) for image in (full, half, none)]
    assert distances == sorted(distances)
    assert distances[0] < distances[-1] / 2


def test_a_restored_iterate_has_the_colors_of_the_content_too(weights: Weights) -> None:
    recipe = small(color="content")
    *_, last = stylize(CONTENT, [STYLE], recipe, weights=weights, cache=CACHE)
    assert digest(restore_iterate(CONTENT, recipe, last.state()).image) == digest(last.image)
