"""The inverse Hessian of L-BFGS, and the first guess that it is built around."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.optimizers import tensor_ops
from worker.engine.optimizers.initial_hessian import apply_initial_hessian
from worker.engine.optimizers.lbfgs import Trial, _accept, _direction
from worker.engine.optimizers.lbfgs_hessian import PairHistory, append_products, apply_inverse
from worker.engine.optimizers.tensor_ops import inner, inner_products, weighted_sum

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@dataclass(frozen=True)
class Inverse:
    """H and H_0 of a history."""

    history: PairHistory

    def __call__(self, q: tf.Tensor) -> tf.Tensor:
        slots = self.history.slots()
        return apply_inverse(q, slots.s, slots.y, slots.s_dot_y, self.initial)

    def initial(self, q: tf.Tensor) -> tf.Tensor:
        s, y = self.history.s_history[-4:], self.history.y_history[-4:]
        return apply_initial_hessian(q, s, y, inner(s[-1], y[-1]))

    def two_loops(self, q: tf.Tensor) -> tf.Tensor:
        """H q as Nocedal wrote it in 1980."""
        pairs, alphas = list(zip(self.history.s_history, self.history.y_history, strict=True)), []
        for s, y in reversed(pairs):
            alphas.append(inner(s, q) / inner(s, y))
            q -= alphas[-1] * y
        r = self.initial(q)
        for s, y in pairs:
            r += (alphas.pop() - inner(y, r) / inner(s, y)) * s
        return r


def pictures(sides: tuple[int, int], count: int, seed: int) -> list[tf.Tensor]:
    random = np.random.default_rng(seed)
    return [tf.constant(random.standard_normal((*sides, 3), np.float32)) for _ in range(count)]


def pairs(sides: tuple[int, int], count: int, seed: int, limit: int = 6) -> PairHistory:
    """Of a quadratic bowl that is steeper here than there, so that each s^T y is positive."""
    (steep,) = pictures(sides, 1, seed + 1)
    history = PairHistory.of(limit, steep)
    for s in pictures(sides, count, seed):
        history = with_pair(history, s, s * (0.5 + tf.square(steep)))
    return history


def with_pair(history: PairHistory, s: tf.Tensor, y: tf.Tensor) -> PairHistory:
    s_dot_y, keep = with_products(history, s, y)
    assert keep
    return history.append(s, y, s_dot_y)


def with_products(history: PairHistory, s: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    slots = history.slots(room_for=1)
    products: tuple[tf.Tensor, tf.Tensor] = append_products(slots.s_dot_y, (*slots.s[1:], s), y, slots.limit)
    return products


@settings(max_examples=20)
@given(sides=SIDES, count=st.integers(1, 14), seed=st.integers(0, 99), limit=st.integers(1, 12))
def test_the_compact_form_is_the_two_loop_recursion(sides: tuple[int, int], count: int, seed: int, limit: int) -> None:
    inverse, (q,) = Inverse(pairs(sides, count, seed, limit)), pictures(sides, 1, seed + 3)
    expected = inverse.two_loops(q)
    np.testing.assert_allclose(inverse(q), expected, atol=1e-3 * float(tf.reduce_max(tf.abs(expected))))


@settings(max_examples=20)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_newest_pair_satisfies_the_secant_equation(sides: tuple[int, int], count: int, seed: int) -> None:
    history = pairs(sides, count, seed)
    s, y = history.s_history[-1], history.y_history[-1]
    np.testing.assert_allclose(Inverse(history)(y), s, atol=1e-4 * float(tf.reduce_max(tf.abs(s))))


@settings(max_examples=20)
@given(sides=SIDES, seed=st.integers(0, 99))
def test_the_initial_hessian_is_symmetric_and_positive(sides: tuple[int, int], seed: int) -> None:
    initial = Inverse(pairs(sides, 2, seed)).initial
    one, other = pictures(sides, 2, seed + 7)
    size = float(tf.norm(one) * tf.norm(initial(other)))
    assert float(inner(one, initial(other))) == pytest.approx(float(inner(initial(one), other)), abs=1e-4 * size)
    assert float(inner(other, initial(other))) > 0


def test_the_initial_hessian_moves_the_coarse_further_than_the_fine() -> None:
    initial = Inverse(pairs((32, 32), 1, 0)).initial
    flat, chequered = (
        tf.ones([32, 32, 3]),
        tf.constant(np.indices((32, 32)).sum(axis=0)[..., None] % 2 * 2 - np.ones(3), tf.float32),
    )
    far, near = (float(inner(picture, initial(picture))) for picture in (flat, chequered))
    assert far > 3 * near


@settings(max_examples=10)
@given(sides=SIDES, count=st.integers(1, 14), seed=st.integers(0, 99), limit=st.integers(1, 12))
def test_the_direction_of_an_accepted_trial_is_that_of_the_history_with_its_pair(
    sides: tuple[int, int], count: int, seed: int, limit: int
) -> None:
    history, (x, g, s) = pairs(sides, count, seed, limit), pictures(sides, 3, seed + 5)
    (steep,) = pictures(sides, 1, seed + 1)
    y = s * (0.5 + tf.square(steep))
    found = _accept(x, g, Trial(x + s, tf.constant(1.0), g + y), history.slots(room_for=1))
    expected, _ = _direction(x + s, g + y, history.append(found.s, found.y, found.s_dot_y).slots())
    np.testing.assert_allclose(found.direction, expected, atol=1e-5 * float(tf.reduce_max(tf.abs(expected))))


def test_histories_of_about_the_same_length_share_what_is_traced() -> None:
    x, g = pictures((6, 11), 2, 3)
    traced = set()
    for limit in (1, 3, 10):
        _direction(x, g, pairs((6, 11), 2, 0, limit).slots())
        traced.add(_direction.experimental_get_tracing_count())
    assert len(traced) == 1


def test_a_pair_that_bends_the_wrong_way_is_not_to_be_kept() -> None:
    history, (s,) = pairs((5, 7), 2, 3), pictures((5, 7), 1, 4)
    assert not with_products(history, s, -s)[1]
    assert not with_products(history, s, 0 * s)[1]


def test_of_too_many_pairs_the_oldest_is_dropped() -> None:
    every, latest = pairs((5, 7), 5, 3, limit=9), pairs((5, 7), 5, 3, limit=3)
    np.testing.assert_array_equal(latest.s_history, every.s_history[-3:])
    np.testing.assert_array_equal(latest.s_dot_y[-3:, -3:], every.s_dot_y[-3:, -3:])
    assert not latest.s_dot_y[:-3].numpy().any()


@settings(max_examples=10)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_stacked_as_on_a_gpu_the_products_and_sums_are_the_same(sides: tuple[int, int], count: int, seed: int) -> None:
    vector, *vectors = pictures(sides, count + 1, seed)
    weights = tf.constant(np.random.default_rng(seed).standard_normal(count))
    stacked = tf.stack(vectors)
    scale = float(tf.norm(vector)) * max(float(tf.norm(other)) for other in vectors)
    np.testing.assert_allclose(inner_products(vector, vectors), inner_products(vector, stacked), atol=1e-5 * scale)
    np.testing.assert_allclose(
        weighted_sum(vector, vectors, weights), weighted_sum(vector, stacked, weights), atol=1e-4
    )


@settings(max_examples=5)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_stacked_as_on_a_gpu_an_accepted_trial_has_the_same_direction(
    sides: tuple[int, int], count: int, seed: int
) -> None:
    history, (x, g, s) = pairs(sides, count, seed), pictures(sides, 3, seed + 5)
    (steep,) = pictures(sides, 1, seed + 1)
    arguments = x, g, Trial(x + s, tf.constant(1.0), g + s * (0.5 + tf.square(steep))), history.slots(room_for=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_ops, "on_gpu", lambda: True)
        stacked = _accept.python_function(*arguments)
    one_by_one = _accept(*arguments)
    scale = float(tf.reduce_max(tf.abs(one_by_one.direction)))
    np.testing.assert_allclose(stacked.direction, one_by_one.direction, atol=1e-4 * scale)
    np.testing.assert_allclose(stacked.report, one_by_one.report, rtol=1e-3)


def test_a_gpu_gets_stacks_and_nothing_compiled_by_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_ops, "on_gpu", lambda: True)
    history, (x, g) = pairs((9, 6), 3, 1), pictures((9, 6), 2, 5)
    graph = tf.function(_direction.python_function).get_concrete_function(x, g, history.slots()).graph
    assert "Pack" in {operation.type for operation in graph.get_operations()}
    assert not any("PartitionedCall" in operation.type for operation in graph.get_operations())
