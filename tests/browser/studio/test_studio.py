"""The studio: from a photo and a style image to a result."""

import re

import pytest
from playwright.sync_api import Page, Route, expect
from support.image_files import decode

from browser.actions import (
    OTHER_STYLE,
    STYLE,
    compose,
    confirm,
    create,
    expect_heading,
    expect_result_image,
    heading,
    hold,
    loss_curve_positions,
    png_file,
    record_streams,
    release,
    submit,
)
from browser.conftest import LONG, BrowserStack, NewPage
from easel.models import JobState
from shared.storage import keys as blob_keys

pytestmark = pytest.mark.usefixtures("stack_with_worker")


def test_a_photo_and_a_style_image_become_a_result_to_download(page: Page, stack: BrowserStack) -> None:
    job = submit(page)
    expect_heading(page, "Finished")
    expect_result_image(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert decode(download.value.path().read_bytes()) == decode(stack.result_of(stack.services.ledger.get(job)))
    expect(page).to_have_title("Finished · Easel")


def test_a_job_says_that_its_worker_does_not_answer(page: Page, stack: BrowserStack) -> None:
    submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    text = re.compile(r"^The worker has not answered for \d+\ss; the job continues on another one in about \d+\ss\.$")
    with stack.suspended("ada"):
        expect(page.get_by_text(text)).to_be_visible()
        first = page.get_by_text(text).text_content() or ""
        expect(page.get_by_text(first, exact=True)).to_be_hidden()  # time passes
        expect(page.get_by_text(text)).to_be_visible()
        page.reload()
        expect(page.get_by_text(text)).to_be_visible()
    expect(page.get_by_text(text)).to_be_hidden()
    confirm(page.get_by_role("button", name="cancel"))
    expect_heading(page, "Canceled")


def test_the_estimate_follows_the_parameters_before_submission(page: Page) -> None:
    compose(page)
    estimate = page.get_by_label("Estimate")
    expect(estimate).to_contain_text("Estimate: about")
    expect(estimate).to_contain_text(re.compile(r"\D64 . 48 px"))
    page.locator('[name="size"]').fill("96")
    expect(estimate).to_contain_text(re.compile(r"\D96 . 72 px"))


def test_each_image_is_uploaded_once_and_again_after_it_expired(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the refusal
    uploads: list[str] = []
    page.on("request", lambda request: uploads.append(request.url) if request.url.endswith("/v1/images") else None)
    compose(page)
    estimate = page.get_by_label("Estimate")
    for size in (96, 80):
        page.locator('[name="size"]').fill(str(size))
        expect(estimate).to_contain_text(re.compile(rf"\D{size} . {3 * size // 4} px"))
    assert len(uploads) == 2
    for blob in [*stack.services.blobs.list(blob_keys.IMAGES_PREFIX)]:
        stack.services.blobs.delete(blob.key)
    job = create(page)
    assert len(uploads) == 4
    assert stack.services.ledger.get(job).request.recipe.size == 80


def test_there_is_no_estimate_without_a_style_image(page: Page) -> None:
    compose(page)
    estimate = page.get_by_label("Estimate")
    expect(estimate).to_contain_text("Estimate: about")
    page.get_by_role("button", name="Remove style 1").click()
    expect(estimate).to_contain_text("Add a photo and a style image")
    expect(page.locator("#quote")).not_to_have_attribute("aria-busy", "true")


def test_several_styles_are_blended_by_their_weights(page: Page, stack: BrowserStack) -> None:
    compose(page, styles=(STYLE, OTHER_STYLE))
    first, second = (page.get_by_label(f"Share of style {number}") for number in (1, 2))
    expect(page.locator("#styles")).to_have_text(re.compile(r"50%.*50%"))
    second.fill("3")
    for share, text in ((first, "25%"), (second, "75%")):
        expect(share).to_have_attribute("aria-valuetext", text)
        expect(page.locator("#styles label").filter(has=share)).to_contain_text(text)
    assert stack.services.ledger.get(create(page)).request.recipe.style_mix == (1, 3)


def test_only_changes_to_the_preset_are_sent(page: Page) -> None:
    page.add_init_script(
        """const { append } = FormData.prototype;
        FormData.prototype.append = function (name, ...value) {
          if (name === "recipe") window.recipe = JSON.parse(value[0]);
          append.call(this, name, ...value);
        };"""
    )
    submit(page, seed=7)
    assert page.evaluate("recipe") == {"preset": "fast", "size": 64, "steps": 20, "seed": 7}


def test_a_submission_with_a_lost_response_is_retried_as_one_job(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the lost response
    keys = []

    def lose_first_response(route: Route) -> None:
        if route.request.method != "POST" or "dry_run" in route.request.url:
            return route.fallback()
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            return route.continue_()
        route.fetch()
        return route.abort()

    before = len(stack.services.ledger.list(limit=200))
    page.route("**/v1/jobs*", lose_first_response)
    submit(page)
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(stack.services.ledger.list(limit=200)) == before + 1


def test_a_second_click_submits_the_same_job(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)

    def send_garbled_response(route: Route) -> None:
        route.fetch()
        route.fulfill(status=400, json={"detail": "Bad gateway."})

    before = len(stack.services.ledger.list(limit=200))
    compose(page)
    page.route(re.compile("/v1/jobs$"), send_garbled_response, times=1)
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_text("Bad gateway.")).to_be_visible()
    create(page)
    assert len(stack.services.ledger.list(limit=200)) == before + 1


def test_going_back_before_previews_are_loaded_opens_no_stream(page: Page) -> None:
    held, streams = hold(page, "**/previews"), record_streams(page)
    with page.expect_request("**/previews"):
        submit(page)
    page.go_back()
    expect(page.get_by_role("button", name="Create")).to_be_visible()
    assert len(held) == 1
    release(page, held)
    assert streams == []


def test_going_back_and_forward_quickly_opens_one_stream(page: Page) -> None:
    held, streams = hold(page, "**/job-view.js"), record_streams(page)
    with page.expect_request("**/job-view.js"):
        submit(page)
    page.go_back()
    page.go_forward()
    release(page, held)
    expect_heading(page, "Finished")
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
    assert len(streams) == 1


def test_a_reload_keeps_previews_and_losses(page: Page, stack: BrowserStack) -> None:
    job = submit(page, steps=LONG)
    stack.wait(job, lambda job: job.progress.current > 40)
    expect_heading(page, "Rendering")
    page.reload()
    expect_heading(page, "Rendering")
    expect_result_image(page)
    expect(page.locator("polyline.total")).to_have_attribute("points", re.compile(r"\S+ \S+ \S+"))
    assert loss_curve_positions(page)[0] < 50  # the curve starts at the first steps
    confirm(page.get_by_role("button", name="cancel"))
    expect_heading(page, "Canceled")


def test_a_job_can_be_canceled(page: Page, stack: BrowserStack) -> None:
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    confirm(page.get_by_role("button", name="cancel"))
    expect_heading(page, "Canceled")
    assert stack.services.ledger.get(job).state is JobState.CANCELED
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_cancel_asks_first(page: Page, stack: BrowserStack) -> None:
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    cancel = page.get_by_role("button", name="cancel")
    cancel.dblclick()
    expect(cancel).to_have_text("Really cancel?")
    page.get_by_role("button", name="Finish now").focus()
    expect(cancel).to_have_text("Cancel")
    assert stack.services.ledger.get(job).state is JobState.RUNNING
    stack.services.ledger.request_control(job, "cancel")
    expect_heading(page, "Canceled")


def test_a_job_that_is_finished_early_keeps_its_image(page: Page, stack: BrowserStack) -> None:
    job = submit(page, steps=LONG)
    expect_heading(page, "Rendering")
    page.get_by_role("button", name="Finish now").click()
    expect(heading(page)).to_have_text(re.compile(r"Finished early at step \d+"))
    assert stack.services.ledger.get(job).stopped_early
    expect_result_image(page)


def test_finishing_early_says_that_the_image_is_smaller(page: Page) -> None:
    stages = [{"scale": 0.625, "share": 0.5}, {"scale": 1, "share": 0.5}]
    submit(page, size=128, steps=LONG, stages=stages)
    finish = page.get_by_role("button", name="Finish now")
    note = "Finish now stops the job and keeps its current image: 80 px instead of 128 px."
    expect(finish).to_have_accessible_description(note)
    expect(page.get_by_text(note)).to_be_visible()
    finish.click()
    expect(heading(page)).to_have_text(re.compile("Finished early"))
    facts = page.locator(".facts").first
    expect(facts).to_contain_text(re.compile("80 . 60 px"))
    expect(facts).to_contain_text("128 px")


def test_two_tabs_show_the_same_job(new_page: NewPage) -> None:
    one, other = new_page(), new_page()
    job = submit(one, steps=LONG)
    expect_heading(one, "Rendering")
    other.goto(f"/?job={job}")
    expect_heading(other, "Rendering")
    expect_result_image(other)
    other.get_by_role("button", name="Finish now").click()
    for page in (one, other):
        expect(heading(page)).to_have_text(re.compile("Finished early"))


def test_a_restart_of_the_api_loses_no_progress(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the broken connection
    job = submit(page, steps=LONG)
    stack.wait(job, lambda job: job.progress.current > 20)
    expect_heading(page, "Rendering")

    def while_stopped() -> None:
        expect(page.get_by_text("Reconnecting")).to_be_visible()
        step = stack.services.ledger.get(job).progress.current
        stack.wait(job, lambda job: job.progress.current > step + 30)

    stack.restart_api(while_stopped)
    expect(page.get_by_text("Reconnecting")).to_be_hidden()
    page.get_by_role("button", name="Finish now").click()
    expect(heading(page)).to_have_text(re.compile("Finished early"))
    events = stack.services.events.since(job)
    steps = {event.data["progress"]["current"] for event in events if event.kind == "progress"}
    expect(page.get_by_role("img", name="Loss by step")).to_have_attribute("data-points", str(len(steps)))


def test_a_finished_job_can_be_edited_and_rerun(page: Page, stack: BrowserStack) -> None:
    submit(page, seed=5)
    expect_heading(page, "Finished")
    page.get_by_role("link", name="Edit and rerun").click()
    expect_heading(page, "Edit and rerun")
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    expect(page.locator('[name="seed"]')).to_have_value("5")
    assert stack.services.ledger.get(create(page)).request.recipe.seed == 5


def test_images_and_create_stay_in_view_beside_the_advanced_parameters(page: Page) -> None:
    compose(page)
    page.locator('[name="chroma_variation"]').scroll_into_view_if_needed()
    for part in (page.get_by_alt_text("Your photo"), page.get_by_role("button", name="Create")):
        expect(part).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("gesture", ["drop", "paste"])
def test_images_can_be_dropped_and_pasted(page: Page, gesture: str) -> None:
    page.goto("/")
    expect(page.get_by_label("Photo: ")).to_be_attached()
    data = page.evaluate_handle(
        """async (bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
          return data;
        }""",
        list(png_file("a.png")["buffer"]),
    )
    if gesture == "drop":
        page.dispatch_event("#content", "drop", {"dataTransfer": data})
    else:
        page.evaluate(
            "data => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))", data
        )
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
