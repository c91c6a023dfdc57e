"""Forecasts of small queues."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.eta.forecast import Forecast
from easel.models import JobState, Progress
from shared.jobs.estimate import cost
from shared.jobs.job import Job, JobRequest
from shared.jobs.run_history import RunRecord
from shared.ledger.queue_stats import STARTING, WorkerInfo
from shared.presets import resolve
from shared.settings import Settings

SETTINGS = Settings(tiers=("standard", "batch"), slice_seconds=100, heartbeat_seconds=0.01)
ONE = WorkerInfo(name="a", device="cpu:2", weights="w", tiers=SETTINGS.tiers, seen_at=0)
TWO = ONE.model_copy(update={"name": "b"})


TWO_STAGES = {"init": "content", "stages": [{"scale": 0.625, "share": 0.55}, {"scale": 1, "share": 0.45}]}
THREE_STAGES = {
    "init": "content",
    "steps": 170,
    "stages": [{"scale": 0.5, "share": 0.42}, {"scale": 0.7, "share": 0.18}, {"scale": 1, "share": 0.4}],
}


def run(*, speed: float, **fields: Any) -> RunRecord:
    defaults = {"device": "cpu:2", "algorithm": "lbfgs", "pixels": 4096, "start_seconds": 1, "end_seconds": 0}
    return RunRecord.model_validate({**defaults, "fraction": 1, "drift": None, "pixels_per_second": speed, **fields})


RUNS = (run(speed=1000),)


def make_forecast(
    jobs: list[Job],
    workers: list[WorkerInfo],
    settings: Settings = SETTINGS,
    runs: Sequence[RunRecord] = RUNS,
    **options: bool,
) -> Forecast:
    return Forecast(jobs, workers, settings, runs, **options)


def job(name: str, *, order: int = 0, tier: str = "standard", remaining: float | None = None, steps: int = 10) -> Job:
    """Return a queued job, or a running one with `remaining` of 100 seconds to go."""
    recipe = resolve({"size": 64, "steps": steps, **TWO_STAGES})
    request = JobRequest(id=name, tier=tier, recipe=recipe, content="c", styles=("s",), created_at=0, digest="d")
    running = remaining is not None
    return Job(
        id=name,
        state=JobState.RUNNING if running else JobState.QUEUED,
        request=request,
        order=order,
        progress=Progress(total=steps, percentage=100 - remaining if remaining is not None else 0),
        run_seconds=100 - remaining if remaining is not None else 0,
        fraction_per_second=1 / 100 if running else None,
    )


def of_tenant(tenant: str, one: Job) -> Job:
    return one.model_copy(update={"request": one.request.model_copy(update={"tenant": tenant})})


def p50(forecast: Forecast, one: Job) -> float:
    eta = forecast.eta(one, None)
    assert eta is not None
    return eta.p50


def mean_end(forecast: Forecast, one: Job) -> float:
    return forecast._ends[one.id].mean


def test_there_is_no_estimate_without_workers() -> None:
    waiting = job("a")
    assert make_forecast([waiting], [], SETTINGS).eta(waiting, None) is None


def test_a_running_job_is_predicted_from_its_own_pace() -> None:
    running = job("a", remaining=40)
    eta = make_forecast([running], [ONE], SETTINGS).eta(running, None)
    assert eta is not None
    assert eta.p50 == pytest.approx(40, rel=0.1)  # a little less: similar jobs are faster
    assert eta.p50 < eta.p90 < 60


def test_a_job_waits_for_all_jobs_before_it() -> None:
    running, first, second = job("r", remaining=40), job("1", order=1), job("2", order=2)
    forecast = make_forecast([second, running, first], [ONE], SETTINGS)
    alone = p50(make_forecast([first], [ONE], SETTINGS), first)
    assert p50(forecast, first) == pytest.approx(40 + alone, rel=0.1)
    assert p50(forecast, second) == pytest.approx(40 + 2 * alone, rel=0.1)


def test_a_second_worker_halves_the_waiting_time() -> None:
    jobs = [job(str(order), order=order) for order in range(4)]
    alone, together = (p50(make_forecast(jobs, workers, SETTINGS), jobs[3]) for workers in ([ONE], [ONE, TWO]))
    assert together == pytest.approx(alone / 2, rel=0.15)


def test_the_first_tier_is_served_before_the_next() -> None:
    batch, standard = job("b", order=1, tier="batch"), job("s", order=2)
    forecast = make_forecast([batch, standard], [ONE], SETTINGS)
    assert p50(forecast, standard) < p50(forecast, batch)


def test_a_job_waits_only_for_the_workers_that_serve_its_tier() -> None:
    batch, standard = job("b", order=1, tier="batch"), job("s", order=2)
    own = ONE.model_copy(update={"tiers": ("standard",)})
    alone = p50(make_forecast([standard], [own]), standard)
    forecast = make_forecast([batch, standard], [own])
    assert p50(forecast, standard) == alone
    assert forecast.eta(batch, None) is None
    assert forecast.eta(job("new", tier="batch"), 1) is None
    assert forecast.eta_of_default("batch", "t") is None
    shared = make_forecast([batch, standard], [own, TWO.model_copy(update={"tiers": ("batch", "standard")})])
    assert p50(shared, batch) == p50(shared, standard) == pytest.approx(alone)


def test_a_short_job_runs_after_one_slice_of_a_long_job() -> None:
    long, short = (
        job("long", remaining=90).model_copy(update={"fraction_per_second": 1e-3}),
        job("short", order=1, steps=5),
    )
    forecast = make_forecast([long, short], [ONE], SETTINGS)
    assert p50(forecast, short) < 200 < p50(forecast, long)


def test_an_unknown_device_widens_the_estimate() -> None:
    waiting = job("a", steps=10_000)
    unmeasured, measured = (make_forecast([waiting], [ONE], runs=runs).eta(waiting, None) for runs in ((), RUNS))
    assert unmeasured is not None
    assert measured is not None
    assert unmeasured.p90 / unmeasured.p50 > 3
    assert measured.p90 / measured.p50 < 2


def test_a_starting_worker_is_assumed_to_have_the_device_of_earlier_runs() -> None:
    waiting = job("a")
    starting = ONE.model_copy(update={"device": STARTING})
    eta = make_forecast([waiting], [starting], SETTINGS, [run(speed=1000.0)] * 50).eta(waiting, None)
    assert eta is not None
    assert eta.p50 == pytest.approx(10 * 64 * 64 / 1000 + 1, rel=0.1)


LEARNS = ONE.model_copy(update={"weights_seconds": 30})
"""A worker that has to learn its weights before its first evaluation."""


def test_the_first_job_of_a_worker_that_has_no_weights_waits_until_they_are_learned() -> None:
    first, second = job("1", order=1), job("2", order=2)
    before, after = (make_forecast([first, second], [worker], SETTINGS) for worker in (LEARNS, ONE))
    assert p50(before, first) == pytest.approx(p50(after, first) + 30, abs=1)
    assert p50(before, second) == pytest.approx(p50(after, second) + 30, abs=1), "they are learned once"
    assert before.run_time(first).p50 == pytest.approx(after.run_time(first).p50 + 30, abs=1)
    new = [make_forecast([], [worker], SETTINGS).eta_if_submitted(first) for worker in (LEARNS, ONE)]
    assert new[0] is not None
    assert new[1] is not None
    assert new[0].p50 == pytest.approx(new[1].p50 + 30, abs=1)
    default = [make_forecast([], [worker], SETTINGS).eta_of_default("standard", "t") for worker in (LEARNS, ONE)]
    assert default[0] is not None
    assert default[1] is not None
    assert default[0].p50 == pytest.approx(default[1].p50 + 30, abs=2)


def test_a_running_job_still_waits_for_what_its_worker_has_yet_to_learn() -> None:
    started = job("r").model_copy(update={"state": JobState.RUNNING, "worker": "b", "run_seconds": 20.0})
    learning = TWO.model_copy(update={"weights_seconds": 10})
    remaining = [p50(make_forecast([started], [ONE, worker], SETTINGS), started) for worker in (learning, TWO)]
    assert remaining[0] == pytest.approx(remaining[1] + 10, abs=1)


def test_a_job_without_evaluations_waits_for_no_weights() -> None:
    waiting = job("a")
    recipe = resolve({"preset": "patches", "size": 64})
    patches = waiting.model_copy(update={"request": waiting.request.model_copy(update={"recipe": recipe})})
    assert p50(make_forecast([patches], [LEARNS], SETTINGS), patches) == p50(
        make_forecast([patches], [ONE], SETTINGS), patches
    )


# As the engine was timed on two quiet cores: (mean pixels of an evaluation, pixels in a second, seconds to begin).
COLD_SMALL, COLD_FAST, DEFAULT = (7264, 89_000, 10), (29_055, 174_000, 11), (58_154, 212_000, 1)


def timed(pixels: int, speed: int, start: int) -> RunRecord:
    return run(device="cpu", pixels=pixels, speed=speed, start_seconds=start, drift=0.1)


def quoted(*known: tuple[int, int, int]) -> tuple[float, float]:
    """Return p50 and p90 of a job of three stages, on an idle queue."""
    newcomer = job("new")
    request = newcomer.request.model_copy(update={"recipe": resolve(THREE_STAGES), "width": 451, "height": 300})
    newcomer = newcomer.model_copy(update={"request": request})
    workers = [ONE.model_copy(update={"device": "cpu"})]
    eta = make_forecast([newcomer], workers, SETTINGS, [timed(*one) for one in reversed(known)]).eta(newcomer, None)
    assert eta is not None
    return eta.p50, eta.p90


@pytest.mark.parametrize("first", [COLD_SMALL, COLD_FAST, DEFAULT])
def test_after_the_first_job_quotes_change_by_no_more_than_a_cold_start(first: Any) -> None:
    visits = [quoted(*known) for known in ((first,), (first, COLD_FAST), (first, COLD_FAST, DEFAULT))]
    for earlier, later in pairwise(visits):
        assert later == pytest.approx(earlier, abs=11 + 2)
    assert all(p90 < 1.6 * p50 for p50, p90 in visits)
    assert 0 < visits[-1][0] - 170 * 0.274 < 13, "the steps as timed, plus a start that may be cold"


def test_a_running_job_still_has_to_start_its_later_stages() -> None:
    runs = [run(speed=1000, start_seconds=60)] * 50
    early, late = (
        job("r", remaining=remaining).model_copy(update={"fraction_per_second": 1 / 100}) for remaining in (90, 10)
    )
    remaining = [p50(make_forecast([one], [ONE], SETTINGS, runs), one) for one in (early, late)]
    assert remaining[0] == pytest.approx(90 + 60 / 2, rel=0.1), "one of two"
    assert remaining[1] < 20


def test_no_stage_counts_as_started_while_patches_are_matched() -> None:
    recipe = resolve({**TWO_STAGES, "size": 384, "init": "patches"})
    runs = [run(speed=1e12, start_seconds=90)] * 50
    running, queued = job("r", remaining=99).model_copy(update={"fraction_per_second": 1e3}), job("q")
    for one, start in ((running, 90 * 2 / 3), (queued, 90)):
        with_patches = one.model_copy(update={"request": one.request.model_copy(update={"recipe": recipe})})
        remaining = p50(make_forecast([with_patches], [ONE], SETTINGS, runs), with_patches)
        assert remaining == pytest.approx(start, abs=1)


def test_a_running_job_is_predicted_for_its_workers_device() -> None:
    fast, slow = (ONE.model_copy(update={"name": name, "device": name}) for name in ("fast", "slow"))
    runs = [run(device="fast", speed=1e6), run(device="slow", speed=1e3)] * 30
    held = [
        job(name, remaining=100).model_copy(update={"worker": name, "fraction_per_second": None})
        for name in ("slow", "fast")
    ]
    forecast = make_forecast(held, [fast, slow], SETTINGS, runs)
    assert p50(forecast, held[0]) > 20 * p50(forecast, held[1])


def test_the_relative_spread_of_many_jobs_is_smaller_than_of_one() -> None:
    random = np.random.default_rng(0)
    runs = [run(speed=1000 * random.lognormal(0, 0.3)) for _ in range(100)]
    jobs = [job(str(order), order=order, steps=1000) for order in range(20)]
    forecast = make_forecast(jobs, [ONE], SETTINGS.model_copy(update={"slice_seconds": 1e6}), runs)
    first, last = forecast.eta(jobs[0], None), forecast.eta(jobs[-1], None)
    assert first is not None
    assert last is not None
    assert last.p90 / last.p50 - 1 < (first.p90 / first.p50 - 1) / 2


def test_early_ends_shorten_the_waiting_time_but_not_the_run_time() -> None:
    whole, halved = ([run(speed=1000.0, fraction=fraction) for _ in range(100)] for fraction in (1.0, 0.5))
    jobs = [job(str(order), order=order, steps=1000) for order in range(2)]
    forecasts = [
        make_forecast(jobs, [ONE], SETTINGS.model_copy(update={"slice_seconds": 1e6}), t) for t in (whole, halved)
    ]
    assert p50(forecasts[0], jobs[0]) == pytest.approx(p50(forecasts[1], jobs[0]), rel=0.01)
    assert p50(forecasts[1], jobs[1]) == pytest.approx(0.75 * p50(forecasts[0], jobs[1]), rel=0.05)


def test_a_new_job_starts_at_the_end_of_its_tiers_queue() -> None:
    jobs = [job("s", steps=300), job("b", order=1, tier="batch", steps=300)]
    forecast = make_forecast(jobs, [ONE], SETTINGS)
    standard, batch = forecast.eta_of_default("standard", "t"), forecast.eta_of_default("batch", "t")
    assert standard is not None
    assert batch is not None
    assert p50(forecast, jobs[0]) < standard.p50 < batch.p50
    assert p50(forecast, jobs[1]) == pytest.approx(2 * p50(forecast, jobs[0]), rel=0.1)
    assert make_forecast(jobs, [], SETTINGS).eta_of_default("standard", "t") is None


def test_a_job_newer_than_the_forecast_starts_at_the_end_of_the_queue() -> None:
    queued, new = job("q", steps=300), job("n", order=1, steps=10)
    known, unknown = make_forecast([queued, new], [ONE], SETTINGS), make_forecast([queued], [ONE], SETTINGS)
    assert p50(unknown, new) == pytest.approx(p50(known, new), rel=0.05)
    claimed = new.model_copy(update={"state": JobState.RUNNING})
    assert unknown.eta(claimed, None) is None
    long = job("l", order=1, steps=3000)
    known = make_forecast([queued, long], [ONE], SETTINGS)
    assert p50(unknown, long) == pytest.approx(p50(known, long), rel=0.05), "also in time slices"


def test_a_new_job_behind_other_new_jobs_has_no_estimate_until_the_next_forecast() -> None:
    forecast, new = make_forecast([job("q"), job("r", remaining=40)], [ONE], SETTINGS), job("n", order=3)
    assert forecast.eta(new, 2) is not None, "only the job that the forecast knows is before it"
    assert forecast.eta(job("m", order=4), 3) is None
    assert make_forecast([], [ONE], SETTINGS).eta(new, 2) is None


def test_a_forecast_simulates_few_of_the_jobs_that_are_newer_and_each_once() -> None:
    forecast = make_forecast([job(str(order), order=order) for order in range(40)], [ONE])
    batch = [job(f"new {number}", order=40 + number) for number in range(30)]
    first, second = ([forecast.eta(one, 1) for one in batch] for _ in range(2))
    assert sum(eta is not None for eta in first) == 10
    assert [id(eta) for eta in first] == [id(eta) for eta in second]


def test_a_job_of_any_length_can_be_estimated_before_it_is_submitted() -> None:
    queued, new = job("q", steps=300), job("n", order=1, steps=300)
    known, unknown = make_forecast([queued, new], [ONE], SETTINGS), make_forecast([queued], [ONE], SETTINGS)
    eta = unknown.eta_if_submitted(new)
    assert eta is not None
    assert eta.p50 == pytest.approx(p50(known, new), rel=0.05)
    assert make_forecast([queued], [], SETTINGS).eta_if_submitted(new) is None
    assert make_forecast([], [ONE], SETTINGS, overloaded=True).eta_if_submitted(new) is None


def test_the_next_job_of_a_tenant_starts_where_its_queued_jobs_end_also_before_it_is_submitted() -> None:
    whole_jobs = SETTINGS.model_copy(update={"slice_seconds": 1e6})
    own, price = of_tenant("own", job("own", steps=1000)), cost(job("other").request.recipe, 1, 1)
    others = [of_tenant("other", job(str(number), order=1 + number * price)) for number in range(5)]
    new = of_tenant("own", job("new", order=cost(own.request.recipe, 1, 1)))
    known, unknown = (make_forecast(jobs, [ONE], whole_jobs) for jobs in ([own, *others, new], [own, *others]))
    eta, newcomers = (unknown.eta_if_submitted(of_tenant(tenant, new)) for tenant in ("own", "third"))
    assert eta is not None
    assert newcomers is not None
    assert eta.p50 == pytest.approx(p50(known, new), rel=0.01), "after all others"
    assert newcomers.p50 < eta.p50
    assert p50(known, new) > max(p50(known, other) for other in others)


def test_a_job_for_an_idle_worker_takes_its_whole_run_however_old_the_forecast_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forecast, new = make_forecast([], [ONE], SETTINGS), job("n")
    fresh = forecast.eta_if_submitted(new)
    assert fresh is not None
    monkeypatch.setattr(forecast, "_age", lambda: 8.0)
    assert forecast.eta_if_submitted(new).p50 == pytest.approx(fresh.p50, rel=0.05)


def test_an_overloaded_forecast_estimates_running_jobs_only() -> None:
    newcomer, running = job("n"), job("r", remaining=40)
    forecast = make_forecast([running, newcomer], [ONE], SETTINGS, overloaded=True)
    assert forecast.eta(newcomer, None) is None
    assert forecast.eta_of_default("standard", "t") is None
    assert forecast.eta(running, None) is not None
    assert make_forecast([newcomer], [ONE], SETTINGS, overloaded=True).eta(newcomer, None) is None


@given(
    st.lists(st.integers(2, 20_000), max_size=12),
    st.lists(st.floats(0.1, 99), max_size=4),
    st.integers(1, 4),
    st.floats(1, 1000),
)
@settings(max_examples=40)
def test_the_simulation_does_all_work_exactly_once(
    waiting: list[int], running: list[float], workers: int, slice_seconds: float
) -> None:
    jobs = [job(f"w{order}", order=order, steps=steps) for order, steps in enumerate(waiting)]
    jobs += [job(f"r{number}", remaining=remaining) for number, remaining in enumerate(running)]
    settings = SETTINGS.model_copy(update={"slice_seconds": slice_seconds})
    forecast = make_forecast(jobs, [ONE.model_copy(update={"name": str(n)}) for n in range(workers)], settings)
    ends = [mean_end(forecast, one) for one in jobs]
    alone = [mean_end(make_forecast([one], [ONE], settings), one) for one in jobs]
    lanes = max(workers, len(running))
    assert all(end >= own - 1e-6 for end, own in zip(ends, alone, strict=True))
    assert sum(alone) / lanes - 1e-6 <= max(ends, default=0) <= sum(alone) + 1e-6
