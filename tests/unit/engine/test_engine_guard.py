"""Evaluations that go wrong in the middle of a run: what is survived, what is told, and what ends it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import tensorflow as tf
from support.small_runs import CACHE, CONTENT, STYLE, digest, run, small

from shared.errors import Diverged
from shared.recipe import Recipe
from worker.engine import Iterate, revive, stylize
from worker.engine.state import Position
from worker.engine.stylize import Evaluate, _Run
from worker.engine.weights.sources import Weights
from worker.job import checkpoint_format

Told = tuple[tf.Tensor, tf.Tensor]
Fault = Callable[[tf.Tensor, tf.Tensor], Told]
Disturb = Callable[[Mapping[int, Fault]], None]

NAN = tf.constant(float("nan"))


def not_a_number(measured: tf.Tensor, gradient: tf.Tensor) -> Told:
    return measured * NAN, gradient * NAN


def infinite(measured: tf.Tensor, gradient: tf.Tensor) -> Told:
    return measured * float("inf"), gradient


def broken_gradient(measured: tf.Tensor, gradient: tf.Tensor) -> Told:
    """The loss is as good as any; only the gradient's norm tells."""
    return tf.concat([measured[:4] / 2, [NAN]], axis=0), gradient * NAN


def explosion(measured: tf.Tensor, gradient: tf.Tensor) -> Told:
    return measured * 1e6, gradient * 1e6


def setback(measured: tf.Tensor, gradient: tf.Tensor) -> Told:
    return measured * 100, gradient


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Weights:
    return Weights("path", random_weights, "")


@pytest.fixture
def disturb(monkeypatch: pytest.MonkeyPatch) -> Disturb:
    """Lets the evaluations of these steps go wrong, in every run that follows; all else is as it is."""
    step = _Run._step

    def disturbed(faults: Mapping[int, Fault]) -> None:
        def stumble(self: _Run, position: Position, evaluate: Evaluate) -> Position:
            fault = faults.get(position.step + 1)
            return step(self, position, (lambda image: fault(*evaluate(image))) if fault else evaluate)

        monkeypatch.setattr(_Run, "_step", stumble)

    return disturbed


def plain(kind: str) -> Recipe:
    """Twelve updates at one size."""
    return small(kind, steps=12, stages=[{"scale": 1, "share": 1}])


def resumed(weights: Weights, recipe: Recipe, at: Iterate) -> list[Iterate]:
    return run(weights, recipe, state=checkpoint_format.load(b"".join(checkpoint_format.dump(at.state()))))


def alike(one: Iterate, other: Iterate) -> bool:
    told = [(it.step, it.losses, it.gradient_norm, it.phase, it.fraction, it.step_backoffs) for it in (one, other)]
    return told[0] == told[1] and digest(one.image) == digest(other.image)


def until_it_diverges(weights: Weights, recipe: Recipe) -> tuple[list[Iterate], str]:
    """What a run yields, and how it says that it diverged."""
    iterates, seen = stylize(CONTENT, [STYLE], recipe, weights=weights, cache=CACHE), []
    try:
        for iterate in iterates:
            seen.append(iterate)  # noqa: PERF402 - kept when the next one raises
    except Diverged as error:
        return seen, error.detail
    pytest.fail("it did not diverge")


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("adam", not_a_number), ("adam", broken_gradient), ("lbfgs", infinite), ("lbfgs", broken_gradient)],
)
def test_a_bad_evaluation_shows_the_last_good_picture_again_and_the_run_goes_on(
    weights: Weights, disturb: Disturb, kind: str, fault: Fault
) -> None:
    disturb({5: fault})
    iterates = run(weights, plain(kind))
    assert [it.step for it in iterates] == list(range(13))
    assert [it.step_backoffs for it in iterates] == [0] * 5 + [1] * 8
    assert iterates[5].losses == iterates[4].losses
    assert digest(iterates[5].image) == digest(iterates[4].image)
    totals = [it.losses.total for it in iterates[6:]]
    assert totals == sorted(totals, reverse=True)
    assert totals[-1] < iterates[5].losses.total


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_two_bad_evaluations_in_a_row_are_survived_and_two_more_later(
    weights: Weights, disturb: Disturb, kind: str
) -> None:
    disturb(dict.fromkeys([4, 5, 7, 8], not_a_number))
    iterates = run(weights, plain(kind))
    assert [it.step_backoffs for it in iterates[3:10]] == [0, 1, 2, 2, 3, 4, 4]
    assert iterates[12].losses.total < iterates[3].losses.total


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_three_bad_evaluations_in_a_row_end_the_run_with_step_and_halvings_named(
    weights: Weights, disturb: Disturb, kind: str
) -> None:
    disturb(dict.fromkeys([4, 5, 6], not_a_number))
    iterates, why = until_it_diverges(weights, plain(kind))
    assert [it.step for it in iterates] == list(range(6))
    assert "At step 6" in why
    assert "halved 2 times; lower the learning rate or the weights" in why


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_the_first_evaluation_at_a_size_has_nothing_to_go_back_to(
    weights: Weights, disturb: Disturb, kind: str
) -> None:
    for first in (0, 4):
        disturb({first: not_a_number})
        iterates, why = until_it_diverges(weights, small(kind))
        assert [it.step for it in iterates] == list(range(first))
        assert f"At step {first}" in why
        assert "first picture of its size" in why


def test_an_exploding_loss_is_rolled_back_as_one_that_is_not_finite(weights: Weights, disturb: Disturb) -> None:
    disturb({5: not_a_number})
    expected = run(weights, plain("adam"))
    disturb({5: explosion})
    exploded = run(weights, plain("adam"))
    assert len(exploded) == 13
    assert all(map(alike, exploded, expected))


def test_a_loss_far_above_the_least_is_no_explosion_yet(weights: Weights, disturb: Disturb) -> None:
    disturb({5: setback})
    iterates = run(weights, plain("adam"))
    assert iterates[5].losses.total > 50 * iterates[4].losses.total
    assert iterates[12].step_backoffs == 0


def test_the_line_search_of_lbfgs_deals_with_explosions_by_itself(weights: Weights, disturb: Disturb) -> None:
    disturb(dict.fromkeys([5, 6, 7, 8], explosion))
    iterates = run(weights, plain("lbfgs"))
    assert iterates[12].step_backoffs == 0
    assert {digest(it.image) for it in iterates[4:9]} == {digest(iterates[4].image)}
    assert iterates[12].losses.total < iterates[4].losses.total


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_a_run_cut_anywhere_around_a_retreat_ends_in_the_same_bytes(
    weights: Weights, disturb: Disturb, kind: str
) -> None:
    disturb(dict.fromkeys([2, 5, 6], not_a_number))
    whole = run(weights, small(kind))
    for cut in (2, 5, 6):  # right after one, between two, right after both in the next size
        rest = resumed(weights, small(kind), whole[cut])
        assert len(rest) == 8 - cut
        assert all(map(alike, rest, whole[cut + 1 :]))


def test_what_was_good_and_bad_before_a_cut_still_counts_after_it(weights: Weights, disturb: Disturb) -> None:
    whole = run(weights, plain("adam"))
    disturb({5: explosion})
    assert resumed(weights, plain("adam"), whole[4])[0].step_backoffs == 1
    disturb(dict.fromkeys([4, 5, 6], not_a_number))
    iterates, _ = until_it_diverges(weights, plain("adam"))
    with pytest.raises(Diverged, match="At step 6"):
        resumed(weights, plain("adam"), iterates[5])


@pytest.mark.parametrize("kind", ["adam", "lbfgs"])
def test_a_saved_state_comes_back_as_the_iterate_that_it_was_taken_from(
    weights: Weights, disturb: Disturb, kind: str
) -> None:
    disturb({6: not_a_number})
    for iterate in run(weights, small(kind)):
        assert alike(
            revive(small(kind), checkpoint_format.load(b"".join(checkpoint_format.dump(iterate.state())))), iterate
        )
