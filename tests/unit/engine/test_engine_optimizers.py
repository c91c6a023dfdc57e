"""Adam and L-BFGS on functions whose minimum is known, and their states as arrays."""

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
from worker.engine.optimizers.lbfgs import REFUSALS_LIMIT, LBFGSState

SHAPE = (4, 5, 3)
RANDOM = np.random.default_rng(3)
START = tf.constant(RANDOM.random(SHAPE, np.float32))
GOAL = tf.constant(RANDOM.random(SHAPE, np.float32) * 1.4 - 0.2)  # some of it outside [0, 1]
STEEPNESS = tf.constant(10 ** RANDOM.uniform(-1.5, 1.5, SHAPE), tf.float32)

Told = tuple[tf.Tensor, tf.Tensor]


def bowl(image: tf.Tensor) -> Told:
    """A badly conditioned quadratic."""
    return tf.reduce_sum(STEEPNESS * (image - GOAL) ** 2), 2 * STEEPNESS * (image - GOAL)


def valley(image: tf.Tensor) -> Told:
    """Rosenbrock's function, along neighbouring values."""
    with tf.GradientTape() as tape:
        tape.watch(image)
        flat = tf.reshape(image, [-1])
        value = tf.reduce_sum(100 * (flat[1:] - flat[:-1] ** 2) ** 2 + (1 - flat[:-1]) ** 2)
    return value, tape.gradient(value, image)


def run(optimizer: Optimizer, judge: Callable[[tf.Tensor], Told], steps: int, state: Any = None) -> list[Any]:
    states = [state or optimizer.init(START)]
    for _ in range(steps):
        states.append(optimizer.step(states[-1], *judge(states[-1].image)))
    return states


@pytest.fixture(params=["adam", "lbfgs"])
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    return optimizer_for(recipe.Adam() if request.param == "adam" else recipe.LBFGS(history=4))


def test_adam_moves_as_keras_does() -> None:
    variable = keras.Variable(START)
    theirs = keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=0.1)
    state = Adam(recipe.Adam()).init(START)
    for _ in range(10):
        loss, gradient = bowl(state.image)
        state = Adam(recipe.Adam()).step(state, loss, gradient)
        theirs.apply([gradient], [variable])
        variable.assign(tf.clip_by_value(variable.value, 0, 1))
    np.testing.assert_allclose(state.image, variable.numpy(), atol=1e-5)


def test_lbfgs_finds_the_nearest_point_of_the_box() -> None:
    final = run(LBFGS(recipe.LBFGS()), bowl, 80)[-1]
    np.testing.assert_allclose(final.current, tf.clip_by_value(GOAL, 0, 1), atol=0.02)


def test_lbfgs_gets_far_down_a_curved_valley() -> None:
    states = run(LBFGS(recipe.LBFGS()), valley, 60)
    assert states[-1].loss < 0.1 * states[1].loss


def test_lbfgs_never_shows_a_worse_picture_than_before() -> None:
    losses = [state.loss for state in run(LBFGS(recipe.LBFGS()), valley, 60)]
    assert losses == sorted(losses, reverse=True)


def test_lbfgs_shows_the_accepted_picture_with_its_own_loss() -> None:
    for state in run(LBFGS(recipe.LBFGS()), valley, 40)[1:]:
        assert valley(state.current)[0] == state.loss


def test_every_image_asked_for_stays_within_bounds(optimizer: Optimizer) -> None:
    for state in run(optimizer, bowl, 30):
        assert 0 <= float(tf.reduce_min(state.image)) <= float(tf.reduce_max(state.image)) <= 1


def test_a_refused_trial_is_followed_by_a_shorter_one() -> None:
    lbfgs = LBFGS(recipe.LBFGS())
    before = run(lbfgs, bowl, 3)[-1]
    after = lbfgs.step(before, before.loss + 1, before.gradient)
    assert not after.accepted
    assert after.step_size <= 0.5 * before.step_size
    assert after.current is before.current


def test_after_many_refusals_the_pairs_are_dropped() -> None:
    lbfgs = LBFGS(recipe.LBFGS())
    state: LBFGSState = run(lbfgs, bowl, 5)[-1]
    assert state.history.s_history
    for _ in range(REFUSALS_LIMIT):
        state = lbfgs.step(state, state.loss + 1, state.gradient)
    assert not state.history.s_history


def test_backing_off_keeps_the_picture_and_asks_for_half_the_way_from_it(optimizer: Optimizer) -> None:
    before = run(optimizer, bowl, 3)[-1]
    after = optimizer.back_off(before)
    assert after.current is before.current
    assert not after.accepted
    way, half = (np.abs(state.image - state.current) for state in (before, after))
    assert (half <= way).all()
    assert 0 < half.mean() < 0.9 * way.mean()  # a half, but for what the bounds had cut off


def test_after_backing_off_adam_goes_at_half_the_rate() -> None:
    adam = Adam(recipe.Adam())
    first = adam.step(adam.init(START), *bowl(START))
    slow = adam.step(adam.back_off(first), *bowl(first.image))
    fast = adam.step(first, *bowl(first.image))
    np.testing.assert_allclose(slow.image - slow.current, (fast.image - fast.current) / 2, atol=1e-6)
    assert slow.accepted


def test_pairs_that_are_not_finite_are_dropped() -> None:
    lbfgs = LBFGS(recipe.LBFGS())
    state: LBFGSState = run(lbfgs, bowl, 3)[-1]
    history = state.history
    poisoned = replace(state, history=history.append(state.direction * np.nan, state.gradient, history.s_dot_y))
    after = lbfgs.step(poisoned, *bowl(state.image))
    assert not after.history.s_history
    assert np.isfinite(after.image).all()


def test_the_history_is_no_longer_than_asked_for() -> None:
    assert len(run(LBFGS(recipe.LBFGS(history=4)), valley, 30)[-1].history.s_history) == 4


@pytest.mark.parametrize("after_backing_off", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 2, 7, 15])
def test_a_state_that_went_through_a_file_goes_on_bit_for_bit(
    optimizer: Optimizer, cut: int, *, after_backing_off: bool
) -> None:
    start = optimizer.back_off(run(optimizer, valley, 3)[-1]) if after_backing_off else None
    states = run(optimizer, valley, 20, start)
    file = io.BytesIO()
    np.savez(file, **states[cut].arrays())
    file.seek(0)
    resumed = run(optimizer, valley, 20 - cut, optimizer.restore(np.load(file, allow_pickle=False)))
    for name, array in states[-1].arrays().items():
        np.testing.assert_array_equal(resumed[-1].arrays()[name], array, err_msg=name)


def test_a_state_is_told_without_copies_and_stays_as_it_was(optimizer: Optimizer) -> None:
    states = run(optimizer, valley, 5)
    told = states[-1].arrays()
    before = {name: array.copy() for name, array in told.items()}
    assert np.shares_memory(told["image"], np.asarray(states[-1].image))
    run(optimizer, valley, 40, states[-1])
    del states
    for name, array in told.items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)
