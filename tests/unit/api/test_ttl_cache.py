"""What many ask for at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.live.ttl_cache import Lately
from shared.errors import LedgerUnavailable


def test_whoever_asks_while_it_is_made_gets_the_same() -> None:
    lately, made = Lately[int](lifetime=3600), list[int]()
    everybody = threading.Barrier(8)

    def make() -> int:
        made.append(len(made))
        return made[-1]

    def ask(_: int) -> int:
        everybody.wait()
        return lately.get(make)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {0}
    assert made == [0]


def test_what_is_old_is_made_anew() -> None:
    lately, numbers = Lately[int](lifetime=0), iter(range(3))
    assert [lately.get(lambda: next(numbers)) for _ in range(3)] == [0, 1, 2]


def test_all_are_told_of_one_failure_and_nobody_waits_for_another() -> None:
    lately, tried = Lately[int](lifetime=3600), list[int]()

    def fail() -> int:
        tried.append(1)
        raise LedgerUnavailable

    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            lately.get(fail)
    assert tried == [1]
