"""What was painted, on the wall and close up."""

import re

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect

from browser.acts import hold, let_go
from browser.conftest import House, NewPage
from easel.models import JobState
from shared.jobs.job import Job


@pytest.fixture
def job(painter: House) -> Job:
    """One that is finished."""
    return painter.done(painter.submit(seed=3))


def test_a_finished_job_hangs_on_the_wall_and_opens_with_all_that_is_known_of_it(page: Page, job: Job) -> None:
    card = hung(page, job)
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    card.get_by_role("button").click()
    detail = page.get_by_role("dialog")
    expect(detail.get_by_role("heading")).to_contain_text("Finished")
    expect(detail.get_by_alt_text("Style 1")).to_be_visible()
    detail.get_by_text("Provenance").click()
    expect(detail.get_by_text("content_sha256")).to_be_visible()
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()


def test_what_is_shown_close_up_has_an_address_that_back_leaves(page: Page, job: Job) -> None:
    detail = opened(page, job)
    expect(page).to_have_url(re.compile(rf"/gallery\?job={job.id}$"))
    page.reload()
    expect(detail.get_by_role("heading")).to_contain_text("Finished")
    page.go_back()
    expect(detail).to_be_hidden()
    expect(page).to_have_url(re.compile("/gallery$"))
    page.go_forward()
    expect(detail).to_be_visible()


def test_closing_it_goes_back_to_the_wall(page: Page, job: Job) -> None:
    detail = opened(page, job)
    before = page.evaluate("history.length")
    for _ in range(2):
        detail.get_by_role("button", name="Close").click()
        expect(detail).to_be_hidden()
        expect(page).to_have_url(re.compile("/gallery$"))
        page.locator(f'[data-id="{job.id}"]').get_by_role("button").click()
    assert page.evaluate("history.length") == before


def test_a_shared_address_opens_and_closes_on_the_wall(page: Page, job: Job) -> None:
    page.goto(f"/gallery?job={job.id}")
    detail = page.get_by_role("dialog")
    expect(detail.get_by_role("heading")).to_contain_text("Finished")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(page).to_have_url(re.compile("/gallery$"))
    expect(page.locator(f'[data-id="{job.id}"]')).to_be_visible()


def test_an_address_of_no_job_says_so_on_the_wall(new_page: NewPage, job: Job) -> None:
    page = new_page(quiet=False)
    page.goto("/gallery?job=0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88")
    expect(page.get_by_role("alert")).to_contain_text("no job")
    expect(page.locator(f'[data-id="{job.id}"]')).to_be_visible()


def test_of_a_job_that_was_finished_early_it_is_said_what_doing_it_again_means(page: Page, painter: House) -> None:
    running = painter.submit(steps=400)
    painter.wait(running, lambda job: job.progress.current > 0)
    painter.services.ledger.request_control(running, "finish")
    early = painter.done(running)
    assert 0 < early.stopped_at_step < 400
    detail = opened(page, early)
    expect(detail).to_contain_text(f"It was finished early, at step {early.stopped_at_step} of 400. Done again,")


def test_of_a_job_that_was_painted_to_the_end_no_such_thing_is_said(page: Page, job: Job) -> None:
    detail = opened(page, job)
    expect(detail.get_by_role("button", name="Copy as curl")).to_be_visible()
    expect(detail.get_by_text("finished early")).to_have_count(0)


def test_where_nothing_may_be_copied_the_text_is_shown(page: Page, job: Job) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    detail = opened(page, job)
    detail.get_by_role("button", name="Copy as Python").click()
    expect(detail.get_by_text("from easel import Easel")).to_be_visible()


def test_what_hinders_the_copying_is_said(new_page: NewPage, job: Job) -> None:
    page = new_page(quiet=False)
    detail = opened(page, job)
    page.route("**/v1/recipes", lambda route: route.fulfill(status=400, json={"detail": "Not today."}))
    detail.get_by_role("button", name="Copy as CLI").click()
    expect(detail.get_by_role("status")).to_have_text("Not today.")


def test_a_job_that_was_deleted_already_leaves_the_wall(new_page: NewPage, job: Job, painter: House) -> None:
    page = new_page(quiet=False)
    detail = opened(page, job)
    httpx2.delete(f"{painter.url}/v1/jobs/{job.id}").raise_for_status()
    detail.get_by_role("button", name="Delete").click()
    detail.get_by_role("button", name="Really delete").click()
    expect(page.locator(f'[data-id="{job.id}"]')).to_have_count(0)


def test_a_job_is_deleted_once_that_is_confirmed(page: Page, job: Job, painter: House) -> None:
    detail = opened(page, job)
    detail.get_by_role("button", name="Delete").click()
    assert painter.services.ledger.get(job.id).state is JobState.SUCCEEDED
    detail.get_by_role("button", name="Really delete").click()
    expect(detail).to_be_hidden()
    expect(page.locator(f'[data-id="{job.id}"]')).to_have_count(0)
    expect(page.locator("#said")).to_have_text(f"{page.locator('#wall li').count()} shown")
    assert job.id not in {job.id for job in painter.services.ledger.list(limit=200)}


def test_jobs_that_failed_are_shown_among_all_jobs_only(page: Page, painter: House) -> None:
    failed = painter.submit(seed=666, steps=20)
    painter.wait(failed, lambda job: job.completed_at is not None)
    page.goto("/gallery")
    expect(page.locator(f'[data-id="{failed}"]')).to_have_count(0)
    page.get_by_role("button", name="All jobs").click()
    card = page.locator(f'[data-id="{failed}"]')
    expect(card).to_contain_text("Failed")
    card.get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_contain_text("The loss grew without bounds")


def test_a_second_click_on_show_more_shows_nothing_twice(page: Page, painter: House) -> None:
    for _ in range(30):
        painter.services.ledger.request_control(painter.submit(), "cancel")
    page.goto("/gallery")
    page.get_by_role("button", name="All jobs").click()
    expect(page.locator("#wall li")).to_have_count(24)
    held = hold(page, "**/v1/jobs?*cursor=*")
    page.get_by_role("button", name="Show more").dblclick()
    let_go(page, held)
    expect(page.locator("#wall li").nth(24)).to_be_attached()
    assert_nothing_hangs_twice(page)


@pytest.mark.usefixtures("job")
def test_an_answer_from_before_a_switch_of_the_tab_is_dropped(page: Page) -> None:
    held = hold(page, "**/v1/jobs?*state=succeeded*")
    with page.expect_request("**/v1/jobs?*state=succeeded*"):  # else the click may come before the first question
        page.goto("/gallery")
    page.get_by_role("button", name="All jobs").click()
    expect(page.locator("#wall li").first).to_be_attached()
    assert len(held) == 1
    let_go(page, held)
    assert_nothing_hangs_twice(page)


def assert_nothing_hangs_twice(page: Page) -> None:
    hanging = page.locator("#wall li").evaluate_all("cards => cards.map((card) => card.dataset.id)")
    assert len(set(hanging)) == len(hanging)


def hung(page: Page, job: Job) -> Locator:
    page.goto("/gallery")
    card = page.locator(f'[data-id="{job.id}"]')
    expect(card).to_be_visible()
    return card


def opened(page: Page, job: Job) -> Locator:
    hung(page, job).get_by_role("button").click()
    return page.get_by_role("dialog")
