"""Pages of jobs: filters, cursors, and what a page costs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from support.fixtures.ledger import request, submit

from easel.models import JobState
from shared.jobs.job import DEFAULT_TENANT
from shared.ledger import job_search
from shared.ledger.job_search import JobFilter, JobSearch
from shared.ledger.ledger import NAMESPACE, Ledger, connect

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def search(valkey_url: str) -> JobSearch:
    return JobSearch(connect(valkey_url))


def own(**fields: Any) -> JobFilter:
    return JobFilter(tenant=DEFAULT_TENANT, **fields)


def enter(ledger: Ledger, *, at: datetime | None = None, **changes: Any) -> str:
    """Submit a job at a time, with changes to its request, and return its ID."""
    if at:
        milliseconds = round(at.timestamp() * 1000)
        changes["id"] = str(UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62))
    return submit(ledger, request().model_copy(update=changes), limit=10_000)


def pages(search: JobSearch, job_filter: JobFilter, limit: int) -> Iterator[list[str]]:
    before: str | None = None
    while True:
        page = search.page(job_filter, limit=limit, before=before)
        yield [*page.ids]
        if page.next_before is None:
            return
        before = page.next_before


def test_pages_are_ordered_from_newest_to_oldest_and_the_last_one_has_no_cursor(
    ledger: Ledger, search: JobSearch
) -> None:
    ids = [enter(ledger) for _ in range(6)]
    assert [*pages(search, own(), 4)] == [ids[:1:-1], ids[1::-1]]
    assert [*pages(search, own(), 3)] == [ids[:2:-1], ids[2::-1]], "no empty page follows the last job"


def test_a_page_of_filtered_jobs_is_no_longer_than_its_limit(ledger: Ledger, search: JobSearch) -> None:
    ids = [enter(ledger, metadata={"a": "1"}) for _ in range(5)]
    assert [*pages(search, own(metadata={"a": "1"}), 2)] == [ids[:2:-1], ids[2:0:-1], ids[:1]]


def test_pages_before_a_time_are_ordered_like_all(ledger: Ledger, search: JobSearch) -> None:
    ids = [enter(ledger, at=NOON + number * timedelta(hours=1)) for number in range(6)]
    early = own(created_before=NOON + timedelta(hours=5))
    assert [*pages(search, early, 2)] == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


def test_a_cursor_stays_valid_when_its_job_is_deleted_and_new_ones_come(ledger: Ledger, search: JobSearch) -> None:
    ids = [enter(ledger) for _ in range(4)]
    first = search.page(own(), limit=2)
    enter(ledger)
    ledger.request_control(ids[2], "cancel")
    ledger.delete(ids[2])
    assert search.page(own(), limit=2, before=first.next_before).ids == ids[1::-1]


def test_jobs_of_another_tenant_do_not_match(ledger: Ledger, search: JobSearch) -> None:
    (own_id, _) = enter(ledger, metadata={"a": "1"}), enter(ledger, metadata={"a": "1"}, tenant="other")
    for fields in ({}, {"metadata": {"a": "1"}}, {"state": JobState.QUEUED}):
        assert search.page(own(**fields), limit=9).ids == [own_id]


def test_times_are_compared_to_the_millisecond(ledger: Ledger, search: JobSearch) -> None:
    tick = timedelta(milliseconds=1)
    ids = [enter(ledger, at=NOON + number * tick) for number in range(4)]

    def between(after: datetime, before: datetime) -> list[str]:
        return [*search.page(own(created_after=after, created_before=before), limit=9).ids]

    assert between(NOON + tick, NOON + 3 * tick) == [ids[2], ids[1]], "at or after the first, before the second"
    assert between(NOON + tick / 2, NOON + tick * 5 / 2) == [ids[2], ids[1]]
    assert between(NOON + tick, NOON + tick) == []
    assert between(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)) == ids[::-1]


def test_only_jobs_with_all_given_metadata_and_the_preset_match(ledger: Ledger, search: JobSearch) -> None:
    both = enter(ledger, metadata={"order": "1", "note": ""})
    recipe = request().recipe.model_copy(update={"preset": "custom"})
    other = enter(ledger, metadata={"order": "1"}, recipe=recipe)
    enter(ledger, metadata={"order": "2"})

    def found(**fields: Any) -> list[str]:
        return [*search.page(own(**fields), limit=9).ids]

    assert found(metadata={"order": "1"}) == [other, both]
    assert found(metadata={"order": "1", "note": ""}) == [both]
    assert found(metadata={"order": "1"}, preset="custom") == [other]
    assert found(metadata={"order": "1"}, preset="fast", state=JobState.RUNNING) == []
    assert found(metadata={"note": "1"}) == []


def test_the_stored_request_of_an_older_version_has_no_metadata(
    ledger: Ledger, search: JobSearch, valkey_url: str
) -> None:
    old = request()
    submit(ledger, old)
    stored = old.model_dump_json(exclude={"metadata"})
    connect(valkey_url).hset(f"{NAMESPACE}:job:{old.id}", "request", stored)
    assert search.page(own(metadata={"order": "1"}), limit=1).ids == []
    assert search.page(own(preset="fast"), limit=1).ids == [old.id]


def test_all_matches_are_found_page_by_page_and_each_page_reads_a_bounded_number_of_requests(
    ledger: Ledger, search: JobSearch, valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "SCAN_LIMIT", 40)
    monkeypatch.setattr(job_search, "_CHUNK", 10)
    random = Random(1)  # noqa: S311 - the same jobs in every run
    client, expected = connect(valkey_url), list[str]()
    marked = {*range(170, 180), *random.sample(range(170), 9)}
    for number in range(200):
        job_id = enter(ledger, metadata={"marked": str(number in marked)})
        expected = [job_id, *expected] if number in marked else expected
    for limit in (1, 3, 10, 50):
        found = list[str]()
        listing = pages(search, own(metadata={"marked": "True"}), limit)
        while True:
            client.config_resetstat()
            page = next(listing, None)
            if page is None:
                break
            calls: Any = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
            assert calls["cmdstat_zrange"] <= 4
            assert calls.get("cmdstat_hget", 0) <= 40
            assert len(page) <= limit
            found += page
        assert found == expected


def test_a_page_without_a_match_has_a_cursor_while_jobs_remain(
    ledger: Ledger, search: JobSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_search, "SCAN_LIMIT", 3)
    old, *_ = [enter(ledger, metadata={"old": str(number == 0)}) for number in range(7)]
    assert [*pages(search, own(metadata={"old": "True"}), 2)] == [[], [], [old]]
