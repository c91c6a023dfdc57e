"""Write a method once as `async def`, and call it from both the sync and the async client.

A coroutine suspends only where something that it awaits does. Nothing in SyncTransport (easel/_transports.py) suspends:
it blocks instead, so a single `send(None)` runs the coroutine to its end. Over AsyncTransport it is awaited as usual.
"""

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from types import MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class SyncMixin:
    """Base of classes whose bridged methods are plain calls and whose bridged streams are read by `for`."""


class AsyncMixin:
    """Base of classes whose bridged methods are awaited and whose bridged streams are read by `async for`."""


class BridgedMethod(Generic[P, R]):
    """Decorates an `async def` method of a base class of both a SyncMixin and an AsyncMixin class."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> None:
        self._function = function

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, instance: SyncMixin, owner: type) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: AsyncMixin, owner: type) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the bound method, or the function itself for its documentation if accessed on the class."""
        return _bind(self._function, instance, run_sync)


class BridgedStream(Generic[P, R]):
    """Decorates an async generator method of such a base class."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[R, None]]) -> None:
        self._function = function

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[..., AsyncIterator[R]]: ...
    @overload
    def __get__(self, instance: SyncMixin, owner: type) -> Callable[P, Iterator[R]]: ...
    @overload
    def __get__(self, instance: AsyncMixin, owner: type) -> Callable[P, AsyncGenerator[R, None]]: ...
    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the bound method, or the function itself for its documentation if accessed on the class."""
        return _bind(self._function, instance, iterate_sync)


def _bind(function: Callable[..., Any], instance: object, to_sync: Callable[[Any], Any]) -> Callable[..., Any]:
    if instance is None:
        return function
    method = MethodType(function, instance)
    if not isinstance(instance, SyncMixin):
        return method

    @functools.wraps(function)
    def sync_method(*args: Any, **kwargs: Any) -> Any:
        return to_sync(method(*args, **kwargs))

    return sync_method


def run_sync(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that never suspends, and return its result. Raises RuntimeError if it suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: R = stop.value
        return result
    coroutine.close()
    raise RuntimeError("A method of the sync client tried to wait for an event loop.")


def iterate_sync(generator: AsyncGenerator[R, None]) -> Iterator[R]:
    """Yield the items of an async generator that never suspends."""
    try:
        while True:
            try:
                item = run_sync(anext(generator))
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_sync(generator.aclose())
