"""Late, repeated and lost responses do not corrupt a page."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from browser.actions import (
    OTHER_STYLE,
    confirm,
    expect_heading,
    heading,
    hold,
    png_file,
    release,
    submit,
    wait_for_next_frame,
)
from browser.conftest import LONG, BrowserStack, NewPage

pytestmark = pytest.mark.usefixtures("stack_with_worker")


def test_going_back_to_a_rerun_keeps_the_edited_form(page: Page, stack: BrowserStack) -> None:
    job = stack.submit(steps=2)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"/?rerun={job}")
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    page.locator('[name="size"]').fill("96")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#recent [aria-current]")).to_be_visible()  # the new job is the current one
    with page.expect_response("**/v1/jobs?limit=*"):  # sent when the rerun would be loaded
        page.go_back()
    assert requested.count(f"{stack.url}/v1/jobs/{job}") == 1
    expect(page.locator("#styles li")).to_have_count(1)
    expect(page.locator('[name="size"]')).to_have_value("96")


def test_the_styles_of_a_rerun_replace_styles_chosen_while_it_loads(page: Page, stack: BrowserStack) -> None:
    job = stack.submit(steps=2)
    held = hold(page, "**/styles/0")
    with page.expect_request("**/styles/0"):
        page.goto(f"/?rerun={job}")
    page.get_by_label("Style image: ").set_input_files(png_file("other.png", OTHER_STYLE))
    expect(page.get_by_alt_text("other.png")).to_be_visible()
    release(page, held)
    expect(page.get_by_alt_text("style-1.png")).to_be_visible()
    expect(page.get_by_alt_text("other.png")).to_be_hidden()


def test_a_response_from_before_the_end_does_not_undo_it(page: Page, stack: BrowserStack) -> None:
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    before = page.request.get(f"/v1/jobs/{job}")
    held = hold(page, f"**/v1/jobs/{job}", times=1)
    with page.expect_request(f"**/v1/jobs/{job}"):
        stack.services.ledger.request_control(job, "cancel")
    expect_heading(page, "Canceled")
    release(page, held, response=before)
    expect_heading(page, "Canceled")
    expect(page).to_have_title("Canceled · Easel")


def test_a_refresh_that_fails_after_the_end_is_ignored(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the failed request
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    held = hold(page, f"**/v1/jobs/{job}", times=1)
    with page.expect_request(f"**/v1/jobs/{job}"):
        stack.services.ledger.request_control(job, "cancel")
    expect_heading(page, "Canceled")
    with page.expect_event("requestfailed"):
        held[0].abort()
    wait_for_next_frame(page)
    expect(page.get_by_text("Reconnecting")).to_be_hidden()


@pytest.mark.parametrize(("button", "end"), [("Cancel", "Canceled"), ("Finish now", "Finished early")])
def test_a_control_request_with_a_lost_response_succeeds(
    new_page: NewPage, stack: BrowserStack, button: str, end: str
) -> None:
    page = new_page(allow_console_errors=True)
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")

    def lose_response(route: Route) -> None:
        route.fetch()
        stack.wait(job, lambda job: job.completed_at is not None)
        route.abort()

    page.route(re.compile("/(cancel|finish)$"), lose_response, times=1)
    with page.expect_response(lambda response: response.status == 409):
        click(page, button)
    wait_for_next_frame(page)
    expect(heading(page)).to_contain_text(end)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_control_request_after_the_end_shows_an_error(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    stack.wait(job, lambda job: job.progress.current > 0)
    held = hold(page, "**/cancel")
    with page.expect_request("**/cancel"):
        click(page, "Cancel")
    stack.services.ledger.request_control(job, "finish")
    stack.done(job)
    release(page, held)
    expect(page.get_by_role("alert")).to_have_text("The job has already ended; its state is succeeded.")


def click(page: Page, name: str) -> None:
    """Click a button, and confirm if it asks."""
    button = page.get_by_role("button", name=name)
    confirm(button) if name == "Cancel" else button.click()
