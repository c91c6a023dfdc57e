"""Many HTTP clients in one cheap process: each connection sends its next request when it got the last response."""

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final, NamedTuple

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Address(NamedTuple):
    """A server's address."""

    host: str
    port: int


@dataclass(frozen=True)
class Load:
    """The measured latencies."""

    seconds: float  # from the first request to the last response
    latencies: list[float]  # in seconds

    @property
    def per_second(self) -> float:
        """Responses per second."""
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        """The median latency in seconds."""
        return median(self.latencies)

    @property
    def p99(self) -> float:
        """The 99th percentile of the latencies in seconds."""
        return percentile(self.latencies, 99)


def percentile(readings: list[float], percent: int) -> float:
    """Return the value that `percent` of the readings do not exceed, interpolated between readings."""
    return quantiles(readings, n=100, method="inclusive")[percent - 1] if len(readings) > 1 else readings[0]


def get(path: str) -> bytes:
    """Return the bytes of a GET request."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def send_requests(address: Address, requests: Iterable[bytes], *, connections: int, seconds: float = 1e9) -> Load:
    """Send requests until they or the seconds run out. Raises RuntimeError for a response that is not 2xx."""
    return asyncio.run(_send_requests(address, iter(requests), connections, seconds))


async def _send_requests(address: Address, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    loop = asyncio.get_running_loop()
    began, latencies = time.perf_counter(), list[float]()
    finished = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(requests, began + seconds, latencies), *address)
        finished.append(client.finished)
    await asyncio.gather(*finished)
    return Load(time.perf_counter() - began, latencies)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], deadline: float, latencies: list[float]) -> None:
        self._requests, self._deadline, self._latencies = requests, deadline, latencies
        self._received = b""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or (length and len(body) < int(length[1])):
            return None
        self._latencies.append(time.perf_counter() - self._sent_at)
        if not head.startswith(b"HTTP/1.1 2"):
            return self._end(RuntimeError(f"Unexpected response: {self._received[:300]!r}"))
        self._received = b""
        return self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_exception(exc or RuntimeError("The server closed the connection."))

    def _send_next(self) -> None:
        self._sent_at = time.perf_counter()
        request = next(self._requests, None) if self._sent_at < self._deadline else None
        if request is None:
            return self._end()
        self._transport.write(request)
        return None

    def _end(self, error: Exception | None = None) -> None:
        if error:
            self.finished.set_exception(error)
        else:
            self.finished.set_result(None)
        self._transport.close()
