"""Masks: painted by hand, or chosen as files."""

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Locator, Page, expect
from support.image_files import encode

from browser.actions import OTHER_STYLE, STYLE, compose, create, png_file
from browser.conftest import BrowserStack, NewPage
from shared.storage import keys

pytestmark = pytest.mark.usefixtures("stack_with_worker")
Points = list[tuple[float, float]]
"""Shares of the photo's width and height."""
LEFT_EDGE: Points = [(0.1, -0.1), (0.1, 1.1)]


def test_a_mask_painted_by_hand_is_sent(page: Page, stack: BrowserStack) -> None:
    compose_with_section(page)
    dialog = open_painter(page)
    dialog.get_by_label("Brush size").fill("20")
    drag(page, LEFT_EDGE)
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("img", name="Mask over the photo")).to_be_visible()
    [mask] = stored_masks(stack, create(page))
    assert mask.shape == (72, 96)
    assert mask[36, 10] == 255
    assert mask[36, 40] == 0


def test_a_finger_paints_too(new_page: NewPage, stack: BrowserStack) -> None:
    page = new_page(has_touch=True, viewport={"width": 390, "height": 800})
    compose_with_section(page)
    dialog = open_painter(page)
    session = page.context.new_cdp_session(page)
    start, *others = positions(
        page, [(0.1, top / 10) for top in range(8, 1, -1)]
    )  # upward, which could scroll the page
    for kind, points in (("Start", [start]), *(("Move", [point]) for point in others), ("End", [])):
        touches = [{"x": x, "y": y} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": touches})
    dialog.get_by_role("button", name="Done").click()
    [mask] = stored_masks(stack, create(page))
    assert (mask[20, 10], mask[50, 10], mask[36, 40]) == (255, 255, 0)


def test_the_eraser_removes_paint_and_clear_removes_all(page: Page, stack: BrowserStack) -> None:
    compose_with_section(page)
    dialog = open_painter(page)
    drag(page, LEFT_EDGE)
    dialog.get_by_role("button", name="Clear").click()
    drag(page, [(0.5, 0.5), (0.9, 0.5)])
    dialog.get_by_role("button", name="Erase").click()
    drag(page, [(0.5, 0.5), (0.6, 0.5)])
    dialog.get_by_role("button", name="Done").click()
    [mask] = stored_masks(stack, create(page))
    assert (mask[36, 10], mask[36, 55], mask[36, 80]) == (0, 0, 255)


def test_strokes_are_undone_one_by_one(page: Page) -> None:
    compose_with_section(page)
    dialog = open_painter(page)
    undo = dialog.get_by_role("button", name="Undo")
    expect(undo).to_be_disabled()
    drag(page, LEFT_EDGE)
    once = painted_share(page)
    drag(page, [(0.5, 0.5), (0.9, 0.5)])
    assert painted_share(page) > once
    dialog.get_by_role("button", name="Clear").click()
    assert painted_share(page) == 0
    undo.click()
    page.keyboard.press("Control+z")
    assert painted_share(page) == once
    undo.click()
    assert painted_share(page) == 0
    expect(undo).to_be_disabled()


def test_each_region_has_its_own_color(page: Page) -> None:
    compose_with_section(page, styles=(STYLE, OTHER_STYLE))
    for number in (1, 2):
        mask_input(page, number).set_input_files(png_file("all.png", encode(Image.new("L", (96, 72), 255), "PNG")))
    overlays = page.get_by_role("img", name="Mask over the photo")
    expect(overlays).to_have_count(2)
    page.wait_for_function("[...document.querySelectorAll('#masks canvas')].every((canvas) => canvas.width > 300)")
    first, second = (overlays.nth(number).evaluate(MIDDLE_COLOR) for number in (0, 1))
    assert first != second


MIDDLE_COLOR = (
    """(canvas) => [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].join()"""
)


def test_a_part_of_one_of_two_styles_is_painted(page: Page, stack: BrowserStack) -> None:
    compose_with_section(page, styles=(STYLE, OTHER_STYLE))
    page.get_by_role("button", name="Paint the part of style 2").click()
    dialog = page.get_by_role("dialog", name="Part of style 2")
    dialog.get_by_label("Brush size").fill("40")
    drag(page, [(0.2, 0), (0.2, 1)])
    dialog.get_by_role("button", name="Done").click()
    expect(page.get_by_role("button", name="Edit the part of style 2")).to_be_visible()
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")
    request = stack.services.ledger.get(create(page)).request
    whole, part = (Image.open(io.BytesIO(stack.services.blobs.get(keys.input_image(name)))) for name in request.styles)
    assert whole.mode == "RGB"
    assert part.mode == "RGBA"
    alpha = np.asarray(part)[..., 3]
    assert (alpha[36, 10], alpha[36, 85]) == (255, 0)


def test_a_mask_can_be_edited_again_canceled_and_removed(page: Page) -> None:
    compose_with_section(page)
    painted = page.get_by_role("img", name="Mask over the photo")
    open_painter(page).get_by_role("button", name="Done").click()
    expect(painted).to_have_count(0)  # nothing was painted
    dialog = open_painter(page)
    drag(page, LEFT_EDGE)
    dialog.get_by_role("button", name="Done").click()
    expect(painted).to_be_visible()
    dialog = open_painter(page)
    assert painted_share(page) > 0
    dialog.get_by_role("button", name="Clear").click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(painted).to_be_visible()
    page.get_by_role("button", name="Remove mask of style 1").click()
    expect(painted).to_have_count(0)
    expect(mask_input(page, 1)).to_be_focused()


def test_each_style_needs_its_mask(page: Page, stack: BrowserStack) -> None:
    compose_with_section(page, styles=(STYLE, OTHER_STYLE))
    shares = page.get_by_role("slider", name=re.compile("Share of style"))
    mask_input(page, 1).set_input_files(png_file("left.png", half("left")))
    expect(shares.first).to_be_visible()
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#content_mask-error")).to_have_text(re.compile("^Style 2: Paint or choose"))
    expect(mask_input(page, 2)).to_be_focused()
    mask_input(page, 2).set_input_files(png_file("right.png", half("right")))
    expect(page.locator("#content_mask-error")).to_be_hidden()
    expect(shares.first).to_be_hidden()  # masks replace them
    masks = stored_masks(stack, create(page))
    assert [int(mask[36, 10]) for mask in masks] == [255, 0]


def test_a_mask_stays_with_its_style(page: Page, stack: BrowserStack) -> None:
    compose_with_section(page, styles=(STYLE, OTHER_STYLE))
    mask_input(page, 2).set_input_files(png_file("right.png", half("right")))
    page.get_by_role("button", name="Remove style 1").click()
    expect(page.get_by_role("button", name="Edit the mask of style 1")).to_be_visible()
    [mask] = stored_masks(stack, create(page))
    assert (mask[36, 10], mask[36, 80]) == (0, 255)


def test_one_label_image_stands_for_the_masks_of_all_styles(page: Page, stack: BrowserStack) -> None:
    compose_with_section(page, styles=(STYLE, OTHER_STYLE))
    label_image = page.get_by_label("Label image: ")
    label_image.set_input_files(png_file("labels.png", half("left")))
    expect(page.get_by_alt_text("Label image over the photo")).to_be_visible()
    expect(page.locator("#masks li")).to_have_count(0)
    masks = stored_masks(stack, create(page))
    assert [int(mask[36, 10]) for mask in masks] == [0, 255]  # from dark to bright


def test_an_error_of_a_mask_is_shown_beside_it(new_page: NewPage) -> None:
    page = new_page(allow_console_errors=True)
    compose_with_section(page, styles=(STYLE, OTHER_STYLE))
    mask_input(page, 1).set_input_files(png_file("left.png", half("left")))
    mask_input(page, 2).set_input_files(png_file("square.png", encode(Image.new("L", (64, 64), 255), "PNG")))
    error = page.locator("#content_mask-error")
    expect(error).to_have_text(re.compile("^Style 2: .*same shape"))
    expect(mask_input(page, 2)).to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Remove mask of style 2").click()
    expect(error).to_be_hidden()
    mask_input(page, 2).set_input_files(png_file("black.png", encode(Image.new("L", (96, 72)), "PNG")))
    expect(error).to_have_text(re.compile("^Style 2: The mask is black everywhere"))


def test_a_photo_without_a_preview_takes_masks_as_files_only(page: Page) -> None:
    compose_with_section(page, photo=encode(Image.new("RGB", (96, 72)), "TIFF"))
    page.get_by_role("button", name="Paint the mask of style 1").click()
    expect(page.locator("#content_mask-error")).to_contain_text("be painted. Choose one.")
    mask_input(page, 1).set_input_files(png_file("left.png", half("left")))
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")


def test_the_section_is_loaded_when_it_is_opened(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("radio", name="Fast")).to_be_attached()
    assert page.evaluate(LOADED_PAINTER) == 0
    page.get_by_text("Masks and start image").click()
    expect(page.get_by_text("Add a photo and a style image first.")).to_be_visible()
    assert page.evaluate(LOADED_PAINTER) == 1


LOADED_PAINTER = "performance.getEntriesByType('resource').filter(({name}) => name.endsWith('mask-painter.js')).length"


def compose_with_section(page: Page, **images: object) -> None:
    compose(page, **images)
    page.get_by_text("Masks and start image").click()
    expect(mask_input(page, 1)).to_be_attached()


def mask_input(page: Page, number: int) -> Locator:
    return page.get_by_label(f"Mask of style {number}: ")


def open_painter(page: Page) -> Locator:
    page.get_by_role("button", name=re.compile("(Paint|Edit) the mask of style 1")).click()
    dialog = page.get_by_role("dialog", name="Mask of style 1")
    expect(dialog).to_be_visible()
    return dialog


def drag(page: Page, points: Points) -> None:
    first, *others = positions(page, points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in others:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def positions(page: Page, points: Points) -> list[tuple[float, float]]:
    """Return the points in the window, those beside the photo moved to its edge."""
    box = page.locator("dialog canvas").bounding_box()
    assert box is not None
    x, y = (lambda share: box["x"] + share * box["width"]), (lambda share: box["y"] + share * box["height"])
    return [(x(min(max(0.005, left), 0.995)), y(min(max(0.005, top), 0.995))) for left, top in points]


def painted_share(page: Page) -> float:
    share: float = page.locator("dialog canvas").evaluate(
        """(canvas) => {
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, index) => index % 4 === 3 && value).length / (data.length / 4);
        }"""
    )
    return share


def half(side: str) -> bytes:
    """Return a mask that is white on one side."""
    image = Image.new("L", (96, 72))
    ImageDraw.Draw(image).rectangle((0, 0, 47, 71) if side == "left" else (48, 0, 95, 71), fill=255)
    return encode(image, "PNG")


def stored_masks(stack: BrowserStack, job_id: str) -> list[np.ndarray]:
    """Return the masks of a job as (height, width) uint8."""
    names = stack.services.ledger.get(job_id).request.content_masks
    files = [stack.services.blobs.get(keys.input_image(name)) for name in names]
    return [np.asarray(Image.open(io.BytesIO(file)).convert("L")) for file in files]
