"""`PYTHONPATH=tests python -m browser.screenshots`: the pages in every state, width and theme, for docs/pages.

The real stack paints a real picture (about five minutes on two cores). Single shots go to out/pages.
"""

import itertools
import os
import shutil
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

from browser.conftest import chromium
from browser.scenes import KEY, Scenes
from deploy.local.processes import Process, wait_until
from deploy.local.stack import Plan, Stack, free_port
from easel import Easel

SHOTS, SHEETS = ROOT / "out/pages", ROOT / "docs/pages"
WIDTHS: Final = (320, 768, 1280)
THEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
BACKGROUND, GAP, SHEET = "#8a8f8c", 24, 1500  # pixels between shots; width of a sheet
MOST_BYTES = 160_000
console = Console(stderr=True, highlight=False)


class Atelier(Stack):
    """The stack of `make up`, with the worker coming later and a second door that asks for a key."""

    def start(self) -> None:
        """Valkey and the API alone."""
        self._environment |= {"EASEL_PREVIEW_SECONDS": "1"}
        self._start_valkey()
        self._listening(self._start("api", sys.executable, "-m", "api"))

    def hire(self) -> None:
        """One worker that paints, and a reaper."""
        self._start("reaper", sys.executable, "-m", "worker", "reaper")
        self._start("worker-1", sys.executable, "-m", "worker", "start", "--name", "ada@studio", patience=60)

    def guarded(self) -> str:
        """The address of an API over the same queue that asks for a key."""
        port = free_port()
        told = self._environment | {"EASEL_PORT": str(port), "EASEL_API_KEYS": KEY}
        log = self.plan.data / "log" / "guarded.log"
        self._listening(self.supervisor.start(Process("guarded", (sys.executable, "-m", "api"), told, log)))
        return f"http://127.0.0.1:{port}"

    @staticmethod
    def _listening(process: Process) -> None:
        wait_until(lambda: "listens at" in process.last_words(), seconds=60, what=process.name, process=process)


def main() -> None:
    """Shoot all, then compose the sheets."""
    shutil.rmtree(SHOTS, ignore_errors=True)
    SHOTS.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="easel-shots-") as folder:
        plan = Plan(Path(folder), ROOT / "var/cache", free_port())
        with Atelier.running(plan) as atelier, Easel(atelier.url) as easel, tab(atelier.url) as page:
            scenes = Scenes(page, easel, lambda name: shoot(page, name))
            scenes.before_anybody_paints()
            first = scenes.in_line()
            atelier.hire()
            scenes.at_work(first)
            scenes.composing()
            scenes.at_the_door(atelier.guarded())
    compose()


@contextmanager
def tab(url: str) -> Iterator[Page]:
    """One tab of a browser."""
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        page = browser.new_page(base_url=url, reduced_motion="reduce")
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def shoot(page: Page, name: str) -> None:
    """At each width and in each theme, the whole page; of a dialog, what the window shows."""
    whole = not page.get_by_role("dialog").is_visible()
    for theme, width in itertools.product(THEMES, WIDTHS):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(_SETTLED)
        page.screenshot(path=shot(name, theme, width), full_page=whole)
    console.print(f"{name}: shot")


_SETTLED = """async () => {
  scrollTo(0, 0);
  const images = [...document.images];
  for (const image of images) image.loading = "eager"; // the picture shows what lies below the window, too
  await Promise.all(images.map((image) => image.decode().catch(() => 0)));
}"""


def shot(name: str, theme: str, width: int) -> Path:
    """Where it lies."""
    return SHOTS / f"{name}-{theme}-{width}.png"


def compose() -> None:
    """One sheet a state, and the two pictures of the README."""
    for sheet in SHEETS.glob("*.webp"):
        sheet.unlink()
    for name in sorted({path.stem.rsplit("-", 2)[0] for path in SHOTS.glob("*-light-320.png")}):
        rows = [beside([Image.open(shot(name, theme, width)) for width in WIDTHS]) for theme in THEMES]
        keep(stacked(rows), SHEETS / f"{name}.webp", SHEET)
    keep(Image.open(shot("studio-finished", "light", 1280)), SHEETS / "finished.jpg", 1280)
    phone = [shot(name, "light", 320) for name in ("studio-composed", "studio-finished", "queue-busy", "gallery")]
    keep(beside([Image.open(path).crop((0, 0, 320, 1100)) for path in phone]), SHEETS / "phone.jpg", 1400)


def beside(pictures: list[Image.Image]) -> Image.Image:
    """All in a row, aligned at their tops."""
    width = sum(one.width + GAP for one in pictures) - GAP
    row = Image.new("RGB", (width, max(one.height for one in pictures)), BACKGROUND)
    left = 0
    for one in pictures:
        row.paste(one, (left, 0))
        left += one.width + GAP
    return row


def stacked(rows: list[Image.Image]) -> Image.Image:
    """One above the other."""
    sheet = Image.new("RGB", (rows[0].width, sum(row.height + GAP for row in rows) - GAP), BACKGROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    return sheet


def keep(picture: Image.Image, path: Path, width: int) -> None:
    """In the format of its name, `width` pixels wide at most, as good as MOST_BYTES allow."""
    small = picture.convert("RGB")
    small.thumbnail((width, 10_000), Image.Resampling.LANCZOS)
    for quality in range(88, 30, -6):
        small.save(path, quality=quality, optimize=True, method=6)
        if path.stat().st_size <= MOST_BYTES:
            break
    console.print(f"{os.path.relpath(path)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
