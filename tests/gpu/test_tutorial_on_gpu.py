"""The losses of TensorFlow's tutorial: tests/acceptance/test_tutorial_reference.py, on the GPU."""

from acceptance.test_tutorial_reference import (  # noqa: F401 - pytest finds fixtures and tests by their names
    reference,
    run,
    test_every_loss_is_within_half_a_percent_up_to_step_20,
    test_every_loss_is_within_two_percent_at_step_100,
    test_gradient_norms_are_within_one_percent_up_to_step_5_or_two_on_a_gpu,
)
