"""The speed model: similar runs count most, and spreads cover what they promise."""

import math
from typing import Any

import numpy as np
import pytest

from api.eta.speed_model import Z90, SpeedModel
from shared.jobs.estimate import DEFAULT_PIXELS_PER_SECOND, START_SECONDS
from shared.jobs.run_history import RunRecord


def run(**fields: Any) -> RunRecord:
    defaults = {"device": "cpu", "algorithm": "lbfgs", "pixels": 65536, "pixels_per_second": 1000}
    return RunRecord.model_validate(
        {**defaults, "start_seconds": 2, "end_seconds": 1, "fraction": 1, "drift": None, **fields}
    )


def noisy(random: np.random.Generator, count: int, spread: float) -> list[RunRecord]:
    """Return runs of all sizes, whose speed grows slowly with the size."""
    runs = []
    for _ in range(count):
        pixels = float(random.uniform(4096, 262_144))
        speed = pixels**0.1 * random.lognormal(0, spread)
        runs.append(run(pixels=pixels, pixels_per_second=speed, drift=random.normal(0, spread / 2)))
    return runs


def speed(model: SpeedModel, device: str, algorithm: str, pixels: float) -> float:
    """Return the predicted median, in pixel evaluations per second."""
    return math.exp(-model.predict(device, algorithm, pixels)[0])


def test_without_runs_the_model_uses_its_defaults() -> None:
    model = SpeedModel([])
    log_pace, sigma, start = model.predict("cpu", "adam", 256 * 192)
    assert math.exp(-log_pace) == pytest.approx(DEFAULT_PIXELS_PER_SECOND, rel=0.3)
    assert math.exp(Z90 * sigma) > 3
    assert start == START_SECONDS
    assert model.mean_fraction == 1


def test_runs_of_the_same_size_and_device_count_most() -> None:
    model = SpeedModel(
        [
            *[run(pixels_per_second=100)] * 9,
            *[run(pixels=65536 * 64, pixels_per_second=200)] * 9,
            *[run(device="gpu", pixels_per_second=9000)] * 99,
        ]
    )
    assert speed(model, "cpu", "lbfgs", 65536) == pytest.approx(100, rel=0.05)
    assert speed(model, "cpu", "lbfgs", 65536 * 64) == pytest.approx(200, rel=0.05)
    assert speed(model, "cpu", "adam", 65536 * 1024) == pytest.approx(200, rel=0.05)
    assert speed(model, "unmet", "lbfgs", 65536) == pytest.approx(9000, rel=0.05)


def test_the_fixed_cost_of_a_step_slows_small_images_only() -> None:
    seconds = {side**2: 0.052 + 4e-6 * side**2 for side in (64, 128, 256, 512)}  # of a step, made up
    small, *_, large = seconds
    model = SpeedModel([run(pixels=small, pixels_per_second=small / seconds[small])])
    assert speed(model, "cpu", "lbfgs", small) == pytest.approx(small / seconds[small])
    assert speed(model, "cpu", "lbfgs", large) == pytest.approx(large / seconds[large], rel=0.1)


def test_runs_with_another_optimizer_count_less() -> None:
    model = SpeedModel([*[run(algorithm="adam", pixels_per_second=500)] * 3, *[run()] * 3])
    assert speed(model, "cpu", "adam", 65536) < 600
    assert speed(model, "cpu", "lbfgs", 65536) > 900


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_quantiles_hold_on_unseen_jobs(spread: float) -> None:
    random = np.random.default_rng(3)
    model = SpeedModel(noisy(random, 200, spread))
    errors = []
    for one in noisy(random, 1000, spread):
        log_pace, sigma, _ = model.predict("cpu", "lbfgs", one.pixels)
        errors.append((-math.log(one.pixels_per_second) - log_pace) / sigma)
    assert 0.4 < np.mean(np.array(errors) <= 0) < 0.6
    assert 0.85 < np.mean(np.array(errors) <= Z90) < 0.95


def test_few_runs_do_not_narrow_the_spread() -> None:
    def width(count: int) -> float:
        return math.exp(Z90 * SpeedModel([run()] * count).predict("cpu", "lbfgs", 65536)[1])

    assert width(1) > width(30)
    assert width(1) > 1.3
    assert width(100) == 1


def test_one_outlier_does_not_move_the_median() -> None:
    model = SpeedModel([*[run()] * 20, run(pixels_per_second=1)])
    assert speed(model, "cpu", "lbfgs", 65536) == pytest.approx(1000)


@pytest.mark.parametrize("done", [0.02, 0.25, 0.5, 0.9])
def test_a_jobs_own_pace_counts_more_as_it_progresses(done: float) -> None:
    random = np.random.default_rng(1)
    step = 0.3 / 4  # the drifts spread twice as far as a step
    model = SpeedModel(noisy(random, 200, 0.3))
    covered = {0.5: 0, 0.9: 0}
    for _ in range(500):
        whole = 100 * random.lognormal(0, 0.3)  # as many seconds as it would take at the pace of its lot
        own = whole * math.exp(step * random.normal() / math.sqrt(done))
        rest = whole * math.exp(step * random.normal() / math.sqrt(1 - done))
        log_seconds, sigma = model.at_own_pace(math.log(100), 0.3, math.log(own), done)
        for share, z in ((0.5, 0), (0.9, Z90)):
            covered[share] += math.log(rest) <= log_seconds + z * sigma
    assert 0.4 < covered[0.5] / 500 < 0.6
    assert 0.83 < covered[0.9] / 500 < 0.97
