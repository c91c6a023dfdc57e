"""Losses that explode or are not finite in the middle of a run: which ones it survives, and which ones end it."""

from collections.abc import Callable, Mapping

import pytest
import tensorflow as tf
from support.small_runs import CACHE, CONTENT, STYLE, digest, run, small

from shared.errors import Diverged
from shared.recipe import Recipe
from worker.engine import Iterate, restore_iterate, stylize
from worker.engine.iterate import RunState
from worker.engine.stylize import Evaluate, _Run
from worker.engine.weights.sources import Weights
from worker.job import checkpoint_format

Evaluated = tuple[tf.Tensor, tf.Tensor]
Fault = Callable[[tf.Tensor, tf.Tensor], Evaluated]
InjectFaults = Callable[[Mapping[int, Fault]], None]

NAN = tf.constant(float("nan"))


def not_a_number(measured: tf.Tensor, gradient: tf.Tensor) -> Evaluated:
    return measured * NAN, gradient * NAN


def infinite(measured: tf.Tensor, gradient: tf.Tensor) -> Evaluated:
    return measured * float("inf"), gradient


def broken_gradient(measured: tf.Tensor, gradient: tf.Tensor) -> Evaluated:
    """The loss is finite; only the gradient's norm is not."""
    return tf.concat([measured[:4] / 2, [NAN]], axis=0), gradient * NAN


def explosion(measured: tf.Tensor, gradient: tf.Tensor) -> Evaluated:
    return measured * 1e6, gradient * 1e6


def moderate_increase(measured: tf.Tensor, gradient: tf.Tensor) -> Evaluated:
    return measured * 100, gradient


@pytest.fixture
def inject_faults(monkeypatch: pytest.MonkeyPatch) -> InjectFaults:
    """Change the results of the evaluations of these steps, in every following run."""
    step = _Run._step

    def inject(faults: Mapping[int, Fault]) -> None:
        def faulty_step(self: _Run, state: RunState, evaluate: Evaluate) -> RunState:
            fault = faults.get(state.step + 1)
            return step(self, state, (lambda image: fault(*evaluate(image))) if fault else evaluate)

        monkeypatch.setattr(_Run, "_step", faulty_step)

    return inject


def one_stage(kind: str) -> Recipe:
    """Twelve updates at one size."""
    return small(kind, steps=12, stages=[{"scale": 1, "share": 1}])


def through_checkpoint(iterate: Iterate) -> checkpoint_format.CheckpointState:
    return checkpoint_format.load(b"".join(checkpoint_format.dump(iterate.state())))


def are_equal(one: Iterate, other: Iterate) -> bool:
    fields = [(it.step, it.losses, it.gradient_norm, it.phase, it.fraction, it.step_backoffs) for it in (one, other)]
    return fields[0] == fields[1] and digest(one.image) == digest(other.image)


def run_until_divergence(weights: Weights, recipe: Recipe) -> tuple[list[Iterate], str]:
    """Return the iterates before the divergence, and its message."""
    iterates = []
    try:
        for iterate in stylize(CONTENT, [STYLE], recipe, weights=weights, cache=CACHE):
            iterates.append(iterate)  # noqa: PERF402 - kept when the next one raises
    except Diverged as error:
        return iterates, error.detail
    pytest.fail("the run did not diverge")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("adam", not_a_number), ("adam", broken_gradient), ("lbfgs", infinite), ("lbfgs", broken_gradient)],
)
def test_after_a_bad_evaluation_the_last_good_image_is_yielded_again_and_the_run_continues(
    weights: Weights, inject_faults: InjectFaults, kind: str, fault: Fault
) -> None:
    inject_faults({5: fault})
    iterates = run(weights, one_stage(kind))
    assert [it.step for it in iterates] == list(range(13))
    assert [it.step_backoffs for it in iterates] == [0] * 5 + [1] * 8
    assert iterates[5].losses == iterates[4].losses
    assert digest(iterates[5].image) == digest(iterates[4].image)
    totals = [it.losses.total for it in iterates[6:]]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < iterates[5].losses.total


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_a_run_survives_two_bad_evaluations_in_a_row_and_two_more_later(
    weights: Weights, inject_faults: InjectFaults, kind: str
) -> None:
    inject_faults(dict.fromkeys([4, 5, 7, 8], not_a_number))
    iterates = run(weights, one_stage(kind))
    assert [it.step_backoffs for it in iterates[3:10]] == [0, 1, 2, 2, 3, 4, 4]
    assert iterates[12].losses.total < iterates[3].losses.total


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_the_error_after_three_bad_evaluations_in_a_row_names_step_and_backoffs(
    weights: Weights, inject_faults: InjectFaults, kind: str
) -> None:
    inject_faults(dict.fromkeys([4, 5, 6], not_a_number))
    iterates, message = run_until_divergence(weights, one_stage(kind))
    assert [it.step for it in iterates] == list(range(6))
    assert "At step 6" in message
    assert "halved 2 times. Lower the recipe's learning rate or weights." in message


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_a_run_diverges_if_the_first_evaluation_at_a_size_is_bad(
    weights: Weights, inject_faults: InjectFaults, kind: str
) -> None:
    for first in (0, 4):
        inject_faults({first: not_a_number})
        iterates, message = run_until_divergence(weights, small(kind))
        assert [it.step for it in iterates] == list(range(first))
        assert f"At step {first}" in message
        assert "no earlier image at this size" in message


def test_an_exploding_loss_is_handled_like_one_that_is_not_finite(
    weights: Weights, inject_faults: InjectFaults
) -> None:
    inject_faults({5: not_a_number})
    expected = run(weights, one_stage("adam"))
    inject_faults({5: explosion})
    exploded = run(weights, one_stage("adam"))
    assert len(exploded) == 13
    assert all(map(are_equal, exploded, expected))


def test_a_moderate_increase_of_the_loss_is_not_an_explosion(weights: Weights, inject_faults: InjectFaults) -> None:
    inject_faults({5: moderate_increase})
    iterates = run(weights, one_stage("adam"))
    assert iterates[5].losses.total > 50 * iterates[4].losses.total
    assert iterates[12].step_backoffs == 0


def test_the_line_search_of_lbfgs_handles_explosions_without_a_backoff(
    weights: Weights, inject_faults: InjectFaults
) -> None:
    inject_faults(dict.fromkeys([5, 6, 7, 8], explosion))
    iterates = run(weights, one_stage("lbfgs"))
    assert iterates[12].step_backoffs == 0
    assert {digest(it.image) for it in iterates[4:9]} == {digest(iterates[4].image)}
    assert iterates[12].losses.total < iterates[4].losses.total


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_a_run_resumed_anywhere_around_a_backoff_ends_in_the_same_bytes(
    weights: Weights, inject_faults: InjectFaults, kind: str
) -> None:
    inject_faults(dict.fromkeys([2, 5, 6], not_a_number))
    uninterrupted = run(weights, small(kind))
    for cut in (2, 5, 6):  # right after a backoff, between two, right after both at the next size
        resumed = run(weights, small(kind), state=through_checkpoint(uninterrupted[cut]))
        assert len(resumed) == 8 - cut
        assert all(map(are_equal, resumed, uninterrupted[cut + 1 :]))


def test_lowest_loss_and_consecutive_backoffs_survive_an_interruption(
    weights: Weights, inject_faults: InjectFaults
) -> None:
    uninterrupted = run(weights, one_stage("adam"))
    inject_faults({5: explosion})
    resumed = run(weights, one_stage("adam"), state=through_checkpoint(uninterrupted[4]))
    assert resumed[0].step_backoffs == 1
    inject_faults(dict.fromkeys([4, 5, 6], not_a_number))
    iterates, _ = run_until_divergence(weights, one_stage("adam"))
    with pytest.raises(Diverged, match="At step 6"):
        run(weights, one_stage("adam"), state=through_checkpoint(iterates[5]))


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_an_iterate_can_be_restored_from_its_saved_state(
    weights: Weights, inject_faults: InjectFaults, kind: str
) -> None:
    inject_faults({6: not_a_number})
    for iterate in run(weights, small(kind)):
        assert are_equal(restore_iterate(CONTENT, small(kind), through_checkpoint(iterate)), iterate)
