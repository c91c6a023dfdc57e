"""Simulated workers drive the scripts: how much each tenant is served while all have jobs waiting."""

import heapq
from collections import Counter
from random import Random

import pytest
from support.fixtures.ledger import claim, submit
from support.tenants import end_slice, of, progress

from easel.models import JobState
from shared.ledger.ledger import Claim, Ledger

LOADS = {"large jobs": (300, 40), "small jobs": (2, 1500), "mixed jobs": (0, 260), "medium jobs": (30, 200)}
"""Steps of each tenant's jobs, 0 for any, and how many it submits."""
SPEEDS = (1.0, 1.3, 4.0)  # of the workers, in steps a second
SLICE_SECONDS = 15


@pytest.mark.parametrize("slice_seconds", [SLICE_SECONDS, 1e9], ids=["in time slices", "in one piece"])
def test_backlogged_tenants_are_served_the_same_number_of_pixel_evaluations(
    ledger: Ledger, slice_seconds: float
) -> None:
    random = Random(20)  # noqa: S311 - the same jobs in every run
    for tenant, (steps, jobs) in LOADS.items():
        for _ in range(jobs):
            submit(ledger, of(tenant, steps or random.randint(1, 200)), limit=10_000)
    served, waiting = Counter[str](), Counter({tenant: jobs for tenant, (_, jobs) in LOADS.items()})
    events: list[
        tuple[float, int, Claim, float, float]
    ] = []  # end, worker, its claim; done of it before and at the end
    now = 0.0

    def start(worker: int) -> None:
        claimed = claim(ledger, f"w{worker}")
        done = claimed.job.progress.percentage / 100
        steps = claimed.job.request.recipe.steps
        share = min(1.0, done + slice_seconds * SPEEDS[worker] / steps)
        waiting[claimed.job.tenant] -= 1
        heapq.heappush(events, (now + (share - done) * steps / SPEEDS[worker], worker, claimed, done, share))

    for worker in range(len(SPEEDS)):
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
    assert sum(served.values()) > 4000, "many more steps than one job has"
    assert fairness_index([served[tenant] for tenant in LOADS]) >= 0.95, served


def fairness_index(shares: list[float]) -> float:
    """Return 1 if all shares are equal, 1/n if one has all (Jain, Chiu and Hawe 1984)."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
