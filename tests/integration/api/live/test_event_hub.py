"""The event hub: one reader of Redis for all subscribers, over a real Valkey."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from support.fixtures.ledger import claim, submit

from api.live.event_hub import EventHub
from easel.models import JobState
from shared.errors import LedgerUnavailable
from shared.jobs.events import FIRST_EVENT_ID, JobEvents, StoredEvent, event_order
from shared.ledger.ledger import Claim, Ledger, connect


class RecordingJobEvents(JobEvents):
    """Records which threads read."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.readers: set[threading.Thread] = set()

    def wait(self, after: Mapping[str, str], *, seconds: float = 1.0) -> dict[str, list[StoredEvent]]:
        self.readers.add(threading.current_thread())
        return super().wait(after, seconds=seconds)


def publish(ledger: Ledger, claimed: Claim, number: int) -> None:
    ledger.renew(claimed, lease_seconds=60, event=("progress", {"number": number}))


def read_to_end(
    hub: EventHub, job_id: str, after: str, *, started: threading.Barrier | None = None
) -> list[StoredEvent]:
    """Return all events until the end of the job."""
    received: list[StoredEvent] = []
    with closing(hub.subscribe(job_id, after)) as batches:
        for batch in batches:
            if started and not received:
                started.wait(60)
            received += batch
            if received and received[-1].data.get("state") == "succeeded":
                break
    return received


def numbers(events: list[StoredEvent]) -> list[int]:
    return [event.data["number"] for event in events if event.kind == "progress"]


def test_every_subscriber_receives_every_event_once_and_in_order_from_one_thread(
    valkey_url: str, ledger: Ledger
) -> None:
    events, started = RecordingJobEvents(connect(valkey_url)), threading.Barrier(13)
    hub = EventHub(events)
    jobs = [submit(ledger) for _ in range(3)]
    claims = [claim(ledger) for _ in jobs]
    with ThreadPoolExecutor(12) as pool:
        futures = [
            pool.submit(read_to_end, hub, jobs[index % 3], FIRST_EVENT_ID, started=started) for index in range(12)
        ]
        started.wait(60)
        for number in range(20):
            for index, one in enumerate(claims):
                publish(ledger, one, 100 * index + number)
        for one in claims:
            ledger.end_job(one, JobState.SUCCEEDED)
        for index, future in enumerate(futures):
            assert numbers(future.result()) == [100 * (index % 3) + number for number in range(20)]
    (reader,) = events.readers
    reader.join(60)
    assert not reader.is_alive(), "there are no subscribers"


def test_late_and_returning_subscribers_miss_nothing(valkey_url: str, ledger: Ledger) -> None:
    hub, job_id = EventHub(JobEvents(connect(valkey_url))), submit(ledger)
    claimed = claim(ledger)
    for number in range(5):
        publish(ledger, claimed, number)
    with closing(hub.subscribe(job_id, FIRST_EVENT_ID)) as first:
        early = next(first)
        assert numbers(early) == [0, 1, 2, 3, 4]
        with closing(hub.subscribe(job_id, early[-3].id)) as again:
            assert numbers(next(again)) == [3, 4]
            publish(ledger, claimed, 5)
            ledger.end_job(claimed, JobState.SUCCEEDED)
            for one in (first, again):
                received: list[StoredEvent] = []
                while len(received) < 2:
                    received += next(one)
                assert numbers(received) == [5]
        assert [event.id for event in read_to_end(hub, job_id, FIRST_EVENT_ID)][: len(early)] == [
            event.id for event in early
        ]


def test_all_subscribers_get_the_error_of_redis_and_can_subscribe_again(own_valkey: Any) -> None:
    ledger, hub = Ledger(connect(own_valkey.url)), EventHub(JobEvents(connect(own_valkey.url)))
    ledger.ensure_identity("test")
    jobs = [submit(ledger) for _ in range(2)]
    with (
        closing(hub.subscribe(jobs[0], FIRST_EVENT_ID)) as one,
        closing(hub.subscribe(jobs[1], FIRST_EVENT_ID)) as other,
    ):
        next(one), next(other)
        own_valkey.stop()
        for batches in (one, other):
            with pytest.raises(LedgerUnavailable):
                list(batches)
    own_valkey.start()
    with closing(hub.subscribe(jobs[0], FIRST_EVENT_ID)) as again:
        assert [event.data["state"] for event in next(again)] == ["queued"]


def test_ids_are_ordered_as_numbers() -> None:
    assert event_order("9-0") < event_order("10-0") < event_order("10-9") < event_order("10-10") < event_order("11")
