"""The line search: which trials are accepted, and the step size of the next one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.optimizers.line_search import is_accepted, shorter_step

POSITIVE = st.floats(1e-3, 1e3)


def test_a_sufficient_part_of_the_predicted_decrease_is_accepted() -> None:
    assert is_accepted(0.9, 1.0, -0.5)
    assert not is_accepted(1.0, 1.0, -0.5)
    assert is_accepted(1.0, 1.0, 0.0), "at a stationary point there is nothing to decrease"


def test_the_first_loss_is_accepted_and_nan_and_infinity_never_are() -> None:
    assert is_accepted(5.0, math.inf, 0.0)
    assert not is_accepted(math.nan, 1.0, -0.5)
    assert not is_accepted(math.inf, 1.0, -0.5)


def test_the_next_step_ends_at_the_minimum_of_a_parabola() -> None:
    def phi(t: float) -> float:
        return 2 * (t - 0.3) ** 2

    derivative = -4 * 0.3
    assert shorter_step(1.0, phi(1.0), phi(0.0), derivative) == pytest.approx(0.3)


def test_a_parabola_with_a_minimum_too_near_or_too_far_gives_a_tenth_or_a_half_of_the_step() -> None:
    assert shorter_step(2.0, 1e6, 0.0, -1.0) == pytest.approx(0.2)
    assert shorter_step(2.0, -0.2, 0.0, -1.0) == pytest.approx(1.0)


@given(t=POSITIVE, phi_t=st.floats(allow_nan=False, allow_infinity=False, width=32), decrease=POSITIVE)
def test_the_next_step_is_a_tenth_to_a_half_of_the_last(t: float, phi_t: float, decrease: float) -> None:
    assert 0.1 * t <= shorter_step(t, phi_t, 0.0, -decrease) <= 0.5 * t
