"""Which computed events a stream sends."""

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from api.live import computed_events
from api.live.computed_events import READ_SECONDS, ComputedEvents, Reading
from easel.events import Estimate, WorkerSilence
from easel.models import DurationRange

ANSWERS = WorkerSilence()
SILENT = WorkerSilence(since=datetime(2026, 11, 22, 14, tzinfo=UTC))


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(computed_events.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def estimate(position: int | None, p50: float | None, p90: float | None = None) -> Estimate:
    eta = None if p50 is None else DurationRange(p50=p50, p90=p90 or p50 + 60)
    return Estimate(queue_position=position, eta_seconds=eta)


def computed(readings: Iterable[Reading | None], *, resumed: bool = False) -> ComputedEvents:
    remaining = iter(readings)
    return ComputedEvents(lambda _: next(remaining), resumed=resumed)


def next_kinds(events: ComputedEvents) -> list[str]:
    return [kind for kind, _ in events.next("0-0")]


def test_a_job_is_read_at_most_every_few_seconds(clock: Clock) -> None:
    events = computed([Reading(estimate(2, 60), ANSWERS), Reading(estimate(1, 30), ANSWERS)])
    assert next_kinds(events) == ["estimate"]
    assert next_kinds(events) == []
    clock.now += READ_SECONDS
    assert list(events.next("0-0")) == [("estimate", estimate(1, 30))]


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
    events = computed([Reading(estimate(2, 60), ANSWERS), Reading(later, ANSWERS)])
    next_kinds(events)
    clock.now += 10
    assert next_kinds(events) == ["estimate"] * is_sent


def test_nothing_is_sent_while_nothing_is_known(clock: Clock) -> None:
    events = computed([Reading(estimate(None, None), ANSWERS), Reading(None, ANSWERS), None])
    for _ in range(3):
        assert next_kinds(events) == []
        clock.now += READ_SECONDS


def test_the_begin_and_the_end_of_a_workers_silence_are_sent_once(clock: Clock) -> None:
    events = computed(Reading(None, silence) for silence in (ANSWERS, SILENT, SILENT, ANSWERS, ANSWERS))
    sent = []
    for _ in range(5):
        sent += events.next("0-0")
        clock.now += READ_SECONDS
    assert sent == [("worker_silent", SILENT), ("worker_silent", ANSWERS)]


@pytest.mark.usefixtures("clock")
def test_a_resumed_stream_says_first_whether_the_worker_answers() -> None:
    assert list(computed([Reading(None, ANSWERS)], resumed=True).next("1-0")) == [("worker_silent", ANSWERS)]
