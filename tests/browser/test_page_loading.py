"""What pages load: few bytes, from this host only, without inline code, and also over a slow connection."""

from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect
from support.requirements import ROOT

from browser.actions import expect_heading, submit
from browser.conftest import BrowserStack, NewPage

WEB = ROOT / "api" / "web"
PAGES = ("/", "/queue", "/gallery")
MAX_BYTES = 100_000
"""HTML, scripts and styles of one page, uncompressed; and those of all pages together, compressed."""
MAX_PICTURE_BYTES = 70_000
"""Of one picture, all of which are loaded when they come into view."""


@pytest.mark.parametrize("path", [*PAGES, "/?job={}", "/gallery?batch={batch[id]}"])
def test_a_page_is_small_and_loads_nothing_from_other_hosts(
    new_page: NewPage, stack: BrowserStack, finished: str, batch: dict[str, Any], path: str
) -> None:
    page = new_page(allow_console_errors=True)  # the contact sheet is not made yet
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.format(finished, batch=batch))
    expect(page.locator("#presets input, .result, #workers li, #results li").first).to_be_attached()
    assert all(url.startswith(stack.url) for url in requested)
    assets = {url for url in requested if "/v1/" not in url and not url.endswith(".webp")}
    assert len(assets) > 5
    assert page.locator("img[src$='.webp']:not([loading=lazy])").count() == 0
    assert sum(len(httpx2.get(url).content) for url in assets) < MAX_BYTES


def test_the_api_reference_is_sent_compressed(stack: BrowserStack) -> None:
    for path in ("/docs", "/openapi.json"):
        response = httpx2.get(stack.url + path)
        assert response.headers["Content-Encoding"] == "gzip"
        assert int(response.headers["Content-Length"]) < MAX_BYTES / 2


def test_all_assets_together_are_small_when_compressed(stack: BrowserStack) -> None:
    files = [path for path in WEB.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < MAX_PICTURE_BYTES
    paths = [path.relative_to(WEB).as_posix() for path in files if path.suffix != ".webp"]
    assert len(paths) > 20
    responses = [httpx2.get(f"{stack.url}/assets/{path}") for path in paths]
    assert all(response.headers["Content-Encoding"] == "gzip" for response in responses)
    assert sum(int(response.headers["Content-Length"]) for response in responses) < MAX_BYTES


@pytest.mark.parametrize("path", PAGES)
def test_the_content_security_policy_forbids_inline_code(stack: BrowserStack, path: str) -> None:
    policy = httpx2.get(stack.url + path).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_an_unknown_url_shows_a_page_that_leads_home(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)  # the browser logs the status
    response = page.goto("/nothing")
    assert response is not None
    assert response.status == 404
    expect_heading(page, "Page not found")
    page.get_by_role("link", name="Go to the studio").click()
    expect_heading(page, "Turn a photo into art")


@pytest.mark.usefixtures("stack_with_worker")
def test_the_studio_works_on_a_slow_connection(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 200, "downloadThroughput": 100_000, "uploadThroughput": 40_000},
    )
    submit(page)
    expect_heading(page, "Finished")
