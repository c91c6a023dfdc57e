"""What ended jobs let one expect: medians of the alike, and spreads that cover what they say."""

import math
from typing import Any

import numpy as np
import pytest

from api.eta.speed_model import DRAWS, Odds
from shared.jobs.estimate import DEFAULT_PIXELS_PER_SECOND, START_SECONDS
from shared.jobs.run_history import Trial


def trial(**told: Any) -> Trial:
    usual = {"device": "cpu", "optimizer": "lbfgs", "pixels": 65536, "pixels_per_second": 1000}
    return Trial.model_validate({**usual, "start": 2, "ending": 1, "fraction": 1, "drift": None, **told})


def noisy(random: np.random.Generator, count: int, spread: float) -> list[Trial]:
    """Jobs of all sizes, whose speed grows slowly with the size."""
    found = []
    for _ in range(count):
        pixels = float(random.uniform(4096, 262_144))
        speed = pixels**0.1 * random.lognormal(0, spread)
        found.append(trial(pixels=pixels, pixels_per_second=speed, drift=random.normal(0, spread / 2)))
    return found


def test_without_any_trial_the_default_is_all_that_is_known() -> None:
    odds = Odds([])
    assert odds.speed("cpu", "adam", 1000) == DEFAULT_PIXELS_PER_SECOND
    chances = odds.chances("cpu")
    assert np.quantile(np.exp(chances.error), 0.9) > 3
    assert set(chances.start) == {START_SECONDS}


def test_the_same_size_counts_before_another_and_another_size_before_another_device() -> None:
    odds = Odds(
        [
            trial(pixels_per_second=100),
            *[trial(pixels=65536 * 64, pixels_per_second=200)] * 9,
            *[trial(device="gpu", pixels_per_second=9000)] * 99,
        ]
    )
    assert odds.speed("cpu", "lbfgs", 65536) == pytest.approx(100, rel=0.05)
    assert odds.speed("cpu", "lbfgs", 65536 * 64) == pytest.approx(200, rel=0.05)
    assert odds.speed("cpu", "adam", 65536 * 1024) == pytest.approx(200, rel=0.05)
    assert odds.speed("unmet", "lbfgs", 65536) == pytest.approx(9000, rel=0.05)


def test_a_small_picture_is_slow_by_what_a_step_does_besides_and_says_nothing_else_of_a_large_one() -> None:
    seconds = {side**2: 0.052 + 4e-6 * side**2 for side in (64, 128, 256, 512)}  # of a step, made up
    small, *_, large = seconds
    odds = Odds([trial(pixels=small, pixels_per_second=small / seconds[small])])
    assert odds.speed("cpu", "lbfgs", small) == pytest.approx(small / seconds[small])
    assert odds.speed("cpu", "lbfgs", large) == pytest.approx(large / seconds[large], rel=0.1)


def test_an_optimiser_of_another_kind_counts_less() -> None:
    odds = Odds([*[trial(optimizer="adam", pixels_per_second=500)] * 3, *[trial()] * 3])
    assert odds.speed("cpu", "adam", 65536) < 600
    assert odds.speed("cpu", "lbfgs", 65536) > 900


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_the_quantiles_hold_what_they_say_on_jobs_that_were_not_seen(spread: float) -> None:
    random = np.random.default_rng(3)
    odds = Odds(noisy(random, 200, spread))
    unseen = noisy(random, 1000, spread)
    errors = [math.log(odds.speed("cpu", "lbfgs", one.pixels) / one.pixels_per_second) for one in unseen]
    p50, p90 = np.quantile(odds.chances("cpu").error, (0.5, 0.9))
    assert 0.4 < np.mean(np.array(errors) <= p50) < 0.6
    assert 0.85 < np.mean(np.array(errors) <= p90) < 0.95


def test_few_trials_do_not_make_sure_of_themselves() -> None:
    def width(count: int) -> float:
        return float(np.quantile(Odds([trial()] * count).chances("cpu").error, 0.9))

    assert width(1) == width(2) > width(30)
    assert width(100) == 0


def test_one_strange_job_is_not_believed() -> None:
    odds = Odds([*[trial()] * 20, trial(pixels_per_second=1)])
    assert odds.speed("cpu", "lbfgs", 65536) == pytest.approx(1000)


@pytest.mark.parametrize("done", [0.02, 0.25, 0.5, 0.9])
def test_a_pace_is_trusted_the_more_the_longer_it_was_watched(done: float) -> None:
    random = np.random.default_rng(1)
    trials, step = noisy(random, 200, 0.3), 0.3 / 4  # the drifts spread twice as far as a step
    chances = Odds(trials).chances("cpu").shuffled(random)
    covered = {0.5: 0, 0.9: 0}
    for _ in range(500):
        whole = 100 * random.lognormal(0, 0.3)  # as many seconds as it would take at the pace of its lot
        own = whole * math.exp(step * random.normal() / math.sqrt(done))
        rest = whole * math.exp(step * random.normal() / math.sqrt(1 - done))
        told = chances.by_its_own_pace(100, own, done)
        for share in covered:
            covered[share] += rest <= np.quantile(told, share)
    assert 0.4 < covered[0.5] / 500 < 0.6
    assert 0.83 < covered[0.9] / 500 < 0.97


def test_shuffling_changes_the_order_and_nothing_else() -> None:
    chances = Odds(noisy(np.random.default_rng(0), 40, 0.2)).chances("cpu")
    shuffled = chances.shuffled(np.random.default_rng(0))
    assert len(shuffled.error) == DRAWS
    for name in ("error", "start", "ending", "fraction", "drift"):
        assert sorted(getattr(chances, name)) == sorted(getattr(shuffled, name))
