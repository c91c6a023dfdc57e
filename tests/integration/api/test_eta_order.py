"""Estimates simulate the queue in the order in which workers claim its jobs."""

from random import Random

import pytest
from support.fixtures.ledger import claim, submit
from support.tenants import end_slice, of, progress, queued

from api.eta.simulation import Duration, FairQueue, RemainingWork
from easel.models import JobState
from shared.jobs.estimate import cost
from shared.ledger.ledger import Ledger


def remaining_work(ledger: Ledger, job_id: str) -> RemainingWork:
    job = ledger.get(job_id)
    steps = job.request.recipe.steps
    return RemainingWork(job, {"cpu": Duration(steps, 0)}, cost(job.request.recipe, 64, 64))


@pytest.mark.parametrize("slice_steps", [40, 10_000], ids=["in time slices", "in one piece"])
@pytest.mark.parametrize("seed", range(3))
def test_the_simulated_order_is_that_of_the_ledger(ledger: Ledger, seed: int, slice_steps: int) -> None:
    random = Random(seed)  # noqa: S311 - the same jobs in every run
    jobs = [of(tenant, steps) for tenant, steps in (("a", 100), ("b", 7), ("c", 33)) for _ in range(12)]
    for job in random.sample(jobs, len(jobs)):
        submit(ledger, job)
    queue = FairQueue([remaining_work(ledger, job_id) for job_id in queued(ledger)])
    expected, simulated = list[str](), list[str]()
    while queue:
        claimed = claim(ledger)
        done, steps = claimed.job.progress.percentage / 100, claimed.job.request.recipe.steps
        done = min(1.0, done + slice_steps / steps)
        turn = queue.take(slice_steps)
        expected.append(claimed.job.id)
        simulated.append(turn.work.job.id)
        if done < 1:
            end_slice(ledger, claimed, done)
            queue.put_back(turn)
        else:
            ledger.end_job(claimed, JobState.SUCCEEDED, progress=progress(claimed, 1))
    assert simulated == expected
    assert len(set(expected)) == len(jobs)
