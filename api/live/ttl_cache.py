"""A cache of one value that many requests read at once."""

import threading
import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import structlog

from shared.errors import EaselError

T = TypeVar("T")
log = structlog.get_logger(__name__)


class _Entry(NamedTuple, Generic[T]):
    started: float  # when the call to `make` began: the value may not show later changes
    value: T


class _Failure(NamedTuple):
    ended: float
    error: EaselError


class TtlCache(Generic[T]):
    """Caches the outcome of `make`. One thread calls it; the threads that wait meanwhile share the outcome.

    Not `cachetools.cached(condition=...)`: it shares values but not errors, so with Redis away each waiting request
    would add a timeout of its own. Nor does it serve a stale value while the next one is made.
    """

    def __init__(self, make: Callable[[], T], *, fresh_seconds: float, stale_seconds: float = 0.0) -> None:
        """A value is fresh for `fresh_seconds`. In the next `stale_seconds` it is served while a thread replaces it."""
        self.fresh_seconds, self.stale_seconds = fresh_seconds, stale_seconds
        self._make = make
        self._entry: _Entry[T] | None = None  # replaced as a whole, so readers need no lock
        self._failure: _Failure | None = None
        self._making, self._refreshing = threading.Lock(), threading.Lock()

    def get(self) -> T:
        """Return the value, if need be after making it. Raises what `make` raises."""
        now = time.monotonic()
        entry = self._usable(now)
        return entry.value if entry else self._made_since(now - self.fresh_seconds - self.stale_seconds, now)

    def peek(self) -> T | None:
        """Return the value if there is one that is not too old. Never waits: one is made in the background."""
        entry = self._usable(time.monotonic())
        if entry is None:
            self._refresh()
        return entry.value if entry else None

    def _usable(self, now: float) -> _Entry[T] | None:
        entry = self._entry
        if entry is None or now - entry.started >= self.fresh_seconds + self.stale_seconds:
            return None
        if now - entry.started >= self.fresh_seconds:
            self._refresh()
        return entry

    def _refresh(self) -> None:
        if self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh_in_thread, name="cache-refresh", daemon=True).start()

    def _refresh_in_thread(self) -> None:
        now = time.monotonic()
        try:
            self._made_since(now - self.fresh_seconds, now)
        except EaselError as error:  # raised by `get` once the stale value is too old
            log.info("cache_refresh_failed", code=error.code)
        finally:
            self._refreshing.release()

    def _made_since(self, oldest: float, asked: float) -> T:
        """Return a value begun after `oldest`, or raise the error of an attempt that ended after `asked`."""
        with self._making:
            if self._entry and self._entry.started > oldest:
                return self._entry.value
            if self._failure and self._failure.ended >= asked:
                raise self._failure.error
            started = time.monotonic()
            try:
                value = self._make()
            except EaselError as error:
                self._failure = _Failure(time.monotonic(), error)
                raise
            self._entry = _Entry(started, value)
            return value
