"""Errors are shown in words, beside the input they are about."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect
from support.image_files import encode

from browser.actions import PHOTO, STYLE, compose, heading, hold, png_file, release
from browser.conftest import NewPage

# Browsers log refused requests to the console, so these pages allow console errors.


def test_a_number_out_of_range_shows_an_error_beside_its_field(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page, size=5000)
    size = page.locator('[name="size"]')
    expect(size).to_have_attribute("aria-invalid", "true")
    expect(error_of(page, "size")).to_have_text("Must be at most 4096.")
    size.fill("64")
    expect(error_of(page, "size")).to_be_hidden()


def test_each_invalid_parameter_has_its_own_error(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page, size=5000, steps="")
    expect(error_of(page, "size")).to_have_text("Must be at most 4096.")
    expect(error_of(page, "steps")).to_have_text("Must be a whole number.")


def test_an_invalid_advanced_parameter_is_focused(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page, seed=-1)
    page.get_by_text("Advanced", exact=True).click()
    expect(page.locator('[name="seed"]')).to_be_hidden()
    page.get_by_role("button", name="Create").click()
    expect(error_of(page, "seed")).to_contain_text("at least 0")
    expect(page.locator('[name="seed"]')).to_be_focused()


def test_an_invalid_row_of_a_parameter_is_marked(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page, stages=[{"scale": 0.5, "share": 1}, {"scale": 7, "share": 1}])
    second = page.get_by_label("Stages, scale 2")
    expect(second).to_have_attribute("aria-invalid", "true")
    expect(error_of(page, "stages")).to_have_text("Must be at most 1.")
    expect(page.get_by_label("Stages, scale 1")).not_to_have_attribute("aria-invalid", "true")
    second.fill("1")
    expect(error_of(page, "stages")).to_be_hidden()
    page.get_by_label("Content layers, value 1").fill("-1")
    expect(error_of(page, "content_layers")).to_contain_text("at least 0")


def test_an_invalid_optimizer_option_shows_an_error_beside_its_field(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page)
    page.get_by_label("Optimizer").select_option("adam")
    page.get_by_text("Adam options").click()
    page.get_by_label("Learning rate").fill("7")
    expect(error_of(page, "optimizer.learning_rate")).to_have_text("Must be at most 1.")


def test_errors_of_the_photo_and_of_the_styles_are_shown_beside_each(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page, photo=PHOTO[:200])
    expect(page.locator("#content-error")).to_contain_text("truncated or corrupt")
    page.get_by_label("Photo: ").set_input_files(png_file("photo.png"))
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")
    expect(page.locator("#content-error")).to_be_hidden()
    page.get_by_label("Style image: ").set_input_files(png_file("broken.png", STYLE[:200]))
    expect(page.locator("#style-error")).to_contain_text("truncated or corrupt")


@pytest.mark.parametrize(("label", "name"), [("Photo: ", "photo"), ("Style image: ", "style image")])
def test_create_is_disabled_with_a_bad_image_and_says_why(new_page: NewPage, label: str, name: str) -> None:
    page = new_page(allow_console_errors=True)
    create, why = (
        page.get_by_role("button", name="Create"),
        re.compile(f"Choose another {name}. .*truncated or corrupt"),
    )
    page.goto("/")
    page.get_by_label(label).set_input_files(png_file("broken.png", PHOTO[:200]))
    expect(create).to_be_disabled()
    expect(create).to_have_accessible_description(why)
    other = "Style image: " if name == "photo" else "Photo: "
    page.get_by_label(other).set_input_files(png_file("good.png"))
    expect(create).to_be_disabled()
    page.get_by_role("radio", name="Fast").check()
    expect(create).to_have_accessible_description(why)
    create.click(force=True)
    expect(page.get_by_label(label)).to_be_focused()
    if name == "style image":
        page.get_by_role("button", name="Remove style 1").click()
    page.get_by_label(label).set_input_files(png_file("good.png", STYLE))
    expect(create).to_be_enabled()
    expect(create).to_have_accessible_description(re.compile("Estimate: about"))


@pytest.mark.parametrize(("label", "selector"), [("Photo: ", "#content"), ("Style image: ", "#styles")])
def test_a_file_without_a_preview_is_replaced_by_a_message(page: Page, label: str, selector: str) -> None:
    page.goto("/")
    page.get_by_label(label).set_input_files(png_file("text.jpg", b"not an image"))
    expect(page.locator(selector).get_by_role("alert")).to_contain_text("show this file")
    expect(page.locator(selector).locator("img")).to_have_count(0)


def test_a_tiff_without_a_preview_can_be_used(page: Page) -> None:
    compose(page, photo=tiff_file())
    expect(page.locator("#content").get_by_role("alert")).to_contain_text("you can still use it")
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")
    page.get_by_label("Photo: ").set_input_files(png_file("photo.png"))
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    expect(page.locator("#content").get_by_role("alert")).to_have_count(0)


def test_a_photo_that_is_a_thin_strip_can_be_replaced(page: Page) -> None:
    page.goto("/")
    for size in ((960, 32), (32, 960)):
        page.get_by_label("Photo: ").set_input_files(png_file("strip.png", encode(Image.new("RGB", size))))
        expect(page.locator("#content img")).to_have_js_property("naturalWidth", size[0])
        expect(page.locator("#content").get_by_text("Replace photo")).to_be_in_viewport(ratio=1)
        expect(page.locator("#content")).to_be_in_viewport(ratio=1)


def test_an_image_that_is_too_small_shows_an_error_beside_it(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page, photo=tiny_png())
    expect(page.locator("#content-error")).to_contain_text("each side must have at least")
    compose(page, styles=(STYLE, tiny_png()))
    expect(page.locator("#style-error")).to_have_text(re.compile("^Style 2: .*each side must have at least"))


def test_missing_images_show_an_error_beside_each_input(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#content-error")).to_have_text("Add a photo.")
    expect(page.locator("#style-error")).to_have_text("Add at least one style image.")
    expect(page.get_by_label("Photo: ")).to_be_focused()
    page.get_by_label("Photo: ").set_input_files(png_file("photo.png"))
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#content-error")).to_be_hidden()
    expect(page.get_by_label("Style image: ")).to_be_focused()


def test_why_a_file_was_refused_is_shown_until_an_image_is_chosen_there(page: Page) -> None:
    page.goto("/")
    text: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"text"}
    photo, style = page.get_by_label("Photo: "), page.get_by_label("Style image: ")
    photo.set_input_files(text)
    style.set_input_files(text)
    page.get_by_role("button", name="Create").click()
    expect(photo).to_be_focused()
    for name in ("content", "style"):
        expect(page.locator(f"#{name}-error")).to_contain_text("Not an image. Use JPEG")
    style.set_input_files(png_file("style.png", STYLE))
    expect(page.locator("#style-error")).to_be_hidden()
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#content-error")).to_contain_text("Not an image. Use JPEG")
    photo.set_input_files(png_file("photo.png"))
    expect(page.locator("#content-error")).to_be_hidden()


def test_a_click_before_the_form_is_loaded_is_handled_afterwards(page: Page) -> None:
    held = hold(page, "**/image-inputs.js")
    with page.expect_request("**/image-inputs.js"):
        page.goto("/", wait_until="commit")
    page.get_by_role("button", name="Create").click()
    release(page, held)
    expect(page.locator("#content-error")).to_have_text("Add a photo.")


def test_an_error_without_a_field_is_announced(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose(page)
    page.route(re.compile("/v1/jobs$"), lambda route: route.fulfill(status=429, json={"detail": "The queue is full."}))
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_have_text("The queue is full.")


def test_an_upload_that_was_refused_for_a_while_is_repeated(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    busy = {"detail": "Too many requests."}
    page.route("**/v1/images", lambda route: route.fulfill(status=429, json=busy), times=1)
    compose(page)
    expect(page.locator("#content-error")).to_have_text("Too many requests.")
    page.get_by_role("radio", name="Default").check()
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")


def test_an_error_of_the_preset_describes_the_presets(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    refused = {
        "detail": "The recipe is invalid.",
        "errors": [{"field": "preset", "message": "There is no such preset."}],
    }
    page.route("**/v1/jobs?dry_run=true", lambda route: route.fulfill(status=422, json=refused))
    compose(page)
    expect(page.get_by_role("radio", name="Fast")).to_have_accessible_description("There is no such preset.")


@pytest.mark.parametrize("name", ["0199c0de-0000-7000-8000-000000000001", "../queue"])
def test_an_unknown_job_shows_job_not_found(new_page: NewPage, name: str) -> None:
    page = new_page(allow_console_errors=True)
    page.goto(f"/?job={name}")
    expect(heading(page)).to_have_text("Job not found")
    expect(page.get_by_role("alert")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/queue", "/gallery"])
def test_a_page_without_access_says_why(new_page: NewPage, path: str) -> None:
    page = new_page(allow_console_errors=True)
    page.route("**/v1/session", lambda route: route.fulfill(status=403, json={"detail": "Only this machine may call."}))
    page.goto(path)
    expect(page.get_by_role("alert")).to_have_text("Only this machine may call.")


def error_of(page: Page, parameter: str) -> Locator:
    return page.locator(f"[id='parameter-{parameter}-error']")


def tiny_png() -> bytes:
    return encode(Image.new("RGB", (8, 8)), "PNG")


def tiff_file() -> bytes:
    return encode(Image.open(io.BytesIO(PHOTO)), "TIFF")
