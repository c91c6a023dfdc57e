"""The page states to take screenshots of, reached by a user with real jobs and a real worker."""

import itertools
from collections.abc import Callable
from typing import Any, Final

from playwright.sync_api import Page, expect
from support.requirements import ROOT

from easel import Easel, Job
from shared.samples import sample_photo

TakeScreenshots = Callable[[str], None]
STYLE_IMAGES: Final = ROOT / "deploy" / "samples"
KEY: Final = "a-key-of-the-service-0123456789"
RECIPE: Final = {"preset": "default"}
LONG_RECIPE: Final = {"preset": "default", "steps": 400}  # long enough for screenshots while it runs
LOSSES: Final = 15  # steps with losses before those screenshots: a part of the curve
DIVERGING_RECIPE: Final[dict[str, Any]] = {
    "preset": "tutorial",
    "size": 128,
    "style_weight": 1e9,
    "style_layers": {"block1_conv1": 1e9},
    "optimizer": {"kind": "lbfgs"},
}
"""The weights overflow float32: the loss is not a number, and the job fails."""
TITLE: Final = "Chelsea in the style of Tide"


class PageStates:
    """Brings one tab into each state and calls `take_screenshots(name)` there."""

    def __init__(self, page: Page, easel: Easel, take_screenshots: TakeScreenshots) -> None:
        self.page, self.easel, self.take_screenshots = page, easel, take_screenshots
        self.photo = sample_photo("chelsea")
        self.styles = [STYLE_IMAGES / "tide.jpg", STYLE_IMAGES / "starlit.jpg"]

    def show_empty(self) -> None:
        """No jobs and no workers."""
        self.page.goto("/")
        expect(self.page.get_by_role("radio", name="Fast")).to_be_attached()
        self.take_screenshots("studio-empty")
        self._visit("/queue", "No workers running")
        self.take_screenshots("queue-empty")
        self._visit("/gallery", "No results yet")
        self.take_screenshots("gallery-empty")

    def show_queued(self) -> Job:
        """One queued job, which is returned."""
        job = self._submit(RECIPE)
        self._visit(f"/?job={job.id}", "Waiting for a worker")
        self.take_screenshots("studio-queued")
        return job

    def show_running(self, first: Job) -> None:
        """A running job and two queued ones; then the finished, failed and canceled jobs."""
        queued: list[dict[str, Any]] = [{"preset": "fast"}, {"preset": "patches"}]  # which are the quickest
        failing, long, *_ = (self._submit(it) for it in (DIVERGING_RECIPE, LONG_RECIPE, *queued))
        first.wait()
        failing.wait()
        self._wait_for_losses(long)
        self._visit(f"/?job={long.id}", "Rendering")
        expect(self.page.locator(".viewport .result").last).to_be_visible()
        self.take_screenshots("studio-running")
        self._visit("/queue", "Queued")
        expect(self.page.locator("#running img")).to_be_visible()
        expect(self.page.locator("#queued tbody tr")).to_have_count(2)
        self.take_screenshots("queue-busy")
        long.cancel()
        long.wait()
        self._show_ended(first, failing, long)

    def _show_ended(self, finished: Job, failed: Job, canceled: Job) -> None:
        for name, job, heading in (
            ("finished", finished, "Finished"),
            ("failed", failed, "Failed"),
            ("canceled", canceled, "Canceled"),
        ):
            self._visit(f"/?job={job.id}", heading)
            self.take_screenshots(f"studio-{name}")
        for job in self.easel.list():
            job.wait()
        self.page.goto("/gallery")
        self.page.get_by_role("button", name="All jobs").click()
        expect(self.page.locator("#results li").first).to_be_visible()
        self.take_screenshots("gallery")
        self.page.locator(f'[data-id="{finished.id}"]').get_by_role("button").first.click()
        expect(self.page.get_by_role("dialog")).to_be_visible()
        self.take_screenshots("gallery-detail")
        self.page.get_by_role("button", name="True size").click()
        self.page.get_by_role("button", name="Zoom in").click()
        self.take_screenshots("studio-true-size")
        self._show_comparison()
        self._show_batch()
        self._visit("/docs#list_jobs", "API reference")
        self.page.locator("#list_jobs").get_by_role("button", name="Send").click()
        expect(self.page.locator("#list_jobs").get_by_role("status")).to_contain_text("200")
        self.take_screenshots("api-reference")

    def _show_comparison(self) -> None:
        """Two finished jobs over each other."""
        self.page.goto("/gallery")
        for number in (0, 1):
            self.page.get_by_role("checkbox").nth(number).check()
        self.page.get_by_role("button", name="Compare").click()
        expect(self.page.locator("dialog .result")).to_be_visible()
        self.take_screenshots("gallery-comparison")

    def _show_batch(self) -> None:
        """A batch of one photo in three styles with two recipes, and its contact sheet."""
        styles = [*self.styles, STYLE_IMAGES / "poppies.jpg"]
        recipes = [{"preset": "fast", "size": 128}, {"preset": "strong", "size": 128, "steps": 20}]
        jobs = [
            {"styles": [style], "recipe": recipe, "metadata": {"title": f"Chelsea, {style.stem}"}}
            for style in styles
            for recipe in recipes
        ]
        batch = self.easel.submit_batch(jobs, {"content": self.photo}).wait()
        self.page.goto(f"/gallery?batch={batch.id}")
        expect(self.page.get_by_role("link", name="Contact sheet")).to_be_enabled()
        self.take_screenshots("gallery-batch")

    def show_form(self) -> None:
        """A photo and two style images; then an invalid parameter."""
        self.page.goto("/")
        self.page.get_by_label("Photo: ").set_input_files(self.photo)
        self.page.get_by_label("Style image: ").set_input_files(self.styles)
        expect(self.page.get_by_label("Estimate")).to_contain_text("Estimate: about")
        self.take_screenshots("studio-composed")
        self.page.get_by_text("Advanced", exact=True).click()
        self.take_screenshots("studio-advanced")
        self.page.locator('[name="size"]').fill("5000")
        expect(self.page.locator('[name="size"]')).to_have_attribute("aria-invalid", "true")
        self.take_screenshots("studio-invalid")

    def show_masks(self) -> None:
        """The brush over the photo; then the painted mask in the form, with a start image."""
        self.page.goto("/")
        self.page.get_by_label("Photo: ").set_input_files(self.photo)
        self.page.get_by_label("Style image: ").set_input_files(self.styles[0])
        self.page.get_by_text("Masks and start image").click()
        self.page.get_by_role("button", name="Paint the mask of style 1").click()
        self.page.get_by_label("Brush size").fill("22")
        box = self.page.locator("dialog canvas").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.25)
        self.page.mouse.down()
        for left, top in ((0.65, 0.25), (0.68, 0.55), (0.55, 0.75), (0.38, 0.6), (0.35, 0.45), (0.5, 0.45)):
            self.page.mouse.move(box["x"] + box["width"] * left, box["y"] + box["height"] * top, steps=10)
        self.page.mouse.up()
        self.take_screenshots("studio-brush")
        self.page.get_by_role("button", name="Done").click()
        self.page.get_by_label("Start image: ").set_input_files(self.photo)
        expect(self.page.get_by_label("Estimate")).to_contain_text("Estimate: about")
        self.take_screenshots("studio-masks")

    def show_sign_in(self, url: str) -> None:
        """The sign-in dialog after a wrong API key."""
        self.page.goto(url)
        self.page.get_by_label("API key").fill("not-the-key")
        self.page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
        expect(self.page.locator("#key-error")).not_to_be_empty()
        self.take_screenshots("sign-in")

    def _submit(self, recipe: dict[str, Any]) -> Job:
        return self.easel.submit(self.photo, self.styles[0], recipe, metadata={"title": TITLE})

    def _visit(self, path: str, text: str) -> None:
        self.page.goto(path)
        expect(self.page.get_by_role("main").get_by_text(text).first).to_be_visible()

    @staticmethod
    def _wait_for_losses(job: Job) -> None:
        steps = (event for event in job.events() if event.kind == "progress" and event.data.losses)
        for _ in itertools.islice(steps, LOSSES):
            pass
