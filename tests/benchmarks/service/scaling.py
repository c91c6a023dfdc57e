"""Throughput of simulated workers: what queue, store, heartbeats and checkpoints cost when many work at once.

Every worker goes round: claim, 100 steps of 0.1 s, publish, claim. With W of them busy all the time, one round
takes from a claim to the W-th claim after it, and throughput is W by the mean of that; nobody's tail counts.
"""

import time
from statistics import mean
from typing import Any, Final

from chaos.pictures import photo

from benchmarks.figure import figure
from benchmarks.service.finding import Chart, Finding, Say
from benchmarks.stack import House
from shared.recipe import resolve

_CREWS: Final = (1, 8, 64)
_STEPS: Final = 100
_SOME_STEPS: Final = 5
_ROUND_SECONDS: Final = 60.0  # is far too long
_TARGET: Final = 0.95


def measure(say: Say, *, quick: bool) -> Finding:
    """One crew after the other; a crew's n-th round is compared with the single worker's."""
    taken = {workers: _rounds(workers, 1 if quick else 5, say) for workers in _CREWS}
    alone = taken[1]
    shares = {crew: [one / all_ for one, all_ in zip(alone, taken[crew], strict=True)] for crew in _CREWS[1:]}
    throughput = {crew: 60 * crew / mean(rounds) for crew, rounds in taken.items()}
    chart = Chart(
        name="scaling",
        title="throughput of simulated workers",
        work="workers",
        unit="jobs a minute",
        curves={"measured": throughput},
        target="at least 0.95 of linear",
        bound={crew: _TARGET * 60 * crew / mean(alone) for crew in _CREWS},
    )
    return Finding({f"scaling_{crew}": figure(found) for crew, found in shares.items()}, [chart])


def _rounds(workers: int, count: int, say: Say) -> list[float]:
    """Seconds of each round, the mean of all workers, once they are spread evenly over one."""
    with House.opened() as house:
        say(f"starting {workers} workers" if workers > 1 else "starting a worker")
        house.crew(workers)
        for number in range(workers):
            _submit(house, steps=_SOME_STEPS + _STEPS * number // workers)
        ids = [_submit(house, steps=_STEPS) for _ in range(workers * (count + 1))]
        for number in range(count + 1):
            say(f"round {number} of {count} with {workers} at work")
            _wait_for_claim(house, ids[workers * (number + 1) - 1])
        return _means(_claims(house, ids), workers)


def _claims(house: House, ids: list[str]) -> list[float]:
    """When each job was claimed first, by Redis' clock."""
    found = [house.services.ledger.get(job_id).started_at for job_id in ids]
    return sorted(moment for moment in found if moment is not None)


def _means(claims: list[float], workers: int) -> list[float]:
    """Of each group of as many claims as there are workers, the mean time to the claim that comes a round later."""
    gaps = [later - earlier for earlier, later in zip(claims, claims[workers:], strict=False)]
    return [mean(gaps[start : start + workers]) for start in range(0, len(gaps) - workers + 1, workers)]


def _submit(house: House, **recipe: Any) -> str:
    return house.submit(photo(0), photo(1), resolve({"preset": "fast", "size": 64, **recipe}))


def _wait_for_claim(house: House, job_id: str) -> None:
    deadline = time.monotonic() + _ROUND_SECONDS
    while house.services.ledger.get(job_id).started_at is None:
        house.check()
        if time.monotonic() > deadline:
            raise RuntimeError("The workers do not get on; the machine may be too small for so many.")
        time.sleep(0.1)
