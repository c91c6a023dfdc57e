"""One reader of Redis for all who follow, over a real Valkey."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from support.fixtures.ledger import claim, submit

from api.live.event_hub import News
from easel.models import JobState
from shared.errors import LedgerUnavailable
from shared.jobs.events import FIRST, Event, Events, rank
from shared.ledger.ledger import Claim, Ledger, connect


class Watched(Events):
    """Remembers who reads."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.readers: set[threading.Thread] = set()

    def wait(self, after: Mapping[str, str], *, seconds: float = 1.0) -> dict[str, list[Event]]:
        self.readers.add(threading.current_thread())
        return super().wait(after, seconds=seconds)


def say(ledger: Ledger, held: Claim, word: int) -> None:
    ledger.renew(held, lease_seconds=60, event=("progress", {"word": word}))


def story(news: News, job_id: str, after: str, *, begun: threading.Barrier | None = None) -> list[Event]:
    """All until the job's end."""
    heard: list[Event] = []
    with closing(news.follow(job_id, after)) as batches:
        for batch in batches:
            if begun and not heard:
                begun.wait(60)
            heard += batch
            if heard and heard[-1].data.get("state") == "succeeded":
                break
    return heard


def words(events: list[Event]) -> list[int]:
    return [event.data["word"] for event in events if event.kind == "progress"]


def test_every_follower_hears_every_event_once_and_in_order_through_one_thread(valkey_url: str, ledger: Ledger) -> None:
    events, begun = Watched(connect(valkey_url)), threading.Barrier(13)
    news = News(events)
    jobs = [submit(ledger) for _ in range(3)]
    held = [claim(ledger) for _ in jobs]
    with ThreadPoolExecutor(12) as pool:
        told = [pool.submit(story, news, jobs[number % 3], FIRST, begun=begun) for number in range(12)]
        begun.wait(60)
        for word in range(20):
            for number, one in enumerate(held):
                say(ledger, one, 100 * number + word)
        for one in held:
            ledger.finish(one, JobState.SUCCEEDED)
        for number, one in enumerate(told):
            assert words(one.result()) == [100 * (number % 3) + word for word in range(20)]
    (reader,) = events.readers
    reader.join(60)
    assert not reader.is_alive(), "nobody follows any more"


def test_who_comes_late_or_again_misses_nothing_while_others_listen(valkey_url: str, ledger: Ledger) -> None:
    news, job_id = News(Events(connect(valkey_url))), submit(ledger)
    held = claim(ledger)
    for word in range(5):
        say(ledger, held, word)
    with closing(news.follow(job_id, FIRST)) as first:
        early = next(first)
        assert words(early) == [0, 1, 2, 3, 4]
        with closing(news.follow(job_id, early[-3].id)) as again:
            assert words(next(again)) == [3, 4]
            say(ledger, held, 5)
            ledger.finish(held, JobState.SUCCEEDED)
            for one in (first, again):
                heard: list[Event] = []
                while len(heard) < 2:
                    heard += next(one)
                assert words(heard) == [5]
        assert [event.id for event in story(news, job_id, FIRST)][: len(early)] == [event.id for event in early]


def test_all_who_follow_hear_that_redis_went_away_and_may_follow_again(own_valkey: Any) -> None:
    ledger, news = Ledger(connect(own_valkey.url)), News(Events(connect(own_valkey.url)))
    ledger.adopt("test")
    jobs = [submit(ledger) for _ in range(2)]
    with closing(news.follow(jobs[0], FIRST)) as one, closing(news.follow(jobs[1], FIRST)) as other:
        next(one), next(other)
        own_valkey.stop()
        for batches in (one, other):
            with pytest.raises(LedgerUnavailable):
                list(batches)
    own_valkey.start()
    with closing(news.follow(jobs[0], FIRST)) as again:
        assert [event.data["state"] for event in next(again)] == ["queued"]


def test_ids_are_ordered_as_numbers() -> None:
    assert rank("9-0") < rank("10-0") < rank("10-9") < rank("10-10") < rank("11")
