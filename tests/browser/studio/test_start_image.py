"""The start image: a file, or the result of another job."""

import hashlib
import io
import re

import pytest
from PIL import Image
from playwright.sync_api import JSHandle, Page, expect
from support.fixtures.worker import sample_image
from support.image_files import encode

from browser.actions import OTHER_STYLE, compose, create, expect_heading, png_file
from browser.conftest import BrowserStack, NewPage
from shared.imaging.encoding import encode_canonical_png

pytestmark = pytest.mark.usefixtures("stack_with_worker")


def test_a_start_image_sets_init_until_it_is_removed(page: Page, stack: BrowserStack) -> None:
    compose(page)
    open_section(page)
    init = page.locator('[name="init"]')
    expect(init).to_have_value("patches")
    page.get_by_label("Start image: ").set_input_files(png_file("start.png", OTHER_STYLE))
    expect(page.get_by_text("The job starts from this image.")).to_be_visible()
    expect(init).to_have_value("image")
    expect(init).to_be_disabled()
    page.get_by_role("radio", name="Default").check()
    expect(init).to_have_value("image")
    page.get_by_role("button", name="Remove start image").click()
    expect(init).to_have_value("patches")
    expect(init).to_be_enabled()
    page.get_by_label("Start image: ").set_input_files(png_file("start.png", OTHER_STYLE))
    page.get_by_role("radio", name="Fast").check()
    page.locator('[name="size"]').fill("64")
    request = stack.services.ledger.get(create(page)).request
    assert request.recipe.init == "image"
    assert request.init_image == sha256(OTHER_STYLE)


@pytest.mark.parametrize("gesture", ["drop", "paste"])
def test_a_start_image_can_be_dropped_and_pasted(page: Page, gesture: str) -> None:
    compose(page)
    open_section(page)
    area, data = page.locator("#init_image"), clipboard(page, OTHER_STYLE)
    if gesture == "drop":
        area.dispatch_event("drop", {"dataTransfer": data})
    else:
        area.hover()
        page.evaluate(
            "data => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))", data
        )
    expect(page.get_by_alt_text("Start image")).to_be_visible()
    expect(page.locator("#styles li")).to_have_count(1)


def test_an_error_of_the_start_image_is_shown_beside_it(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page)
    open_section(page)
    start = page.get_by_label("Start image: ")
    start.set_input_files(png_file("square.png", encode(Image.new("RGB", (64, 64)), "PNG")))
    expect(page.locator("#init_image-error")).to_contain_text("Give it the same shape")
    expect(start).to_have_attribute("aria-invalid", "true")
    start.set_input_files(png_file("start.png", OTHER_STYLE))
    expect(page.locator("#init_image-error")).to_be_hidden()


def test_edit_and_rerun_keeps_masks_and_start_image(page: Page, stack: BrowserStack) -> None:
    mask = Image.linear_gradient("L").resize((96, 72)).convert("RGB")
    source = stack.done(stack.submit(masks=[mask], init_image=sample_image(7), init="image")).request
    page.goto(f"/?job={source.id}")
    page.get_by_role("link", name="Edit and rerun").click()
    expect(page.get_by_role("img", name="Mask over the photo")).to_be_visible()
    expect(page.get_by_alt_text("Start image")).to_be_visible()
    rerun = stack.services.ledger.get(create(page)).request
    assert (rerun.content_masks, rerun.init_image) == (source.content_masks, source.init_image)
    assert rerun.recipe == source.recipe


def test_a_form_with_extra_images_drops_them_for_a_job_without(page: Page, stack: BrowserStack) -> None:
    plain = stack.done(stack.submit()).id
    compose(page)
    open_section(page)
    page.get_by_label("Start image: ").set_input_files(png_file("start.png", OTHER_STYLE))
    page.locator("#recent a").first.click()
    page.get_by_role("link", name="Edit and rerun").click()
    page.wait_for_url(f"**/?rerun={plain}")
    expect(page.get_by_alt_text("style-1.png")).to_be_visible()  # the job is loaded
    expect(page.get_by_alt_text("Start image")).to_have_count(0)
    assert stack.services.ledger.get(create(page)).request.init_image is None


@pytest.mark.parametrize("path", ["/gallery", "/"])
def test_a_job_continues_from_another_jobs_result(page: Page, stack: BrowserStack, path: str) -> None:
    source = stack.done(stack.submit(seed=4, metadata={"title": "For my aunt"}))
    page.goto(f"{path}?job={source.id}")
    page.get_by_role("link", name="Continue from this result").click()
    expect_heading(page, "Continue from a result")
    expect(page.get_by_text("The job starts from the result of “For my aunt”.")).to_be_visible()
    expect(page.locator('[name="seed"]')).to_have_value("4")
    expect(page.get_by_label("Title")).to_have_value("For my aunt")
    uploads: list[str] = []
    page.on("request", lambda request: uploads.append(request.post_data or "") if request.method == "POST" else None)
    request = stack.services.ledger.get(create(page)).request
    assert request.recipe.init == "image"
    assert request.init_image == sha256(stack.result_of(source))
    assert uploads
    assert all('name="init_image"' not in form for form in uploads)


def test_a_result_without_evaluations_continues_with_the_default_preset(page: Page, stack: BrowserStack) -> None:
    source = stack.done(stack.submit(init="patches", steps=0)).id
    page.goto(f"/?init_job={source}")
    expect(page.get_by_text(f"The job starts from the result of job …{source[-6:]}.")).to_be_visible()
    expect(page.get_by_role("radio", name="Default")).to_be_checked()
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")


def test_a_job_without_a_result_cannot_be_continued(new_page: NewPage, stack: BrowserStack) -> None:
    canceled = stack.submit(tier="batch", steps=4000)
    stack.services.ledger.request_control(canceled, "cancel")
    stack.wait(canceled, lambda job: job.completed_at is not None)
    page = new_page(allow_console_errors=True)
    page.goto(f"/gallery?job={canceled}")
    expect(page.get_by_role("dialog").get_by_role("link", name="Edit and rerun")).to_be_visible()
    expect(page.get_by_role("link", name="Continue from this result")).to_have_count(0)
    page.goto(f"/?init_job={canceled}")
    expect(page.locator("#init_image-error")).to_have_text(re.compile("was canceled and has no result"))


def open_section(page: Page) -> None:
    page.get_by_text("Masks and start image").click()
    expect(page.get_by_label("Start image: ")).to_be_attached()


def clipboard(page: Page, image: bytes) -> JSHandle:
    return page.evaluate_handle(
        """async (bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
          return data;
        }""",
        list(image),
    )


def sha256(image: bytes) -> str:
    """Return the name under which an image is stored."""
    return hashlib.sha256(encode_canonical_png(Image.open(io.BytesIO(image)).convert("RGB"))).hexdigest()
