"""The queue page, without a worker."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from browser.actions import compose, confirm, hold, release, wait_for_next_frame
from browser.conftest import BrowserStack, NewPage
from easel.models import JobState
from shared.ledger.queue_stats import WorkerInfo


@pytest.fixture(autouse=True)
def empty_queue(stack: BrowserStack) -> None:
    """Start each test with an empty queue."""
    for job in stack.services.ledger.list(state=JobState.QUEUED, limit=200):
        stack.services.ledger.request_control(job.id, "cancel")


def test_an_empty_queue_shows_empty_states(page: Page) -> None:
    page.goto("/queue")
    expect(page.get_by_text("No jobs running.")).to_be_visible()
    expect(page.get_by_text("No jobs queued.")).to_be_visible()
    expect(page.get_by_text("No workers running")).to_be_visible()


def test_gpu_memory_is_shown_for_a_gpu_worker_and_in_the_estimate(page: Page, stack: BrowserStack) -> None:
    worker = WorkerInfo(
        name="one@gpu", device="NVIDIA H100", weights="w", tiers=("standard",), seen_at=2e10, memory_bytes=80 * 2**30
    )
    stack.services.queue_stats.register_worker(worker.model_copy(update={"memory_kind": "gpu"}))
    try:
        page.goto("/queue")
        expect(page.locator("#workers")).to_contain_text("NVIDIA H100 · 80.0 GiB GPU memory")
        compose(page)
        expect(page.get_by_label("Estimate")).to_contain_text("GPU memory")
    finally:
        stack.services.queue_stats.unregister_worker(worker.name)


def test_a_job_that_fits_no_worker_has_no_estimate_and_cannot_be_created(page: Page, stack: BrowserStack) -> None:
    worker = WorkerInfo(
        name="small@cpu", device="cpu:2", weights="w", tiers=("standard",), seen_at=2e10, memory_bytes=5 * 2**29
    )
    stack.services.queue_stats.register_worker(worker)
    try:
        compose(page, size=4000)
        estimate, button = page.get_by_label("Estimate"), page.get_by_role("button", name="Create")
        expect(estimate).to_have_text(re.compile(r"^No worker has enough memory. It fits at size (\d+). Use \1 px$"))
        expect(button).to_be_disabled()
        expect(button).to_have_accessible_description(re.compile("No worker has enough memory"))
        with page.expect_response("**/v1/jobs?dry_run=true"):
            button.click(force=True)
        expect(button).to_be_disabled()
        expect(page).to_have_url(f"{stack.url}/")
        estimate.get_by_role("button", name="Use").click()
        expect(button).to_be_enabled()
        expect(estimate).to_contain_text("Estimate: about")
        expect(button).to_be_enabled()
    finally:
        stack.services.queue_stats.unregister_worker(worker.name)


def test_queued_jobs_appear_and_disappear_without_a_reload(page: Page, stack: BrowserStack) -> None:
    page.goto("/queue")
    job = stack.submit()
    row = page.get_by_role("row", name=job[-6:])
    expect(row).to_be_visible()
    confirm(row.get_by_role("button", name="Cancel"))
    expect(row).to_be_hidden()
    assert stack.services.ledger.get(job).state is JobState.CANCELED


def test_a_long_queue_is_shown_in_pages(page: Page, stack: BrowserStack) -> None:
    jobs = [stack.submit() for _ in range(101)]
    page.goto("/queue")
    rows = page.locator("#queued tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(1)
    expect(rows.last).to_contain_text(jobs[-1][-6:])
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    expect(page.get_by_text("101\u2013101 of 101")).to_be_visible()
    stack.services.ledger.request_control(jobs.pop(), "cancel")
    expect(page.get_by_text("51\u2013100 of 100")).to_be_visible()  # the former last page is gone
    expect(rows).to_have_count(50)
    for job in jobs:
        stack.services.ledger.request_control(job, "cancel")
    expect(page.get_by_text("No jobs queued.")).to_be_visible()


def test_a_late_response_for_another_tier_is_dropped(page: Page, stack: BrowserStack) -> None:
    job = stack.submit()
    page.goto("/queue")
    row = page.get_by_role("row", name=job[-6:])
    expect(row).to_be_visible()
    held = hold(page, "**/v1/queue/batch/jobs?*")
    page.get_by_role("button", name="When machines are free").click()
    expect(row).to_be_hidden()
    page.get_by_role("button", name="standard").click()
    expect(row).to_be_visible()
    assert len(held) == 1
    release(page, held)
    expect(row).to_be_visible()


def test_the_page_polls_when_streams_are_refused(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)
    page.clock.install()
    page.route("**/v1/queue/events", lambda route: route.fulfill(status=429, json={"detail": "Too many."}))
    page.goto("/queue")
    expect(page.get_by_text("Live updates are unavailable")).to_be_visible()
    expect(page.get_by_text("No jobs queued.")).to_be_visible()
    job = stack.submit()
    page.clock.run_for(5000)
    expect(page.get_by_role("row", name=job[-6:])).to_be_visible()


def test_a_failed_request_is_shown_until_the_next_one(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)
    failed: list[Route] = []

    def fail_once(route: Route) -> None:
        if failed:
            route.continue_()
        else:
            failed.append(route)
            route.fulfill(status=503, json={"detail": "The ledger is unavailable."})

    page.route("**/jobs?*", fail_once)
    page.goto("/queue")
    expect(page.get_by_text("The ledger is unavailable.")).to_be_visible()
    job = stack.submit()
    expect(page.get_by_role("row", name=job[-6:])).to_be_visible()
    expect(page.get_by_text("The ledger is unavailable.")).to_be_hidden()


def test_a_cancel_with_a_lost_response_succeeds(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)

    def lose_response(route: Route) -> None:
        route.fetch()
        route.abort()

    job = stack.submit()
    page.goto("/queue")
    page.route("**/cancel", lose_response, times=1)
    with page.expect_response(lambda response: response.status == 409):
        confirm(page.get_by_role("button", name=f"Cancel job {job[-6:]}"))
    wait_for_next_frame(page)
    expect(page.get_by_role("row", name=job[-6:])).to_be_hidden()
    expect(page.get_by_text("already ended")).to_be_hidden()


def test_a_refused_cancel_shows_an_error_for_a_while(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)
    page.clock.install()
    refused = {"code": "wrong_state", "detail": "The job has already ended; its state is succeeded."}
    page.route("**/cancel", lambda route: route.fulfill(status=409, json=refused))
    job = stack.submit()
    page.goto("/queue")
    confirm(page.get_by_role("button", name=f"Cancel job {job[-6:]}"))
    expect(page.get_by_role("alert")).to_have_text(refused["detail"])
    other = stack.submit()
    expect(page.get_by_role("row", name=other[-6:])).to_be_visible()
    expect(page.get_by_role("alert")).to_be_visible()
    page.clock.run_for(30_000)
    expect(page.get_by_text(refused["detail"])).to_be_hidden()


def test_a_page_restored_from_the_browser_cache_has_one_stream(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    page.clock.install()
    page.add_init_script(RECORD_STREAMS)
    page.route("**/v1/queue/events", lambda route: route.fulfill(status=429, json={}), times=1)
    page.goto("/queue")
    expect(page.get_by_text("Live updates are unavailable")).to_be_visible()
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    page.clock.run_for(60_000)
    expect(page.get_by_text("Live updates are unavailable")).to_be_hidden()
    assert page.evaluate("streams.filter((stream) => stream.readyState !== EventSource.CLOSED).length") == 1


RECORD_STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...parameters) {
    super(...parameters);
    streams.push(this);
  }
};
"""
