"""Methods that are written once for the sync and the async client."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from easel import AsyncEasel, Easel
from easel._sync_bridge import AsyncMixin, BridgedMethod, BridgedStream, SyncMixin, iterate_sync, run_sync


class _BaseCounter:
    closed = False

    @BridgedMethod
    async def add(self, one: int, *, two: int = 1) -> int:
        """Add."""
        return one + two

    @BridgedStream
    async def count(self, end: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(end):
                yield number
        finally:
            self.closed = True


class SyncCounter(_BaseCounter, SyncMixin):
    pass


class AsyncCounter(_BaseCounter, AsyncMixin):
    pass


def test_a_method_is_a_plain_call_or_a_coroutine() -> None:
    assert SyncCounter().add(1, two=2) == 3
    assert asyncio.run(AsyncCounter().add(1)) == 2
    assert list(SyncCounter().count(3)) == [0, 1, 2]


def test_a_stream_is_closed_when_its_loop_is_left() -> None:
    counter = SyncCounter()
    for number in counter.count(9):
        if number == 1:
            break
    assert counter.closed


def test_a_coroutine_that_suspends_raises_in_the_sync_client() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        run_sync(asyncio.sleep(0))


def test_errors_are_raised_to_the_caller() -> None:
    with pytest.raises(TypeError):
        SyncCounter().add("x")  # type: ignore[arg-type]  # the mistake under test

    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("in the middle")

    stream = iterate_sync(broken())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="in the middle"):
        next(stream)


def test_the_sync_client_works_inside_a_running_event_loop() -> None:
    async def main() -> list[int]:
        return list(SyncCounter().count(2))

    assert asyncio.run(main()) == [0, 1]


def test_bridged_methods_keep_their_docstrings() -> None:
    for client in (Easel, AsyncEasel):
        assert "Submit a job" in (client.submit.__doc__ or "")
