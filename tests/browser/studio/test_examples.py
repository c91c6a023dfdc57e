"""The empty studio: examples, a wall of styles, and files that are dropped anywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.fixtures.api import Server

from browser.actions import PHOTO, STYLE, create, expect_heading, png_file
from browser.conftest import BrowserStack

pytestmark = pytest.mark.usefixtures("stack_with_worker")


def test_one_click_on_an_example_leads_to_a_result(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Coffee + Starlit").click()
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    expect(page.locator("#styles li")).to_have_count(1)
    button = page.get_by_role("button", name="Create")
    expect(button).to_be_focused()
    expect(button).to_be_in_viewport(ratio=1)
    page.get_by_role("radio", name="Fast").check()
    create(page)
    expect_heading(page, "Finished")


def test_a_style_of_the_wall_is_added_and_examples_do_not_replace_what_was_chosen(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Add the style Tide").click()
    page.get_by_role("button", name="Add the style Poppies").click()
    expect(page.locator("#styles li")).to_have_count(2)
    expect(page.get_by_role("region", name="Examples")).to_be_hidden()
    for number in (2, 1):
        page.get_by_role("button", name=f"Remove style {number}").click()
    expect(page.get_by_role("region", name="Examples")).to_be_visible()


@pytest.fixture
def operator_url(stack: BrowserStack, tmp_path: Path) -> Iterator[str]:
    """The URL of an API whose operator offers one style."""
    (tmp_path / "My mosaic.png").write_bytes(STYLE)
    server = Server(stack.settings.model_copy(update={"styles_dir": tmp_path}), tmp_path / "api.log")
    yield server.url
    server.stop()


def test_the_operators_styles_are_on_the_wall(page: Page, operator_url: str) -> None:
    page.goto(operator_url)
    style = page.get_by_role("button", name="Add the style My mosaic")
    style.scroll_into_view_if_needed()
    assert style.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    style.click()
    expect(page.get_by_alt_text("My mosaic.png")).to_be_visible()


def test_files_dropped_beside_the_areas_are_taken(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_label("Photo: ")).to_be_attached()
    for data in (PHOTO, STYLE):
        transfer = page.evaluate_handle(
            """(bytes) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
              return data;
            }""",
            list(png_file("a.png", data)["buffer"]),
        )
        page.dispatch_event("h1", "drop", {"dataTransfer": transfer})
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    expect(page.locator("#styles li")).to_have_count(1)


def test_a_dropped_link_is_explained(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_label("Photo: ")).to_be_attached()
    transfer = page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          data.setData("text/uri-list", "https://example.com/a.jpg");
          return data;
        }"""
    )
    page.dispatch_event("#content", "drop", {"dataTransfer": transfer})
    expect(page.locator("#content-error")).to_contain_text("That is a link or a text, not a file.")
