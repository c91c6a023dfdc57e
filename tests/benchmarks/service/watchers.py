"""The delay of events for the watchers of one API process. Several jobs run, and each has several watchers."""

import asyncio
import re
import time
from functools import partial
from statistics import median
from typing import Any, Final

from benchmarks.service.results import Chart, Measurement, Report
from benchmarks.service.support.ledger_filler import LedgerFiller
from benchmarks.service.support.load_client import get, percentile
from benchmarks.stack import BenchmarkStack
from shared.ledger.ledger import Claim
from shared.services import Services

_WATCHER_COUNTS: Final = (2, 20, 200)
_WATCHERS_PER_JOB: Final = 8
_TARGET_MS: Final = 1000.0
_LEASE_SECONDS: Final = 3600
_GRACE_SECONDS: Final = 2.0  # for the last event; later ones count as missing
_SENT: Final = re.compile(rb'"sent":([0-9.]+)')


def measure(report: Report, *, quick: bool) -> Measurement:
    """Publish an event for each job once a second, like a heartbeat. Raises RuntimeError if an event is missing."""
    delays: dict[int, list[float]] = {}
    with BenchmarkStack.run_temporarily() as stack:
        for count in _WATCHER_COUNTS:
            report(f"{count} watchers")
            filler, jobs = LedgerFiller.for_services(stack.services), max(2, count // _WATCHERS_PER_JOB)
            claims = filler.add_live_jobs(running=jobs, waiting=0)
            delays[count] = asyncio.run(_watch(stack, claims, count, 5 if quick else 20))
    curves = {
        "median": {count: 1e3 * median(seconds) for count, seconds in delays.items()},
        "p99": {count: 1e3 * percentile(seconds, 99) for count, seconds in delays.items()},
        "highest": {count: 1e3 * max(seconds) for count, seconds in delays.items()},
    }
    bound = dict.fromkeys(_WATCHER_COUNTS, _TARGET_MS)
    title = "from an event to its watcher"
    return Measurement(
        {}, [Chart("watchers", title, "watchers of one API process", "ms", curves, target="within 1 s", bound=bound)]
    )


async def _watch(stack: BenchmarkStack, claims: list[Claim], count: int, events: int) -> list[float]:
    """Return the delay of each delivery in seconds, with `events` events for each job."""
    loop, delays, watchers = asyncio.get_running_loop(), list[float](), list[_Watcher]()
    for number in range(count):
        watcher = _Watcher(claims[number % len(claims)].job.id, delays)
        await loop.create_connection(partial(_identity, watcher), *stack.address)
        watchers.append(watcher)
    await asyncio.gather(*(watcher.started for watcher in watchers))
    await asyncio.to_thread(_publish, stack.services, claims, events)
    await asyncio.sleep(_GRACE_SECONDS)
    for watcher in watchers:
        watcher.close()
    if len(delays) != count * events:
        raise RuntimeError(f"{count} watchers got {len(delays)} events instead of {count * events}.")
    return delays


def _publish(services: Services, claims: list[Claim], events: int) -> None:
    """Publish `events` events a job, evenly spread over time."""
    began = time.monotonic()
    for number in range(events * len(claims)):
        time.sleep(max(0.0, began + number / len(claims) - time.monotonic()))
        event = ("progress", {"sent": time.time()})
        services.ledger.renew(claims[number % len(claims)], lease_seconds=_LEASE_SECONDS, event=event)


def _identity(watcher: "_Watcher") -> "_Watcher":
    return watcher


class _Watcher(asyncio.Protocol):
    """One connection to an event stream."""

    def __init__(self, job_id: str, delays: list[float]) -> None:
        self._job_id, self._delays, self._closed = job_id, delays, False
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(get(f"/v1/jobs/{self._job_id}/events"))

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if b"event: " in data and not self.started.done():
            self.started.set_result(None)
        self._delays += [now - float(sent) for sent in _SENT.findall(data)]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.started.done():
            self.started.set_exception(exc or RuntimeError("A watcher was refused."))

    def close(self) -> None:
        self._transport.close()
