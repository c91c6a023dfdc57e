"""What the client does to the world: exchange HTTP messages, and let time pass. Blocking, or in an event loop."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx2


class BlockingWire:
    """Blocks the thread; safe to share between threads."""

    def __init__(self, **options: Any) -> None:
        self._http = httpx2.Client(**options)
        self.request: Final = self._http.build_request

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The head of a response; its body is still to be read."""
        return self._http.send(request, stream=True)

    async def read(self, response: httpx2.Response) -> None:
        """The whole body, into the response."""
        response.read()

    async def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """The body as server-sent events (WHATWG HTML, section 9.2)."""
        for event in httpx2.EventSource(response):
            yield event

    async def leave(self, response: httpx2.Response) -> None:
        """Give the response's connection back."""
        response.close()

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)  # noqa: ASYNC251 - no event loop runs this

    async def close(self) -> None:
        """Give all connections back."""
        self._http.close()


class AsyncWire:
    """Suspends the task; belongs to one event loop of asyncio."""

    def __init__(self, **options: Any) -> None:
        self._http = httpx2.AsyncClient(**options)
        self.request: Final = self._http.build_request

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """The head of a response; its body is still to be read."""
        return await self._http.send(request, stream=True)

    async def read(self, response: httpx2.Response) -> None:
        """The whole body, into the response."""
        await response.aread()

    async def events(self, response: httpx2.Response) -> AsyncGenerator[httpx2.ServerSentEvent, None]:
        """The body as server-sent events (WHATWG HTML, section 9.2)."""
        async for event in httpx2.EventSource(response):
            yield event

    async def leave(self, response: httpx2.Response) -> None:
        """Give the response's connection back."""
        await response.aclose()

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Give all connections back."""
        await self._http.aclose()
