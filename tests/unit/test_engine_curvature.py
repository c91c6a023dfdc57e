"""What L-BFGS takes the inverse Hessian for."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.curvature import Pair, _first_guess, inner, inverse

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def pictures(sides: tuple[int, int], count: int, seed: int) -> list[tf.Tensor]:
    random = np.random.default_rng(seed)
    return [tf.constant(random.standard_normal((*sides, 3), np.float32)) for _ in range(count)]


def pairs(sides: tuple[int, int], count: int, seed: int) -> list[Pair]:
    """Of a quadratic bowl that is steeper here than there, so that each product is positive."""
    (steep,) = pictures(sides, 1, seed + 1)
    return [Pair(moved, moved * (0.5 + tf.square(steep))) for moved in pictures(sides, count, seed)]


@settings(max_examples=20, deadline=None)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_newest_secant_is_kept_exactly(sides: tuple[int, int], count: int, seed: int) -> None:
    known = pairs(sides, count, seed)
    found = inverse(known, known[-1].bent)
    np.testing.assert_allclose(found, known[-1].moved, atol=1e-4 * float(tf.reduce_max(tf.abs(known[-1].moved))))


@settings(max_examples=20, deadline=None)
@given(sides=SIDES, seed=st.integers(0, 99))
def test_the_first_guess_is_symmetric_and_positive(sides: tuple[int, int], seed: int) -> None:
    known = pairs(sides, 2, seed)
    one, other = pictures(sides, 2, seed + 7)
    guessed, size = _first_guess(known, other), float(tf.norm(one) * tf.norm(_first_guess(known, other)))
    assert float(inner(one, guessed)) == pytest.approx(float(inner(_first_guess(known, one), other)), abs=1e-4 * size)
    assert float(inner(other, guessed)) > 0


def test_where_nothing_is_known_the_gradient_stays() -> None:
    (gradient,) = pictures((5, 7), 1, 3)
    assert inverse([], gradient) is gradient


def test_a_gradient_leads_further_in_the_coarse_than_in_the_fine() -> None:
    known = pairs((32, 32), 1, 0)
    flat, chequered = (
        tf.ones([32, 32, 3]),
        tf.constant(np.indices((32, 32)).sum(axis=0)[..., None] % 2 * 2 - np.ones(3), tf.float32),
    )
    far, near = (float(inner(picture, _first_guess(known, picture))) for picture in (flat, chequered))
    assert far > 3 * near
