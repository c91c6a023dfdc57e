"""Titles: suggested from the names of the files, sent as metadata, and shown wherever the picture is."""

import pytest
from playwright.sync_api import Page, expect

from browser.actions import OTHER_STYLE, STYLE, compose, confirm, create, expect_heading, png_file
from browser.conftest import LONG, BrowserStack

pytestmark = pytest.mark.usefixtures("stack_with_worker")


def test_a_picture_has_the_names_of_its_images_on_the_pages_and_not_in_its_file(
    page: Page, stack: BrowserStack
) -> None:
    compose(page)
    page.get_by_label("Photo: ").set_input_files(png_file("my_cat.png"))
    page.get_by_role("button", name="Remove style 1").click()
    page.get_by_label("Style image: ").set_input_files(png_file("starry-night.png", STYLE))
    title = "My cat in the style of Starry night"
    expect(page.get_by_label("Title")).to_have_value(title)
    job = create(page)
    expect(page.locator("#job dl").first).to_contain_text(title)
    expect_heading(page, "Finished")
    assert stack.services.ledger.get(job).request.metadata == {"title": title}
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"{title}.png"
    file = download.value.path().read_bytes()
    assert file.startswith(b"\x89PNG")
    assert b"starry" not in file.lower()
    page.goto("/gallery")
    card = page.locator(f'[data-id="{job}"]')
    for searched, is_found in (("starry cat", True), ("starry dog", False)):
        page.get_by_label("Search").fill(searched)
        expect(card).to_be_visible(visible=is_found)
    page.get_by_label("Search").fill("")
    expect(card.get_by_role("button").first).to_contain_text(title)
    card.get_by_role("button").first.click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(title)


def test_a_typed_title_stays_and_a_suggested_one_follows_the_images(page: Page) -> None:
    page.goto("/")
    title, photo = page.get_by_label("Title"), page.get_by_label("Photo: ")
    photo.set_input_files(png_file("dog.jpg"))
    expect(title).to_have_value("Dog")
    files = [png_file("tide.png", STYLE), png_file("image.png"), png_file("poppies.png", OTHER_STYLE)]
    page.get_by_label("Style image: ").set_input_files(files)
    expect(title).to_have_value("Dog in the style of Tide and Poppies")
    title.fill("For my aunt")
    photo.set_input_files(png_file("cat.jpg"))
    expect(title).to_have_value("For my aunt")
    title.fill("")
    photo.set_input_files(png_file("horse.jpg"))
    expect(title).to_have_value("Horse in the style of Tide and Poppies")


def test_a_rerun_suggests_the_title_of_the_job_until_its_images_change(page: Page, stack: BrowserStack) -> None:
    job = stack.submit(metadata={"title": "For my aunt"})
    page.goto(f"/?rerun={job}")
    title = page.get_by_label("Title")
    expect(title).to_have_value("For my aunt")
    page.get_by_label("Photo: ").set_input_files(png_file("horse.jpg"))
    expect(title).to_have_value("Horse")


def test_the_queue_page_shows_titles(page: Page, stack: BrowserStack) -> None:
    running, queued = (stack.submit(steps=LONG, metadata={"title": f"For my {name}"}) for name in ("aunt", "uncle"))
    page.goto("/queue")
    card = page.locator("#running li", has_text="For my aunt")
    expect(card.get_by_role("progressbar", name="Progress of job For my aunt")).to_be_visible()
    link = page.locator("#workers").get_by_role("link", name="For my aunt")
    expect(link).to_have_attribute("href", f"/?job={running}")
    row = page.locator("#queued tbody tr", has=page.get_by_role("link", name="For my uncle"))
    expect(row.get_by_role("link")).to_have_attribute("href", f"/?job={queued}")
    confirm(row.get_by_role("button", name="Cancel job For my uncle"))
    expect(row).to_be_hidden()
    confirm(card.get_by_role("button", name="Cancel job For my aunt"))
    expect(card).to_be_hidden()


def test_a_long_title_of_one_word_fits_a_phone(page: Page, stack: BrowserStack) -> None:
    job = stack.done(stack.submit(steps=2, metadata={"title": 200 * "x"})).id
    page.set_viewport_size({"width": 360, "height": 720})
    for path, shown in (("/", page.locator("#job dl").first), ("/gallery", page.get_by_role("dialog"))):
        page.goto(f"{path}?job={job}")
        expect(shown).to_contain_text(200 * "x")
        for excess in ("document.documentElement", "document.querySelector('dialog') ?? document.body"):
            assert page.evaluate(f"(node => node.scrollWidth - node.clientWidth)({excess})") == 0
