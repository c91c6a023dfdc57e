"""What comes twice, late or not at all changes nothing of what is on the page."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from browser.acts import OTHER, heading, hold, let_go, png, sees, settle, submit
from browser.conftest import House, NewPage

pytestmark = pytest.mark.usefixtures("painter")
LONG = 4000  # steps: none of these jobs ends by itself


def test_who_goes_back_to_a_job_done_again_finds_it_as_it_was_left(page: Page, house: House) -> None:
    job = house.submit(steps=2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/?again={job}")
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    page.locator('[name="size"]').fill("96")
    page.get_by_role("button", name="Paint it").click()
    expect(page.locator("#recent [aria-current]")).to_be_visible()  # among the last jobs
    with page.expect_response("**/v1/jobs?limit=*"):  # the last jobs are asked for when the one to do again would be
        page.go_back()
    assert asked.count(f"{house.url}/v1/jobs/{job}") == 1
    expect(page.locator("#styles li")).to_have_count(1)
    expect(page.locator('[name="size"]')).to_have_value("96")


def test_the_paintings_of_a_job_done_again_take_the_place_of_those_chosen_before_they_came(
    page: Page, house: House
) -> None:
    job = house.submit(steps=2)
    held = hold(page, "**/styles/0")
    with page.expect_request("**/styles/0"):
        page.goto(f"/?again={job}")
    page.get_by_label("Painting: ").set_input_files(png("other.png", OTHER))
    expect(page.get_by_alt_text("other.png")).to_be_visible()
    let_go(page, held)
    expect(page.get_by_alt_text("style-1.png")).to_be_visible()
    expect(page.get_by_alt_text("other.png")).to_be_hidden()


def test_an_answer_that_the_end_has_overtaken_does_not_undo_it(page: Page, house: House) -> None:
    job = submit(page, steps=LONG)
    sees(page, "The picture emerges")
    before = page.request.get(f"/v1/jobs/{job}")
    held = hold(page, f"**/v1/jobs/{job}", times=1)
    page.wait_for_event("request", lambda request: request.url.endswith(job))
    house.services.ledger.request_control(job, "cancel")
    sees(page, "Canceled")
    let_go(page, held, answer=before)
    sees(page, "Canceled")
    expect(page).to_have_title("Canceled · Easel")


def test_a_look_that_fails_after_the_end_leaves_the_page_at_peace(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)  # the browser itself says that a request failed
    job = submit(page, steps=LONG)
    sees(page, "The picture emerges")
    held = hold(page, f"**/v1/jobs/{job}", times=1)
    page.wait_for_event("request", lambda request: request.url.endswith(job))
    house.services.ledger.request_control(job, "cancel")
    sees(page, "Canceled")
    with page.expect_event("requestfailed"):
        held[0].abort()
    settle(page)
    expect(page.get_by_text("reconnecting")).to_be_hidden()


@pytest.mark.parametrize(("button", "end"), [("Cancel", "Canceled"), ("Finish now", "Finished early")])
def test_a_wish_whose_answer_was_lost_is_not_said_to_be_refused(
    new_page: NewPage, house: House, button: str, end: str
) -> None:
    page = new_page(quiet=False)
    job = submit(page, steps=LONG)
    sees(page, "The picture emerges")

    def lose_the_answer(route: Route) -> None:
        route.fetch()
        house.wait(job, lambda job: job.completed_at is not None)
        route.abort()

    page.route(re.compile("/(cancel|finish)$"), lose_the_answer, times=1)
    with page.expect_response(lambda answer: answer.status == 409):
        page.get_by_role("button", name=button).click()
    settle(page)
    expect(heading(page)).to_contain_text(end)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_wish_that_the_end_has_overtaken_is_said_to_be_refused(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)
    job = submit(page, steps=LONG)
    sees(page, "The picture emerges")
    house.wait(job, lambda job: job.progress.current > 0)
    held = hold(page, "**/cancel")
    with page.expect_request("**/cancel"):
        page.get_by_role("button", name="Cancel").click()
    house.services.ledger.request_control(job, "finish")
    house.done(job)
    let_go(page, held)
    expect(page.get_by_role("alert")).to_have_text("The job has already ended: it succeeded.")
