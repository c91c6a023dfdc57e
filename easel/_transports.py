"""Exchange of HTTP messages and sleep: blocking, or in an event loop of asyncio."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx2


class SyncTransport:
    """Blocks the thread; safe to share between threads."""

    def __init__(self, **options: Any) -> None:
        self._http = httpx2.Client(**options)
        self.build_request: Final = self._http.build_request

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response as soon as its headers have arrived; its body is not read yet."""
        return self._http.send(request, stream=True)

    async def read(self, response: httpx2.Response) -> None:
        """Read the whole body into the response."""
        response.read()

    async def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """Yield the body as server-sent events (WHATWG HTML, section 9.2)."""
        for event in httpx2.EventSource(response):
            yield event

    async def close_response(self, response: httpx2.Response) -> None:
        """Return the response's connection to the pool."""
        response.close()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this

    async def close(self) -> None:
        """Close all connections."""
        self._http.close()


class AsyncTransport:
    """Suspends the task; belongs to one event loop of asyncio."""

    def __init__(self, **options: Any) -> None:
        self._http = httpx2.AsyncClient(**options)
        self.build_request: Final = self._http.build_request

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response as soon as its headers have arrived; its body is not read yet."""
        return await self._http.send(request, stream=True)

    async def read(self, response: httpx2.Response) -> None:
        """Read the whole body into the response."""
        await response.aread()

    async def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """Yield the body as server-sent events (WHATWG HTML, section 9.2)."""
        async for event in httpx2.EventSource(response):
            yield event

    async def close_response(self, response: httpx2.Response) -> None:
        """Return the response's connection to the pool."""
        await response.aclose()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()
