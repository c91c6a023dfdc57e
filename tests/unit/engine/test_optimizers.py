"""Adam and L-BFGS on functions with a known minimum, and their states as arrays."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from shared import recipe
from worker.engine.optimizers import LBFGS, Adam, Optimizer, optimizer_for
from worker.engine.optimizers.lbfgs import MAX_REJECTIONS, LBFGSState

SHAPE = (4, 5, 3)
RANDOM = np.random.default_rng(3)
START = tf.constant(RANDOM.random(SHAPE, np.float32))
GOAL = tf.constant(RANDOM.random(SHAPE, np.float32) * 1.4 - 0.2)  # some of it outside [0, 1]
STEEPNESS = tf.constant(10 ** RANDOM.uniform(-1.5, 1.5, SHAPE), tf.float32)

Evaluated = tuple[tf.Tensor, tf.Tensor]


def quadratic(image: tf.Tensor) -> Evaluated:
    """A badly conditioned quadratic function."""
    return tf.reduce_sum(STEEPNESS * (image - GOAL) ** 2), 2 * STEEPNESS * (image - GOAL)


def rosenbrock(image: tf.Tensor) -> Evaluated:
    """Rosenbrock's function of neighboring values."""
    with tf.GradientTape() as tape:
        tape.watch(image)
        flat = tf.reshape(image, [-1])
        value = tf.reduce_sum(100 * (flat[1:] - flat[:-1] ** 2) ** 2 + (1 - flat[:-1]) ** 2)
    return value, tape.gradient(value, image)


def run(optimizer: Optimizer, function: Callable[[tf.Tensor], Evaluated], steps: int, state: Any = None) -> list[Any]:
    states = [state or optimizer.init(START)]
    for _ in range(steps):
        states.append(optimizer.step(states[-1], *function(states[-1].image)))
    return states


@pytest.fixture(params=["adam", "lbfgs"])
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    return optimizer_for(recipe.Adam() if request.param == "adam" else recipe.LBFGS(history=4))


def test_adam_equals_keras() -> None:
    variable = keras.Variable(START)
    keras_adam = keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=0.1)
    state = Adam(recipe.Adam()).init(START)
    for _ in range(10):
        loss, gradient = quadratic(state.image)
        state = Adam(recipe.Adam()).step(state, loss, gradient)
        keras_adam.apply([gradient], [variable])
        variable.assign(tf.clip_by_value(variable.value, 0, 1))
    np.testing.assert_allclose(state.image, variable.numpy(), atol=1e-5)


def test_lbfgs_finds_the_minimum_inside_the_bounds() -> None:
    final = run(LBFGS(recipe.LBFGS()), quadratic, 80)[-1]
    np.testing.assert_allclose(final.current, tf.clip_by_value(GOAL, 0, 1), atol=0.02)


def test_lbfgs_makes_progress_in_a_curved_valley() -> None:
    states = run(LBFGS(recipe.LBFGS()), rosenbrock, 60)
    assert states[-1].loss < 0.1 * states[1].loss


def test_the_loss_of_lbfgs_never_increases() -> None:
    losses = [state.loss for state in run(LBFGS(recipe.LBFGS()), rosenbrock, 60)]
    assert losses == sorted(losses, reverse=True)


def test_the_current_image_of_lbfgs_has_the_current_loss() -> None:
    for state in run(LBFGS(recipe.LBFGS()), rosenbrock, 40)[1:]:
        assert rosenbrock(state.current)[0] == state.loss


def test_every_image_stays_within_bounds(optimizer: Optimizer) -> None:
    for state in run(optimizer, quadratic, 30):
        assert 0 <= float(tf.reduce_min(state.image)) <= float(tf.reduce_max(state.image)) <= 1


def test_a_rejected_trial_is_followed_by_a_shorter_step() -> None:
    lbfgs = LBFGS(recipe.LBFGS())
    before = run(lbfgs, quadratic, 3)[-1]
    after = lbfgs.step(before, before.loss + 1, before.gradient)
    assert not after.accepted
    assert after.step_size <= 0.5 * before.step_size
    assert after.current is before.current


@pytest.mark.parametrize("backed_off", [False, True])
def test_the_pairs_are_dropped_after_many_rejections(*, backed_off: bool) -> None:
    lbfgs = LBFGS(recipe.LBFGS())
    state: LBFGSState = run(lbfgs, quadratic, 5)[-1]
    if backed_off:
        state = lbfgs.back_off(state)
    for _ in range(MAX_REJECTIONS - backed_off):
        assert state.history.s_history
        state = lbfgs.step(state, state.loss + 1, state.gradient)
    assert not state.history.s_history


def test_backing_off_keeps_the_current_image_and_halves_the_step(optimizer: Optimizer) -> None:
    before = run(optimizer, quadratic, 3)[-1]
    after = optimizer.back_off(before)
    assert after.current is before.current
    assert not after.accepted
    full, half = (np.abs(state.image - state.current) for state in (before, after))
    assert (half <= full).all()
    assert 0 < half.mean() < 0.9 * full.mean()  # not exactly half, because the full step is clipped


def test_backing_off_halves_the_rate_of_adam() -> None:
    adam = Adam(recipe.Adam())
    first = adam.step(adam.init(START), *quadratic(START))
    slow = adam.step(adam.back_off(first), *quadratic(first.image))
    fast = adam.step(first, *quadratic(first.image))
    np.testing.assert_allclose(slow.image - slow.current, (fast.image - fast.current) / 2, atol=1e-6)
    assert slow.accepted


def test_pairs_are_dropped_if_they_are_not_finite() -> None:
    lbfgs = LBFGS(recipe.LBFGS())
    state: LBFGSState = run(lbfgs, quadratic, 3)[-1]
    history = state.history
    broken = replace(state, history=history.append(state.direction * np.nan, state.gradient, history.s_dot_y))
    after = lbfgs.step(broken, *quadratic(state.image))
    assert not after.history.s_history
    assert np.isfinite(after.image).all()


def test_the_history_is_limited() -> None:
    assert len(run(LBFGS(recipe.LBFGS(history=4)), rosenbrock, 30)[-1].history.s_history) == 4


@pytest.mark.parametrize("after_backing_off", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 2, 7, 15])
def test_a_state_restored_from_a_file_continues_bit_for_bit(
    optimizer: Optimizer, cut: int, *, after_backing_off: bool
) -> None:
    start = optimizer.back_off(run(optimizer, rosenbrock, 3)[-1]) if after_backing_off else None
    states = run(optimizer, rosenbrock, 20, start)
    file = io.BytesIO()
    np.savez(file, **states[cut].arrays())
    file.seek(0)
    resumed = run(optimizer, rosenbrock, 20 - cut, optimizer.restore(np.load(file, allow_pickle=False)))
    for name, array in states[-1].arrays().items():
        np.testing.assert_array_equal(resumed[-1].arrays()[name], array, err_msg=name)


def test_the_arrays_of_a_state_are_views_that_do_not_change(optimizer: Optimizer) -> None:
    states = run(optimizer, rosenbrock, 5)
    arrays = states[-1].arrays()
    before = {name: array.copy() for name, array in arrays.items()}
    assert np.shares_memory(arrays["image"], np.asarray(states[-1].image))
    run(optimizer, rosenbrock, 40, states[-1])
    del states
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
