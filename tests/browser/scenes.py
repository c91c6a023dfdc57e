"""What the screenshots show: each state of each page, brought about by a visitor, real jobs and a real worker."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from playwright.sync_api import Page, expect
from support.requirements import ROOT

from easel import Easel, Job
from shared.samples import sample_photo

Shoot = Callable[[str], None]
PAINTINGS: Final = ROOT / "deploy" / "samples"
KEY: Final = "a-key-of-the-service-0123456789"
PICTURE: Final = {"preset": "default", "size": 384, "steps": 160}
LONG: Final = {"preset": "default", "size": 512, "steps": 300}  # long enough to be looked at while it runs
DOOMED: Final[dict[str, Any]] = {
    "preset": "tutorial",
    "size": 128,
    "style_weight": 1e9,
    "style_layers": {"block1_conv1": 1e9},
    "optimizer": {"kind": "lbfgs"},
}
"""Weights beyond what float32 holds: the loss is no number, and the job fails."""


class Scenes:
    """Shows the pages over `easel` in one tab, and calls `shoot(name)` in each state."""

    def __init__(self, page: Page, easel: Easel, shoot: Shoot) -> None:
        self.page, self.easel, self.shoot = page, easel, shoot
        self.photo, self.styles = sample_photo("chelsea"), [PAINTINGS / "tide.jpg", PAINTINGS / "starlit.jpg"]

    def before_anybody_paints(self) -> None:
        """Nothing was ever submitted, and no worker is alive."""
        self.page.goto("/")
        expect(self.page.get_by_role("radio", name="Fast")).to_be_attached()
        self.shoot("studio-empty")
        self._visit("/queue", "No worker is alive")
        self.shoot("queue-empty")
        self._visit("/gallery", "Nothing hangs here yet")
        self.shoot("gallery-empty")

    def in_line(self) -> Job:
        """One job waits."""
        job = self._submit(PICTURE)
        self._visit(f"/?job={job.id}", "Waiting for a worker")
        self.shoot("studio-queued")
        return job

    def at_work(self, first: Job) -> None:
        """The worker paints one, while two wait; what it has finished and what went wrong comes after."""
        doomed, long, *_ = (self._submit(recipe) for recipe in (DOOMED, LONG, PICTURE, {"preset": "fast"}))
        self._reached(first, 50)
        self._visit(f"/?job={first.id}", "The picture emerges")
        expect(self.page.locator(".frame .layer").last).to_be_visible()
        self.shoot("studio-running")
        first.wait()
        doomed.wait()
        self._reached(long, 100)
        self._visit("/queue", "In line")
        expect(self.page.locator("#running img")).to_be_visible()
        expect(self.page.locator("#waiting tbody tr")).to_have_count(2)
        self.shoot("queue-busy")
        long.cancel()
        long.wait()
        self._afterwards(first, doomed, long)

    def _afterwards(self, finished: Job, failed: Job, canceled: Job) -> None:
        for name, job, title in (
            ("finished", finished, "Finished"),
            ("failed", failed, "Failed"),
            ("canceled", canceled, "Canceled"),
        ):
            self._visit(f"/?job={job.id}", title)
            self.shoot(f"studio-{name}")
        for job in self.easel.list():
            job.wait()
        self.page.goto("/gallery")
        self.page.get_by_role("button", name="All jobs").click()
        expect(self.page.locator("#wall li").first).to_be_visible()
        self.shoot("gallery")
        self.page.locator(f'[data-id="{finished.id}"]').get_by_role("button").click()
        expect(self.page.get_by_role("dialog")).to_be_visible()
        self.shoot("gallery-detail")

    def composing(self) -> None:
        """A photo and two styles are chosen; then a knob is wrong."""
        self.page.goto("/")
        self.page.get_by_label("Photo: ").set_input_files(self.photo)
        self.page.get_by_label("Painting: ").set_input_files(self.styles)
        expect(self.page.get_by_label("What it would take")).to_contain_text("of painting")
        self.shoot("studio-composed")
        self.page.locator('[name="size"]').fill("5000")
        expect(self.page.locator('[name="size"]')).to_have_attribute("aria-invalid", "true")
        self.shoot("studio-wrong")

    def at_the_door(self, url: str) -> None:
        """Keys are required, and the first one is wrong."""
        self.page.goto(url)
        self.page.get_by_label("Key").fill("not-the-key")
        self.page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        expect(self.page.locator("#key-error")).not_to_be_empty()
        self.shoot("sign-in")

    def _submit(self, recipe: dict[str, Any]) -> Job:
        return self.easel.submit(self.photo, self.styles[0], recipe)

    def _visit(self, path: str, text: str) -> None:
        self.page.goto(path)
        expect(self.page.get_by_text(text).first).to_be_visible()

    @staticmethod
    def _reached(job: Job, step: int) -> None:
        """Wait until the job has done so many steps."""
        reached: Iterator[Any] = (
            event for event in job.events() if event.data.get("progress", {}).get("current", 0) >= step
        )
        next(reached)
