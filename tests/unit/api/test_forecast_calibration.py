"""Whether estimates keep what they promise: a simulated house of four workers, and what was told against what came."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from api.eta.forecast import Eta, Forecast
from easel.models import JobState, Progress
from shared.jobs.estimate import pixel_evaluations
from shared.jobs.job import Job, Request
from shared.jobs.run_history import REMEMBERED, Trial
from shared.ledger.queue_stats import WorkerInfo
from shared.recipe import Recipe, resolve
from shared.settings import Settings

SETTINGS = Settings(tiers=("standard",), slice_seconds=1e6, heartbeat_seconds=0.001)
CREW = [WorkerInfo(name=name, device="cpu", weights="w", tiers=("standard",), seen_at=0) for name in "abcd"]
LOT, LOTS, LOTS_BEFORE = 6, 40, 8


@dataclass
class Fate:
    """One job, as it will go: seconds, and the seconds in the loop of either half."""

    number: int
    recipe: Recipe
    start: float
    halves: tuple[float, float]
    submitted: float = 0.0
    claimed: float = 0.0
    worker: str = ""

    @property
    def half_way(self) -> float:
        return self.claimed + self.start + self.halves[0]

    @property
    def end(self) -> float:
        return self.half_way + self.halves[1]

    def trial(self) -> Trial:
        work = pixel_evaluations(self.recipe, 4, 3)
        return Trial(
            device="cpu",
            optimizer=self.recipe.optimizer.kind,
            pixels=work / self.recipe.steps,
            pixels_per_second=work / sum(self.halves),
            start=self.start,
            ending=0,
            fraction=1,
            drift=math.log(self.halves[0] / self.halves[1]),
        )

    def seen(self, now: float) -> Job:
        """Its record."""
        request = Request(
            id=str(self.number),
            tier="standard",
            recipe=self.recipe,
            content="c",
            styles=(),
            width=4,
            height=3,
            created_at=0,
            digest="d",
        )
        told = Progress(total=self.recipe.steps, percentage=100 * self._done(now))
        job = Job(id=request.id, state=JobState.QUEUED, request=request, order=self.number, progress=told)
        if now < self.claimed:
            return job
        loop = now - self.claimed - self.start
        pace = told.percentage / 100 / loop if loop > 0 else None
        held = {"state": JobState.RUNNING, "worker": self.worker, "run_seconds": now - self.claimed, "pace": pace}
        return job.model_copy(update=held)

    def _done(self, now: float) -> float:
        passed = max(0.0, now - self.claimed - self.start)
        first, second = self.halves
        return min(passed / first, 1) / 2 + max(0.0, passed - first) / second / 2


@pytest.fixture(scope="module")
def fates() -> list[Fate]:
    """All jobs of the simulation, played on the first worker that is free."""
    random = np.random.default_rng(2)
    free = dict.fromkeys("abcd", 0.0)
    made = [_fate(random, number) for number in range(LOT * LOTS)]
    for fate in made:
        fate.submitted = 125.0 * (fate.number // LOT)
        fate.worker = min(free, key=lambda worker: free[worker])
        fate.claimed = max(fate.submitted, free[fate.worker])
        free[fate.worker] = fate.end
    return made


def _fate(random: np.random.Generator, number: int) -> Fate:
    optimizer = {"kind": str(random.choice(["adam", "lbfgs"]))}
    size, steps = int(random.choice([96, 128, 192, 256])), int(random.integers(50, 200))
    recipe = resolve({"preset": "tutorial", "size": size, "steps": steps, "optimizer": optimizer})
    usual = steps * (0.2 + size**2 / 1e5) * (1.15 if optimizer["kind"] == "lbfgs" else 1) * random.lognormal(0, 0.2)
    first, second = (usual / 2 * random.lognormal(0, 0.05) for _ in range(2))
    return Fate(number, recipe, 5 * random.lognormal(0, 0.4), (first, second))


def _told(fates: list[Fate], one: Fate, now: float) -> Eta:
    known = [fate for fate in fates if fate.submitted <= now]
    ended = sorted((fate for fate in known if fate.end <= now), key=lambda fate: -fate.end)[:REMEMBERED]
    jobs = [fate.seen(now) for fate in known if fate.end > now]
    eta = Forecast(jobs, CREW, SETTINGS, [fate.trial() for fate in ended]).eta(one.seen(now))
    assert eta is not None
    return eta


@pytest.mark.parametrize("moment", ["submitted", "claimed", "half_way"])
def test_p90_covers_nine_of_ten_and_p50_half(fates: list[Fate], moment: str) -> None:
    asked = [(fate, getattr(fate, moment)) for fate in fates[LOT * LOTS_BEFORE :]]
    told = [(_told(fates, fate, now), fate.end - now) for fate, now in asked]
    assert 0.4 <= np.mean([came <= eta.p50 for eta, came in told]) <= 0.6
    assert 0.85 <= np.mean([came <= eta.p90 for eta, came in told]) <= 0.95


def test_what_is_told_grows_surer_as_a_job_gets_on(fates: list[Fate]) -> None:
    moments = ("submitted", "claimed", "half_way")
    told = [[_told(fates, fate, getattr(fate, moment)) for fate in fates[-60:]] for moment in moments]
    doubts = [np.mean([eta.p90 - eta.p50 for eta in etas]) for etas in told]
    assert all(earlier > later for earlier, later in pairwise(doubts))
