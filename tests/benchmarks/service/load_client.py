"""Many HTTP clients in one cheap process: each connection sends its next request when the last one is answered."""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final, NamedTuple

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Load:
    """What came of it."""

    seconds: float  # from the first request to the last answer
    latencies: list[float]  # seconds, of each answer

    @property
    def per_second(self) -> float:
        """Answers."""
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        """Seconds."""
        return median(self.latencies)

    @property
    def p99(self) -> float:
        """Seconds."""
        return percentile(self.latencies, 99)


def percentile(readings: list[float], share: int) -> float:
    """The value that `share` of a hundred readings do not exceed; of few readings, what lies between them."""
    return quantiles(readings, n=100, method="inclusive")[share - 1] if len(readings) > 1 else readings[0]


def get(path: str) -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def talk(address: Address, requests: Iterable[bytes], *, connections: int, seconds: float = 1e9) -> Load:
    """Send `requests` until they or the seconds are over. Raises RuntimeError where one is not answered 2xx."""
    return asyncio.run(_talk(address, iter(requests), connections, seconds))


async def _talk(address: Address, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    began, latencies = time.perf_counter(), list[float]()
    talks = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(requests, began + seconds, latencies), *address)
        talks.append(client.over)
    await asyncio.gather(*talks)
    return Load(time.perf_counter() - began, latencies)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], deadline: float, latencies: list[float]) -> None:
        self._requests, self._deadline, self._latencies = requests, deadline, latencies
        self._heard = b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, end, body = self._heard.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])):
            return None
        self._latencies.append(time.perf_counter() - self._asked)
        if not head.startswith(b"HTTP/1.1 2"):
            return self._end(RuntimeError(f"Refused: {self._heard[:300]!r}"))
        self._heard = b""
        return self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(exc or RuntimeError("The server hung up."))

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        request = next(self._requests, None) if self._asked < self._deadline else None
        if request is None:
            return self._end()
        self._transport.write(request)
        return None

    def _end(self, error: Exception | None = None) -> None:
        if error:
            self.over.set_exception(error)
        else:
            self.over.set_result(None)
        self._transport.close()
