"""The gallery and the details of a job."""

import re
from functools import partial

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect
from support.fixtures.worker import sample_image

from browser.actions import hold, release
from browser.conftest import BrowserStack, NewPage
from easel.models import JobState
from shared.jobs.job import Job


@pytest.fixture
def job(stack_with_worker: BrowserStack) -> Job:
    """A finished job."""
    return stack_with_worker.done(stack_with_worker.submit(seed=3))


def test_a_finished_job_is_listed_and_opens_with_its_details(page: Page, job: Job) -> None:
    card = find_card(page, job)
    assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    card.get_by_role("button").first.click()
    detail = page.get_by_role("dialog")
    expect(detail.get_by_role("heading")).to_contain_text("Finished")
    expect(detail.get_by_alt_text("Style 1")).to_be_visible()
    expect(detail).to_contain_text(re.compile("64 . 48 px"))
    detail.get_by_text("Provenance").click()
    expect(detail.get_by_text("content_sha256")).to_be_visible()
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()


def test_masks_and_the_start_image_are_among_the_inputs(page: Page, stack_with_worker: BrowserStack) -> None:
    mask, start = sample_image(5), sample_image(6)
    job = stack_with_worker.done(stack_with_worker.submit(masks=[mask], init_image=start, init="image"))
    detail = open_detail(page, job)
    for name in ("Photo", "Style 1", "Mask 1", "Start image"):
        image = detail.get_by_alt_text(name, exact=True)
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_an_open_job_has_a_url_and_back_closes_it(page: Page, job: Job) -> None:
    detail = open_detail(page, job)
    expect(page).to_have_url(re.compile(rf"/gallery\?job={job.id}$"))
    page.reload()
    expect(detail.get_by_role("heading")).to_contain_text("Finished")
    page.go_back()
    expect(detail).to_be_hidden()
    expect(page).to_have_url(re.compile("/gallery$"))
    page.go_forward()
    expect(detail).to_be_visible()


def test_going_back_and_at_once_forward_shows_the_job_again(page: Page, job: Job) -> None:
    detail = open_detail(page, job)
    page.evaluate(
        """() => new Promise((resolve) => {
          const dialog = document.querySelector("#detail"), once = { once: true };
          const delayClose = (event) => event.isTrusted && event.stopImmediatePropagation();
          const closeLate = () => { dialog.dispatchEvent(new Event("close")); resolve(); };
          dialog.addEventListener("close", delayClose, { capture: true });
          addEventListener("popstate", () => {
            addEventListener("popstate", closeLate, once);
            history.forward();
          }, once);
          history.back();
        })"""
    )
    expect(page).to_have_url(re.compile(rf"/gallery\?job={job.id}$"))
    expect(detail.get_by_role("heading")).to_contain_text("Finished")


def test_closing_a_job_goes_back_to_the_gallery(page: Page, job: Job) -> None:
    detail = open_detail(page, job)
    before = page.evaluate("history.length")
    for _ in range(2):
        detail.get_by_role("button", name="Close").click()
        expect(detail).to_be_hidden()
        expect(page).to_have_url(re.compile("/gallery$"))
        page.locator(f'[data-id="{job.id}"]').get_by_role("button").first.click()
    assert page.evaluate("history.length") == before


def test_a_shared_link_opens_a_job_over_the_gallery(page: Page, job: Job) -> None:
    page.goto(f"/gallery?job={job.id}")
    detail = page.get_by_role("dialog")
    expect(detail.get_by_role("heading")).to_contain_text("Finished")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(page).to_have_url(re.compile("/gallery$"))
    expect(page.locator(f'[data-id="{job.id}"]')).to_be_visible()


def test_a_link_to_an_unknown_job_shows_an_error(new_page: NewPage, job: Job) -> None:
    page = new_page(allow_console_errors=True)
    page.goto("/gallery?job=0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88")
    expect(page.get_by_role("alert")).to_contain_text("no job")
    expect(page.locator(f'[data-id="{job.id}"]')).to_be_visible()


def test_the_saved_iterations_of_a_job_are_linked(page: Page, stack_with_worker: BrowserStack, job: Job) -> None:
    detail = open_detail(page, job)
    expect(detail.get_by_text("Full recipe")).to_be_visible()
    expect(detail.get_by_text("Saved iterations")).to_have_count(0)
    saving = stack_with_worker.done(stack_with_worker.submit(steps=6, save_every=2))
    detail = open_detail(page, saving)
    detail.get_by_text("Saved iterations").click()
    link = detail.get_by_role("link", name="Step 4")
    response = page.request.get(link.get_attribute("href") or "")
    assert response.body().startswith(b"\x89PNG")
    expect(detail.get_by_role("link", name=re.compile("^Step"))).to_have_count(3)


def test_a_job_finished_early_says_what_a_rerun_does(page: Page, stack_with_worker: BrowserStack) -> None:
    running = stack_with_worker.submit(steps=400)
    stack_with_worker.wait(running, lambda job: job.progress.current > 0)
    stack_with_worker.services.ledger.request_control(running, "finish")
    early = stack_with_worker.done(running)
    assert 0 < early.stopped_at_step < 400
    detail = open_detail(page, early)
    expect(detail).to_contain_text(f"Finished early at step {early.stopped_at_step} of 400. A rerun does all 400 steps")


def test_a_complete_job_does_not_mention_finishing_early(page: Page, job: Job) -> None:
    detail = open_detail(page, job)
    expect(detail.get_by_role("link", name="Download")).to_be_visible()
    expect(detail.get_by_text("Finished early")).to_have_count(0)


def test_previews_and_loss_are_offered_only_if_the_job_ran(
    page: Page, job: Job, stack_with_worker: BrowserStack
) -> None:
    never_run = stack_with_worker.submit(tier="batch")
    stack_with_worker.services.ledger.request_control(never_run, "cancel")
    link = page.get_by_role("dialog").get_by_role("link", name="Previews and loss")
    for id_, count in ((job.id, 1), (never_run, 0)):
        page.goto(f"/gallery?job={id_}")
        expect(page.get_by_role("dialog").get_by_role("link", name="Edit and rerun")).to_be_visible()
        expect(link).to_have_count(count)


def test_the_snippet_is_shown_if_copying_is_blocked(page: Page, job: Job) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    detail = open_detail(page, job)
    detail.get_by_text("Share", exact=True).click()
    detail.get_by_role("button", name="Copy as Python").click()
    expect(detail.get_by_text("from easel import Easel")).to_be_visible()


def test_an_error_while_copying_is_shown(new_page: NewPage, job: Job) -> None:
    page = new_page(allow_console_errors=True)
    detail = open_detail(page, job)
    page.route("**/v1/recipes", lambda route: route.fulfill(status=400, json={"detail": "Not today."}))
    detail.get_by_text("Share", exact=True).click()
    detail.get_by_role("button", name="Copy as CLI").click()
    expect(detail.get_by_role("region", name="Result").get_by_role("status")).to_have_text("Not today.")


def test_a_job_that_was_already_deleted_disappears(
    new_page: NewPage, job: Job, stack_with_worker: BrowserStack
) -> None:
    page = new_page(allow_console_errors=True)
    detail = open_detail(page, job)
    httpx2.delete(f"{stack_with_worker.url}/v1/jobs/{job.id}").raise_for_status()
    detail.get_by_role("button", name="Delete").click()
    detail.get_by_role("button", name="Delete the job").click()
    expect(page.locator(f'[data-id="{job.id}"]')).to_have_count(0)


def test_a_job_is_deleted_after_confirmation(page: Page, job: Job, stack_with_worker: BrowserStack) -> None:
    detail = open_detail(page, job)
    page.wait_for_load_state("networkidle")  # an image that is still loading would be answered 404, a console error
    detail.get_by_role("button", name="Delete").click()
    assert stack_with_worker.services.ledger.get(job.id).state is JobState.SUCCEEDED
    detail.get_by_role("button", name="Delete the job").click()
    expect(detail).to_be_hidden()
    expect(page.locator(f'[data-id="{job.id}"]')).to_have_count(0)
    expect(page.locator("#status")).to_have_text(f"{page.locator('#results li').count()} shown")
    assert job.id not in {job.id for job in stack_with_worker.services.ledger.list(limit=200)}


def test_failed_and_canceled_jobs_have_views_of_their_own(page: Page, stack_with_worker: BrowserStack) -> None:
    failed = stack_with_worker.submit(seed=666, steps=20)
    stack_with_worker.done(failed, JobState.FAILED)
    canceled = stack_with_worker.submit(tier="batch", steps=400)
    stack_with_worker.services.ledger.request_control(canceled, "cancel")
    stack_with_worker.done(canceled, JobState.CANCELED)
    page.goto("/gallery")
    cards = {id_: page.locator(f'[data-id="{id_}"]') for id_ in (failed, canceled)}
    for view, shown in {
        "Canceled": [canceled],
        "All jobs": [failed, canceled],
        "Failed": [failed],
        "Images": [],
    }.items():
        page.get_by_role("button", name=view, exact=True).click()
        expect(page.locator("#status")).to_have_text(re.compile("shown"))
        for id_, card in cards.items():
            expect(card).to_have_count(int(id_ in shown))
    page.get_by_role("button", name="Failed", exact=True).click()
    card = cards[failed]
    expect(card).to_contain_text("Failed")
    card.get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("The loss diverged")


def test_a_double_click_on_show_more_loads_one_page(page: Page, stack_with_worker: BrowserStack) -> None:
    for _ in range(30):
        stack_with_worker.services.ledger.request_control(stack_with_worker.submit(), "cancel")
    page.goto("/gallery")
    page.get_by_role("button", name="All jobs").click()
    expect(page.locator("#results li")).to_have_count(24)
    held = hold(page, "**/v1/jobs?*cursor=*")
    page.get_by_role("button", name="Show more").dblclick()
    release(page, held)
    expect(page.locator("#results li").nth(24)).to_be_attached()
    assert_no_duplicates(page)


@pytest.mark.usefixtures("job")
def test_a_late_response_for_another_filter_is_dropped(page: Page) -> None:
    held = hold(page, "**/v1/jobs?*state=succeeded*")
    with page.expect_request("**/v1/jobs?*state=succeeded*"):  # otherwise the click may come before this request
        page.goto("/gallery")
    page.get_by_role("button", name="All jobs").click()
    expect(page.locator("#results li").first).to_be_attached()
    assert len(held) == 1
    release(page, held)
    assert_no_duplicates(page)


def assert_no_duplicates(page: Page) -> None:
    ids = page.locator("#results li").evaluate_all("cards => cards.map((card) => card.dataset.id)")
    assert len(set(ids)) == len(ids)


def find_card(page: Page, job: Job) -> Locator:
    page.goto("/gallery")
    card = page.locator(f'[data-id="{job.id}"]')
    expect(card).to_be_visible()
    return card


def open_detail(page: Page, job: Job) -> Locator:
    find_card(page, job).get_by_role("button").first.click()
    return page.get_by_role("dialog")


def test_jobs_are_found_by_preset_label_and_words(page: Page, stack_with_worker: BrowserStack) -> None:
    submit = partial(stack_with_worker.submit, steps=2)
    fast, strong = (stack_with_worker.done(submit(preset=name, **fields)) for name, fields in PRESETS.items())
    labeled = stack_with_worker.done(submit(metadata={"order": "6735"}))
    page.goto("/gallery")
    expect(card_of(page, strong)).to_be_visible()
    page.get_by_label("Preset").select_option("strong")
    expect(card_of(page, fast)).to_have_count(0)
    expect(card_of(page, strong)).to_contain_text("Color content")
    page.get_by_label("Preset").select_option("")
    search = page.get_by_label("Search")
    search.fill("color content")
    expect(card_of(page, strong)).to_be_visible()
    expect(card_of(page, fast)).to_be_hidden()
    search.fill("order=6735")
    search.press("Enter")
    expect(page.locator("#results li")).to_have_count(1)
    expect(card_of(page, labeled)).to_contain_text("order=6735")
    search.fill("")
    search.press("Enter")
    expect(card_of(page, strong)).to_be_visible()


def test_favorites_are_kept_until_they_are_removed(page: Page, job: Job, stack_with_worker: BrowserStack) -> None:
    other = stack_with_worker.done(stack_with_worker.submit(steps=2))
    page.goto("/gallery")
    card_of(page, job).get_by_role("button", name="Favorite").click()
    page.reload()
    page.get_by_role("button", name="Favorites").click()
    expect(card_of(page, job)).to_be_visible()
    expect(card_of(page, other)).to_have_count(0)
    expect(page.get_by_text("Favorites are kept in this browser.")).to_be_visible()
    card_of(page, job).get_by_role("button", name="Favorite").click()
    page.get_by_role("button", name="Favorites").click()
    expect(page.get_by_text("Nothing matches.")).to_be_visible()


def test_favorites_outlive_an_error_and_jobs_that_are_not_found(new_page: NewPage, job: Job) -> None:
    page = new_page(allow_console_errors=True)
    page.goto("/gallery")
    card_of(page, job).get_by_role("button", name="Favorite").click()
    page.route(
        f"**/v1/jobs/{job.id}", lambda route: route.fulfill(status=404, json={"detail": "No such job."}), times=1
    )
    page.get_by_role("button", name="Favorites").click()
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.route(f"**/v1/jobs/{job.id}", lambda route: route.fulfill(status=403, json={"detail": "Not today."}), times=1)
    page.get_by_role("button", name="Favorites").click()
    expect(page.get_by_role("alert")).to_have_text("Not today.")
    expect(page.get_by_text("Nothing matches.")).to_be_hidden()
    page.get_by_role("button", name="Favorites").click()
    expect(card_of(page, job)).to_be_visible()


def test_a_job_that_a_search_hides_is_not_selected(page: Page, stack_with_worker: BrowserStack) -> None:
    submit = partial(stack_with_worker.submit, steps=2)
    one, other = (stack_with_worker.done(submit(metadata={"name": name})) for name in ("first", "second"))
    page.goto("/gallery")
    for job in (one, other):
        card_of(page, job).get_by_role("checkbox").check()
    bar = page.get_by_role("group", name="Selected jobs")
    expect(bar).to_contain_text("2 selected")
    page.get_by_label("Search").fill("first")
    expect(bar).to_contain_text("1 selected")
    bar.get_by_role("button", name="Delete").click()
    expect(bar.get_by_role("button", name="Delete")).to_have_text("Delete 1 job and its images?")
    page.get_by_label("Search").fill("third")
    expect(bar).to_be_hidden()
    expect(page.get_by_text("Nothing matches.")).to_be_visible()
    page.get_by_label("Search").fill("")
    expect(card_of(page, other).get_by_role("checkbox")).not_to_be_checked()


def test_two_jobs_are_compared_and_their_differences_listed(page: Page, stack_with_worker: BrowserStack) -> None:
    one, other = (stack_with_worker.done(stack_with_worker.submit(steps=2, style_weight=weight)) for weight in (20, 40))
    page.goto("/gallery")
    compare = page.get_by_role("button", name="Compare")
    card_of(page, one).get_by_role("checkbox").check()
    expect(compare).to_be_disabled()
    card_of(page, other).get_by_role("checkbox").check()
    compare.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("row")).to_have_text(["ParameterFirstSecond", "Style weight2040"])
    slider = dialog.get_by_label("Compare with the first")
    expect(slider).to_have_value("50")
    slider.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "100% first")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    expect(page).to_have_url(re.compile("/gallery$"))


def test_several_jobs_are_deleted_after_confirmation(page: Page, stack_with_worker: BrowserStack) -> None:
    jobs = [stack_with_worker.done(stack_with_worker.submit(steps=2)) for _ in range(2)]
    page.goto("/gallery")
    for one in jobs:
        card_of(page, one).get_by_role("checkbox").check()
    page.wait_for_load_state("networkidle")
    delete = page.get_by_role("group", name="Selected jobs").get_by_role("button", name="Delete")
    delete.click()
    expect(delete).to_have_text("Delete 2 jobs and their images?")
    expect(card_of(page, jobs[0])).to_be_visible()
    delete.click()
    for one in jobs:
        expect(card_of(page, one)).to_have_count(0)
    expect(page.get_by_role("group", name="Selected jobs")).to_be_hidden()
    left = {job.id for job in stack_with_worker.services.ledger.list(limit=200)}
    assert left.isdisjoint(job.id for job in jobs)


def test_parameters_that_differ_from_the_preset_are_marked(page: Page, stack_with_worker: BrowserStack) -> None:
    job = stack_with_worker.done(stack_with_worker.submit(steps=2, seed=77))
    detail = open_detail(page, job)
    expect(detail.locator("mark")).to_contain_text(["64", "2", "77"])
    expect(detail).to_contain_text("Seed77 instead of 0")
    expect(detail).to_contain_text("Steps done2")
    expect(detail).to_contain_text("Evaluations2 instead of")


PRESETS: dict[str, dict[str, str]] = {"fast": {}, "strong": {"color": "content"}}


def card_of(page: Page, job: Job) -> Locator:
    return page.locator(f'[data-id="{job.id}"]')
