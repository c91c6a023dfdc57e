"""From two pictures to a painting, on the page."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from browser.acts import (
    OTHER,
    PAINTING,
    compose,
    heading,
    hold,
    let_go,
    painting_hangs,
    png,
    sees,
    steps_of_curve,
    streams_of,
    submit,
)
from browser.conftest import House, NewPage
from easel.models import JobState

pytestmark = pytest.mark.usefixtures("painter")
LONG = 4000  # steps: none of these jobs ends by itself


def test_two_pictures_become_a_painting_that_can_be_fetched(page: Page, house: House) -> None:
    job = submit(page)
    sees(page, "Finished")
    painting_hangs(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes() == house.picture_of(house.services.ledger.get(job))
    expect(page).to_have_title("Finished · Easel")


def test_the_quote_comes_before_the_submission_and_follows_the_knobs(page: Page) -> None:
    compose(page)
    quote = page.get_by_label("What it would take")
    expect(quote).to_contain_text("of painting")
    expect(quote).to_contain_text(re.compile(r"\b64 . 48 px"))
    page.locator('[name="size"]').fill("96")
    expect(quote).to_contain_text(re.compile(r"\b96 . 72 px"))


def test_without_a_painting_there_is_no_quote_any_more(page: Page) -> None:
    compose(page)
    quote = page.get_by_label("What it would take")
    expect(quote).to_contain_text("of painting")
    page.get_by_role("button", name="Remove style 1").click()
    expect(quote).to_contain_text("With a photo, a painting")
    expect(quote).not_to_have_attribute("aria-busy", "true")


def test_several_styles_are_mixed_by_their_weights(page: Page, house: House) -> None:
    compose(page, styles=(PAINTING, OTHER))
    first, second = (page.get_by_label(f"Share of style {number}") for number in (1, 2))
    expect(page.locator("#styles")).to_have_text(re.compile(r"50 %.*50 %"))
    second.fill("3")
    for share, told in ((first, "25 %"), (second, "75 %")):
        expect(share).to_have_attribute("aria-valuetext", told)
        expect(page.locator("#styles label").filter(has=share)).to_contain_text(told)
    page.get_by_role("button", name="Paint it").click()
    page.wait_for_url("**/?job=*")
    assert house.services.ledger.get(page.url.rpartition("=")[2]).request.recipe.style_mix == (1, 3)


def test_only_what_differs_from_the_preset_is_sent(page: Page) -> None:
    page.add_init_script(
        """const { append } = FormData.prototype;
        FormData.prototype.append = function (name, ...value) {
          if (name === "recipe") window.recipe = JSON.parse(value[0]);
          append.call(this, name, ...value);
        };"""
    )
    submit(page, seed=7)
    assert page.evaluate("recipe") == {"preset": "fast", "size": 64, "steps": 20, "seed": 7}


def test_a_submission_whose_answer_is_lost_is_sent_again_and_is_one_job(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)  # the browser itself says that the answer is lost
    keys = []

    def lose_the_first_answer(route: Route) -> None:
        if route.request.method != "POST" or "dry_run" in route.request.url:
            return route.fallback()
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            return route.continue_()
        route.fetch()
        return route.abort()

    before = len(house.services.ledger.list(limit=200))
    page.route("**/v1/jobs*", lose_the_first_answer)
    submit(page)
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(house.services.ledger.list(limit=200)) == before + 1


def test_what_is_sent_by_a_second_click_is_the_same_job(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)

    def garble_the_answer(route: Route) -> None:
        route.fetch()
        route.fulfill(status=400, json={"detail": "A proxy has lost its way."})

    before = len(house.services.ledger.list(limit=200))
    compose(page)
    page.route(re.compile("/v1/jobs$"), garble_the_answer, times=1)
    page.get_by_role("button", name="Paint it").click()
    expect(page.get_by_text("A proxy has lost its way.")).to_be_visible()
    page.get_by_role("button", name="Paint it").click()
    page.wait_for_url("**/?job=*")
    assert len(house.services.ledger.list(limit=200)) == before + 1


def test_who_goes_back_before_the_film_is_here_leaves_no_stream_behind(page: Page) -> None:
    held, streams = hold(page, "**/previews"), streams_of(page)
    with page.expect_request("**/previews"):
        submit(page)
    page.go_back()
    expect(page.get_by_role("button", name="Paint it")).to_be_visible()
    assert len(held) == 1
    let_go(page, held)
    assert streams == []


def test_who_goes_back_and_forth_in_haste_watches_by_one_stream(page: Page) -> None:
    held, streams = hold(page, "**/watch.js"), streams_of(page)
    with page.expect_request("**/watch.js"):
        submit(page)
    page.go_back()
    page.go_forward()
    let_go(page, held)
    sees(page, "Finished")
    expect(page.get_by_role("img", name="Loss by step")).to_be_visible()
    assert len(streams) == 1


def test_a_reload_in_the_middle_keeps_the_whole_history(page: Page, house: House) -> None:
    job = submit(page, steps=LONG)
    house.wait(job, lambda job: job.progress.current > 40)
    sees(page, "The picture emerges")
    page.reload()
    sees(page, "The picture emerges")
    painting_hangs(page)
    expect(page.locator("polyline.total")).to_have_attribute("points", re.compile(r"\S+ \S+ \S+"))
    assert steps_of_curve(page)[0] < 50  # the curve begins where the job began
    page.get_by_role("button", name="Cancel").click()
    sees(page, "Canceled")


def test_a_job_can_be_canceled_and_the_page_says_so(page: Page, house: House) -> None:
    job = submit(page, steps=LONG)
    sees(page, "The picture emerges")
    page.get_by_role("button", name="Cancel").click()
    sees(page, "Canceled")
    assert house.services.ledger.get(job).state is JobState.CANCELED
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()


def test_a_job_can_be_finished_early_and_keeps_its_picture(page: Page, house: House) -> None:
    job = submit(page, steps=LONG)
    sees(page, "The picture emerges")
    page.get_by_role("button", name="Finish now").click()
    expect(heading(page)).to_have_text(re.compile(r"Finished early, at step \d+"))
    assert house.services.ledger.get(job).stopped_early
    painting_hangs(page)


def test_two_tabs_show_the_same_job(new_page: NewPage) -> None:
    one, other = new_page(), new_page()
    job = submit(one, steps=LONG)
    sees(one, "The picture emerges")
    other.goto(f"/?job={job}")
    sees(other, "The picture emerges")
    painting_hangs(other)
    other.get_by_role("button", name="Finish now").click()
    for page in (one, other):
        expect(heading(page)).to_have_text(re.compile("Finished early"))


def test_a_restart_of_the_api_loses_nothing(new_page: NewPage, house: House) -> None:
    page = new_page(quiet=False)  # the browser itself says that the line broke
    job = submit(page, steps=LONG)
    house.wait(job, lambda job: job.progress.current > 20)
    sees(page, "The picture emerges")

    def while_it_is_away() -> None:
        expect(page.get_by_text("reconnecting")).to_be_visible()
        seen = house.services.ledger.get(job).progress.current
        house.wait(job, lambda job: job.progress.current > seen + 30)

    house.restart_api(while_it_is_away)
    expect(page.get_by_text("reconnecting")).to_be_hidden()
    page.get_by_role("button", name="Finish now").click()
    expect(heading(page)).to_have_text(re.compile("Finished early"))
    told = {event.data["progress"]["current"] for event in house.services.events.since(job) if event.kind == "progress"}
    assert page.get_by_role("img", name="Loss by step").get_attribute("data-points") == str(len(told))


def test_a_finished_job_can_be_done_again_with_other_knobs(page: Page, house: House) -> None:
    submit(page, seed=5)
    sees(page, "Finished")
    page.get_by_role("link", name="Do it again").click()
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
    expect(page.locator('[name="seed"]')).to_have_value("5")
    page.get_by_role("button", name="Paint it").click()
    page.wait_for_url("**/?job=*")
    assert house.services.ledger.get(page.url.rpartition("=")[2]).request.recipe.seed == 5


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_pictures_can_be_dropped_and_pasted(page: Page, way: str) -> None:
    page.goto("/")
    expect(page.get_by_label("Photo: ")).to_be_attached()
    data = page.evaluate_handle(
        """async (bytes) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
          return data;
        }""",
        list(png("a.png")["buffer"]),
    )
    if way == "drop":
        page.dispatch_event("#content", "drop", {"dataTransfer": data})
    else:
        page.evaluate(
            "data => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}))", data
        )
    expect(page.get_by_alt_text("Your photo")).to_be_visible()
