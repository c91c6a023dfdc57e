"""One forecast for many who ask; the clock is in the test's hand."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from api.eta import service
from api.eta.forecast import Forecast
from api.eta.service import Forecaster
from shared.errors import LedgerUnavailable
from shared.services import Services
from shared.settings import Settings

PORTS = cast("Services", None)  # asked by nothing but the making, which the tests do themselves
CROWD = 8
MadeBy = Callable[[Callable[[], object]], None]
"""Takes what is to be done whenever a forecast is made."""


class Clock:
    """Stands still but for the tests, and counts who looks at it."""

    def __init__(self) -> None:
        self.now, self.looks = 1000.0, threading.Semaphore(0)

    def monotonic(self) -> float:
        self.looks.release()
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(service, "time", found)
    return found


@pytest.fixture
def made_by(monkeypatch: pytest.MonkeyPatch) -> MadeBy:
    def put(act: Callable[[], object]) -> None:
        def of_now(_: Services) -> Forecast:
            act()
            return Forecast([], [], Settings())

        monkeypatch.setattr(Forecast, "of_now", of_now)

    return put


def crowd(ask: Callable[[], object]) -> list[object]:
    """What each of several threads is told that ask at the same time."""
    everybody = threading.Barrier(CROWD)

    def one(_: int) -> object:
        everybody.wait()
        try:
            return ask()
        except LedgerUnavailable as error:
            return error

    with ThreadPoolExecutor(CROWD) as pool:
        return list(pool.map(one, range(CROWD)))


@pytest.mark.parametrize("fresh", [False, True])
def test_after_a_quiet_spell_one_makes_it_for_all_who_ask(made_by: MadeBy, clock: Clock, *, fresh: bool) -> None:
    begun: list[int] = []

    def make_when_all_have_asked() -> None:
        begun.append(1)
        if len(begun) == 2:
            for _ in range(CROWD):
                clock.looks.acquire()

    made_by(make_when_all_have_asked)
    one = Forecaster(PORTS)
    one.now()
    clock.now, clock.looks = clock.now + 60, threading.Semaphore(0)
    assert len({id(told) for told in crowd(lambda: one.now(fresh=fresh))}) == 1
    assert len(begun) == 2


@pytest.mark.usefixtures("clock")
def test_where_it_cannot_be_made_all_who_wait_are_told_by_one_attempt(made_by: MadeBy) -> None:
    begun: list[int] = []

    def fail() -> None:
        begun.append(1)
        raise LedgerUnavailable

    made_by(fail)
    one = Forecaster(PORTS)
    assert all(isinstance(told, LedgerUnavailable) for told in crowd(one.now))
    assert len(begun) == 1


def test_who_asks_again_after_a_failure_gets_another_attempt(made_by: MadeBy, clock: Clock) -> None:
    trouble = iter([LedgerUnavailable()])

    def fail_once() -> None:
        if error := next(trouble, None):
            raise error

    made_by(fail_once)
    one = Forecaster(PORTS)
    with pytest.raises(LedgerUnavailable):
        one.now()
    clock.now += 0.1
    assert isinstance(one.now(), Forecast)


def test_a_forecast_is_as_old_as_its_beginning(made_by: MadeBy, clock: Clock) -> None:
    def slowly() -> None:
        clock.now += 20

    made_by(slowly)
    one = Forecaster(PORTS)
    assert one.now() is not one.now()


def test_a_newcomer_is_not_told_by_a_forecast_that_was_begun_before_it_came(made_by: MadeBy) -> None:
    begun, go_on = threading.Event(), threading.Event()
    made_by(lambda: (begun.set(), go_on.wait()))
    one = Forecaster(PORTS, lifetime=3600)
    with ThreadPoolExecutor(2) as pool:
        earlier = pool.submit(one.now)
        begun.wait()
        newer = pool.submit(one.now, fresh=True)
        go_on.set()
        assert newer.result() is not earlier.result()
        assert one.now() is newer.result()
