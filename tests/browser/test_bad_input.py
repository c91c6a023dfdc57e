"""What cannot be done is said in words, beside what it is about."""

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from browser.acts import PAINTING, PHOTO, compose, heading, hold, let_go, png
from browser.conftest import NewPage

# The browser itself writes a refused request to its console, so these pages are not listened to.


def test_a_number_out_of_range_is_told_beside_its_knob(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page, size=5000)
    size = page.locator('[name="size"]')
    expect(size).to_have_attribute("aria-invalid", "true")
    expect(said_of(page, "knob-size")).to_have_text("At most 4096.")
    size.fill("64")
    expect(said_of(page, "knob-size")).to_be_hidden()


def test_each_wrong_knob_has_its_own_words(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page, size=5000, steps="")
    expect(said_of(page, "knob-size")).to_have_text("At most 4096.")
    expect(said_of(page, "knob-steps")).to_have_text("A whole number.")


def test_a_wrong_knob_under_more_is_brought_into_sight(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page, content_layers='{"block9_conv9": 1}')
    page.get_by_text("More", exact=True).click()
    page.get_by_role("button", name="Paint it").click()
    expect(said_of(page, "knob-content_layers")).to_contain_text("VGG19 has no layer block9_conv9")
    expect(page.locator('[name="content_layers"]')).to_be_focused()


def test_a_wrong_knob_of_the_optimiser_is_told_there(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page)
    page.get_by_label("Optimizer").select_option("adam")
    page.get_by_text("Its own knobs").click()
    page.get_by_label("Learning rate").fill("7")
    expect(said_of(page, "knob-optimizer.learning_rate")).to_have_text("At most 1.")


def test_json_that_is_none_is_told_beside_its_field(page: Page) -> None:
    compose(page, stages="[{")
    page.get_by_role("button", name="Paint it").click()
    expect(said_of(page, "knob-stages")).to_contain_text("no JSON")
    expect(page.locator('[name="stages"]')).to_be_focused()


def test_a_broken_photo_is_told_at_the_photo_and_a_broken_style_at_the_styles(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page, photo=PHOTO[:200])
    expect(page.locator("#content-error")).to_contain_text("truncated or corrupt")
    page.get_by_label("Photo: ").set_input_files(png("photo.png"))
    expect(page.get_by_label("What it would take")).to_contain_text("of painting")
    expect(page.locator("#content-error")).to_be_hidden()
    page.get_by_label("Painting: ").set_input_files(png("broken.png", PAINTING[:200]))
    expect(page.locator("#style-error")).to_contain_text("truncated or corrupt")


@pytest.mark.parametrize(("label", "place"), [("Photo: ", "#content"), ("Painting: ", "#styles")])
def test_a_file_that_the_browser_cannot_show_is_told_of_at_once_in_its_place(
    page: Page, label: str, place: str
) -> None:
    page.goto("/")
    page.get_by_label(label).set_input_files(png("text.jpg", b"no picture at all"))
    expect(page.locator(place).get_by_role("alert")).to_contain_text("no picture that the browser can show")
    expect(page.locator(place).locator("img")).to_have_count(0)


def test_a_file_that_the_browser_cannot_show_may_still_be_one_that_the_service_takes(page: Page) -> None:
    compose(page, photo=tiff())
    expect(page.locator("#content").get_by_role("alert")).to_contain_text("the service may take it all the same")
    expect(page.get_by_label("What it would take")).to_contain_text("of painting")
    page.get_by_label("Photo: ").set_input_files(png("photo.png"))
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    expect(page.locator("#content").get_by_role("alert")).to_have_count(0)


def test_a_picture_too_small_is_told_where_it_lies(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page, photo=tiny())
    expect(page.locator("#content-error")).to_contain_text("each side must have at least")
    compose(page, styles=(PAINTING, tiny()))
    expect(page.locator("#style-error")).to_contain_text("each side must have at least")


def test_nothing_chosen_is_told_where_it_is_missing(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Paint it").click()
    expect(page.locator("#content-error")).to_have_text("Choose a photo first.")
    expect(page.get_by_label("Photo: ")).to_be_focused()


def test_who_clicks_before_the_form_is_complete_is_answered_when_it_is(page: Page) -> None:
    held = hold(page, "**/upload.js")
    with page.expect_request("**/upload.js"):
        page.goto("/", wait_until="commit")
    page.get_by_role("button", name="Paint it").click()
    let_go(page, held)
    expect(page.locator("#content-error")).to_have_text("Choose a photo first.")


def test_a_submission_that_is_refused_as_a_whole_is_heard(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    compose(page)
    page.route(re.compile("/v1/jobs$"), lambda route: route.fulfill(status=429, json={"detail": "The queue is full."}))
    page.get_by_role("button", name="Paint it").click()
    expect(page.get_by_role("alert")).to_have_text("The queue is full.")


def test_a_preset_that_is_refused_is_told_of_the_presets(new_page: NewPage) -> None:
    page = new_page(quiet=False)
    refused = {"detail": "The recipe is wrong.", "errors": [{"field": "preset", "message": "There is no such preset."}]}
    page.route("**/v1/jobs?dry_run=true", lambda route: route.fulfill(status=422, json=refused))
    compose(page)
    expect(page.get_by_role("radio", name="Fast")).to_have_accessible_description("There is no such preset.")


@pytest.mark.parametrize("name", ["0199c0de-0000-7000-8000-000000000001", "../queue"])
def test_a_job_that_is_not_here_is_said_to_be_none(new_page: NewPage, name: str) -> None:
    page = new_page(quiet=False)
    page.goto(f"/?job={name}")
    expect(heading(page)).to_have_text("This job is not here")
    expect(page.get_by_role("alert")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/queue", "/gallery"])
def test_a_page_that_may_not_begin_says_why(new_page: NewPage, path: str) -> None:
    page = new_page(quiet=False)
    page.route("**/v1/session", lambda route: route.fulfill(status=403, json={"detail": "Only this machine may call."}))
    page.goto(path)
    expect(page.get_by_role("alert")).to_have_text("Only this machine may call.")


def said_of(page: Page, control: str) -> Locator:
    return page.locator(f"[id='{control}-error']")


def tiny() -> bytes:
    return encoded(Image.new("RGB", (8, 8)), "PNG")


def tiff() -> bytes:
    return encoded(Image.open(io.BytesIO(PHOTO)), "TIFF")


def encoded(image: Image.Image, kind: str) -> bytes:
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()
