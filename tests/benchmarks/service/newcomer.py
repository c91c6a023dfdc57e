"""`python -m benchmarks.service.newcomer`: what somebody is told whose worker has painted next to nothing yet.

Plays one worker that meets sizes for the first time, and asks before each job how long the `default` recipe and a
larger one will take: no process, no clock, the real odds and forecast. Prints how far off that is and how far it moves.
"""

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from api.eta.forecast import Forecast
from easel.models import JobState, Progress
from shared.jobs.estimate import pixel_evaluations
from shared.jobs.job import Job, Request
from shared.jobs.run_history import Trial
from shared.ledger.queue_stats import WorkerInfo
from shared.recipe import Recipe, resolve
from shared.settings import Settings

_SEEDS: Final = 60
_JOBS: Final = 13
_SHAPE: Final = (451, 300)
_ASKED: Final = tuple(resolve(fields) for fields in ({"preset": "default"}, {"preset": "default", "size": 512}))
_PAINTED: Final[tuple[dict[str, Any], ...]] = (
    {"preset": "fast"},
    {"preset": "fast", "size": 128},
    *({"preset": "default", "size": s} for s in (320, 384, 512)),
)
_STEP_SECONDS, _SECONDS_PER_PIXEL = 0.04, 3.6e-6  # as two cores take with L-BFGS
_PROCESS_SECONDS, _TRACE_SECONDS = 8.0, 4.5  # of a fresh process, and of a size that it meets for the first time
_MOOD = 0.15  # of a job: the logarithm's standard deviation


class Answer(NamedTuple):
    """To one question, in seconds."""

    asked: int  # of _ASKED
    before: int  # jobs that had ended
    p50: float
    p90: float
    came: float


def main() -> None:
    """The table."""
    answers = [list(_life(np.random.default_rng(seed))) for seed in range(_SEEDS)]
    table = Table("jobs before", "bias", "root mean square", "within the p90")
    for before in range(_JOBS):
        now = [answer for life in answers for answer in life if answer.before == before]
        off = np.array([math.log(answer.p50 / answer.came) for answer in now])
        kept = np.mean([answer.came <= answer.p90 for answer in now])
        table.add_row(str(before), f"{np.median(off):.2f}", f"{np.sqrt(np.mean(off**2)):.2f}", f"{kept:.0%}")
    Console().print(table)
    moved = [abs(math.log(then.p90 / now.p90)) for life in answers for now, then in _pairs(life) if now.before]
    Console().print(
        f"A p90 moves with one more job by {np.median(moved):.0%}, "
        f"nine times in ten by {np.quantile(moved, 0.9):.0%} at most."
    )


def _life(random: np.random.Generator) -> Iterator[Answer]:
    """Of one worker."""
    met: set[int] = set()
    trials: list[Trial] = []
    for before in range(_JOBS):
        for asked, recipe in enumerate(_ASKED):
            p50, p90 = _told(recipe, trials)
            fate = _painted(random, recipe, set(met))
            came = fate.start + pixel_evaluations(recipe, *_SHAPE) / fate.pixels_per_second
            yield Answer(asked, before, p50, p90, came)
        painted = resolve(_PAINTED[int(random.integers(len(_PAINTED)))] if before else _PAINTED[0])
        trials.insert(0, _painted(random, painted, met))


def _painted(random: np.random.Generator, recipe: Recipe, met: set[int]) -> Trial:
    """How a job goes, and the sizes that are met by it."""
    sizes = {longest for longest, _ in recipe.schedule()}
    start = (0.3 if met else _PROCESS_SECONDS) + _TRACE_SECONDS * len(sizes - met)
    met |= sizes
    work = pixel_evaluations(recipe, *_SHAPE)
    seconds = _STEP_SECONDS * recipe.steps + _SECONDS_PER_PIXEL * work
    return Trial(
        device="cpu:2",
        optimizer=recipe.optimizer.kind,
        pixels=work / recipe.steps,
        pixels_per_second=work / seconds / random.lognormal(0, _MOOD),
        start=start,
        ending=0.03,
        fraction=1,
        drift=None,
    )


def _told(recipe: Recipe, trials: list[Trial]) -> tuple[float, float]:
    """p50 and p90."""
    names = {"id": "x", "tier": "standard", "content": "c", "digest": "d"}
    request = Request(**names, recipe=recipe, styles=(), width=_SHAPE[0], height=_SHAPE[1], created_at=0)
    job = Job(id="x", state=JobState.QUEUED, request=request, order=0, progress=Progress(total=recipe.steps))
    speed = trials[0].pixels_per_second if trials else None
    crew = [WorkerInfo(name="a", device="cpu:2", weights="w", tiers=("standard",), pixels_per_second=speed, seen_at=0)]
    eta = Forecast([job], crew, Settings(), trials).eta(job)
    assert eta  # there is a worker
    return eta.p50, eta.p90


def _pairs(life: list[Answer]) -> Iterator[tuple[Answer, Answer]]:
    """The same question before and after one more job."""
    return zip(life, life[len(_ASKED) :], strict=False)


if __name__ == "__main__":
    main()
