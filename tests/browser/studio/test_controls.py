"""The artist's controls, and the rows of inputs under "Advanced"."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from browser.actions import compose, create, open_advanced
from browser.conftest import BrowserStack

pytestmark = pytest.mark.usefixtures("stack_with_worker")
SLIDERS = {"Style strength": "style_weight", "Stroke size": "style_scale"}


@pytest.mark.parametrize("label", SLIDERS)
def test_each_key_press_moves_a_slider_and_the_opposite_key_undoes_it(page: Page, label: str) -> None:
    slider, field = open_slider(page, label, "Default")
    preset_value = value_of(field)
    for key, opposite in (("ArrowRight", "ArrowLeft"), ("ArrowLeft", "ArrowRight")):
        values = [preset_value, *(press(slider, key, field) for _ in range(50))]
        distance = len(set(values)) - 1
        assert values[distance:] == values[distance:][:1] * (51 - distance)  # it stops moving only at a limit
        assert [press(slider, opposite, field) for _ in range(distance)] == values[:distance][::-1]


@pytest.mark.parametrize(
    ("preset", "label", "limits"),
    [
        ("Default", "Style strength", (2.5, 160)),
        ("Tutorial", "Style strength", (0.00125, 0.08)),
        ("Default", "Stroke size", (0.25, 4)),
    ],
)
def test_a_slider_goes_from_an_eighth_to_eight_times_the_preset_within_the_limits(
    page: Page, preset: str, label: str, limits: tuple[float, float]
) -> None:
    slider, field = open_slider(page, label, preset)
    assert (press(slider, "Home", field), press(slider, "End", field)) == limits


def test_a_slider_returns_to_a_typed_value_and_says_how_far_it_is_from_the_preset(page: Page) -> None:
    slider, field = open_slider(page, "Style strength", "Default")
    expect(slider).to_have_attribute("aria-valuetext", "as the preset")
    field.fill("41.5")
    expect(slider).to_have_attribute("aria-valuetext", "\u00d72.1")
    assert [press(slider, key, field) for key in ("ArrowRight", "ArrowLeft", "ArrowLeft")] == [42, 41.5, 41]
    page.get_by_role("radio", name="Fast").check()
    expect(slider).to_have_attribute("aria-valuetext", "as the preset")


def test_the_style_has_no_strength_without_evaluations(page: Page) -> None:
    slider, field = open_slider(page, "Style strength", "Patches")
    expect(slider).to_be_disabled()
    page.get_by_role("radio", name="Default").check()
    expect(slider).to_be_enabled()
    assert value_of(field) == 20


def test_each_color_is_explained_and_sent(page: Page, stack: BrowserStack) -> None:
    compose(page)
    colors = page.get_by_role("group", name="Colors")
    expect(colors).to_have_accessible_description("The picture takes the colors of the painting.")
    for name, text in (
        (re.compile("The photo.s"), "The photo keeps its colors"),
        (re.compile("Matched"), "shifted to those of the photo"),
    ):
        colors.get_by_role("radio", name=name).check()
        expect(colors).to_have_accessible_description(re.compile(text))
    assert stack.services.ledger.get(create(page)).request.recipe.color == "match"


def test_the_colors_of_the_painting_are_sent_without_a_strength(
    page: Page, stack_with_worker: BrowserStack, stack: BrowserStack
) -> None:
    rerun = stack_with_worker.submit(color="content", color_strength=0.5)
    page.goto(f"/?rerun={rerun}")
    expect(page.locator('[name="color_strength"]')).to_have_value("0.5")
    page.get_by_role("radio", name=re.compile("The painting.s")).check()
    recipe = stack.services.ledger.get(create(page)).request.recipe
    assert (recipe.color, recipe.color_strength) == ("style", 1)


def test_another_preset_changes_the_style_and_keeps_the_chosen_size_and_colors(page: Page) -> None:
    page.goto("/")
    open_advanced(page)
    large = page.get_by_role("group", name="Size").get_by_role("radio", name="Large")
    photos_colors = page.get_by_role("radio", name=re.compile("The photo.s"))
    strength = page.locator('[name="style_weight"]')
    page.get_by_role("radio", name="Fast").check()
    expect(large).not_to_be_checked()
    large.check()
    photos_colors.check()
    strength.fill("3")
    page.get_by_role("radio", name="Strong").check()
    expect(strength).not_to_have_value("3")
    expect(large).to_be_checked()
    expect(photos_colors).to_be_checked()
    expect(page.locator('[name="size"]')).to_have_value("768")


def test_sizes_have_their_pixels_and_times_and_fill_the_field(page: Page) -> None:
    compose(page)
    sizes = page.get_by_role("group", name="Size")
    for name, pixels in (("Small", 256), ("Medium", 384), ("Large", 768), ("Print", 2400)):
        expect(sizes.get_by_role("radio", name=name)).to_have_accessible_name(
            re.compile(rf"^{name}\s*{pixels:,} px\s*about \d+")
        )
    large = sizes.get_by_role("radio", name="Large")
    large.check()
    expect(page.locator('[name="size"]')).to_have_value("768")
    page.locator('[name="size"]').fill("700")
    expect(large).not_to_be_checked()
    page.locator('[name="size"]').fill("384")
    expect(sizes.get_by_role("radio", name="Medium")).to_be_checked()
    page.get_by_role("button", name="Remove style 1").click()
    expect(large).to_have_accessible_name(re.compile(r"768 px$"))


def test_a_size_that_fits_no_worker_says_so(page: Page) -> None:
    def answer(sizes: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
        return {**sizes, "print": {**sizes["print"], "fits": False}}

    page.route(
        "**/v1/jobs?dry_run=true",
        lambda route: route.fulfill(json=(quote := route.fetch().json()) | {"sizes": answer(quote["sizes"])}),
    )
    compose(page)
    expect(page.get_by_role("radio", name="Print")).to_have_accessible_name(re.compile("too large for the workers"))


def test_the_tier_is_chosen_estimated_sent_and_loaded_again(page: Page, stack: BrowserStack) -> None:
    compose(page)
    when = page.get_by_role("group", name="When")
    expect(when.get_by_role("radio", name="Standard")).to_be_checked()
    expect(when).to_have_accessible_description("It waits its turn.")
    expect(page.get_by_label("Estimate")).to_contain_text("Estimate: about")
    with page.expect_response("**/v1/jobs?dry_run=true") as response:
        when.get_by_role("radio", name="When machines are free").check()
    assert response.value.json()["tier"] == "batch"
    expect(when).to_have_accessible_description(re.compile("when nothing else waits"))
    job = create(page)
    assert stack.services.ledger.get(job).request.tier == "batch"
    page.goto(f"/?rerun={job}")
    expect(page.get_by_role("radio", name="When machines are free")).to_be_checked()


@pytest.mark.parametrize("tiers", [[], [{"name": "standard", "default": True}]])
def test_without_several_tiers_there_is_no_choice(
    page: Page, stack: BrowserStack, tiers: list[dict[str, object]]
) -> None:
    page.route("**/v1/queue", lambda route: route.fulfill(json={"tiers": tiers}))
    compose(page)
    expect(page.get_by_role("group", name="Size")).to_be_visible()
    expect(page.get_by_role("group", name="When")).to_have_count(0)
    assert stack.services.ledger.get(create(page)).request.tier == "standard"


def test_every_control_has_pictures(page: Page) -> None:
    page.goto("/")
    pictures = page.locator(".control img")
    expect(pictures).to_have_count(9)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 168


def test_layers_and_stages_are_rows_of_inputs(page: Page, stack: BrowserStack) -> None:
    compose(page, size=128, stages=[{"scale": 0.5, "share": 0.75}, {"scale": 1, "share": 0.25}])
    layers = page.get_by_role("group", name="Style layers")
    layers.get_by_role("button", name="Remove row 5").click()
    layers.get_by_role("button", name="Add a row").click()
    expect(layers.get_by_label("Style layers, name 5")).to_be_focused()
    layers.get_by_label("Style layers, name 5").select_option("block5_conv4")
    layers.get_by_label("Style layers, value 5").fill("0.75")
    assert layers.get_by_label("Style layers, name 1").locator("[value=block5_conv4]").is_disabled()
    assert layers.get_by_label("Style layers, name 1").locator("[value=block5_conv1]").is_enabled()
    stages = page.get_by_role("group", name="Stages")
    stages.get_by_role("button", name="Add a row").click()
    stages.get_by_role("button", name="Remove row 3").click()
    recipe = stack.services.ledger.get(create(page)).request.recipe
    assert [(stage.scale, stage.share) for stage in recipe.stages] == [(0.5, 0.75), (1, 0.25)]
    assert recipe.style_layers["block5_conv4"] == 0.75
    assert "block5_conv1" not in recipe.style_layers


def test_a_list_has_no_fewer_and_no_more_rows_than_allowed(page: Page) -> None:
    compose(page)
    stages = page.get_by_role("group", name="Stages")
    expect(stages.get_by_role("button", name="Remove row 1")).to_be_disabled()
    for _ in range(5):
        stages.get_by_role("button", name="Add a row").click()
    expect(stages.get_by_role("button", name="Add a row")).to_be_disabled()
    expect(page.locator("textarea")).to_have_count(0)


def open_slider(page: Page, label: str, preset: str) -> tuple[Locator, Locator]:
    """Return a slider and the field of its parameter."""
    page.goto("/")
    page.get_by_role("radio", name=preset).check()
    open_advanced(page)
    return page.get_by_role("slider", name=label), page.locator(f'[name="{SLIDERS[label]}"]')


def press(slider: Locator, key: str, field: Locator) -> float:
    slider.press(key)
    return value_of(field)


def value_of(field: Locator) -> float:
    return float(field.input_value())
