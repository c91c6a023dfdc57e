"""The backtracking line search of L-BFGS, as functions without state.

phi(t) = f(x + t d) along a direction d, with phi'(0) = g^T d < 0. Nocedal and Wright, Numerical Optimization, 2nd
edition: Armijo's condition in section 3.1, interpolation in 3.5. Where the trial x_t is clipped to [0, 1],
g^T (x_t - x) takes the place of t phi'(0) (Bertsekas 1976), and the parabola is an approximation.
"""

from typing import Final

_SUFFICIENT_DECREASE: Final = 1e-4  # c_1, relative to the decrease that the derivative predicts
_MIN_FACTOR, _MAX_FACTOR = 0.1, 0.5  # of the previous step: interpolation is safeguarded


def is_accepted(phi_t: float, phi_0: float, decrease: float) -> bool:
    """Return whether Armijo's condition holds: phi(t) <= phi(0) + c_1 t phi'(0).

    `decrease` is t phi'(0) or g^T (x_t - x). The condition does not hold if the loss is NaN.
    """
    return phi_t <= phi_0 + _SUFFICIENT_DECREASE * decrease


def shorter_step(t: float, phi_t: float, phi_0: float, decrease: float) -> float:
    """Return the minimum of the parabola through phi(0), phi'(0) and phi(t), clipped to a tenth to a half of t.

    t_new = -t^2 phi'(0) / (2 (phi(t) - phi(0) - t phi'(0))); `decrease` is as above.
    """
    curvature = 2 * (phi_t - phi_0 - decrease)
    factor = -decrease / curvature if curvature > 0 else _MAX_FACTOR
    return t * min(max(factor, _MIN_FACTOR), _MAX_FACTOR)
