"""The picture beside its photo, and the film of how it came about."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from browser.acts import heading, painting_hangs, sees, submit
from browser.conftest import House

pytestmark = pytest.mark.usefixtures("painter")


def test_the_photo_can_be_drawn_over_the_painting_with_the_keyboard(page: Page) -> None:
    submit(page)
    sees(page, "Finished")
    compare = page.get_by_label("Compare")
    compare.press("End")
    assert page.locator(".frame").evaluate("frame => frame.style.getPropertyValue('--cut')") == "100"


def test_the_names_stand_on_the_sides_of_what_they_name(page: Page) -> None:
    submit(page)
    sees(page, "Finished")
    painting_hangs(page)
    page.get_by_label("Compare").fill("50")
    sides = page.evaluate(
        """() => {
          const { left, top, width, height } = document.querySelector(".frame").getBoundingClientRect();
          const at = (share) => document.elementFromPoint(left + share * width, top + height / 2).className;
          return [at(0.25), at(0.75)];
        }"""
    )
    assert [side.split()[0] for side in sides] == ["photo", "layer"]
    photo, painting = (page.locator("figcaption").get_by_text(name).bounding_box() for name in ("Photo", "Painting"))
    assert photo
    assert painting
    assert photo["x"] < painting["x"]


def test_the_film_can_be_scrubbed_and_played(page: Page) -> None:
    submit(page, steps=30)
    sees(page, "Finished")
    film = page.get_by_label("Scrub through the film")
    expect(film).to_be_visible()
    film.press("Home")
    expect(film).to_have_attribute("aria-valuetext", "The painting at step 0")
    expect(page.get_by_label("Film", exact=True)).to_contain_text("Step 0")
    film.press("End")
    expect(page.get_by_label("Film", exact=True)).to_contain_text("The finished picture")
    film.press("Home")
    page.get_by_role("button", name="Play").click()
    expect(film).to_have_attribute("aria-valuetext", re.compile("The finished picture"))


def test_the_last_jobs_are_shown_as_they_are_when_the_one_in_sight_ends(page: Page, house: House) -> None:
    job = submit(page, steps=4000)
    tile = page.locator(f'#recent [href="/?job={job}"]')
    expect(tile).to_have_attribute("aria-current", "true")
    expect(tile).to_contain_text("Painting")
    raw = tile.locator("img").get_attribute("src")
    tile.focus()
    house.wait(job, lambda job: job.preview is not None and job.progress.current > 0)
    house.services.ledger.request_control(job, "finish")
    expect(heading(page)).to_have_text(re.compile("Finished early"))
    expect(tile).to_contain_text("Finished")
    expect(tile.locator("img")).not_to_have_attribute("src", str(raw))
    expect(tile).to_be_focused()


def test_a_job_that_began_while_the_last_jobs_were_asked_for_is_not_said_to_wait(page: Page, house: House) -> None:
    def belated(route: Route) -> None:
        found = route.fetch().json()
        route.fulfill(json=found | {"jobs": [one | {"state": "queued"} for one in found["jobs"]]})

    job = submit(page, steps=4000)
    sees(page, "The picture emerges")
    page.route("**/v1/jobs?limit=8", belated, times=1)
    page.reload()
    expect(page.locator(f'#recent [href="/?job={job}"]')).to_contain_text("Painting")
    house.services.ledger.request_control(job, "cancel")
    sees(page, "Canceled")
