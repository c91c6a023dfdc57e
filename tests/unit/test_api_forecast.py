"""Waiting times: the queue played forward."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.forecast import Forecast
from shared.job import Job, JobState, Progress, Request
from shared.overview import WorkerInfo
from shared.recipe import resolve
from shared.settings import Settings

SETTINGS = Settings(slice_seconds=100)
ONE = WorkerInfo(name="a", device="cpu:2", weights="w", tiers=("standard",), pixels_per_second=1000, seen_at=0)
TWO = ONE.model_copy(update={"name": "b"})


def job(name: str, *, order: int = 0, tier: str = "standard", left: float | None = None, steps: int = 10) -> Job:
    """A waiting job, or one that runs and has `left` of 100 seconds to go."""
    recipe = resolve({"preset": "fast", "size": 64, "steps": steps})
    request = Request(id=name, tier=tier, recipe=recipe, content="c", styles=("s",), created_at=0, digest="d")
    running = left is not None
    return Job(
        id=name,
        state=JobState.RUNNING if running else JobState.QUEUED,
        request=request,
        order=order,
        progress=Progress(total=steps, percentage=100 - left if left is not None else 0),
        run_seconds=100 - left if left is not None else 0,
    )


def p50(forecast: Forecast, one: Job) -> float:
    eta = forecast.eta(one)
    assert eta is not None
    return eta.p50


def test_nobody_can_know_where_nobody_works() -> None:
    waiting = job("a")
    assert Forecast([waiting], [], SETTINGS).eta(waiting) is None


def test_a_running_job_goes_on_at_its_own_pace() -> None:
    running = job("a", left=40)
    eta = Forecast([running], [ONE], SETTINGS).eta(running)
    assert eta is not None
    assert (eta.p50, eta.p90) == (40, 60)


def test_the_next_waits_for_the_running_one_and_the_last_for_all() -> None:
    running, first, second = job("r", left=40), job("1", order=1), job("2", order=2)
    forecast = Forecast([second, running, first], [ONE], SETTINGS)
    alone = p50(Forecast([first], [ONE], SETTINGS), first)
    assert p50(forecast, first) == pytest.approx(40 + alone)
    assert p50(forecast, second) == pytest.approx(40 + 2 * alone, abs=0.2)


def test_a_second_worker_halves_the_wait() -> None:
    jobs = [job(str(order), order=order) for order in range(4)]
    alone, together = (p50(Forecast(jobs, workers, SETTINGS), jobs[3]) for workers in ([ONE], [ONE, TWO]))
    assert together == pytest.approx(alone / 2, abs=0.2)


def test_the_first_tier_is_served_before_the_next() -> None:
    batch, standard = job("b", order=1, tier="batch"), job("s", order=2)
    forecast = Forecast([batch, standard], [ONE], SETTINGS)
    assert p50(forecast, standard) < p50(forecast, batch)


def test_a_short_job_overtakes_a_long_one_after_its_slice() -> None:
    long, short = job("long", left=90).model_copy(update={"run_seconds": 1000.0}), job("short", order=1, steps=5)
    forecast = Forecast([long, short], [ONE], SETTINGS)
    assert p50(forecast, short) < 200 < p50(forecast, long)


def test_an_unmeasured_machine_makes_the_estimate_wide() -> None:
    waiting = job("a")
    eta = Forecast([waiting], [ONE.model_copy(update={"pixels_per_second": None})], SETTINGS).eta(waiting)
    assert eta is not None
    assert eta.p90 == pytest.approx(4 * eta.p50, abs=0.1)


@given(
    st.lists(st.integers(2, 20_000), max_size=12),
    st.lists(st.floats(0.1, 99), max_size=4),
    st.integers(1, 4),
    st.floats(1, 1000),
)
def test_every_job_ends_once_and_work_is_neither_lost_nor_doubled(
    waiting: list[int], running: list[float], workers: int, slice_seconds: float
) -> None:
    jobs = [job(f"w{order}", order=order, steps=steps) for order, steps in enumerate(waiting)]
    jobs += [job(f"r{number}", left=left) for number, left in enumerate(running)]
    settings = SETTINGS.model_copy(update={"slice_seconds": slice_seconds})
    forecast = Forecast(jobs, [ONE.model_copy(update={"name": str(n)}) for n in range(workers)], settings)
    ends = [p50(forecast, one) for one in jobs]
    alone = [p50(Forecast([one], [ONE], settings), one) for one in jobs]
    lanes = max(workers, len(running))
    assert all(end >= own - 0.2 for end, own in zip(ends, alone, strict=True))
    assert max(ends, default=0) <= sum(alone) + 1
    assert max(ends, default=0) >= sum(alone) / lanes - 1
