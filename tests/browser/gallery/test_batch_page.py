"""A batch in the gallery: its jobs under one progress, one cancel and one contact sheet."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect
from support.fixtures.api import claim, succeed

from browser.conftest import BrowserStack, NewPage
from easel.models import JobState
from worker.assets.contact_sheets import ContactSheetMaker

REFRESH = 3000  # milliseconds between two requests of the page


@pytest.fixture(autouse=True)
def empty_queue(stack: BrowserStack) -> Iterator[None]:
    """Leave no job for the next test to claim."""
    yield
    for job in stack.services.ledger.list(state=JobState.QUEUED, limit=200):
        stack.services.ledger.request_control(job.id, "cancel")


def test_the_jobs_of_a_batch_are_canceled_together_by_keyboard(page: Page, stack: BrowserStack) -> None:
    page.clock.install()
    batch = stack.submit_batch(jobs=3)
    stack.submit()  # not of the batch, so not shown
    page.goto(f"/gallery?batch={batch['id']}")
    header, cards = page.get_by_role("region", name="Batch"), page.locator("#results li")
    expect(header).to_contain_text("0 of 3 jobs done")
    expect(header).to_contain_text("The contact sheet is made when all jobs have ended.")
    expect(header.get_by_role("link", name="Contact sheet")).to_be_disabled()
    expect(cards).to_have_count(3)
    running = claim(stack.services)
    page.clock.run_for(REFRESH)
    expect(header).to_contain_text("1 running · 2 queued")
    expect(cards.first).to_contain_text("Running")
    cancel = header.get_by_role("button")
    cancel.focus()
    page.keyboard.press("Enter")
    expect(cancel).to_have_text("Cancel 3 jobs?")
    page.keyboard.press("Enter")
    expect(header).to_contain_text("2 of 3 jobs done")
    expect(cancel).to_have_text("Canceling…")
    stack.services.ledger.end_job(running, JobState.CANCELED)
    page.clock.run_for(REFRESH)
    expect(header).to_contain_text("3 of 3 jobs done3 canceled")
    expect(cancel).to_have_count(0)
    expect(header.get_by_role("link")).to_have_count(0)
    expect(cards.get_by_text("Canceled")).to_have_count(3)


def test_a_batch_is_followed_until_its_contact_sheet_is_there(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)  # before the sheet is made, the response is 409
    page.clock.install()
    batch = stack.submit_batch(jobs=2)
    page.goto(f"/gallery?batch={batch['id']}")
    page.get_by_role("checkbox").first.check()
    delete = page.get_by_role("button", name="Delete")
    expect(delete).to_be_disabled()
    for _ in batch["jobs"]:
        succeed(stack.services, claim(stack.services))
    page.clock.run_for(REFRESH)
    expect(page.get_by_role("heading", name="2 of 2 jobs done")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 1)
    expect(page.get_by_text("The contact sheet is being made.")).to_be_visible()
    expect(page.locator("#results li").get_by_text("Queued")).to_have_count(0)
    expect(delete).to_be_enabled()
    page.reload()
    sheet = page.get_by_role("link", name="Contact sheet")
    expect(sheet).to_be_disabled()
    ContactSheetMaker(stack.services).make(batch["id"])
    page.clock.run_for(REFRESH)
    expect(sheet).to_be_enabled()
    expect(page.get_by_text("The contact sheet is")).to_have_count(0)
    response = page.request.get(sheet.get_attribute("href") or "")
    assert response.body().startswith(b"\x89PNG")


def test_a_contact_sheet_that_cannot_be_made_says_why(
    new_page: NewPage, stack: BrowserStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = new_page(allow_console_errors=True)  # before the last attempt has failed, the response is 409
    page.clock.install()
    batch = stack.submit_batch(jobs=1)
    succeed(stack.services, claim(stack.services))
    page.goto(f"/gallery?batch={batch['id']}")
    expect(page.get_by_text("The contact sheet is being made.")).to_be_visible()
    monkeypatch.setattr("worker.assets.contact_sheets.draw_sheet", lambda *_: 1 // 0)
    for _ in range(3):
        ContactSheetMaker(stack.services).make(batch["id"])
    page.clock.run_for(REFRESH)
    expect(page.get_by_role("link", name="Contact sheet")).to_be_disabled()
    expect(page.get_by_text("could not be made in 3 attempts")).to_be_visible()
    expect(page.get_by_text("The contact sheet is being made.")).to_have_count(0)


def test_a_picture_links_to_its_batch(page: Page, batch: dict[str, Any], stack: BrowserStack) -> None:
    for path in ("/gallery", "/"):
        page.goto(f"{path}?job={batch['jobs'][1]}")
        page.get_by_role("link", name="2 of 2 in a batch").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Batch of")
        expect(page.locator("#results li")).to_have_count(2)
    page.locator("#results .open").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("1 of 2 in a batch")
    page.reload()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(f"{stack.url}/gallery?batch={batch['id']}")  # history.back() changes it later


def test_a_batch_is_gone_with_its_last_job(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)
    page.clock.install()
    batch = stack.submit_batch(jobs=2)
    httpx2.post(stack.url + batch["urls"]["cancel"]).raise_for_status()
    page.goto(f"/gallery?batch={batch['id']}")
    expect(page.locator("#results li")).to_have_count(2)
    for left in ("1 of 1 job done", None):
        page.get_by_role("checkbox").first.check()
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete 1 job").click()
        page.clock.run_for(0)
        if left:
            expect(page.get_by_text(left)).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Batch not found")
    expect(page.locator("#results li")).to_have_count(0)
    page.reload()
    expect(page.get_by_role("alert")).to_have_text(f"There is no batch {batch['id']}; it may have been deleted.")
    expect(page.get_by_label("Search")).to_be_hidden()
    page.get_by_role("link", name="Show the gallery").click()
    expect(page.get_by_label("Search")).to_be_visible()


def test_the_bar_of_selected_jobs_is_one_line_on_a_phone(page: Page, batch: dict[str, Any]) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(f"/gallery?batch={batch['id']}")
    expect(page.get_by_role("checkbox")).to_have_count(2)
    for box in page.get_by_role("checkbox").all():
        box.check()
    bar = page.get_by_role("group", name="Selected jobs")
    expect(bar).to_contain_text("2 selected")
    middles = bar.locator("> *").evaluate_all(
        "nodes => nodes.map((node) => node.getBoundingClientRect()).map(({ top, bottom }) => (top + bottom) / 2)"
    )
    assert max(middles) - min(middles) < 5
