"""The API reference: each operation can be tried there."""

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.actions import KEY, PHOTO, STYLE, png_file, sign_in
from browser.conftest import BrowserStack, NewPage
from easel.models import JobState

pytestmark = pytest.mark.usefixtures("finished")


def test_a_job_is_submitted_read_and_refused_from_the_reference(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(allow_console_errors=True)
    form = open_operation(page, "submit")
    form.get_by_label("content", exact=True).set_input_files(png_file("photo.png", PHOTO))
    form.get_by_label("style", exact=True).set_input_files(png_file("style.png", STYLE))
    form.get_by_label("recipe").fill('{"preset": "fast", "size": 64}')
    expect(form.get_by_text("curl -X POST")).to_contain_text(
        "-F 'content=@photo.png' -F 'style=@style.png' -F 'recipe="
    )
    job = send(form, 202)
    assert stack.services.ledger.list(limit=1)[0].id in job
    form = open_operation(page, "list_jobs")
    form.get_by_label("limit").fill("1")
    assert stack.services.ledger.list(limit=1)[0].id in send(form, 200)
    form = open_operation(page, "get_job")
    form.get_by_label("job_id").fill("nonsense")
    assert "invalid_job_id" in send(form, 404)


def test_an_image_of_a_response_is_shown(page: Page, finished: str) -> None:
    form = open_operation(page, "get_content")
    form.get_by_label("job_id").fill(finished)
    form.get_by_label("longest").fill("64")
    expect(form.get_by_text("curl '")).to_contain_text(f"/v1/jobs/{finished}/content?longest=64'")
    form.get_by_role("button", name="Send").click()
    image = form.get_by_alt_text("The image of the response")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64


def test_the_curl_command_can_be_run_as_it_is(new_page: NewPage, protected_url: str) -> None:
    page = new_page(allow_console_errors=True)
    page.goto(f"{protected_url}/docs#list_jobs")
    form = page.locator("#list_jobs")
    form.get_by_label("metadata").fill("order=67 35")
    header = '-H "Authorization: Bearer $EASEL_API_KEY"'
    expect(form.get_by_text("curl '")).to_have_text(
        f"curl '{protected_url}/v1/jobs?metadata%5Border%5D=67+35' {header}"
    )
    page.goto(f"{protected_url}/docs#get_job")
    expect(page.locator("#get_job").get_by_text("curl '")).to_contain_text("/v1/jobs/{job_id}' -H")


def test_a_failed_load_and_an_unreadable_response_can_be_repeated(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    page.route("**/openapi.json", lambda route: route.fulfill(status=503, json={"detail": "Not now."}), times=1)
    form = open_operation(page, "list_jobs")
    expect(form.get_by_role("alert")).to_contain_text("Not now.")
    form.get_by_role("button", name="Try again").click()
    page.route("**/v1/jobs", lambda route: route.fulfill(content_type="application/json", body="{"), times=1)
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_role("status")).to_contain_text("JSON")
    send(form, 200)


def test_a_key_is_asked_for_at_the_first_request(new_page: NewPage, protected_url: str) -> None:
    page = new_page(allow_console_errors=True)
    page.goto(f"{protected_url}/docs#list_jobs")
    form = page.locator("#list_jobs")
    form.get_by_role("button", name="Send").click()
    sign_in(page, KEY)
    expect(form.get_by_role("status")).to_contain_text("200")
    expect(form.get_by_role("status")).to_contain_text(JobState.SUCCEEDED)


def open_operation(page: Page, name: str) -> Locator:
    page.goto(f"/docs#{name}")
    return page.locator(f"#{name}")


def send(operation: Locator, status: int) -> str:
    """Send the form, and return the response's body."""
    operation.get_by_role("button", name="Send").click()
    response = operation.get_by_role("status")
    expect(response).to_contain_text(str(status))
    return response.text_content() or ""
