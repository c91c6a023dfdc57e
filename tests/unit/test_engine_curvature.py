"""What L-BFGS takes the inverse Hessian for."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.engine.curvature import Secants, _inner_products, _sum, inner

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def pictures(sides: tuple[int, int], count: int, seed: int) -> list[tf.Tensor]:
    random = np.random.default_rng(seed)
    return [tf.constant(random.standard_normal((*sides, 3), np.float32)) for _ in range(count)]


def secants(sides: tuple[int, int], count: int, seed: int, most: int = 6) -> Secants:
    """Of a quadratic bowl that is steeper here than there, so that each product is positive."""
    (steep,) = pictures(sides, 1, seed + 1)
    known = Secants(most)
    for moved in pictures(sides, count, seed):
        known = known.learned(moved, moved * (0.5 + tf.square(steep)))
    return known


def two_loops(known: Secants, gradient: tf.Tensor) -> tf.Tensor:
    """The same as Nocedal wrote it in 1980."""
    rest, shares = gradient, []
    for moved, bent in zip(reversed(known.moved), reversed(known.bent), strict=True):
        shares.append(inner(moved, rest) / inner(moved, bent))
        rest -= shares[-1] * bent
    rest = known._first_guess(rest)
    for moved, bent in zip(known.moved, known.bent, strict=True):
        rest += (shares.pop() - inner(bent, rest) / inner(moved, bent)) * moved
    return rest


@settings(max_examples=20)
@given(sides=SIDES, count=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_inverse_is_that_of_the_two_loops(sides: tuple[int, int], count: int, seed: int) -> None:
    known, (gradient,) = secants(sides, count, seed), pictures(sides, 1, seed + 3)
    expected = two_loops(known, gradient)
    np.testing.assert_allclose(known.inverse(gradient), expected, atol=1e-3 * float(tf.reduce_max(tf.abs(expected))))


@settings(max_examples=20)
@given(sides=SIDES, count=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_newest_secant_is_kept_exactly(sides: tuple[int, int], count: int, seed: int) -> None:
    known = secants(sides, count, seed)
    moved, bent = known.moved[-1], known.bent[-1]
    np.testing.assert_allclose(known.inverse(bent), moved, atol=1e-4 * float(tf.reduce_max(tf.abs(moved))))


@settings(max_examples=20)
@given(sides=SIDES, seed=st.integers(0, 99))
def test_the_first_guess_is_symmetric_and_positive(sides: tuple[int, int], seed: int) -> None:
    guess = secants(sides, 2, seed)._first_guess
    one, other = pictures(sides, 2, seed + 7)
    guessed, size = guess(other), float(tf.norm(one) * tf.norm(guess(other)))
    assert float(inner(one, guessed)) == pytest.approx(float(inner(guess(one), other)), abs=1e-4 * size)
    assert float(inner(other, guessed)) > 0


def test_where_nothing_is_known_the_gradient_stays() -> None:
    (gradient,) = pictures((5, 7), 1, 3)
    assert Secants(4).inverse(gradient) is gradient


def test_histories_of_about_the_same_length_share_what_is_compiled() -> None:
    (gradient,) = pictures((6, 11), 1, 3)
    variants = set()
    for most in (1, 3, 10):
        secants((6, 11), 2, 0, most).inverse(gradient)
        variants.add((_sum.experimental_get_tracing_count(), _inner_products.experimental_get_tracing_count()))
    assert len(variants) == 1


def test_what_bends_the_wrong_way_is_not_learned() -> None:
    known, (moved,) = secants((5, 7), 2, 3), pictures((5, 7), 1, 4)
    assert known.learned(moved, -moved) is known
    assert known.learned(moved, 0 * moved) is known


def test_of_too_many_the_oldest_is_forgotten() -> None:
    all_of_them, latest = secants((5, 7), 5, 3, most=9), secants((5, 7), 5, 3, most=3)
    np.testing.assert_array_equal(latest.moved, all_of_them.moved[-3:])
    np.testing.assert_array_equal(latest.products, all_of_them.products[-3:, -3:])


def test_a_gradient_leads_further_in_the_coarse_than_in_the_fine() -> None:
    known = secants((32, 32), 1, 0)
    flat, chequered = (
        tf.ones([32, 32, 3]),
        tf.constant(np.indices((32, 32)).sum(axis=0)[..., None] % 2 * 2 - np.ones(3), tf.float32),
    )
    far, near = (float(inner(picture, known._first_guess(picture))) for picture in (flat, chequered))
    assert far > 3 * near
