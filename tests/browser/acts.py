"""What a visitor does on the pages."""

from typing import Any

from playwright.sync_api import APIResponse, FilePayload, Locator, Page, Route, expect
from support.fixtures.worker import picture

from shared.images import canonical

KEY = "a-key-of-the-service-0123456789"
PHOTO, PAINTING, OTHER = (canonical(picture(seed)) for seed in (1, 2, 3))


def png(name: str, data: bytes = PHOTO) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def compose(page: Page, *, photo: bytes = PHOTO, styles: tuple[bytes, ...] = (PAINTING,), **knobs: Any) -> None:
    """Open the studio, give the pictures, choose `fast`, and set knobs by their names."""
    page.goto("/")
    page.get_by_label("Photo: ").set_input_files(png("photo.png", photo))
    page.get_by_label("Painting: ").set_input_files([png(f"{at}.png", style) for at, style in enumerate(styles)])
    page.get_by_role("radio", name="Fast").check()
    for name, value in {"size": 64, "steps": 20, **knobs}.items():
        knob = page.locator(f'[name="{name}"]')
        if not knob.is_visible():
            page.get_by_text("More", exact=True).click()
        knob.fill(str(value))


def submit(page: Page, **knobs: Any) -> str:
    """Compose and send; the new job's id."""
    compose(page, **knobs)
    page.get_by_role("button", name="Paint it").click()
    page.wait_for_url("**/?job=*")
    return page.url.rpartition("=")[2]


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Key").fill(key)
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def sees(page: Page, title: str) -> None:
    expect(heading(page)).to_have_text(title)


def painting_hangs(page: Page) -> None:
    """A painting is shown, loaded, over the photo."""
    layer = page.locator(".frame .layer").last
    expect(layer).to_be_visible()
    assert layer.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def steps_of_curve(page: Page) -> list[float]:
    """Where the points of the curve of the total lie from left to right."""
    points = page.locator("polyline.total").get_attribute("points") or ""
    return [float(point.split(",")[0]) for point in points.split()]


def streams_of(page: Page) -> list[str]:
    """Grows by each stream of events that the page asks for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.resource_type == "eventsource" else None)
    return asked


def hold(page: Page, pattern: str, *, times: int | None = None) -> list[Route]:
    """Grows by each request that the page makes and that stays without an answer until let_go(); by `times` at most."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(pattern, keep, times=times)
    return held


def let_go(page: Page, held: list[Route], *, answer: APIResponse | None = None) -> None:
    """Answer what was held, by `answer` or as the service does now, and wait until the page has done with it."""
    for route in held:
        with page.expect_response(lambda response, request=route.request: response.request == request):
            route.fulfill(response=answer) if answer else route.continue_()
    settle(page)


def settle(page: Page) -> None:
    """Wait until the page has done with the answers that came."""
    page.evaluate("() => new Promise(requestAnimationFrame)")


def turn(page: Page, *, hidden: bool) -> None:
    """Another tab comes before this one, or this one comes back: the browser without windows has no such thing."""
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
