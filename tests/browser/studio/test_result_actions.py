"""What can be done with a result, directly below it."""

import io
import re

import httpx2
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from browser.actions import KEY, confirm, expect_heading, expect_result_image, sign_in
from browser.conftest import BrowserStack, NewPage


@pytest.fixture
def result(page: Page, finished: str) -> Locator:
    """The actions below the result of a finished job."""
    page.goto(f"/?job={finished}")
    expect_heading(page, "Finished")
    expect_result_image(page)
    return page.get_by_role("region", name="Result")


@pytest.mark.parametrize(
    ("option", "kind", "suffix"), [("JPEG", "JPEG", "jpeg"), ("WebP", "WEBP", "webp"), ("TIFF", "TIFF", "tiff")]
)
def test_the_result_is_downloaded_in_the_chosen_format(
    page: Page, result: Locator, option: str, kind: str, suffix: str
) -> None:
    formats = result.get_by_label("File format")
    formats.select_option(label=formats.locator("option", has_text=option).inner_text())
    with page.expect_download() as download:
        result.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(f".{suffix}")
    assert Image.open(io.BytesIO(download.value.path().read_bytes())).format == kind


def test_the_download_is_in_view_below_the_picture_on_a_phone(page: Page, result: Locator) -> None:
    page.set_viewport_size({"width": 360, "height": 720})
    expect(result.get_by_role("link", name="Download")).to_be_in_viewport(ratio=1)


def test_the_picture_is_shown_at_its_true_size_larger_and_smaller(page: Page, result: Locator) -> None:
    result.get_by_role("button", name="True size").click()
    viewer = page.get_by_role("dialog", name="Picture")
    image = viewer.get_by_alt_text("Result")
    true_width = image.evaluate("image => image.naturalWidth")
    assert width(image) == true_width
    viewer.get_by_role("button", name="Zoom in").click()
    expect(viewer).to_contain_text("150%")
    assert width(image) == pytest.approx(1.5 * true_width, abs=1)
    for _ in range(2):
        page.keyboard.press("-")
    assert width(image) == pytest.approx(0.75 * true_width, abs=1)
    viewer.get_by_role("button", name="Fit the window").click()
    box = viewer.get_by_role("group").bounding_box()
    assert box is not None
    assert width(image) > 1.5 * true_width  # the picture of these tests is small
    assert width(image) <= box["width"]
    viewer.get_by_role("button", name="True size").click()
    assert width(image) == true_width
    page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)


def test_the_viewer_fills_the_screen_and_leaves_it(page: Page, result: Locator) -> None:
    result.get_by_role("button", name="True size").click()
    full_screen = page.get_by_role("button", name="Full screen")
    full_screen.click()
    page.wait_for_function("document.fullscreenElement?.className === 'viewer-frame'")
    full_screen.click()
    page.wait_for_function("!document.fullscreenElement")


def test_the_link_of_a_job_is_copied(page: Page, result: Locator, finished: str, stack: BrowserStack) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    result.get_by_text("Share", exact=True).click()
    result.get_by_role("button", name="Copy link").click()
    expect(result.get_by_role("status")).to_contain_text("Copied the link.")
    assert page.evaluate("navigator.clipboard.readText()") == f"{stack.url}/?job={finished}"
    expect(result.get_by_role("button", name="Copy link")).to_be_hidden()
    result.get_by_text("Share", exact=True).click()
    page.keyboard.press("Escape")
    expect(result.get_by_role("button", name="Copy link")).to_be_hidden()


def test_escape_closes_the_menu_and_then_the_dialog(page: Page, finished: str) -> None:
    page.goto(f"/gallery?job={finished}")
    dialog = page.get_by_role("dialog")
    share = dialog.get_by_text("Share", exact=True)
    share.click()
    expect(dialog.get_by_role("button", name="Copy link")).to_be_visible()
    expect(dialog.get_by_role("button", name="Copy share link")).to_have_count(
        0
    )  # needs keys, which this service lacks
    share.press("Escape")
    expect(dialog.get_by_role("button", name="Copy link")).to_be_hidden()
    expect(dialog).to_be_visible()
    share.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_share_link_shows_the_picture_without_a_key(new_page: NewPage, protected_url: str, finished: str) -> None:
    page = new_page(allow_console_errors=True)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{protected_url}/?job={finished}")
    sign_in(page, KEY)
    result = page.get_by_role("region", name="Result")
    result.get_by_label("File format").select_option("jpeg")
    result.get_by_text("Share", exact=True).click()
    result.get_by_role("button", name="Copy share link").click()
    expect(result.get_by_role("status")).to_contain_text("Anyone who has it can see the picture for 7 days.")
    url = page.evaluate("navigator.clipboard.readText()")
    assert Image.open(io.BytesIO(httpx2.get(url).raise_for_status().content)).format == "JPEG"
    assert httpx2.get(f"{protected_url}/v1/jobs/{finished}/result").status_code == 401


def test_an_ended_job_is_deleted_from_its_page_after_confirmation(page: Page, stack: BrowserStack) -> None:
    job = stack.done(stack.submit())
    page.goto(f"/?job={job.id}")
    confirm(page.get_by_role("button", name="Delete"))
    expect_heading(page, "Deleted")
    expect(page.get_by_role("status")).to_have_text("The job and its images were deleted.")
    expect(page.get_by_role("link", name="New image")).to_be_focused()
    expect(page.locator(f"#recent [href$='{job.id}']")).to_have_count(0)
    assert httpx2.get(f"{stack.url}/v1/jobs/{job.id}").status_code == 404


def test_a_job_that_could_not_be_deleted_stays_and_says_why(new_page: NewPage, finished: str) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the status
    page.goto(f"/?job={finished}")
    expect_heading(page, "Finished")
    page.route("**/v1/jobs/*", lambda route: route.fulfill(status=409, json={"detail": "Not now."}))
    confirm(page.get_by_role("button", name="Delete"))
    expect(page.get_by_role("alert")).to_have_text("Not now.")
    expect_heading(page, "Finished")


def test_a_small_result_is_not_enlarged_beyond_recognition(page: Page, result: Locator) -> None:
    expect(result).to_be_visible()
    image = page.locator(".viewport .result").last
    assert width(image) == pytest.approx(1.5 * image.evaluate("image => image.naturalWidth"), abs=1)


def test_playing_the_film_uncovers_the_result(page: Page, result: Locator) -> None:
    expect(result).to_be_visible()
    compare = page.get_by_label("Compare")
    compare.press("End")
    page.get_by_role("button", name="Play").click()
    expect(compare).to_have_value("0")
    expect(page.get_by_label("Scrub through previews")).to_have_attribute(
        "aria-valuetext", re.compile("Finished image")
    )


def width(image: Locator) -> float:
    return float(image.evaluate("image => image.getBoundingClientRect().width"))
