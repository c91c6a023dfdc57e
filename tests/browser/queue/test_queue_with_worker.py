"""The queue page, with a worker."""

import re

import pytest
from playwright.sync_api import Page, expect

from browser.actions import confirm, record_streams
from browser.conftest import LONG, BrowserStack, NewPage


def test_a_running_job_shows_its_worker_progress_and_preview(page: Page, stack_with_worker: BrowserStack) -> None:
    page.add_init_script(COUNT_OBJECT_URLS)
    job = stack_with_worker.submit(steps=LONG)
    page.goto("/queue")
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card.locator("p").first).to_have_text(re.compile(r"^\d+% · ready in "))
    expect(card).to_contain_text("ada@test")
    expect(card.get_by_role("img")).to_have_attribute("src", re.compile("^blob:"))
    expect(page.locator("#workers")).to_contain_text(f"running {job[-6:]}")
    expect(page.locator("#tiers li").first).to_contain_text(re.compile("A new default job: ready in about .+"))
    confirm(card.get_by_role("button", name="Cancel"))
    expect(card).to_be_hidden()
    assert page.evaluate("objectUrls.size") == 0  # otherwise the previews of all jobs would stay in memory


def test_the_throughput_chart_has_a_text_alternative_and_names_its_highest_value(
    page: Page, stack_with_worker: BrowserStack
) -> None:
    stack_with_worker.done(stack_with_worker.submit(steps=2))
    page.goto("/queue")
    name = re.compile(r"\d+ jobs? completed in the last hour. Every 5 minutes from \d\d:\d\d: (\d+, ){11}[1-9]")
    expect(page.get_by_role("img", name=name)).to_be_visible()
    labels = page.locator(".bar-chart text").all_text_contents()
    assert int(labels[0]) >= 1
    assert re.fullmatch(r"\d\d:\d\d", labels[2])
    assert [labels[1], labels[3]] == ["0", "now"]


@pytest.mark.usefixtures("stack_with_worker")
def test_a_worker_is_described_in_words(page: Page) -> None:
    page.goto("/queue")
    workers = page.locator("#workers")
    expect(workers).to_contain_text(re.compile(r"2 CPU cores · [\d.]+\sGiB memory · weights from a file"))
    expect(page.locator("#tiers li").nth(1)).to_contain_text("The studio suggests it. Served in between.")


def test_a_silent_worker_is_named_as_such(page: Page, stack_with_worker: BrowserStack) -> None:
    job = stack_with_worker.submit(steps=LONG)
    page.goto("/queue")
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_be_visible()
    with stack_with_worker.suspended("ada"):
        expect(card).to_contain_text(re.compile(r"The worker has not answered since \d\d:\d\d\."))
    expect(card.get_by_text("has not answered")).to_be_hidden()
    stack_with_worker.services.ledger.request_control(job, "cancel")
    expect(card).to_be_hidden()


def test_the_queue_uses_one_stream_and_reconnects_after_a_restart(
    new_page: NewPage, stack_with_worker: BrowserStack
) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the broken connection
    streams = record_streams(page)
    page.goto("/queue")
    expect(page.get_by_text("No jobs running.")).to_be_visible()
    assert len(streams) == 1
    stack_with_worker.restart_api(lambda: expect(page.get_by_text("Reconnecting")).to_be_visible())
    expect(page.get_by_text("Reconnecting")).to_be_hidden()
    job = stack_with_worker.submit(steps=LONG)
    card = page.locator("#running li", has=page.locator(f'a[href="/?job={job}"]'))
    expect(card).to_be_visible()
    stack_with_worker.services.ledger.request_control(job, "cancel")
    expect(card).to_be_hidden()


COUNT_OBJECT_URLS = """
window.objectUrls = new Set();
const { createObjectURL, revokeObjectURL } = URL;
URL.createObjectURL = (data) => {
  const url = createObjectURL.call(URL, data);
  objectUrls.add(url);
  return url;
};
URL.revokeObjectURL = (url) => {
  objectUrls.delete(url);
  revokeObjectURL.call(URL, url);
};
"""
