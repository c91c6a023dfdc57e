"""The queue, live, while nobody paints."""

import pytest
from playwright.sync_api import Page, Route, expect

from browser.acts import compose, hold, let_go, settle
from browser.conftest import House, NewPage
from easel.models import JobState
from shared.ledger.queue_stats import WorkerInfo


@pytest.fixture(autouse=True)
def empty(house: House) -> None:
    """Every test finds a queue without jobs."""
    for job in house.services.ledger.list(state=JobState.QUEUED, limit=200):
        house.services.ledger.request_control(job.id, "cancel")


def test_an_empty_queue_says_so(page: Page) -> None:
    page.goto("/queue")
    expect(page.get_by_text("Nobody paints at the moment.")).to_be_visible()
    expect(page.get_by_text("No job waits in this line.")).to_be_visible()
    expect(page.get_by_text("No worker is alive")).to_be_visible()


def test_a_worker_on_a_gpu_shows_the_gpus_memory_and_so_does_a_quote(page: Page, house: House) -> None:
    worker = WorkerInfo(
        name="one@gpu", device="NVIDIA H100", weights="w", tiers=("standard",), seen_at=2e10, memory_bytes=80 * 2**30
    )
    house.services.queue_stats.announce(worker.model_copy(update={"memory_kind": "gpu"}))
    try:
        page.goto("/queue")
        expect(page.locator("#workers")).to_contain_text("NVIDIA H100 · 80.0 GiB of GPU memory")
        compose(page)
        expect(page.get_by_label("What it would take")).to_contain_text("of GPU memory")
    finally:
        house.services.queue_stats.withdraw(worker.name)


def test_waiting_jobs_come_and_go_without_a_reload(page: Page, house: House) -> None:
    page.goto("/queue")
    job = house.submit()
    row = page.get_by_role("row", name=job[-6:])
    expect(row).to_be_visible()
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_be_hidden()
    assert house.services.ledger.get(job).state is JobState.CANCELED


def test_a_long_line_is_shown_page_by_page(page: Page, house: House) -> None:
    jobs = [house.submit() for _ in range(101)]
    page.goto("/queue")
    rows = page.locator("#waiting tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Later").click()
    page.get_by_role("button", name="Later").click()
    expect(rows).to_have_count(1)
    expect(rows.last).to_contain_text(jobs[-1][-6:])
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
    expect(page.get_by_text("101 to 101 of 101")).to_be_visible()
    house.services.ledger.request_control(jobs.pop(), "cancel")
    expect(page.get_by_text("51 to 100 of 100")).to_be_visible()  # the page that was the last one is no more
    expect(rows).to_have_count(50)
    for job in jobs:
        house.services.ledger.request_control(job, "cancel")
    expect(page.get_by_text("No job waits in this line.")).to_be_visible()


def test_another_line_does_not_show_the_jobs_of_the_last_one(page: Page, house: House) -> None:
    job = house.submit()
    page.goto("/queue")
    row = page.get_by_role("row", name=job[-6:])
    expect(row).to_be_visible()
    held = hold(page, "**/v1/queue/batch/jobs?*")
    page.get_by_role("button", name="batch").click()
    expect(row).to_be_hidden()
    page.get_by_role("button", name="standard").click()
    expect(row).to_be_visible()
    assert len(held) == 1
    let_go(page, held)
    expect(row).to_be_visible()


def test_where_streams_are_refused_the_page_looks_now_and_then(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)
    page.clock.install()
    page.route("**/v1/queue/events", lambda route: route.fulfill(status=429, json={"detail": "Too many."}))
    page.goto("/queue")
    expect(page.get_by_text("looking now and then")).to_be_visible()
    expect(page.get_by_text("No job waits in this line.")).to_be_visible()
    job = house.submit()
    page.clock.run_for(5000)
    expect(page.get_by_role("row", name=job[-6:])).to_be_visible()


def test_a_look_that_failed_is_told_until_the_next_one(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)
    page.route("**/jobs?*", lambda route: route.fulfill(status=503, json={"detail": "The ledger is away."}), times=1)
    page.goto("/queue")
    expect(page.get_by_text("The ledger is away.")).to_be_visible()
    job = house.submit()
    expect(page.get_by_role("row", name=job[-6:])).to_be_visible()
    expect(page.get_by_text("The ledger is away.")).to_be_hidden()


def test_a_cancel_whose_answer_was_lost_is_not_said_to_be_refused(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        route.abort()

    job = house.submit()
    page.goto("/queue")
    page.route("**/cancel", lose_the_answer, times=1)
    with page.expect_response(lambda answer: answer.status == 409):
        page.get_by_role("button", name=f"Cancel job {job[-6:]}").click()
    settle(page)
    expect(page.get_by_role("row", name=job[-6:])).to_be_hidden()
    expect(page.get_by_text("already ended")).to_be_hidden()


def test_a_cancel_that_is_refused_is_told_for_a_while(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)
    page.clock.install()
    refused = {"code": "wrong_state", "detail": "The job has already ended: it succeeded."}
    page.route("**/cancel", lambda route: route.fulfill(status=409, json=refused))
    job = house.submit()
    page.goto("/queue")
    page.get_by_role("button", name=f"Cancel job {job[-6:]}").click()
    expect(page.get_by_role("alert")).to_have_text(refused["detail"])
    other = house.submit()
    expect(page.get_by_role("row", name=other[-6:])).to_be_visible()
    expect(page.get_by_role("alert")).to_be_visible()
    page.clock.run_for(30_000)
    expect(page.get_by_text(refused["detail"])).to_be_hidden()


def test_a_page_that_comes_back_from_the_browsers_cache_has_one_stream(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    page.clock.install()
    page.add_init_script(KEEP_STREAMS)
    page.route("**/v1/queue/events", lambda route: route.fulfill(status=429, json={}), times=1)
    page.goto("/queue")
    expect(page.get_by_text("looking now and then")).to_be_visible()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    page.clock.run_for(60_000)
    expect(page.get_by_text("looking now and then")).to_be_hidden()
    assert page.evaluate("streams.filter((stream) => stream.readyState !== EventSource.CLOSED).length") == 1


KEEP_STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...given) {
    super(...given);
    streams.push(this);
  }
};
"""
