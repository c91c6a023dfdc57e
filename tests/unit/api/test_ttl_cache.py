"""A value that many threads read concurrently; the test controls the clock."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.live import ttl_cache
from api.live.ttl_cache import TtlCache, TtlCaches
from shared.errors import LedgerUnavailable

THREADS = 8


class Clock:
    """Advances only when a test says so, and counts reads."""

    def __init__(self) -> None:
        self.now, self.reads = 1000.0, threading.Semaphore(0)

    def monotonic(self) -> float:
        self.reads.release()
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ttl_cache, "time", clock)
    return clock


def in_threads(act: Callable[[], object]) -> list[object]:
    """Return the outcome of `act` in each of several threads that start together."""
    start = threading.Barrier(THREADS)

    def run(_: int) -> object:
        start.wait()
        try:
            return act()
        except LedgerUnavailable as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


def counting(make: Callable[[int], object] = lambda _: None) -> Callable[[], int]:
    """Return a function that runs `make` and returns how often it was called before."""
    calls: list[int] = []

    def call() -> int:
        calls.append(len(calls))
        make(calls[-1])
        return calls[-1]

    return call


def test_threads_that_ask_at_the_same_time_share_one_value() -> None:
    cache = TtlCache(counting(), fresh_seconds=3600)
    assert in_threads(cache.get) == [0] * THREADS


def test_after_expiry_one_thread_computes_the_value_for_all(clock: Clock) -> None:
    def wait_until_all_have_asked(call: int) -> None:
        if call == 1:
            for _ in range(THREADS):
                clock.reads.acquire()

    cache = TtlCache(counting(wait_until_all_have_asked), fresh_seconds=1, stale_seconds=9)
    assert cache.get() == 0
    clock.now, clock.reads = clock.now + 60, threading.Semaphore(0)
    assert in_threads(cache.get) == [1] * THREADS


def test_an_expired_value_is_computed_again(clock: Clock) -> None:
    cache = TtlCache(counting(), fresh_seconds=10)
    values = []
    for _ in range(3):
        values.append(cache.get())
        clock.now += 10
    assert values == [0, 1, 2]


def test_age_is_measured_from_the_start_of_the_computation(clock: Clock) -> None:
    def take_twenty_seconds(_: int) -> None:
        clock.now += 20

    cache = TtlCache(counting(take_twenty_seconds), fresh_seconds=10)
    assert [cache.get(), cache.get()] == [0, 1]


def test_a_stale_value_is_returned_while_it_is_replaced(clock: Clock) -> None:
    making = threading.Event()

    def wait(call: int) -> None:
        if call == 1:
            assert making.wait(60)

    cache = TtlCache(counting(wait), fresh_seconds=1, stale_seconds=9)
    assert cache.get() == 0
    clock.now += 5
    assert [cache.get(), cache.peek()] == [0, 0]
    making.set()
    while cache.peek() == 0:
        pass
    assert cache.peek() == 1


def test_peek_does_not_wait_and_computes_the_value_in_the_background() -> None:
    allowed = threading.Event()
    cache = TtlCache(counting(lambda _: allowed.wait(60)), fresh_seconds=3600)
    assert cache.peek() is None
    allowed.set()
    while cache.peek() is None:
        pass
    assert cache.peek() == cache.get() == 0


@pytest.mark.usefixtures("clock")
def test_threads_that_wait_during_a_failure_share_the_error() -> None:
    calls: list[int] = []

    def fail(call: int) -> None:
        calls.append(call)
        raise LedgerUnavailable

    cache = TtlCache(counting(fail), fresh_seconds=3600)
    assert all(isinstance(outcome, LedgerUnavailable) for outcome in in_threads(cache.get))
    assert calls == [0]


def test_after_an_error_the_next_call_tries_again(clock: Clock) -> None:
    def fail_once(call: int) -> None:
        if call == 0:
            raise LedgerUnavailable

    cache = TtlCache(counting(fail_once), fresh_seconds=1)
    with pytest.raises(LedgerUnavailable):
        cache.get()
    clock.now += 0.1
    assert cache.get() == 1


def test_an_error_in_the_background_keeps_the_stale_value(clock: Clock) -> None:
    failed = threading.Event()

    def fail_later(call: int) -> None:
        if call:
            failed.set()
            raise LedgerUnavailable

    cache = TtlCache(counting(fail_later), fresh_seconds=1, stale_seconds=9)
    assert cache.get() == 0
    clock.now += 5
    assert cache.get() == 0
    assert failed.wait(60)
    assert cache.get() == 0
    clock.now += 5
    with pytest.raises(LedgerUnavailable):
        cache.get()


def test_named_values_are_cached_one_by_one_and_the_least_recently_used_is_dropped(clock: Clock) -> None:
    computed: list[str] = []

    def compute(name: str) -> str:
        computed.append(name)
        return name.upper()

    caches = TtlCaches(compute, size=2, fresh_seconds=1)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert caches.get(name) == name.upper()
    assert computed == ["a", "b", "c", "b"]
    clock.now += 1
    assert caches.get("b") == "B"
    assert computed[4:] == ["b"]


def test_a_value_can_outlast_errors(clock: Clock) -> None:
    def fail(calls: int) -> None:
        if calls in {0, 2, 3}:
            raise LedgerUnavailable

    cache = TtlCache(counting(fail), fresh_seconds=1, keep_on_error=True)
    with pytest.raises(LedgerUnavailable):
        cache.get()
    clock.now += 1
    assert cache.get() == 1
    for _ in range(2):
        clock.now += 1
        assert cache.get() == cache.get() == 1, "computed again once a second"
    clock.now += 1
    assert cache.get() == 4
