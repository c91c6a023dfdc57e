"""Jobs whose images are fetched from URLs: pages show them before there is any image."""

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect

from browser.actions import confirm, expect_heading
from browser.conftest import BrowserStack
from easel.models import JobError
from shared.ledger.fetches import Fetch


@pytest.fixture
def waiting(stack: BrowserStack) -> Fetch:
    """A job that waits for its images, with this test as its fetcher."""
    url = "https://photos.example/photo.png"
    job = httpx2.post(f"{stack.url}/v1/jobs", json={"content": url, "styles": [url], "recipe": {"size": 64}})
    fetch = stack.services.fetches.take(job.raise_for_status().json()["id"], lease_seconds=600)
    assert fetch is not None
    return fetch


def test_a_job_has_its_photo_and_its_position_once_its_images_are_fetched(
    page: Page, stack: BrowserStack, waiting: Fetch
) -> None:
    page.goto(f"/?job={waiting.job_id}")
    expect_heading(page, "Fetching the images")
    expect(page.get_by_text("Ready in")).to_be_visible()
    expect(page.get_by_text("Position")).to_have_count(0)
    tile = page.locator("#recent [aria-current]")
    expect(tile).to_contain_text("Fetching the images")
    expect(tile.locator("img")).to_have_attribute("src", "/assets/common/no-image.svg")
    finish_fetch(stack, waiting)
    expect_heading(page, "Waiting for a worker")
    expect(page.get_by_text("Position")).to_be_visible()
    assert is_loaded(page.get_by_alt_text("Original photo"))
    expect(tile).to_contain_text("Queued")
    expect(tile.locator("img")).to_have_attribute("src", f"/v1/jobs/{waiting.job_id}/content?longest=128")


def test_a_job_whose_images_cannot_be_fetched_cannot_be_repeated(
    page: Page, stack: BrowserStack, waiting: Fetch
) -> None:
    fetches, ledger = stack.services.fetches, stack.services.ledger
    page.goto(f"/?job={waiting.job_id}")
    expect_heading(page, "Fetching the images")
    error = JobError(code="image_fetch_failed", detail="content: photos.example responded 404.")
    fetches.fail(waiting, ledger.get(waiting.job_id), error)
    expect_heading(page, "Failed")
    expect(page.get_by_text(error.detail).first).to_be_visible()
    expect(page.get_by_role("link", name="Edit and rerun")).to_be_hidden()
    page.goto("/gallery")
    page.get_by_role("button", name="Failed").click()
    card = page.locator(f'[data-id="{waiting.job_id}"]')
    assert is_loaded(card.locator("img"))
    card.get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(error.detail)
    expect(page.get_by_role("dialog").get_by_role("link", name="Edit and rerun")).to_have_count(0)


def test_a_job_that_is_canceled_before_its_images_are_fetched_cannot_be_repeated(page: Page, waiting: Fetch) -> None:
    page.goto(f"/?job={waiting.job_id}")
    expect_heading(page, "Fetching the images")
    confirm(page.get_by_role("button", name="cancel"))
    expect_heading(page, "Canceled")
    expect(page.get_by_role("link", name="New image")).to_be_visible()
    expect(page.get_by_role("link", name="Edit and rerun")).to_be_hidden()
    page.goto("/gallery")
    page.get_by_role("button", name="Canceled").click()
    card = page.locator(f'[data-id="{waiting.job_id}"]')
    assert is_loaded(card.locator("img"))
    card.get_by_role("button").first.click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_contain_text("Canceled")
    expect(page.get_by_role("dialog").get_by_role("link", name="Edit and rerun")).to_have_count(0)


def finish_fetch(stack: BrowserStack, fetch: Fetch) -> None:
    """Give the job the images of another one, as a fetcher that has stored them does."""
    ledger = stack.services.ledger
    stored = ledger.get(stack.submit()).request
    ledger.request_control(stored.id, "cancel")
    images = {"content": stored.content, "styles": stored.styles, "width": 64, "height": 48}
    request = ledger.get(fetch.job_id).request.model_copy(update={"sources": None, **images})
    stack.services.fetches.complete(fetch, request)


def is_loaded(image: Locator) -> bool:
    return bool(image.evaluate("image => image.decode().then(() => image.naturalWidth > 0)"))
