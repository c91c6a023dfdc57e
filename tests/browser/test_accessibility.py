"""Accessibility: accessibility_rules.js in every page state, use by keyboard only, and screen readers."""

import itertools
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.actions import PHOTO, STYLE, compose, expect_heading, heading, png_file, submit
from browser.blend_engine import DIVERGING_SEED
from browser.conftest import BrowserStack, NewPage

pytestmark = pytest.mark.usefixtures("finished")
RULES = Path(__file__).with_name("accessibility_rules.js").read_text()
PAGES = (("/", "Studio"), ("/queue", "Queue"), ("/gallery", "Gallery"))
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
WIDTHS = (320, 1280)


@pytest.fixture(scope="module")
def failed(stack_with_worker: BrowserStack) -> str:
    job = stack_with_worker.submit(steps=20, seed=DIVERGING_SEED)
    stack_with_worker.wait(job, lambda job: job.completed_at is not None)
    return job


def violations_in_all_states(page: Page, finished: str, failed: str) -> list[str]:
    """Return the violations of the rules and of the page width, in each state, theme and width."""
    violations: list[str] = []

    def check(state: str) -> None:
        expect(heading(page)).to_be_visible()
        for theme, width in itertools.product(THEMES, WIDTHS):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 720})
            excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            messages = [*page.evaluate(RULES), *([f"{excess} pixels too wide"] if excess > 0 else [])]
            violations.extend(f"{state}, {theme}, {width}: {message}" for message in messages)

    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    check("empty studio")
    compose(page, styles=(STYLE, PHOTO), seed=1)
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")
    check("studio with images and advanced parameters")
    page.get_by_text("Masks and start image").click()
    page.get_by_label("Mask of style 1: ").set_input_files(png_file("mask.png"))
    page.get_by_label("Start image: ").set_input_files(png_file("start.png"))
    expect(page.get_by_role("img", name="Mask over the photo")).to_be_visible()
    check("studio with a mask and a start image")
    page.get_by_role("button", name="Paint the mask of style 2").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    check("painting a mask")
    for job, state in ((finished, "Finished"), (failed, "Failed")):
        page.goto(f"/?job={job}")
        expect_heading(page, state)
        expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
        check(f"{state} job")
    page.goto("/queue")
    expect(page.get_by_text("ada@test")).to_be_visible()
    check("queue")
    page.goto("/gallery")
    expect(page.locator("#results li").first).to_be_visible()
    check("gallery")
    page.locator("#results button").first.click()
    check("job detail")
    return violations


def test_every_page_state_follows_the_accessibility_rules(page: Page, finished: str, failed: str) -> None:
    assert violations_in_all_states(page, finished, failed) == []


def test_the_page_for_unknown_urls_follows_the_accessibility_rules(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the status
    page.goto("/nothing")
    expect_heading(page, "Page not found")
    assert page.evaluate(RULES) == []


def test_the_api_reference_fits_the_window_and_is_linked_from_every_page(page: Page) -> None:
    for path, name in PAGES:
        page.goto(path)
        page.get_by_role("link", name="API reference").click()
        expect_heading(page, "API reference")
        page.get_by_role("link", name=name).click()
        page.wait_for_url(f"**{path}")
    page.goto("/docs")
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 720})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(RULES) == []


def test_a_job_can_be_submitted_by_keyboard_only(page: Page) -> None:
    page.on("filechooser", lambda _: None)  # now, because Playwright takes a while to begin to intercept choosers
    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for label, name in (("Photo: ", "photo.png"), ("Style image: ", "style.png")):
        tab_to(page, page.get_by_label(label))
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(png_file(name))
    tab_to(page, page.locator('[name="preset"]:checked'))
    for name in ("Gentle", "Strong", "Fast"):
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("radio", name=name)).to_be_checked()
    tab_to(page, page.locator('[name="size"]'))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("64")
    tab_to(page, page.get_by_role("button", name="Create"))
    page.keyboard.press("Enter")
    expect_heading(page, "Finished")
    tab_to(page, page.get_by_role("link", name="Download"))


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus. The focus must be visible all the way."""
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_VISIBLE), page.evaluate("document.activeElement.outerHTML")
        if target.evaluate("node => node === document.activeElement"):
            return
    pytest.fail(f"{target} cannot be reached")


FOCUS_IS_VISIBLE = """() => {
  const outlined = (node) => node && (getComputedStyle(node).outlineStyle !== "none" || outlined(node.parentElement));
  return document.activeElement === document.body || outlined(document.activeElement);
}"""


def test_screen_readers_announce_state_changes_but_not_every_step(page: Page) -> None:
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          const status = document.querySelector("#status");
          window.announced = [];
          new MutationObserver(() => announced.push(status.textContent))
            .observe(status, { childList: true, characterData: true, subtree: true });
        })"""
    )
    page.goto("/")
    job = submit(page, steps=40)
    page.goto(f"/?job={job}")
    expect_heading(page, "Finished")
    assert 1 <= len(page.evaluate("announced")) <= 6
