"""Where the service asks for keys, the pages ask the visitor for one."""

from playwright.sync_api import Page, expect

from browser.acts import KEY, heading, sign_in
from browser.conftest import House, NewPage


def test_a_visitor_signs_in_steers_and_signs_out(new_page: NewPage, guarded: str, house: House) -> None:
    job = house.submit()
    page = new_page(quiet=False)
    page.goto(f"{guarded}/?job={job}")
    sign_in(page, "another-key")
    expect(page.locator("#key-error")).not_to_be_empty()
    sign_in(page, KEY)
    expect(heading(page)).to_have_text("Waiting for a worker")
    assert page.get_by_alt_text("The photo").evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.get_by_role("button", name="Cancel").click()
    expect(heading(page)).to_have_text("Canceled")
    page.reload()
    expect(heading(page)).to_have_text("Canceled")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_visible()


def test_who_could_not_be_signed_out_is_told_so(new_page: NewPage, guarded: str, house: House) -> None:
    page, redis = new_page(quiet=False), house.services.ledger._redis
    page.goto(f"{guarded}/gallery")
    sign_in(page, KEY)
    redis.config_set("maxmemory", 1)  # it takes no writes
    try:
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_text("You are still signed in.")).to_be_visible()
    finally:
        redis.config_set("maxmemory", 0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_visible()


def test_a_page_steers_after_another_tab_has_signed_in_anew(new_page: NewPage, guarded: str, house: House) -> None:
    job = house.submit()
    page = new_page(quiet=False)
    page.goto(f"{guarded}/?job={job}")
    sign_in(page, KEY)
    expect(heading(page)).to_have_text("Waiting for a worker")
    assert page.request.post(f"{guarded}/v1/session", data={"key": KEY}).ok
    page.get_by_role("button", name="Cancel").click()
    expect(heading(page)).to_have_text("Canceled")


def test_where_no_key_is_asked_for_nobody_signs_in(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
