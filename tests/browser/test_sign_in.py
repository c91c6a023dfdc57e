"""Pages ask for an API key if the service requires one."""

from playwright.sync_api import Page, expect

from browser.actions import KEY, confirm, heading, sign_in
from browser.conftest import BrowserStack, NewPage


def test_a_user_signs_in_cancels_a_job_and_signs_out(
    new_page: NewPage, protected_url: str, stack: BrowserStack
) -> None:
    job = stack.submit()
    page = new_page(allow_console_errors=True)
    page.goto(f"{protected_url}/?job={job}")
    sign_in(page, "another-key")
    expect(page.locator("#key-error")).not_to_be_empty()
    sign_in(page, KEY)
    expect(heading(page)).to_have_text("Waiting for a worker")
    assert page.get_by_alt_text("Original photo").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    confirm(page.get_by_role("button", name="cancel"))
    expect(heading(page)).to_have_text("Canceled")
    page.reload()
    expect(heading(page)).to_have_text("Canceled")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_failed_sign_out_shows_an_error(new_page: NewPage, protected_url: str, stack: BrowserStack) -> None:
    page, redis = new_page(allow_console_errors=True), stack.services.ledger._redis
    page.goto(f"{protected_url}/gallery")
    sign_in(page, KEY)
    redis.config_set("maxmemory", 1)  # refuses writes
    try:
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You are still signed in.")).to_be_visible()
    finally:
        redis.config_set("maxmemory", 0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()


def test_a_job_can_be_canceled_after_a_sign_in_in_another_tab(
    new_page: NewPage, protected_url: str, stack: BrowserStack
) -> None:
    job = stack.submit()
    page = new_page(allow_console_errors=True)
    page.goto(f"{protected_url}/?job={job}")
    sign_in(page, KEY)
    expect(heading(page)).to_have_text("Waiting for a worker")
    assert page.request.post(f"{protected_url}/v1/session", data={"key": KEY}).ok
    confirm(page.get_by_role("button", name="cancel"))
    expect(heading(page)).to_have_text("Canceled")


def test_no_sign_in_is_shown_without_required_keys(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
