"""Coroutines that run without an event loop."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from easel import AsyncEasel, Easel
from easel._sync_bridge import Blocking, Suspending, Twofold, TwofoldStream, drain, run


class _Pupil:
    closed = False

    @Twofold
    async def add(self, one: int, *, two: int = 1) -> int:
        """Add."""
        return one + two

    @TwofoldStream
    async def count(self, end: int) -> AsyncGenerator[int, None]:
        try:
            for number in range(end):
                yield number
        finally:
            self.closed = True


class Plain(_Pupil, Blocking):
    pass


class Awaited(_Pupil, Suspending):
    pass


def test_one_method_is_a_call_here_and_a_coroutine_there() -> None:
    assert Plain().add(1, two=2) == 3
    assert asyncio.run(Awaited().add(1)) == 2
    assert list(Plain().count(3)) == [0, 1, 2]


def test_a_stream_that_is_left_early_is_closed_at_once() -> None:
    pupil = Plain()
    for number in pupil.count(9):
        if number == 1:
            break
    assert pupil.closed


def test_a_coroutine_that_suspends_is_a_mistake_that_is_named() -> None:
    with pytest.raises(RuntimeError, match="event loop"):
        run(asyncio.sleep(0))


def test_errors_pass_through() -> None:
    with pytest.raises(TypeError):
        Plain().add("x")  # type: ignore[arg-type]  # that is the mistake

    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("in the middle")

    stream = drain(broken())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="in the middle"):
        next(stream)


def test_a_blocking_client_works_inside_a_running_event_loop_too() -> None:
    async def main() -> list[int]:
        return list(Plain().count(2))

    assert asyncio.run(main()) == [0, 1]


def test_every_call_is_documented() -> None:
    for kind in (Easel, AsyncEasel):
        assert "Queue a job" in (kind.submit.__doc__ or "")
