"""Small screens, keyboards, screen readers, both themes, slow lines: by hand-written rules (rules.js)."""

import itertools
from pathlib import Path
from typing import Final, Literal

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect
from support.requirements import ROOT

from browser.acts import PAINTING, PHOTO, compose, heading, png, sees, submit
from browser.conftest import House

pytestmark = pytest.mark.usefixtures("finished")
RULES = Path(__file__).with_name("rules.js").read_text()
PAGES = ("/", "/queue", "/gallery")
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
WIDTHS = (320, 1280)
MOST_BYTES = 60_000
"""Of all that one page loads of HTML, scripts and styles; and of all pages together, as they are sent."""


@pytest.fixture(scope="module")
def finished(painter: House) -> str:
    return painter.done(painter.submit(steps=30)).id


@pytest.fixture(scope="module")
def failed(painter: House) -> str:
    job = painter.submit(steps=20, seed=666)
    painter.wait(job, lambda job: job.completed_at is not None)
    return job


def states(page: Page, finished: str, failed: str) -> list[str]:
    """What each state of each page breaks, of the rules and of the width, in each theme and at each width."""
    broken: list[str] = []

    def look(state: str) -> None:
        expect(heading(page)).to_be_visible()
        for theme, width in itertools.product(THEMES, WIDTHS):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 720})
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            found = [*page.evaluate(RULES), *([f"{wide} pixels too wide"] if wide > 0 else [])]
            broken.extend(f"{state}, {theme}, {width}: {sentence}" for sentence in found)

    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    look("empty studio")
    compose(page, styles=(PAINTING, PHOTO), seed=1)
    expect(page.get_by_label("What it would take")).to_contain_text("of painting")
    look("studio with pictures, all knobs")
    for state, job, title in (("finished", finished, "Finished"), ("failed", failed, "Failed")):
        page.goto(f"/?job={job}")
        sees(page, title)
        expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
        look(f"{state} job")
    page.goto("/queue")
    expect(page.get_by_text("ada@test")).to_be_visible()
    look("queue")
    page.goto("/gallery")
    expect(page.locator("#wall li").first).to_be_visible()
    look("gallery")
    page.locator("#wall button").first.click()
    look("detail")
    return broken


def test_every_state_of_every_page_keeps_the_rules(page: Page, finished: str, failed: str) -> None:
    assert states(page, finished, failed) == []


def test_the_documentation_is_as_wide_as_the_window_and_a_link_away_from_every_page(page: Page) -> None:
    for path, name in zip(PAGES, ("Studio", "Queue", "Gallery"), strict=True):
        page.goto(path)
        page.get_by_role("link", name="All calls of the API").click()
        sees(page, "Easel")
        page.get_by_role("link", name=name).click()
        page.wait_for_url(f"**{path}")
    page.goto("/docs")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 720})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(RULES) == []


def test_a_job_is_submitted_by_the_keyboard_alone(page: Page) -> None:
    page.on("filechooser", lambda _: None)  # from now on: to begin with it takes Playwright a while
    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for label, name in (("Photo: ", "photo.png"), ("Painting: ", "painting.png")):
        reach(page, page.get_by_label(label))
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(png(name))
    reach(page, page.locator('[name="preset"]:checked'))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Fast")).to_be_checked()
    reach(page, page.locator('[name="size"]'))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("64")
    reach(page, page.get_by_role("button", name="Paint it"))
    page.keyboard.press("Enter")
    sees(page, "Finished")
    reach(page, page.get_by_role("link", name="Download"))


def reach(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, seeing where the focus is all the way."""
    for _ in range(60):
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
        if target.evaluate("node => node === document.activeElement"):
            return
    pytest.fail(f"{target} cannot be reached")


SEEN = """() => {
  const marked = (node) => node && (getComputedStyle(node).outlineStyle !== "none" || marked(node.parentElement));
  return document.activeElement === document.body || marked(document.activeElement);
}"""


def test_a_screen_reader_hears_the_turns_and_not_every_step(page: Page) -> None:
    page.add_init_script(
        """addEventListener("DOMContentLoaded", () => {
          window.said = [];
          new MutationObserver(() => said.push(document.querySelector("#said").textContent))
            .observe(document.querySelector("#said"), { childList: true, characterData: true, subtree: true });
        })"""
    )
    page.goto("/")
    job = submit(page, steps=40)
    page.goto(f"/?job={job}")
    sees(page, "Finished")
    assert 1 <= len(page.evaluate("said")) <= 6


@pytest.mark.parametrize("path", [*PAGES, "/?job={}"])
def test_a_page_is_light_and_comes_from_here_alone(page: Page, house: House, finished: str, path: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.format(finished))
    expect(page.locator("#presets input, .layer, #workers li, #wall li").first).to_be_attached()
    assert all(url.startswith(house.url) for url in asked)
    parts = {url for url in asked if "/v1/" not in url}
    assert len(parts) > 5
    assert sum(len(httpx2.get(url).content) for url in parts) < MOST_BYTES


def test_all_pages_together_are_light_as_they_are_sent(house: House) -> None:
    sent = [httpx2.get(f"{house.url}/assets/{path.name}") for path in (ROOT / "api/web").iterdir()]
    assert all(answer.headers["Content-Encoding"] == "gzip" for answer in sent)
    assert sum(int(answer.headers["Content-Length"]) for answer in sent) < MOST_BYTES


@pytest.mark.parametrize("path", PAGES)
def test_a_page_allows_no_script_and_no_style_within_it(house: House, path: str) -> None:
    policy = httpx2.get(house.url + path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_on_a_slow_line_the_page_still_comes_to_its_picture(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 200, "downloadThroughput": 100_000, "uploadThroughput": 40_000},
    )
    submit(page)
    sees(page, "Finished")
