"""Whether an ETA can be trusted: what was told at a job's submission, at its start and half-way, and what came.

A hundred jobs of all sizes, steps and recipes come in lots to workers whose engine sleeps as unevenly as a real one
paints; some are finished early. Others went before them, for without any the forecast has nothing to stand on.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from statistics import mean, median
from typing import Any, Final

import httpx2
from chaos.pictures import photo

from benchmarks.figure import Figure
from benchmarks.service.finding import Chart, Finding, Say
from benchmarks.stack import House

_WORKERS: Final = 8
_BEFORE: Final = 24  # jobs that are not counted
_JOBS: Final = 100
_LOT: Final = 14  # jobs that come at once, at most
_GAP_SECONDS: Final = 0.8  # for each job of a lot, until the next lot: about as long as the crew needs
_EARLY: Final = 0.08  # of the jobs are told to finish after half-way
_LOOK_SECONDS: Final = 0.1
_MOMENTS: Final = ("submitted", "started", "half-way")
_STANDSTILL_SECONDS: Final = 120.0


class _HastyHouse(House):
    """Workers report five times a second, since jobs take a fortieth of the time."""

    def start(self) -> None:
        self._environment |= {"EASEL_HEARTBEAT_SECONDS": "0.2"}
        super().start()


@dataclass(frozen=True)
class Told:
    """One estimate, and the time that the job then took. In seconds."""

    p50: float
    p90: float
    came: float

    @property
    def error(self) -> float:
        """Of the p50, relative to what came."""
        return abs(self.p50 - self.came) / self.came


@dataclass
class _Story:
    """A job, as it is watched."""

    early: bool
    told: dict[str, tuple[float, dict[str, float]]] = field(default_factory=dict)  # when, and what
    ended: float | None = None

    def note(self, moment: str, job: dict[str, Any]) -> bool:
        """Keep the estimate of this moment; whether it is the first."""
        if moment in self.told or not job["eta_seconds"]:
            return False
        self.told[moment] = time.time(), job["eta_seconds"]
        return True


def measure(say: Say, *, quick: bool) -> Finding:  # noqa: ARG001 - as all parts have it
    """Ask as a client does, through the API."""
    with (
        _HastyHouse.opened() as house,
        httpx2.Client(base_url="http://{}:{}".format(*house.address), timeout=30) as api,
    ):
        say(f"starting {_WORKERS} uneven workers")
        house.crew(_WORKERS, "moody")
        stories = list(_watched(api, _BEFORE + _JOBS, say).values())[_BEFORE:]
    told = {moment: list(_pairs(stories, moment)) for moment in _MOMENTS}
    return finding(told)


def finding(told: dict[str, list[Told]]) -> Finding:
    """The figures of all estimates together, with the least and the greatest of the moments."""
    p50 = _figure(told, lambda found: mean(one.came <= one.p50 for one in found))
    p90 = _figure(told, lambda found: mean(one.came <= one.p90 for one in found))
    error = _figure(told, lambda found: median(one.error for one in found))
    curves = {
        f"when {moment}": {
            50: 100 * mean(one.came <= one.p50 for one in found),
            90: 100 * mean(one.came <= one.p90 for one in found),
        }
        for moment, found in told.items()
    }
    chart = Chart(
        name="estimates",
        title="jobs that ended by the time told",
        work="p, of the estimate",
        unit="%",
        curves=curves,
        steep=False,
        target="50 and 90",
        bound={50: 50, 90: 90},
    )
    return Finding({"eta_p90_coverage": p90, "eta_p50_coverage": p50, "eta_p50_error": error}, [chart])


def _figure(told: dict[str, list[Told]], what: Callable[[Sequence[Told]], float]) -> Figure:
    each = [what(found) for found in told.values()]
    return Figure(what([one for found in told.values() for one in found]), min(each), max(each))


def _pairs(stories: Sequence[_Story], moment: str) -> Iterator[Told]:
    for story in stories:
        if moment in story.told and story.ended:
            asked, eta = story.told[moment]
            yield Told(eta["p50"], eta["p90"], story.ended - asked)


def _watched(api: httpx2.Client, count: int, say: Say) -> dict[str, _Story]:
    """Submit in lots of chance, and look at all jobs until every one has ended. Raises RuntimeError."""
    random, stories, following = Random(5), dict[str, _Story](), 0.0  # noqa: S311 - chance, no secret
    moved = time.monotonic()
    while len(stories) < count or not all(story.ended for story in stories.values()):
        if len(stories) < count and time.monotonic() >= following:
            lot = min(random.randint(1, _LOT), count - len(stories))
            following = time.monotonic() + lot * _GAP_SECONDS
            for _ in range(lot):
                _submit(api, random, stories)
        if _look(api, stories):
            moved = time.monotonic()
        if time.monotonic() - moved > _STANDSTILL_SECONDS:
            raise RuntimeError("The workers do not get on.")
        say(f"{sum(story.ended is not None for story in stories.values())} of {count} jobs were foretold")
        time.sleep(_LOOK_SECONDS)
    return stories


def _submit(api: httpx2.Client, random: Random, stories: dict[str, _Story]) -> None:
    recipe = {
        "preset": random.choice(["fast", "default", "tutorial"]),
        "size": random.randrange(96, 321, 32),
        "steps": random.randint(50, 180),
        "seed": random.randrange(1 << 24),
    }
    files = {"content": ("a.png", photo(0)), "style": ("b.png", photo(1))}
    job = api.post("/v1/jobs", files=files, data={"recipe": json.dumps(recipe)}).raise_for_status().json()
    stories[job["id"]] = story = _Story(early=random.random() < _EARLY)
    story.note("submitted", job)


def _look(api: httpx2.Client, stories: dict[str, _Story]) -> int:
    """Note what is told of each job; how many have ended since."""
    ended = 0
    for job in api.get("/v1/jobs", params={"limit": 100}).raise_for_status().json()["jobs"]:
        story = stories[job["id"]]
        if job["completed_at"] and not story.ended:
            story.ended = datetime.fromisoformat(job["completed_at"]).timestamp()
            ended += 1
        if job["state"] == "running":
            story.note("started", job)
            if job["progress"]["percentage"] >= 50 and story.note("half-way", job) and story.early:
                api.post(job["urls"]["finish"])
    return ended
