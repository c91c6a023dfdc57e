"""A browser has six connections to a host for all its tabs: those that nobody sees leave them to the one in sight."""

import re
from collections.abc import Iterator
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from browser.acts import sees, settle, streams_of, turn
from browser.conftest import House
from easel.models import JobState
from shared.errors import WrongState


@pytest.fixture
def job(painter: House) -> Iterator[str]:
    """One that is being painted and does not end by itself."""
    job = painter.submit(steps=4000)
    yield job
    with suppress(WrongState):
        painter.services.ledger.request_control(job, "cancel")


def test_the_seventh_tab_is_as_alive_as_the_first(page: Page, job: str) -> None:
    for tab in (page, *(page.context.new_page() for _ in range(6))):
        tab.goto(f"/?job={job}")
        sees(tab, "The picture emerges")
        expect(tab.get_by_role("img", name="Loss by step")).to_be_visible()  # which its stream alone tells
        turn(tab, hidden=True)


def test_a_tab_that_comes_back_hears_all_that_it_missed(page: Page, painter: House, job: str) -> None:
    streams = streams_of(page)
    page.goto(f"/?job={job}")
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
    turn(page, hidden=True)
    seen = painter.services.ledger.get(job).progress.current
    painter.wait(job, lambda job: job.progress.current > seen + 30)
    assert len(streams) == 1
    turn(page, hidden=False)
    page.get_by_role("button", name="Finish now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("Finished early"))
    told = {
        event.data["progress"]["current"] for event in painter.services.events.since(job) if event.kind == "progress"
    }
    assert page.get_by_role("img", name="Loss by step").get_attribute("data-points") == str(len(told))
    assert len(streams) == 2


def test_a_tab_that_is_opened_behind_others_waits_with_its_stream(page: Page, job: str) -> None:
    page.add_init_script("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    streams = streams_of(page)
    with page.expect_response("**/previews"):
        page.goto(f"/?job={job}")
    sees(page, "The picture emerges")
    settle(page)
    assert streams == []
    turn(page, hidden=False)
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()


def test_the_title_of_a_hidden_tab_goes_on(page: Page, painter: House, job: str) -> None:
    page.clock.install()
    page.goto(f"/?job={job}")
    sees(page, "The picture emerges")
    turn(page, hidden=True)
    before, seen = page.title(), painter.services.ledger.get(job).progress.percentage
    painter.wait(job, lambda job: job.progress.percentage > seen + 1)
    page.clock.run_for(60_000)
    expect(page).not_to_have_title(before)


def test_a_queue_that_is_looked_at_again_is_the_queue_of_now(page: Page, painter: House, job: str) -> None:
    page.goto("/queue")
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_be_visible()
    turn(page, hidden=True)
    painter.services.ledger.request_control(job, "cancel")
    painter.done(job, JobState.CANCELED)
    turn(page, hidden=False)
    expect(card).to_be_hidden()
