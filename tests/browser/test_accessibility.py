"""Accessibility: axe-core in every page state, use by keyboard only, and screen readers."""

from typing import Final, Literal

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect
from support.requirements import ROOT, part_missing

from browser.actions import PHOTO, STYLE, compose, expect_heading, heading, png_file, submit
from browser.blend_engine import DIVERGING_SEED
from browser.conftest import LONG, BrowserStack, NewPage

pytestmark = pytest.mark.usefixtures("finished")
AXE = ROOT / ".npm" / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = (("/", "Studio"), ("/queue", "Queue"), ("/gallery", "Gallery"))
VIEWS: Final[tuple[tuple[Literal["light", "dark"], int], ...]] = (("light", 320), ("dark", 1280))


@pytest.fixture(scope="module")
def failed(stack_with_worker: BrowserStack) -> str:
    job = stack_with_worker.submit(steps=20, seed=DIVERGING_SEED)
    stack_with_worker.wait(job, lambda job: job.completed_at is not None)
    return job


def violations(page: Page) -> list[str]:
    """Return what axe-core finds, each rule with the first element that breaks it, and whether the page is too wide."""
    if not AXE.exists():
        part_missing("axe-core is not installed: make .npm/ready")
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("tags => axe.run({runOnly: tags, resultTypes: ['violations']})", TAGS)["violations"]
    excess = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    messages = [f"{one['id']}: {one['help']}; {one['nodes'][0]['html'][:200]}" for one in found]
    return messages + ([f"{excess} pixels too wide"] if excess > 0 else [])


def violations_in_all_states(page: Page, stack: BrowserStack, finished: str, failed: str) -> list[str]:
    """Return the violations in each state, in both themes and at two widths."""
    found: list[str] = []

    def check(state: str) -> None:
        expect(heading(page)).to_be_visible()
        for theme, width in VIEWS:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 720})
            found.extend(f"{state}, {theme}, {width}: {message}" for message in violations(page))

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
    page.get_by_role("checkbox").first.check()
    check("gallery with a selection")
    page.locator("#results .open").first.click()
    check("job detail")
    page.get_by_role("dialog").get_by_role("button", name="True size").click()
    expect(page.get_by_role("dialog", name="Picture")).to_be_visible()
    check("picture at its true size")
    batch = stack.submit_batch(jobs=2, steps=LONG)
    page.goto(f"/gallery?batch={batch['id']}")
    expect(page.get_by_role("button", name="Cancel all")).to_be_visible()
    expect(page.locator("#results li")).to_have_count(2)
    check("running batch")
    httpx2.post(stack.url + batch["urls"]["cancel"]).raise_for_status()
    return found


def test_every_page_state_follows_the_accessibility_rules(
    page: Page, stack: BrowserStack, finished: str, failed: str
) -> None:
    assert violations_in_all_states(page, stack, finished, failed) == []


def test_the_page_for_unknown_urls_follows_the_accessibility_rules(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the status
    page.goto("/nothing")
    expect_heading(page, "Page not found")
    assert violations(page) == []


def test_the_api_reference_fits_the_window_and_is_linked_from_every_page(page: Page) -> None:
    for path, name in PAGES:
        page.goto(path)
        page.get_by_role("link", name="API reference").click()
        expect_heading(page, "API reference")
        page.get_by_role("link", name=name).click()
        page.wait_for_url(f"**{path}")
    page.goto("/docs")
    page.locator("#submit summary").click()
    expect(page.locator("#submit").get_by_role("button", name="Send")).to_be_visible()
    for theme, width in VIEWS:
        page.emulate_media(color_scheme=theme)
        page.set_viewport_size({"width": width, "height": 720})
        assert violations(page) == []


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
    for _ in range(80):
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
