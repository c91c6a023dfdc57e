"""Status polls compared with a bare Flask route under the same gunicorn, alternately."""

from collections.abc import Iterator
from itertools import cycle
from random import Random
from statistics import median
from typing import Final

import httpx2

from benchmarks.figure import figure
from benchmarks.service.results import Chart, Curve, Measurement, Report
from benchmarks.service.support.ledger_filler import LedgerFiller
from benchmarks.service.support.load_client import Address, Load, get, send_requests
from benchmarks.stack import BenchmarkStack

_SIZES: Final = (10, 100, 1_000)
_POLLERS: Final = 32
_SECONDS: Final = 1.0
_TARGET: Final = 0.6

Turn = tuple[Load, Load]
"""Easel's load and the bare route's, measured one right after the other."""


def measure(report: Report, *, quick: bool) -> Measurement:
    """Measure at three numbers of jobs; the figure is the one at 1,000."""
    counts = (2, 2, 8) if quick else (8, 8, 40)
    with BenchmarkStack.run_temporarily() as stack:
        filler, bare, turns = LedgerFiller.for_services(stack.services), None, dict[int, list[Turn]]()
        for size, count in zip(_SIZES, counts, strict=True):
            _grow(filler, size)
            bare = bare or stack.start_bare_flask(_document(stack, filler))
            report(f"polling {size:,} jobs and a bare Flask route, alternately")
            turns[size] = list(_turns(stack.address, bare, filler, count))
    return _finding(turns)


def _grow(filler: LedgerFiller, size: int) -> None:
    """Add jobs: of ten one runs, five wait and four have ended."""
    tenth = (size - filler.total) // 10
    filler.add_ended_jobs(4 * tenth)
    filler.add_live_jobs(running=tenth, waiting=5 * tenth)


def _document(stack: BenchmarkStack, filler: LedgerFiller) -> bytes:
    """Return the response of a poll, which the bare route returns from memory."""
    return httpx2.get(f"{stack.url}/v1/jobs/{filler.ids()[-1]}", trust_env=False).content


def _turns(easel: Address, bare: Address, filler: LedgerFiller, count: int) -> Iterator[Turn]:
    ids = filler.ids()
    Random(0).shuffle(ids)  # noqa: S311 - the same order in every run
    polls = cycle([get(f"/v1/jobs/{job_id}") for job_id in ids])
    for number in range(count + 1):
        turn = tuple(send_requests(address, polls, connections=_POLLERS, seconds=_SECONDS) for address in (easel, bare))
        if number:  # the first one is the warm-up
            yield turn[0], turn[1]


def _finding(turns: dict[int, list[Turn]]) -> Measurement:
    ratios = {size: [easel.per_second / bare.per_second for easel, bare in pairs] for size, pairs in turns.items()}
    share = Chart(
        name="polls",
        title="status polls",
        work="jobs stored",
        unit="of a bare route's requests/s",
        curves={"Easel": {size: median(values) for size, values in ratios.items()}},
        log_scale=False,
        target=f"at least {_TARGET}",
        bound=dict.fromkeys(_SIZES, _TARGET),
    )
    return Measurement({"poll_vs_flask": figure(ratios[_SIZES[-1]])}, [share, _delays(turns)])


def _delays(turns: dict[int, list[Turn]]) -> Chart:
    def p99(side: int) -> Curve:
        return {size: median(1e3 * turn[side].p99 for turn in pairs) for size, pairs in turns.items()}

    title = f"status polls, p99 at {_POLLERS} pollers"
    curves = {"Easel": p99(0), "bare Flask route": p99(1)}
    return Chart("polls-p99", title, "jobs stored", "ms", curves, log_scale=False)
