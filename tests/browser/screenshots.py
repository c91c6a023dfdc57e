"""`PYTHONPATH=tests python -m browser.screenshots`: every page state at three widths in both themes, for docs/pages.

Renders real images on the real stack, in a few minutes on two cores. Single screenshots go to out/pages.
"""

import bisect
import itertools
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from support.requirements import ROOT

from browser.conftest import launch_chromium
from browser.page_states import KEY, PageStates
from deploy.local.processes import Process, wait_until
from deploy.local.stack import Stack, StackConfig, free_port
from easel import Easel

SCREENSHOTS, SHEETS = ROOT / "out/pages", ROOT / "docs/pages"
WIDTHS: Final = (360, 768, 1280)
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
BACKGROUND, GAP, SHEET_WIDTH = "#8a8f8c", 24, 1500  # GAP and SHEET_WIDTH in pixels
MAX_BYTES = 160_000
QUALITIES: Final = range(34, 89, 6)
MAX_HEIGHT: Final = 2600  # pixels of a page in a sheet
console = Console(stderr=True, highlight=False)


class ScreenshotStack(Stack):
    """The stack of `make up`, but workers start later, and a second API requires a key."""

    def start(self) -> None:
        """Start Valkey and the API only."""
        self._environment |= {"EASEL_PREVIEW_SECONDS": "1", "EASEL_SLICE_SECONDS": "3600"}
        self._start_valkey()
        _wait_for_port(self._start("api", sys.executable, "-m", "api"), self.config.port)

    def start_worker(self) -> None:
        """Start one worker and a reaper."""
        self._start("reaper", sys.executable, "-m", "worker", "reaper")
        self._start("worker-1", sys.executable, "-m", "worker", "start", "--name", "ada@studio", stop_timeout=60)

    def start_protected_api(self) -> str:
        """Start an API over the same queue that requires a key, and return its URL."""
        port = free_port()
        environment = self._environment | {"EASEL_PORT": str(port), "EASEL_API_KEYS": KEY}
        log = self.config.data / "log" / "protected-api.log"
        command = (sys.executable, "-m", "api")
        _wait_for_port(self.supervisor.start(Process("protected-api", command, environment, log)), port)
        return f"http://127.0.0.1:{port}"


def _wait_for_port(process: Process, port: int) -> None:
    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_open, seconds=60, what=process.name, process=process)


def main() -> None:
    """Take all screenshots, then compose the sheets."""
    shutil.rmtree(SCREENSHOTS, ignore_errors=True)
    SCREENSHOTS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="easel-screenshots-") as folder:
        config = StackConfig(Path(folder), ROOT / "var/cache", free_port())
        with ScreenshotStack.running(config) as stack, Easel(stack.url) as easel, open_tab(stack.url) as page:
            states = PageStates(page, easel, lambda name: take_screenshots(page, name))
            states.show_empty()
            first = states.show_queued()
            stack.start_worker()
            states.show_running(first)
            states.show_form()
            states.show_masks()
            states.show_sign_in(stack.start_protected_api())
    compose_sheets()


@contextmanager
def open_tab(url: str) -> Iterator[Page]:
    """Open one tab in a new browser."""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        page = browser.new_page(base_url=url, reduced_motion="reduce")
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def take_screenshots(page: Page, name: str) -> None:
    """Take a screenshot at each width in each theme: of the whole page, or of the window if a dialog is open."""
    full_page = not page.locator("dialog[open]").count()
    for theme, width in itertools.product(THEMES, WIDTHS):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(_LOAD_ALL_IMAGES)
        page.evaluate(_UNSTICK)
        page.screenshot(path=screenshot_path(name, theme, width), full_page=full_page)
    console.print(f"{name}: done")


_LOAD_ALL_IMAGES = """async () => {
  scrollTo(0, 0);
  const images = [...document.images];
  for (const image of images) image.loading = "eager"; // the screenshot includes what is below the window
  await Promise.all(images.map((image) => image.decode().catch(() => 0)));
}"""


_UNSTICK = """() => {
  const bar = document.querySelector(".submit-bar"); // it would cover the middle of a whole page
  if (bar) bar.style.position = "static";
}"""


def screenshot_path(name: str, theme: str, width: int) -> Path:
    """Return the path of one screenshot."""
    return SCREENSHOTS / f"{name}-{theme}-{width}.png"


def compose_sheets() -> None:
    """Compose one sheet per state, and the two images of the README."""
    for sheet in SHEETS.glob("*.webp"):
        sheet.unlink()
    for name in sorted({path.stem.rsplit("-", 2)[0] for path in SCREENSHOTS.glob("*-light-360.png")}):
        rows = [join_horizontally([open_top(screenshot_path(name, theme, w)) for w in WIDTHS]) for theme in THEMES]
        save(join_vertically(rows), SHEETS / f"{name}.webp", SHEET_WIDTH)
    save(Image.open(screenshot_path("studio-finished", "light", 1280)), SHEETS / "finished.jpg", 1280)
    names = ("studio-composed", "studio-finished", "queue-busy", "gallery")
    phone = [Image.open(screenshot_path(name, "light", 360)).crop((0, 0, 360, 1240)) for name in names]
    save(join_horizontally(phone), SHEETS / "phone.jpg", 1400)


def open_top(path: Path) -> Image.Image:
    """Return a screenshot without what is far below."""
    image = Image.open(path)
    return image.crop((0, 0, image.width, min(image.height, MAX_HEIGHT)))


def join_horizontally(images: list[Image.Image]) -> Image.Image:
    """Return the images in a row, aligned at the top."""
    row = Image.new("RGB", (sum(it.width + GAP for it in images) - GAP, max(it.height for it in images)), BACKGROUND)
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width + GAP
    return row


def join_vertically(rows: list[Image.Image]) -> Image.Image:
    """Return the rows below each other."""
    sheet = Image.new("RGB", (rows[0].width, sum(row.height + GAP for row in rows) - GAP), BACKGROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    return sheet


def save(image: Image.Image, path: Path, max_width: int) -> None:
    """Save at most `max_width` pixels wide, at the best quality that stays within MAX_BYTES, else at the lowest one."""
    small = image.convert("RGB")
    small.thumbnail((max_width, 10_000), Image.Resampling.LANCZOS)

    def save_at(quality: int) -> int:
        small.save(path, quality=quality, optimize=True, method=6)
        return path.stat().st_size

    fitting = bisect.bisect_right(QUALITIES, MAX_BYTES, key=save_at)
    save_at(QUALITIES[max(0, fitting - 1)])
    console.print(f"{os.path.relpath(path)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
