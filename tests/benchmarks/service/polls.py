"""Status polls against a bare Flask route under the same gunicorn, in turns."""

from collections.abc import Iterator
from itertools import cycle
from random import Random
from statistics import median
from typing import Final

import httpx2

from benchmarks.figure import figure
from benchmarks.service.fill import Filling
from benchmarks.service.finding import Chart, Curve, Finding, Say
from benchmarks.service.load_client import Address, Load, get, talk
from benchmarks.stack import House

_SIZES: Final = (10, 100, 1_000)
_POLLERS: Final = 32
_SECONDS: Final = 1.0
_TARGET: Final = 0.6

Turn = tuple[Load, Load]
"""Of Easel and of the bare route, one right after the other."""


def measure(say: Say, *, quick: bool) -> Finding:
    """At 1,000 jobs it counts; fewer show what a job more costs."""
    counts = (2, 2, 8) if quick else (8, 8, 40)
    with House.opened() as house:
        filling, bare, turns = Filling.of(house.services), None, dict[int, list[Turn]]()
        for size, count in zip(_SIZES, counts, strict=True):
            _grow(filling, size)
            bare = bare or house.bare(_document(house, filling))
            say(f"polling {size:,} jobs and a bare Flask route, in turns")
            turns[size] = list(_turns(house.address, bare, filling, count))
    return _finding(turns)


def _grow(filling: Filling, size: int) -> None:
    """Of ten jobs one runs, five wait and four have ended."""
    tenth = (size - filling.total) // 10
    filling.ended(4 * tenth)
    filling.live(running=tenth, waiting=5 * tenth)


def _document(house: House, filling: Filling) -> bytes:
    """What a poll is answered; the bare route has it in memory."""
    return httpx2.get(f"{house.url}/v1/jobs/{filling.ids()[-1]}", trust_env=False).content


def _turns(easel: Address, bare: Address, filling: Filling, count: int) -> Iterator[Turn]:
    ids = filling.ids()
    Random(0).shuffle(ids)  # noqa: S311 - the same order in every run
    polls = cycle([get(f"/v1/jobs/{job_id}") for job_id in ids])
    for number in range(count + 1):
        turn = tuple(talk(address, polls, connections=_POLLERS, seconds=_SECONDS) for address in (easel, bare))
        if number:  # the first one warms both
            yield turn[0], turn[1]


def _finding(turns: dict[int, list[Turn]]) -> Finding:
    ratios = {size: [easel.per_second / bare.per_second for easel, bare in found] for size, found in turns.items()}
    share = Chart(
        name="polls",
        title="status polls",
        work="jobs stored",
        unit="of a bare route's requests/s",
        curves={"Easel": {size: median(found) for size, found in ratios.items()}},
        steep=False,
        target=f"at least {_TARGET}",
        bound=dict.fromkeys(_SIZES, _TARGET),
    )
    return Finding({"poll_vs_flask": figure(ratios[_SIZES[-1]])}, [share, _delays(turns)])


def _delays(turns: dict[int, list[Turn]]) -> Chart:
    def p99(side: int) -> Curve:
        return {size: median(1e3 * turn[side].p99 for turn in found) for size, found in turns.items()}

    title = f"status polls, p99 at {_POLLERS} pollers"
    curves = {"Easel": p99(0), "bare Flask route": p99(1)}
    return Chart("polls-p99", title, "jobs stored", "ms", curves, steep=False)
