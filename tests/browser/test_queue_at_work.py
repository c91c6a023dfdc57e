"""The queue, live, with somebody at the easel."""

import re

from playwright.sync_api import Page, expect

from browser.acts import streams_of
from browser.conftest import House, NewPage

LONG = 4000  # steps: none of these jobs ends by itself


def test_a_running_job_shows_its_worker_its_progress_and_its_preview(page: Page, painter: House) -> None:
    page.add_init_script(COUNT_ADDRESSES)
    job = painter.submit(steps=LONG)
    page.goto("/queue")
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_contain_text(re.compile(r"step \d+ of 4000"))
    expect(card).to_contain_text("ada@test")
    expect(card.get_by_role("img")).to_have_attribute("src", re.compile("^blob:"))
    expect(page.locator("#workers")).to_contain_text(f"paints {job[-6:]}")
    expect(page.locator("#tiers li").first).to_contain_text(re.compile("A new job of the default recipe: about .+"))
    card.get_by_role("button", name="Cancel").click()
    expect(card).to_be_hidden()
    assert page.evaluate("addresses.size") == 0  # or the previews of all jobs ever seen would stay in memory


def test_the_bars_of_the_last_hour_can_be_heard(page: Page, painter: House) -> None:
    painter.done(painter.submit(steps=2))
    page.goto("/queue")
    name = re.compile(r"\d+ jobs? ended in the last hour; in each five minutes from \d\d:\d\d on: (\d+, ){11}[1-9]")
    expect(page.get_by_role("img", name=name)).to_be_visible()


def test_the_queue_takes_up_one_stream_only_and_comes_back_after_a_restart(new_page: NewPage, painter: House) -> None:
    page = new_page(quiet=False)  # the browser itself says that the line broke
    streams = streams_of(page)
    page.goto("/queue")
    expect(page.get_by_text("Nobody paints at the moment.")).to_be_visible()
    assert len(streams) == 1
    painter.restart_api(lambda: expect(page.get_by_text("reconnecting")).to_be_visible())
    expect(page.get_by_text("reconnecting")).to_be_hidden()
    job = painter.submit(steps=LONG)
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_be_visible()
    painter.services.ledger.request_control(job, "cancel")
    expect(card).to_be_hidden()


COUNT_ADDRESSES = """
window.addresses = new Set();
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (data) => {
  const address = createObjectURL.call(URL, data);
  addresses.add(address);
  return address;
};
URL.revokeObjectURL = (address) => {
  addresses.delete(address);
  revokeObjectURL.call(URL, address);
};
"""
