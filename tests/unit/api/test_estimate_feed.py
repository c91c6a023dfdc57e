"""Which estimates a stream sends."""

import pytest

from api.live import estimate_feed
from api.live.estimate_feed import ESTIMATE_SECONDS, EstimateFeed
from easel.events import Estimate
from easel.models import DurationRange


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(estimate_feed.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def estimate(position: int | None, p50: float | None, p90: float | None = None) -> Estimate:
    eta = None if p50 is None else DurationRange(p50=p50, p90=p90 or p50 + 60)
    return Estimate(queue_position=position, eta_seconds=eta)


def test_an_estimate_is_read__most_every_few_seconds(clock: Clock) -> None:
    estimates = iter([estimate(2, 60), estimate(1, 30)])
    feed = EstimateFeed(lambda _: next(estimates))
    assert feed.next("0-0") is not None
    assert feed.next("0-0") is None
    clock.now += ESTIMATE_SECONDS
    update = feed.next("0-0")
    assert update is not None
    assert update.queue_position == 1


@pytest.mark.parametrize(
    ("later", "is_sent"),
    [
        (estimate(2, 50), False),  # ten seconds later, as expected
        (estimate(2, 54), False),  # within a tenth
        (estimate(2, 58), True),
        (estimate(2, 40), True),
        (estimate(2, 50, 80), True),
        (estimate(2, None), True),
        (estimate(1, 50), True),
        (None, False),
    ],
)
def test_an_estimate_is_sent_again_only_if_it_changed(clock: Clock, later: Estimate | None, *, is_sent: bool) -> None:
    estimates = iter([estimate(2, 60), later])
    feed = EstimateFeed(lambda _: next(estimates))
    feed.next("0-0")
    clock.now += 10
    assert (feed.next("0-0") is not None) is is_sent


def test_nothing_is_sent_while_nothing_is_known(clock: Clock) -> None:
    feed = EstimateFeed(lambda _: estimate(None, None))
    assert feed.next("0-0") is None
    clock.now += ESTIMATE_SECONDS
    assert feed.next("0-0") is None
