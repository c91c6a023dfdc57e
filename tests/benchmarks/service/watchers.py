"""Watchers of one API process: how late each event is, while several jobs move and each has several watchers."""

import asyncio
import re
import time
from functools import partial
from statistics import median
from typing import Any, Final

from benchmarks.service.fill import Filling
from benchmarks.service.finding import Chart, Finding, Say
from benchmarks.service.load_client import get, percentile
from benchmarks.stack import House
from shared.ledger.ledger import Claim
from shared.services import Services

_CROWDS: Final = (2, 20, 200)
_WATCHERS_PER_JOB: Final = 8
_TARGET_MS: Final = 1000.0
_LEASE_SECONDS: Final = 3600
_GRACE_SECONDS: Final = 2.0  # for the last event; what has not come by then is missing
_SENT: Final = re.compile(rb'"sent":([0-9.]+)')


def measure(say: Say, *, quick: bool) -> Finding:
    """Each job says something once a second, as often as a heartbeat. Raises RuntimeError where an event is missing."""
    late: dict[int, list[float]] = {}
    with House.opened() as house:
        for crowd in _CROWDS:
            say(f"{crowd} watchers listen")
            claims = Filling.of(house.services).live(running=max(2, crowd // _WATCHERS_PER_JOB), waiting=0)
            late[crowd] = asyncio.run(_listen(house, claims, crowd, 5 if quick else 20))
    curves = {
        "median": {crowd: 1e3 * median(seconds) for crowd, seconds in late.items()},
        "p99": {crowd: 1e3 * percentile(seconds, 99) for crowd, seconds in late.items()},
        "greatest": {crowd: 1e3 * max(seconds) for crowd, seconds in late.items()},
    }
    bound = dict.fromkeys(_CROWDS, _TARGET_MS)
    title = "from an event to its watcher"
    return Finding(
        {}, [Chart("watchers", title, "watchers of one API process", "ms", curves, target="within 1 s", bound=bound)]
    )


async def _listen(house: House, claims: list[Claim], crowd: int, words: int) -> list[float]:
    """Seconds of each delivery, after `words` events of each job."""
    loop, late, listeners = asyncio.get_running_loop(), list[float](), list[_Listener]()
    for number in range(crowd):
        listener = _Listener(claims[number % len(claims)].job.id, late)
        await loop.create_connection(partial(_itself, listener), *house.address)
        listeners.append(listener)
    await asyncio.gather(*(listener.begun for listener in listeners))
    await asyncio.to_thread(_talk, house.services, claims, words)
    await asyncio.sleep(_GRACE_SECONDS)
    for listener in listeners:
        listener.close()
    if len(late) != crowd * words:
        raise RuntimeError(f"{crowd} watchers heard {len(late)} events, and not {crowd * words}.")
    return late


def _talk(services: Services, claims: list[Claim], words: int) -> None:
    """The jobs take turns, evenly."""
    began = time.monotonic()
    for number in range(words * len(claims)):
        time.sleep(max(0.0, began + number / len(claims) - time.monotonic()))
        event = ("progress", {"sent": time.time()})
        services.ledger.renew(claims[number % len(claims)], lease_seconds=_LEASE_SECONDS, event=event)


def _itself(listener: "_Listener") -> "_Listener":
    return listener


class _Listener(asyncio.Protocol):
    """One connection that reads a stream of events."""

    def __init__(self, job_id: str, late: list[float]) -> None:
        self._job_id, self._late, self._closed = job_id, late, False
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(get(f"/v1/jobs/{self._job_id}/events"))

    def data_received(self, data: bytes) -> None:
        now = time.time()
        if b"event: " in data and not self.begun.done():
            self.begun.set_result(None)
        self._late += [now - float(sent) for sent in _SENT.findall(data)]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.begun.done():
            self.begun.set_exception(exc or RuntimeError("A watcher was not let in."))

    def close(self) -> None:
        self._transport.close()
