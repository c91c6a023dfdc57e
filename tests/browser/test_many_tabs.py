"""Browsers allow six connections per host for all tabs together, so hidden tabs close their streams."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from browser.actions import expect_heading, record_streams, set_hidden, wait_for_next_frame
from browser.conftest import LONG, BrowserStack
from easel.models import JobState
from shared.errors import WrongState


@pytest.fixture
def job(stack_with_worker: BrowserStack) -> Iterator[str]:
    """A running job that does not finish during a test."""
    job = stack_with_worker.submit(steps=LONG)
    yield job
    with suppress(WrongState):
        stack_with_worker.services.ledger.request_control(job, "cancel")


def test_the_seventh_tab_gets_live_updates(page: Page, job: str) -> None:
    for tab in (page, *(page.context.new_page() for _ in range(6))):
        tab.goto(f"/?job={job}")
        expect_heading(tab, "Rendering")
        expect(tab.get_by_role("img", name="Loss by step")).to_be_visible()  # only the stream carries losses
        set_hidden(tab, hidden=True)


def test_a_tab_receives_missed_events_when_it_is_visible_again(
    page: Page, stack_with_worker: BrowserStack, job: str
) -> None:
    streams = record_streams(page)
    page.goto(f"/?job={job}")
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
    set_hidden(page, hidden=True)
    step = stack_with_worker.services.ledger.get(job).progress.current
    stack_with_worker.wait(job, lambda job: job.progress.current > step + 30)
    assert len(streams) == 1
    set_hidden(page, hidden=False)
    page.get_by_role("button", name="Finish now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Finished early"))
    events = stack_with_worker.services.events.since(job)
    steps = {event.data["progress"]["current"] for event in events if event.kind == "progress"}
    expect(page.get_by_role("img", name="Loss by step")).to_have_attribute("data-points", str(len(steps)))
    assert len(streams) == 2


def test_a_tab_opened_in_the_background_opens_no_stream(page: Page, job: str) -> None:
    page.add_init_script("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    streams = record_streams(page)
    with page.expect_response("**/previews"):
        page.goto(f"/?job={job}")
    expect_heading(page, "Rendering")
    wait_for_next_frame(page)
    assert streams == []
    set_hidden(page, hidden=False)
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()


def test_the_title_of_a_hidden_tab_is_updated(page: Page, stack_with_worker: BrowserStack, job: str) -> None:
    page.clock.install()
    page.goto(f"/?job={job}")
    expect_heading(page, "Rendering")
    set_hidden(page, hidden=True)
    title, percentage = page.title(), stack_with_worker.services.ledger.get(job).progress.percentage
    stack_with_worker.wait(job, lambda job: job.progress.percentage > percentage + 1)
    page.clock.run_for(60_000)
    expect(page).not_to_have_title(title)


def test_the_queue_is_updated_when_its_tab_is_visible_again(
    page: Page, stack_with_worker: BrowserStack, job: str
) -> None:
    page.goto("/queue")
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_be_visible()
    set_hidden(page, hidden=True)
    stack_with_worker.services.ledger.request_control(job, "cancel")
    stack_with_worker.done(job, JobState.CANCELED)
    set_hidden(page, hidden=False)
    expect(card).to_be_hidden()
