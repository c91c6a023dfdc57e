"""Simulated workers drive the scripts: how much each tenant is served while all have jobs waiting."""

import heapq
from collections import Counter
from random import Random

import pytest
from support.fixtures.ledger import claim, submit
from support.tenants import end_slice, of, progress

from easel.models import JobState
from shared.ledger.ledger import Claim, Ledger

Loads = dict[str, tuple[int, int]]
"""Steps of each tenant's jobs, 0 for any, and how many it submits."""
FOUR_TENANTS: Loads = {
    "large jobs": (300, 20),
    "small jobs": (10, 330),
    "mixed jobs": (0, 70),
    "medium jobs": (30, 140),
}
TWO_TENANTS: Loads = {"large jobs": (300, 30), "small jobs": (10, 300)}
UNEQUAL, EQUAL = (1.0, 1.3, 4.0), (1.0,) * 8  # speeds of workers, in steps a second


@pytest.mark.parametrize(
    ("loads", "speeds", "slice_seconds"),
    [(FOUR_TENANTS, UNEQUAL, 1e9), (FOUR_TENANTS, UNEQUAL, 15), (TWO_TENANTS, EQUAL, 60)],
    ids=["in one piece", "in time slices", "in time slices of many workers"],
)
def test_backlogged_tenants_are_served_the_same_number_of_pixel_evaluations(
    ledger: Ledger, loads: Loads, speeds: tuple[float, ...], slice_seconds: float
) -> None:
    random = Random(20)  # noqa: S311 - the same jobs in every run
    for tenant, (steps, jobs) in loads.items():
        for _ in range(jobs):
            submit(ledger, of(tenant, steps or random.randint(1, 200)), limit=10_000)
    served, waiting = Counter[str](), Counter({tenant: jobs for tenant, (_, jobs) in loads.items()})
    # When each worker's turn ends, the worker, its claim, and how much of the job is done before and after the turn.
    events: list[tuple[float, int, Claim, float, float]] = []
    now = 0.0

    def start(worker: int) -> None:
        claimed = claim(ledger, f"w{worker}")
        done = claimed.job.progress.percentage / 100
        steps = claimed.job.request.recipe.steps
        share = min(1.0, done + slice_seconds * speeds[worker] / steps)
        waiting[claimed.job.tenant] -= 1
        heapq.heappush(events, (now + (share - done) * steps / speeds[worker], worker, claimed, done, share))

    for worker in range(len(speeds)):
        start(worker)
    while min(waiting.values()) > 0:
        now, worker, claimed, done, share = heapq.heappop(events)
        served[claimed.job.tenant] += (share - done) * claimed.job.request.recipe.steps
        if share < 1:
            end_slice(ledger, claimed, share)
            waiting[claimed.job.tenant] += 1
        else:
            ledger.end_job(claimed, JobState.SUCCEEDED, progress=progress(claimed, 1))
        start(worker)
    assert fairness_index([served[tenant] for tenant in loads]) >= 0.95, served


def fairness_index(shares: list[float]) -> float:
    """Return 1 if all shares are equal, 1/n if one has all (Jain, Chiu and Hawe 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
