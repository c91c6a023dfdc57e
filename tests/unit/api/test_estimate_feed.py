"""Which estimates a stream sends."""

from datetime import UTC, datetime

import pytest

from api.live import estimate_feed
from api.live.estimate_feed import ESTIMATE_SECONDS, EstimateFeed
from easel.models import DurationRange, JobState, JobStatus, Progress


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(estimate_feed.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def status(position: int | None, p50: float | None, state: JobState = JobState.QUEUED) -> JobStatus:
    eta = None if p50 is None else DurationRange(p50=p50, p90=2 * p50)
    created_at = datetime(2026, 11, 22, tzinfo=UTC)
    return JobStatus(
        id="a", state=state, tier="batch", recipe={}, created_at=created_at, queue_position=position, eta_seconds=eta,
        progress=Progress(total=10),
    )  # fmt: skip


def test_an_estimate_is_read_at_most_every_few_seconds(clock: Clock) -> None:
    statuses = iter([status(2, 60), status(1, 30)])
    feed = EstimateFeed(lambda: next(statuses))
    assert feed.next() is not None
    assert feed.next() is None
    clock.now += ESTIMATE_SECONDS
    update = feed.next()
    assert update is not None
    assert update.queue_position == 1


@pytest.mark.parametrize(
    ("later", "is_sent"),
    [
        (status(2, 50), False),  # ten seconds later, as expected
        (status(2, 54), False),  # within a tenth
        (status(2, 58), True),
        (status(2, 40), True),
        (status(2, None), True),
        (status(1, 50), True),
        (status(None, None, JobState.SUCCEEDED), False),  # a state event says so
    ],
)
def test_an_estimate_is_sent_again_only_if_it_changed(clock: Clock, later: JobStatus, *, is_sent: bool) -> None:
    statuses = iter([status(2, 60), later])
    feed = EstimateFeed(lambda: next(statuses))
    feed.next()
    clock.now += 10
    assert (feed.next() is not None) is is_sent


def test_nothing_is_sent_while_nothing_is_known(clock: Clock) -> None:
    feed = EstimateFeed(lambda: status(None, None))
    assert feed.next() is None
    clock.now += ESTIMATE_SECONDS
    assert feed.next() is None
