"""Results on a GPU match the CPU's within TF32's precision: ten bits of each factor in products."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared import recipe
from shared.recipe import Recipe
from worker.engine.cache import Evaluation, Network
from worker.engine.model import Pooling, load_vgg19
from worker.engine.objective import Objective
from worker.engine.optimizers import LBFGS, Arrays
from worker.engine.vgg19.convolution import KernelCache
from worker.engine.vgg19.fast_path import FastPath

RANDOM = np.random.default_rng(2)
CONTENT, STYLE = (RANDOM.random((96, 131, 3), np.float32) for _ in range(2))
IMAGE = (0.8 * CONTENT + 0.2 * RANDOM.random(CONTENT.shape, np.float32)).astype(np.float32)
LBFGS_10 = LBFGS(recipe.LBFGS(history=10))
Evaluated = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def deterministic(gpu: str) -> None:
    """Enable determinism as the engine does: some operations exist on a GPU only without it."""
    del gpu  # requested first, because it skips
    tf.config.experimental.enable_op_determinism()


def _network(weights: Path, chosen: Recipe) -> Network:
    return Network(load_vgg19(weights), KernelCache(), chosen)


def _evaluated(device: str, weights: Path, chosen: Recipe, *, fast: bool = False) -> Evaluated:
    """Evaluate on one device, operation by operation, so that each is placed there."""
    with tf.device(device):
        network = _network(weights, chosen)
        model = network.model
        targets = {"style": model(STYLE[np.newaxis])["style"], "content": model(CONTENT[np.newaxis])["content"]}
        path = FastPath(model, network.kernels, compiled=False) if fast else model
        losses, gradient = path.losses_and_gradient(tf.constant(IMAGE), Objective(chosen, targets))
        assert gradient.device.endswith(device)
    return losses.numpy(), gradient.numpy()


def _agree(actual: Evaluated, expected: Evaluated) -> None:
    np.testing.assert_allclose(actual[0][:4], expected[0][:4], rtol=1e-3)
    assert actual[0][4] == pytest.approx(expected[0][4], rel=0.02)
    # If two values of a pooling cell are nearly equal, either may be the maximum.
    assert np.linalg.norm(actual[1] - expected[1]) <= 0.05 * np.linalg.norm(expected[1])


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("fast", [False, True])
def test_losses_and_gradient_match_the_cpu(gpu: str, random_weights: Path, pooling: Pooling, *, fast: bool) -> None:
    chosen = Recipe(pooling=pooling)
    _agree(_evaluated(gpu, random_weights, chosen, fast=fast), _evaluated("CPU:0", random_weights, chosen))


def test_the_compiled_fast_path_equals_the_reference(random_weights: Path) -> None:
    chosen = Recipe()
    network = _network(random_weights, chosen)
    targets = {"style": network.gram_matrices(tf.constant(STYLE)), "content": network.activations(tf.constant(CONTENT))}
    fast, reference = (
        Evaluation(network, chosen, tf.constant(CONTENT), targets, path).with_targets(targets)(tf.constant(IMAGE))
        for path in ("fast", "reference")
    )
    _agree(*((losses.numpy(), gradient.numpy()) for losses, gradient in (fast, reference)))


def _after_six_steps(vectors: np.ndarray) -> tuple[Arrays, np.ndarray, np.ndarray]:
    """Return a state of L-BFGS on the CPU, and the loss and gradient of its trial, on a quadratic function."""
    with tf.device("CPU:0"):
        start, minimum, curvature = map(tf.constant, vectors)
        state = LBFGS_10.init(start)
        for _ in range(6):
            state = LBFGS_10.step(state, *_quadratic(state.image, minimum, curvature))
        loss, gradient = _quadratic(state.image, minimum, curvature)
        return state.arrays(), loss.numpy(), gradient.numpy()


def _next_state(device: str, arrays: Arrays, loss: np.ndarray, gradient: np.ndarray) -> Arrays:
    with tf.device(device):
        state = LBFGS_10.step(LBFGS_10.restore(arrays), tf.constant(loss), tf.constant(gradient))
        assert state.accepted
        assert state.direction.device.endswith(device)
    return state.arrays()


def _quadratic(image: tf.Tensor, minimum: tf.Tensor, curvature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    offset = image - minimum
    loss = tf.reduce_mean((0.5 + curvature) * tf.square(offset))
    return loss, 2 * (0.5 + curvature) * offset / tf.size(image, tf.float32)


def test_an_lbfgs_step_matches_the_cpu(gpu: str) -> None:
    before = _after_six_steps(np.random.default_rng(6).random((3, 48, 67, 3), np.float32))
    on_gpu, on_cpu = (_next_state(device, *before) for device in (gpu, "CPU:0"))
    assert on_gpu.keys() == on_cpu.keys()
    for name, expected in on_cpu.items():
        assert np.linalg.norm(on_gpu[name] - expected) <= 1e-3 * np.linalg.norm(expected), name


def test_the_model_is_placed_on_the_gpu_by_default(gpu: str, random_weights: Path) -> None:
    variable: keras.Variable = load_vgg19(random_weights).get_layer("block1_conv1").kernel
    assert variable.value.device.endswith(gpu)
