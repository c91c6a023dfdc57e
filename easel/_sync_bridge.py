"""One code path for two clients: what is written once as `async def` also runs without an event loop.

A coroutine suspends only where something beneath it does. Over a BlockingWire (easel/_transports.py) nothing does: its
methods block instead, so a single push runs the whole coroutine to its end. Over an AsyncWire it is awaited as usual.
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class Blocking:
    """Base of classes whose Twofold methods are plain calls, and whose TwofoldStreams are read by `for`."""


class Suspending:
    """Base of classes whose Twofold methods are awaited, and whose TwofoldStreams are read by `async for`."""


class Twofold(Generic[P, R]):
    """Decorates an `async def` of a class that both a Blocking and a Suspending class inherit from."""

    def __init__(self, act: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self._act = act

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Suspending, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        """The method as this instance has it; the function itself where a class is asked, for its documentation."""
        return _bound(self._act, instance, run)


class TwofoldStream(Generic[P, R]):
    """The same for an `async def` that yields."""

    def __init__(self, act: Callable[Concatenate[Any, P], AsyncGenerator[R, None]]) -> None:
        self._act = act

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., AsyncIterator[R]]: ...
    @overload
    def __get__(self, instance: Blocking, owner: type) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, instance: Suspending, owner: type) -> Callable[P, AsyncGenerator[R, None]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        """The method as this instance has it; the function itself where a class is asked, for its documentation."""
        return _bound(self._act, instance, drain)


def _bound(act: Callable[..., Any], instance: object, finish: Callable[[Any], Any]) -> Callable[..., Any]:
    if instance is None:
        return act
    method = MethodType(act, instance)
    if not isinstance(instance, Blocking):
        return method

    @functools.wraps(act)
    def blocking(*arguments: Any, **named: Any) -> Any:
        return finish(method(*arguments, **named))

    return blocking


def run(act: Coroutine[Any, Any, R]) -> R:
    """What a coroutine returns that never suspends."""
    try:
        act.send(None)
    except StopIteration as done:
        value: R = done.value
        return value
    act.close()
    raise RuntimeError("A blocking client was made to wait for an event loop.")


def drain(stream: AsyncGenerator[R, None]) -> Iterator[R]:
    """What a generator yields that never suspends."""
    try:
        while True:
            try:
                item = run(anext(stream))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run(stream.aclose())
