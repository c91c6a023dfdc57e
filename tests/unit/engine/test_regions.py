"""Masks: each style in its region, in the losses, in patch matching and in the result."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.small_runs import CACHE, CONTENT, STYLE, digest, small

from shared.errors import InvalidRecipe
from worker.engine import Iterate, restore_iterate, stylize
from worker.engine.cache import Evaluation, Network
from worker.engine.image_ops import as_tensor, resize
from worker.engine.model import GramMatrix, load_vgg19
from worker.engine.objective import stack_styles
from worker.engine.patches.matching import PatchMatching
from worker.engine.regions import Regions, guided
from worker.engine.vgg19.convolution import KernelCache
from worker.engine.weights.sources import Weights

LEFT = np.zeros((60, 80), np.uint8)
LEFT[:, :40] = 255
RIGHT = 255 - LEFT
DARK, BRIGHT = (np.clip(STYLE // 4 + level, 0, 255).astype(np.uint8) for level in (0, 190))


def run(weights: Weights, masks: list[NDArray[np.uint8]], **fields: Any) -> list[Iterate]:
    styles = [DARK, BRIGHT][: len(masks)]
    state = fields.pop("state", None)
    return list(stylize(CONTENT, styles, small(**fields), weights=weights, cache=CACHE, masks=masks, state=state))


def test_overlapping_masks_share_a_place_and_one_alone_keeps_its_strength() -> None:
    half = np.full((8, 8), 128, np.uint8)
    full = np.full((8, 8), 255, np.uint8)
    np.testing.assert_allclose(Regions([full, full]).at((8, 8)), 0.5)
    np.testing.assert_allclose(Regions([half]).coverage((4, 4)), 128 / 255, atol=1e-6)


def test_guides_have_a_mean_square_of_one_and_shares_are_areas() -> None:
    guides = Regions([LEFT // 2, RIGHT]).guides((60, 80), 4, ["block1_conv1", "block3_conv2"])
    assert [tuple(channel.shape) for channel in guides.channels.values()] == [(2, 68, 88, 1), (2, 17, 22, 1)]
    for channel in guides.channels.values():
        np.testing.assert_allclose(tf.reduce_mean(channel**2, axis=[1, 2, 3]), 1, rtol=1e-4)
    np.testing.assert_allclose(guides.shares, [1 / 3, 2 / 3], atol=0.01)


def test_the_gram_matrix_of_a_region_is_that_of_its_part_of_the_image() -> None:
    features = tf.constant(np.random.default_rng(0).random((1, 60, 80, 5), np.float32))
    channels = Regions([LEFT]).guides((60, 80), 0, ["block1_conv1"]).channels["block1_conv1"]
    [part] = guided(features, channels)
    expected = GramMatrix()(features[:, :, :40])
    np.testing.assert_allclose(GramMatrix()(part), expected, rtol=0.02)  # the edge is soft


def test_the_fast_path_equals_the_model_in_regions(weights: Weights) -> None:
    recipe, images = small(), np.random.default_rng(4).random((4, 60, 80, 3), np.float32)
    image, content, *styles = map(tf.constant, images)
    network = Network(load_vgg19(weights.path), KernelCache(), recipe)
    guides = Regions([LEFT, RIGHT]).guides((60, 80), 0, recipe.style_layers)
    grams = stack_styles([network.gram_matrices(style) for style in styles])
    targets = {"style": grams, "content": network.activations(content)}
    (fast, fast_gradient), (losses, gradient) = (
        Evaluation(network, recipe, content, targets, path, guides=guides).with_targets(targets, guides)(image)
        for path in ("fast", "reference")
    )
    np.testing.assert_allclose(fast, losses, rtol=1e-4)
    np.testing.assert_allclose(fast_gradient, gradient, atol=1e-3 * float(np.abs(gradient).max()))


@pytest.mark.parametrize("init", ["content", "patches"])
def test_each_region_gets_the_brightness_of_its_style(weights: Weights, init: str) -> None:
    image = run(weights, [LEFT, RIGHT], init=init, style_weight=100)[-1].image
    left, right = image[:, :30].mean(), image[:, 50:].mean()
    assert left < 0.35
    assert right > 0.65


def test_patches_come_from_the_style_of_their_region() -> None:
    recipe = small(init="patches")
    flat = [np.full((70, 64, 3), level, np.uint8) for level in (20, 230)]
    image = None
    matching = PatchMatching(CONTENT, flat, recipe, Regions([LEFT, RIGHT]))
    for number in range(len(recipe.patch_iterations())):
        image = matching.iterate(number, image)
    assert image is not None
    width = image.shape[1]
    np.testing.assert_allclose(image[:, : width // 2 - 8], 20 / 255, atol=0.06)
    np.testing.assert_allclose(image[:, width // 2 + 8 :], 230 / 255, atol=0.06)


@pytest.mark.parametrize("init", ["content", "patches"])
def test_the_photo_remains_where_no_style_applies(weights: Weights, init: str) -> None:
    last = run(weights, [LEFT], init=init)[-1]
    photo = resize(as_tensor(CONTENT), last.image.shape[:2]).numpy()
    np.testing.assert_allclose(last.image[:, 42:], photo[:, 42:], atol=1e-6)
    assert np.abs(last.image[:, :38] - photo[:, :38]).mean() > 0.02


def test_a_mask_of_everything_changes_nothing(weights: Weights) -> None:
    everywhere = np.full((60, 80), 255, np.uint8)
    masked = run(weights, [everywhere])[-1]
    [*_, expected] = stylize(CONTENT, [DARK], small(), weights=weights, cache=CACHE)
    assert masked.losses is not None
    assert expected.losses is not None
    assert masked.losses.total == pytest.approx(expected.losses.total, rel=1e-3)


@pytest.mark.parametrize("cut", [1, 5])
def test_a_resumed_run_with_masks_ends_in_the_same_bytes(weights: Weights, cut: int) -> None:
    whole = run(weights, [LEFT, RIGHT], init="patches")
    resumed = run(weights, [LEFT, RIGHT], init="patches", state=whole[cut].state())
    assert digest(resumed[-1].image) == digest(whole[-1].image)


def test_a_restored_iterate_keeps_the_photo_outside_of_its_mask_too(weights: Weights) -> None:
    last = run(weights, [LEFT])[-1]
    assert digest(restore_iterate(CONTENT, small(), last.state(), [LEFT]).image) == digest(last.image)


def test_one_mask_for_two_styles_is_refused(weights: Weights) -> None:
    with pytest.raises(InvalidRecipe, match="1 masks for 2 style images"):
        stylize(CONTENT, [DARK, BRIGHT], small(), weights=weights, masks=[LEFT])
