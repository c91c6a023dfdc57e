"""The match loss, compared with its definition."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.small_runs import CONTENT, STYLE, run, small

from worker.engine import stylize
from worker.engine.match_loss import SAMPLES, MatchLoss, sample_activations, sample_counts
from worker.engine.regions import Guides
from worker.engine.weights.sources import Weights

RANDOM = np.random.default_rng(5)
LAYER = "block4_conv1"


def _activations(height: int, width: int, channels: int = 6) -> NDArray[np.float32]:
    return RANDOM.random((1, height, width, channels), np.float32)


def _distances(image: NDArray[np.float32], style: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return 1 - max_j cos(F_i - m, A_j - m) of each position i."""
    rows, samples = (part.reshape(-1, part.shape[-1]).astype(float) - style.mean(axis=0) for part in (image, style))
    rows, samples = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rows, samples))
    nearest: NDArray[np.float64] = 1 - (rows @ samples.T).max(axis=1)
    return nearest


def test_the_loss_is_the_mean_distance_to_the_most_similar_activation() -> None:
    image, style = _activations(4, 7), _activations(1, 30)[0, 0]
    loss = MatchLoss({LAYER: tf.constant(style[np.newaxis])}, {LAYER: 0.5})
    assert float(loss({LAYER: tf.constant(image)})) == pytest.approx(0.5 * _distances(image, style).mean(), rel=1e-5)


def test_activations_of_the_style_itself_have_no_loss() -> None:
    style = _activations(5, 6)
    target = sample_activations(tf.constant(style), None, 30)[tf.newaxis]
    assert float(MatchLoss({LAYER: target}, {LAYER: 1.0})({LAYER: tf.constant(style)})) == pytest.approx(0, abs=1e-5)


def test_each_region_matches_its_own_style() -> None:
    image, styles = _activations(2, 4), _activations(2, 30)[0]
    guide = np.zeros((2, 2, 4, 1), np.float32)
    guide[0, :, :2], guide[1, :, 2:] = 2**0.5, 2**0.5  # with a mean square of 1
    guides = Guides({LAYER: tf.constant(guide)}, shares=tf.constant([0.5, 0.5]))
    loss = MatchLoss({LAYER: tf.constant(styles)}, {LAYER: 1.0}, guides)
    halves = [_distances(image[:, :, :2], styles[0]).mean(), _distances(image[:, :, 2:], styles[1]).mean()]
    assert float(loss({LAYER: tf.constant(image)})) == pytest.approx(np.mean(halves), rel=1e-5)


def test_samples_are_spread_over_the_whole_style_and_repeat_if_there_are_few() -> None:
    activations = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1))
    assert sample_activations(activations, None, 4)[:, 0].numpy().tolist() == [0, 3, 6, 9]
    assert sample_activations(activations, None, 24)[:, 0].numpy().tolist() == sorted([*range(12)] * 2)


def test_samples_of_a_large_style_are_spread_over_all_of_it() -> None:
    positions = 2**31 // SAMPLES + 2048  # more than 8192 x 8192 pixels in block 4
    samples = sample_activations(tf.reshape(tf.range(positions, dtype=tf.int32), [1, 2, -1, 1]), None, SAMPLES)
    assert samples[-1, 0] == (SAMPLES - 1) * positions // SAMPLES


def test_samples_come_from_where_the_style_mask_shows() -> None:
    activations = tf.constant(np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1))
    mask = np.zeros((30, 40), np.float32)
    mask[:10, 10:20] = 1
    assert sample_activations(activations, tf.constant(mask), 5)[:, 0].numpy().tolist() == [1] * 5
    thin = np.zeros((30, 40), np.float32)
    thin[:, 39] = 1  # less than half of any position
    assert set(sample_activations(activations, tf.constant(thin), 6)[:, 0].numpy()) == {3, 7, 11}


def test_styles_share_the_samples_by_their_weight() -> None:
    assert sample_counts([1, 1, 1]) == [683, 682, 683]
    assert sum(sample_counts([0.3, 0, 0.7])) == SAMPLES
    assert sample_counts([0.3, 0, 0.7])[1] == 0


DEEP = {
    "style_layers": {LAYER: 1.0},
    "content_layers": {},
    "style_weight": 0,
    "variation_weight": 0,
    "stages": [{"scale": 0.8, "share": 1}],
}


def test_a_run_brings_the_image_closer_to_the_activations_of_the_style(weights: Weights) -> None:
    first, *_, last = run(weights, small(match_weight=2.0, steps=20, **DEEP), path="reference")
    assert first.losses
    assert last.losses
    assert last.losses.style < 0.9 * first.losses.style


def test_the_match_loss_is_a_part_of_the_style_loss(weights: Weights) -> None:
    losses = [run(weights, small(match_weight=weight, **DEEP), path="reference")[0].losses for weight in (1, 3)]
    assert losses[1].style == pytest.approx(3 * losses[0].style)  # type: ignore[union-attr]


@pytest.mark.parametrize("masked", [False, True])
def test_several_styles_share_one_traced_evaluation(weights: Weights, *, masked: bool) -> None:
    left = np.zeros(CONTENT.shape[:2], np.uint8)
    left[:, :40] = 255
    masks = [left, 255 - left] if masked else []
    recipe = small(match_weight=1.0, style_mix=[] if masked else [2, 1], **DEEP)
    styles = [STYLE, np.flip(STYLE)[:50]]
    *_, last = stylize(CONTENT, styles, recipe, weights=weights, masks=masks, path="reference")
    assert last.losses
    assert 0 < last.losses.style < 2
