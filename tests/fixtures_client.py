"""Both kinds of client behind one face, so that one suite holds both to the same behaviour."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from api.client import AsyncEasel, AsyncJob, Easel, sending
from api.client.wires import AsyncWire, BlockingWire

Connect = Callable[..., Any]
"""Opens a client as `Easel` does, for a `with` block."""


class Awaited:
    """An AsyncEasel or AsyncJob that awaits by itself whatever its calls return."""

    def __init__(self, thing: AsyncEasel | AsyncJob, runner: asyncio.Runner) -> None:
        self._thing, self._runner = thing, runner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        return (lambda *args, **kwargs: self._awaited(found(*args, **kwargs))) if callable(found) else found

    def _awaited(self, value: Any) -> Any:
        if inspect.isasyncgen(value):
            return self._read(value)
        found = self._runner.run(value)
        return Awaited(found, self._runner) if isinstance(found, AsyncJob) else found

    def _read(self, stream: AsyncGenerator[Any, None]) -> Iterator[Any]:
        async def step() -> Any:
            return await anext(stream, stream)

        try:
            while (item := self._runner.run(step())) is not stream:
                yield Awaited(item, self._runner) if isinstance(item, AsyncJob) else item
        finally:
            self._runner.run(_closed(stream))


async def _closed(stream: AsyncGenerator[Any, None]) -> None:
    await stream.aclose()


@contextmanager
def awaited(*arguments: Any, **named: Any) -> Iterator[Easel]:
    with asyncio.Runner() as runner:
        easel = AsyncEasel(*arguments, **named)
        try:
            yield cast("Easel", Awaited(easel, runner))
        finally:
            runner.run(easel.aclose())


@pytest.fixture(params=[Easel, awaited], ids=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """The test runs twice: once with each kind of client."""
    kind: Connect = request.param
    return kind


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(sending, "RECONNECT_PAUSE", 0.001)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, each time; it does not."""
    waited: list[float] = []

    async def pause(_: object, seconds: float) -> None:
        waited.append(seconds)

    for wire in (BlockingWire, AsyncWire):
        monkeypatch.setattr(wire, "pause", pause)
    return waited
