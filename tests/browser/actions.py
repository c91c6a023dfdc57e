"""What a user does on the pages, and what the tests look up there."""

from typing import Any

from playwright.sync_api import APIResponse, FilePayload, Locator, Page, Route, expect
from support.fixtures.worker import sample_image

from shared.imaging.encoding import encode_canonical_png

KEY = "a-key-of-the-service-0123456789"
PHOTO, STYLE, OTHER_STYLE = (encode_canonical_png(sample_image(seed)) for seed in (1, 2, 3))


def png_file(name: str, data: bytes = PHOTO) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def compose(page: Page, *, photo: bytes = PHOTO, styles: tuple[bytes, ...] = (STYLE,), **parameters: Any) -> None:
    """Open the studio, add the images, choose the preset `fast`, and set parameters by name."""
    page.goto("/")
    page.get_by_label("Photo: ").set_input_files(png_file("photo.png", photo))
    files = [png_file(f"{index}.png", style) for index, style in enumerate(styles)]
    page.get_by_label("Style image: ").set_input_files(files)
    page.get_by_role("radio", name="Fast").check()
    for name, value in {"size": 64, "steps": 20, **parameters}.items():
        if isinstance(value, list):
            fill_rows(page, name, value)
            continue
        field = page.locator(f'[name="{name}"]')
        if not field.is_visible():
            open_advanced(page)
        field.fill(str(value))


def open_advanced(page: Page) -> None:
    """Open the section with all parameters, unless it is open."""
    if not page.locator("#advanced[open]").count():
        page.get_by_text("Advanced", exact=True).click()


def fill_rows(page: Page, name: str, rows: list[dict[str, Any]]) -> None:
    """Replace the rows of a parameter such as `stages`, whose values are by column."""
    open_advanced(page)
    group = page.get_by_role("group", name=name.capitalize())
    for number, row in enumerate(rows, 1):
        if group.get_by_role("listitem").count() < number:
            group.get_by_role("button", name="Add a row").click()
        for column, value in row.items():
            group.get_by_role("spinbutton", name=f"{column} {number}").fill(str(value))


def submit(page: Page, **parameters: Any) -> str:
    """Compose and submit a job, and return its ID."""
    compose(page, **parameters)
    return create(page)


def confirm(button: Locator) -> None:
    """Click a button that asks first, and then confirm."""
    button.click()
    button.click()


def create(page: Page) -> str:
    """Submit the form, and return the new job's ID."""
    page.get_by_role("button", name="Create").click()
    page.wait_for_url("**/?job=*")
    return page.url.rpartition("=")[2]


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def expect_heading(page: Page, text: str) -> None:
    expect(heading(page)).to_have_text(text)


def expect_result_image(page: Page) -> None:
    """Expect a loaded image over the photo."""
    image = page.locator(".viewport .result").last
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def loss_curve_positions(page: Page) -> list[float]:
    """Return the x coordinates of the points of the total loss."""
    points = page.locator("polyline.total").get_attribute("points") or ""
    return [float(point.split(",")[0]) for point in points.split()]


def record_streams(page: Page) -> list[str]:
    """Return a list that grows by the URL of each event stream that the page opens."""
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url) if request.resource_type == "eventsource" else None)
    return urls


class HeldRequests(list[Route]):
    """Requests without a response. More may come until they are released."""

    released = False


def hold(page: Page, pattern: str, *, times: int | None = None) -> HeldRequests:
    """Hold back the responses to matching requests, at most `times`, until they are released."""
    held = HeldRequests()

    def append(route: Route) -> None:
        if held.released:
            route.continue_()
        else:
            held.append(route)

    page.route(pattern, append, times=times)
    return held


def release(page: Page, held: HeldRequests, *, response: APIResponse | None = None) -> None:
    """Respond to the held requests, with `response` or as the API does now; wait until the page has processed it."""
    while not held:  # the browser reports a request a moment after the page made it
        page.wait_for_timeout(10)
    held.released = True
    for route in held:
        with page.expect_response(lambda received, request=route.request: received.request == request):
            route.fulfill(response=response) if response else route.continue_()
    wait_for_next_frame(page)


def wait_for_next_frame(page: Page) -> None:
    """Wait until the page has processed the responses that it received."""
    page.evaluate("() => new Promise(requestAnimationFrame)")


def set_hidden(page: Page, *, hidden: bool) -> None:
    """Simulate that the tab goes to the background or comes back, which a headless browser has no way to do."""
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
