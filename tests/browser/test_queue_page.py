"""The queue, live."""

import re

import pytest
from playwright.sync_api import Page, expect

from browser.acts import SOON, heading
from browser.conftest import House, NewPage
from shared.job import JobState

LONG = 4000


@pytest.fixture(autouse=True)
def empty(house: House) -> None:
    """Every test finds the queue as the last one left it, without its jobs."""
    for state in (JobState.QUEUED, JobState.RUNNING):
        for job in house.ports.ledger.list(state=state, limit=200):
            house.ports.ledger.steer(job.id, "cancel")
            house.wait(job.id, lambda job: job.completed_at is not None)


def test_an_empty_queue_says_so(page: Page) -> None:
    page.goto("/queue")
    expect(page.get_by_text("Nobody paints at the moment.")).to_be_visible()
    expect(page.get_by_text("No job waits in this line.")).to_be_visible()
    expect(page.get_by_text("No worker is alive")).to_be_visible()


def test_waiting_jobs_come_and_go_without_a_reload(page: Page, house: House) -> None:
    page.goto("/queue")
    job = house.submit()
    row = page.get_by_role("row", name=job[-6:])
    expect(row).to_be_visible(timeout=SOON)
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_be_hidden(timeout=SOON)
    assert house.ports.ledger.get(job).state is JobState.CANCELED


def test_a_long_line_is_shown_page_by_page(page: Page, house: House) -> None:
    jobs = [house.submit() for _ in range(120)]
    page.goto("/queue")
    rows = page.locator("#waiting tbody tr")
    expect(rows).to_have_count(50, timeout=SOON)
    page.get_by_role("button", name="Later").click()
    page.get_by_role("button", name="Later").click()
    expect(rows).to_have_count(20)
    expect(rows.last).to_contain_text(jobs[-1][-6:])
    expect(page.get_by_role("button", name="Later")).to_be_disabled()
    expect(page.get_by_text("101 to 120 of 120")).to_be_visible()
    for job in jobs:
        house.ports.ledger.steer(job, "cancel")
    expect(page.get_by_text("No job waits in this line.")).to_be_visible(timeout=SOON)


def test_a_running_job_shows_its_worker_its_progress_and_its_preview(page: Page, painter: House) -> None:
    job = painter.submit(steps=LONG)
    page.goto("/queue")
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_contain_text(re.compile(r"step \d+ of 4000"), timeout=SOON)
    expect(card).to_contain_text("ada@test")
    expect(card.get_by_role("img")).to_have_attribute("src", re.compile("^blob:"), timeout=SOON)
    expect(page.locator("#workers")).to_contain_text(f"paints {job[-6:]}", timeout=SOON)
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_be_hidden(timeout=SOON)
    expect(page.get_by_role("img", name="ended in the last hour")).to_be_visible()


def test_the_queue_takes_up_one_stream_only_and_comes_back_after_a_restart(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)  # the browser itself says that the line broke
    streams = []
    page.on("request", lambda request: streams.append(request) if request.url.endswith("/events") else None)
    page.goto("/queue")
    expect(page.get_by_text("No job waits in this line.")).to_be_visible()
    assert len(streams) == 1
    house.restart_api(lambda: expect(page.get_by_text("reconnecting")).to_be_visible(timeout=SOON))
    expect(page.get_by_text("reconnecting")).to_be_hidden(timeout=SOON)
    job = house.submit()
    expect(heading(page)).to_have_text("Queue")
    house.done(job)
