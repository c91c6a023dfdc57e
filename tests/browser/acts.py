"""What a visitor does on the pages."""

from typing import Any

from fixtures_worker import picture
from playwright.sync_api import FilePayload, Locator, Page, expect

from shared.images import canonical

PHOTO, PAINTING, OTHER = (canonical(picture(seed)) for seed in (1, 2, 3))
SOON = 15_000  # milliseconds that a busy machine may take for what is done in an instant


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


def heading(page: Page) -> Locator:
    return page.get_by_role("heading", level=1)


def sees(page: Page, title: str) -> None:
    expect(heading(page)).to_have_text(title, timeout=SOON)


def painting_hangs(page: Page) -> None:
    """A painting is shown, loaded, over the photo."""
    layer = page.locator(".frame .layer").last
    expect(layer).to_be_visible(timeout=SOON)
    assert layer.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def steps_of_curve(page: Page) -> list[float]:
    """Where the points of the curve of the total lie from left to right."""
    points = page.locator("polyline.total").get_attribute("points") or ""
    return [float(point.split(",")[0]) for point in points.split()]
