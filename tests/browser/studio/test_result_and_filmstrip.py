"""The result over its photo, the filmstrip, and the recent jobs."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from browser.actions import expect_heading, expect_result_image, heading, submit
from browser.conftest import BrowserStack

pytestmark = pytest.mark.usefixtures("stack_with_worker")


def test_the_photo_and_the_result_can_be_compared_by_keyboard(page: Page) -> None:
    submit(page)
    expect_heading(page, "Finished")
    expect_result_image(page)
    compare = page.get_by_label("Compare")
    for key, share, sides in (
        ("Home", 0, ["result", "result"]),
        ("ArrowRight", 1, ["result", "result"]),
        ("ArrowLeft", 0, ["result", "result"]),
        ("End", 100, ["photo", "photo"]),
        ("ArrowLeft", 99, ["photo", "photo"]),
    ):
        compare.press(key)
        expect_photo_share(page, share)
        assert images_at_quarters(page) == sides


def test_dragging_over_the_result_uncovers_the_photo_left_of_the_pointer(page: Page) -> None:
    submit(page)
    expect_heading(page, "Finished")
    expect_result_image(page)
    expect_photo_share(page, 0)
    page.locator(".viewport").click()
    expect_photo_share(page, 50)
    assert images_at_quarters(page) == ["photo", "result"]


@pytest.mark.parametrize(
    ("stages", "rises"), [([], False), ([{"scale": 0.5, "share": 1}, {"scale": 1, "share": 1}], True)]
)
def test_the_loss_rises_only_with_several_stages(page: Page, stages: list[Any], rises: bool) -> None:  # noqa: FBT001
    submit(page, size=128, stages=stages)
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
    expect(page.get_by_text("The loss rises when a stage at a larger size begins.")).to_be_visible(visible=rises)


def expect_photo_share(page: Page, percent: int) -> None:
    """Expect that the slider, its text and its accessible value say how much of the photo shows."""
    compare = page.get_by_label("Compare")
    expect(compare).to_have_value(str(percent))
    expect(compare).to_have_attribute("aria-valuetext", f"{percent}% photo")
    expect(page.locator("figcaption")).to_have_text(f"Compare{percent}% photo")


def images_at_quarters(page: Page) -> list[str]:
    """Return which image shows at a quarter and at three quarters of the width: "photo" or "result"."""
    classes: list[str] = page.evaluate(
        """() => {
          const { left, top, width, height } = document.querySelector(".viewport").getBoundingClientRect();
          const at = (share) => document.elementFromPoint(left + share * width, top + height / 2).className;
          return [at(0.25), at(0.75)];
        }"""
    )
    return [names.split()[0] for names in classes]


@pytest.mark.parametrize(
    ("smallest", "labels"),
    [
        (2e-4, ["0.0001", "0.001", "0.01", "0.1", "1", "10"]),
        (2e-6, ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"]),
    ],
)
def test_the_axis_of_the_loss_chart_has_one_format(page: Page, smallest: float, labels: list[str]) -> None:
    page.goto("/")
    shown = page.evaluate(
        """async (smallest) => {
          const { LossChart } = await import("/assets/job/loss-chart.js");
          const chart = new LossChart();
          chart.add(0, { total: 2e4 * smallest, style: 2e4 * smallest, content: smallest, total_variation: smallest });
          chart.render();
          return [...chart.svg.querySelectorAll(".grid g text")].map((label) => label.textContent);
        }""",
        smallest,
    )
    assert shown == labels


def test_the_filmstrip_can_be_scrubbed_and_played(page: Page) -> None:
    submit(page, steps=30)
    expect_heading(page, "Finished")
    scrubber = page.get_by_label("Scrub through previews")
    expect(scrubber).to_be_visible()
    scrubber.press("Home")
    expect(scrubber).to_have_attribute("aria-valuetext", "Image at step 0")
    expect(page.get_by_label("Filmstrip")).to_contain_text("Step 0")
    scrubber.press("End")
    expect(page.get_by_label("Filmstrip")).to_contain_text("Finished image")
    scrubber.press("Home")
    page.get_by_role("button", name="Play").click()
    expect(scrubber).to_have_attribute("aria-valuetext", re.compile("Finished image"))


def test_recent_jobs_are_updated_when_the_shown_job_ends(page: Page, stack: BrowserStack) -> None:
    job = submit(page, steps=4000)
    tile = page.locator(f'#recent [href="/?job={job}"]')
    expect(tile).to_have_attribute("aria-current", "true")
    expect(tile).to_contain_text("Running")
    first_url = tile.locator("img").get_attribute("src")
    tile.focus()
    stack.wait(job, lambda job: job.preview is not None and job.progress.current > 0)
    stack.services.ledger.request_control(job, "finish")
    expect(heading(page)).to_have_text(re.compile("Finished early"))
    expect(tile).to_contain_text("Finished")
    expect(tile.locator("img")).not_to_have_attribute("src", str(first_url))
    expect(tile).to_be_focused()


def test_a_job_that_starts_while_recent_jobs_load_is_shown_as_running(page: Page, stack: BrowserStack) -> None:
    outdated = iter([{"state": "queued"}])

    def send_outdated_once(route: Route) -> None:  # not by `times=1`, whose end may disturb the next request
        changed, data = next(outdated, {}), route.fetch().json()
        route.fulfill(json=data | {"jobs": [job | changed for job in data["jobs"]]})

    job = submit(page, steps=4000)
    expect_heading(page, "Rendering")
    page.route("**/v1/jobs?limit=8", send_outdated_once)
    page.reload()
    expect(page.locator(f'#recent [href="/?job={job}"]')).to_contain_text("Running")
    page.unroute_all(behavior="wait")
    stack.services.ledger.request_control(job, "cancel")
    expect_heading(page, "Canceled")
