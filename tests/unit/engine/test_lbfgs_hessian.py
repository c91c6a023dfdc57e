"""The inverse Hessian of L-BFGS and its initial guess."""

from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.optimizers import tensor_ops
from worker.engine.optimizers.initial_hessian import _multiscale, apply_initial_hessian
from worker.engine.optimizers.lbfgs import Trial, _accept, _direction
from worker.engine.optimizers.lbfgs_hessian import PairHistory, append_products, apply_inverse
from worker.engine.optimizers.tensor_ops import inner_product, inner_products, weighted_sum

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@dataclass(frozen=True)
class Inverse:
    """H and H_0 for a history."""

    history: PairHistory

    def __call__(self, q: tf.Tensor) -> tf.Tensor:
        slots = self.history.slots()
        return apply_inverse(q, slots.s, slots.y, slots.s_dot_y, self.apply_h_0)

    def apply_h_0(self, q: tf.Tensor) -> tf.Tensor:
        s, y = self.history.s_history[-4:], self.history.y_history[-4:]
        return apply_initial_hessian(q, s, y, inner_product(s[-1], y[-1]))

    def two_loop_recursion(self, q: tf.Tensor) -> tf.Tensor:
        """H q by the algorithm of Nocedal (1980)."""
        pairs, alphas = list(zip(self.history.s_history, self.history.y_history, strict=True)), []
        for s, y in reversed(pairs):
            alphas.append(inner_product(s, q) / inner_product(s, y))
            q -= alphas[-1] * y
        r = self.apply_h_0(q)
        for s, y in pairs:
            r += (alphas.pop() - inner_product(y, r) / inner_product(s, y)) * s
        return r


def random_images(sides: tuple[int, int], count: int, seed: int) -> list[tf.Tensor]:
    random = np.random.default_rng(seed)
    return [tf.constant(random.standard_normal((*sides, 3), np.float32)) for _ in range(count)]


def pairs(sides: tuple[int, int], count: int, seed: int, limit: int = 6) -> PairHistory:
    """Pairs of a quadratic function whose curvature differs between pixels, so that each s^T y is positive."""
    (curvature,) = random_images(sides, 1, seed + 1)
    history = PairHistory.empty(limit, curvature)
    for s in random_images(sides, count, seed):
        history = with_pair(history, s, s * (0.5 + tf.square(curvature)))
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
def test_the_compact_form_equals_the_two_loop_recursion(
    sides: tuple[int, int], count: int, seed: int, limit: int
) -> None:
    inverse, (q,) = Inverse(pairs(sides, count, seed, limit)), random_images(sides, 1, seed + 3)
    expected = inverse.two_loop_recursion(q)
    np.testing.assert_allclose(inverse(q), expected, atol=1e-3 * float(tf.reduce_max(tf.abs(expected))))


@settings(max_examples=20)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_newest_pair_satisfies_the_secant_equation(sides: tuple[int, int], count: int, seed: int) -> None:
    history = pairs(sides, count, seed)
    s, y = history.s_history[-1], history.y_history[-1]
    np.testing.assert_allclose(Inverse(history)(y), s, atol=1e-4 * float(tf.reduce_max(tf.abs(s))))


@settings(max_examples=20)
@given(sides=SIDES, seed=st.integers(0, 99))
def test_the_initial_hessian_is_symmetric_and_positive_definite(sides: tuple[int, int], seed: int) -> None:
    apply_h_0 = Inverse(pairs(sides, 2, seed)).apply_h_0
    one, other = random_images(sides, 2, seed + 7)
    h_one, h_other = apply_h_0(one), apply_h_0(other)
    scale = float(tf.norm(one) * tf.norm(h_other))
    assert float(inner_product(one, h_other)) == pytest.approx(float(inner_product(h_one, other)), abs=1e-4 * scale)
    assert float(inner_product(other, h_other)) > 0


def test_each_level_of_the_initial_hessian_adds_the_mean_of_its_cells() -> None:
    """So a flat image, whose means are itself, counts once for each of the levels, and once as it is."""
    flat, ramp = tf.ones([128, 128, 6]), tf.repeat(tf.reshape(tf.range(128.0), [128, 1, 1]), 6, axis=2)
    for levels in range(4):
        center = slice(60, 68), slice(60, 68)  # there are zeros beyond the edges
        np.testing.assert_allclose(_multiscale(flat, levels)[center], levels + 1.0, rtol=1e-5)
        scaled_ramp = _multiscale(ramp * flat, levels)[center]
        np.testing.assert_allclose(scaled_ramp, (levels + 1) * (ramp * flat)[center], rtol=1e-3)


def test_the_initial_hessian_moves_coarse_structures_further_than_fine_ones() -> None:
    apply_h_0 = Inverse(pairs((32, 32), 1, 0)).apply_h_0
    checkerboard = np.indices((32, 32)).sum(axis=0)[..., None] % 2 * 2 - np.ones(3)
    coarse, fine = tf.ones([32, 32, 3]), tf.constant(checkerboard, tf.float32)
    assert float(inner_product(coarse, apply_h_0(coarse))) > 3 * float(inner_product(fine, apply_h_0(fine)))


@settings(max_examples=5)  # each example is traced and compiled
@given(sides=SIDES, count=st.integers(1, 14), seed=st.integers(0, 99), limit=st.integers(1, 12))
def test_the_direction_after_an_accepted_trial_uses_its_pair(
    sides: tuple[int, int], count: int, seed: int, limit: int
) -> None:
    history, (x, g, s) = pairs(sides, count, seed, limit), random_images(sides, 3, seed + 5)
    (curvature,) = random_images(sides, 1, seed + 1)
    y = s * (0.5 + tf.square(curvature))
    accepted = _accept(x, g, Trial(x + s, tf.constant(1.0), g + y), history.slots(room_for=1))
    expected, _ = _direction(x + s, g + y, history.append(accepted.s, accepted.y, accepted.s_dot_y).slots())
    np.testing.assert_allclose(accepted.direction, expected, atol=1e-5 * float(tf.reduce_max(tf.abs(expected))))


def test_histories_of_similar_length_share_a_trace() -> None:
    x, g = random_images((6, 11), 2, 3)
    trace_counts = set()
    for limit in (1, 3, 10):
        _direction(x, g, pairs((6, 11), 2, 0, limit).slots())
        trace_counts.add(_direction.experimental_get_tracing_count())
    assert len(trace_counts) == 1


def test_a_pair_without_positive_curvature_is_not_kept() -> None:
    history, (s,) = pairs((5, 7), 2, 3), random_images((5, 7), 1, 4)
    assert not with_products(history, s, -s)[1]
    assert not with_products(history, s, 0 * s)[1]


def test_the_oldest_pairs_are_dropped_beyond_the_limit() -> None:
    unlimited, latest = pairs((5, 7), 5, 3, limit=9), pairs((5, 7), 5, 3, limit=3)
    np.testing.assert_array_equal(latest.s_history, unlimited.s_history[-3:])
    np.testing.assert_array_equal(latest.s_dot_y[-3:, -3:], unlimited.s_dot_y[-3:, -3:])
    assert not latest.s_dot_y[:-3].numpy().any()


@settings(max_examples=10)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_products_and_sums_of_stacked_vectors_are_the_same(sides: tuple[int, int], count: int, seed: int) -> None:
    vector, *vectors = random_images(sides, count + 1, seed)
    weights = tf.constant(np.random.default_rng(seed).standard_normal(count))
    stacked = tf.stack(vectors)
    scale = float(tf.norm(vector)) * max(float(tf.norm(other)) for other in vectors)
    np.testing.assert_allclose(inner_products(vector, vectors), inner_products(vector, stacked), atol=1e-5 * scale)
    np.testing.assert_allclose(
        weighted_sum(vector, vectors, weights), weighted_sum(vector, stacked, weights), atol=1e-4
    )


@settings(max_examples=3)  # each example is traced and compiled
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_direction_from_stacked_vectors_is_the_same(sides: tuple[int, int], count: int, seed: int) -> None:
    history, (x, g, s) = pairs(sides, count, seed), random_images(sides, 3, seed + 5)
    (curvature,) = random_images(sides, 1, seed + 1)
    arguments = x, g, Trial(x + s, tf.constant(1.0), g + s * (0.5 + tf.square(curvature))), history.slots(room_for=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_ops, "on_gpu", lambda: True)
        stacked = _accept.python_function(*arguments)
    separate = _accept(*arguments)
    scale = float(tf.reduce_max(tf.abs(separate.direction)))
    np.testing.assert_allclose(stacked.direction, separate.direction, atol=1e-4 * scale)
    np.testing.assert_allclose(stacked.report, separate.report, rtol=1e-3)


def test_vectors_are_stacked_and_xla_is_not_used_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_ops, "on_gpu", lambda: True)
    history, (x, g) = pairs((9, 6), 3, 1), random_images((9, 6), 2, 5)
    graph = tf.function(_direction.python_function).get_concrete_function(x, g, history.slots()).graph
    assert "Pack" in {operation.type for operation in graph.get_operations()}
    assert not any("PartitionedCall" in operation.type for operation in graph.get_operations())
