"""Caches of values that many requests read concurrently."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import structlog
from cachetools import LRUCache

from shared.errors import EaselError

T = TypeVar("T")
log = structlog.get_logger(__name__)


class _Entry(NamedTuple, Generic[T]):
    started: float  # when the call to `compute` began: the value may not show later changes
    value: T


class _Failure(NamedTuple):
    ended: float
    error: EaselError


class TtlCache(Generic[T]):
    """Caches the outcome of `compute`. One thread calls it; the threads that wait meanwhile share the outcome.

    Not `cachetools.cached(condition=...)`: it shares values but not errors, so each request that waits while Redis is
    unavailable would add a timeout. Nor does it serve a stale value while the next one is computed.
    """

    def __init__(
        self,
        compute: Callable[[], T],
        *,
        fresh_seconds: float,
        stale_seconds: float = 0.0,
        keep_on_error: bool = False,
    ) -> None:
        """A value is fresh for `fresh_seconds`. In the next `stale_seconds` it is served while a thread replaces it.

        With `keep_on_error`, an error is raised only if there is no earlier value, which else becomes fresh again.
        """
        self.fresh_seconds, self.stale_seconds, self._keep_on_error = fresh_seconds, stale_seconds, keep_on_error
        self._compute = compute
        self._entry: _Entry[T] | None = None  # replaced as a whole, so readers need no lock
        self._failure: _Failure | None = None
        self._computing, self._refreshing = threading.Lock(), threading.Lock()

    def get(self) -> T:
        """Return the value, computed first if necessary. Raises what `compute` raises."""
        now = time.monotonic()
        entry = self._usable(now)
        return entry.value if entry else self._computed_since(now - self.fresh_seconds - self.stale_seconds, now)

    def peek(self) -> T | None:
        """Return the value, or None if it is missing or too old. Never waits: it is computed in the background."""
        entry = self._usable(time.monotonic())
        if entry is None:
            self._refresh()
        return entry.value if entry else None

    def last(self) -> T | None:
        """Return the last value, however old, or None if there is none yet. Never waits, as `peek`."""
        self.peek()
        return self._entry.value if self._entry else None

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
            self._computed_since(now - self.fresh_seconds, now)
        except EaselError as error:  # raised by `get` once the stale value is too old
            log.info("cache_refresh_failed", code=error.code)
        finally:
            self._refreshing.release()

    def _computed_since(self, oldest: float, requested_at: float) -> T:
        """Return a value begun after `oldest`, or raise the error of an attempt that ended after `requested_at`."""
        with self._computing:
            if self._entry and self._entry.started > oldest:
                return self._entry.value
            if self._failure and self._failure.ended >= requested_at:
                raise self._failure.error
            started = time.monotonic()
            try:
                value = self._compute()
            except EaselError as error:
                if not self._keep_on_error or self._entry is None:
                    self._failure = _Failure(time.monotonic(), error)
                    raise
                log.info("cache_refresh_failed", code=error.code)
                value = self._entry.value
            self._entry = _Entry(started, value)
            return value


class TtlCaches(Generic[T]):
    """A TtlCache per name, for the `size` names that were used last: clients choose names."""

    def __init__(self, compute: Callable[[str], T], *, size: int, **options: Any) -> None:
        """`compute` gets the name. The options are those of TtlCache."""
        self._compute, self._options = compute, options
        self._caches: LRUCache[str, TtlCache[T]] = LRUCache(size)
        self._lock = threading.Lock()

    def get(self, name: str) -> T:
        """Return the value, computed first if necessary. Raises what `compute` raises."""
        with self._lock:
            cache = self._caches.get(name)
            if cache is None:
                cache = self._caches[name] = TtlCache(partial(self._compute, name), **self._options)
        return cache.get()
