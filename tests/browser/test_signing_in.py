"""Where the service asks for keys, the pages ask the visitor for one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_api import Server
from playwright.sync_api import Page, expect
from pydantic import SecretStr

from browser.acts import heading
from browser.conftest import House, NewPage

KEY = "a-key-of-the-service-0123456789"


@pytest.fixture(scope="module")
def guarded(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API over the same queue that asks for a key."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    settings = house.settings.model_copy(update={"api_keys": (SecretStr(KEY),)})
    server = Server(settings, folder / "api.log")
    yield server.url
    server.stop()


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Key").fill(key)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


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
    page, redis = new_page(quiet=False), house.ports.ledger._redis
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


def test_a_copied_command_sends_the_key(new_page: NewPage, guarded: str, house: House, tmp_path: Path) -> None:
    job = house.submit(seed=11)
    page = new_page(quiet=False, permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"{guarded}/gallery")
    sign_in(page, KEY)
    page.get_by_role("button", name="All jobs").click()
    page.locator(f'[data-id="{job}"]').get_by_role("button").click()
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_text("Copied as curl.")).to_be_visible()
    command = page.evaluate("navigator.clipboard.readText()")
    environment = {**os.environ, "EASEL_API_KEY": KEY}
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    assert house.ports.ledger.list(limit=1)[0].request.recipe.seed == 11
    assert house.ports.ledger.list(limit=1)[0].id != job


def test_where_no_key_is_asked_for_nobody_signs_in(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
