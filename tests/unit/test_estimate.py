"""What a job will take: predictions against measurements, and the largest picture that fits."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.estimate import fitting_size, peak_memory
from shared.recipe import Recipe, resized, resolve

RECIPES = st.builds(
    lambda preset, size, **more: resolve({"preset": preset, "size": size, **more}),
    st.sampled_from(["default", "fast", "tutorial"]),
    st.integers(64, 4096),
    style_scale=st.floats(0.25, 4),
    bleed=st.integers(0, 31),
)
SIDES = st.integers(32, 8000)


# Mebibytes that a process took which painted as a worker does: checkpoints beside the loop, the history full.
MEASURED = [
    ({"preset": "tutorial", "size": 64}, (1024, 768), 1076),
    ({"preset": "tutorial", "size": 256}, (1024, 768), 1142),
    ({"preset": "tutorial", "size": 384}, (1024, 768), 1293),
    ({"preset": "tutorial", "size": 512}, (1024, 768), 1440),
    ({"preset": "tutorial", "size": 768}, (1024, 768), 1981),
    ({"preset": "tutorial", "size": 1024}, (1024, 768), 2591),
    ({"preset": "tutorial", "size": 768}, (1000, 1000), 2351),
    ({"preset": "tutorial", "size": 768}, (1024, 340), 1456),
    (
        {"preset": "tutorial", "size": 384, "style_scale": 3},
        (1024, 768),
        1780,
    ),  # the style takes more than the painting
    ({"preset": "tutorial", "size": 384}, (5600, 4200), 1437),  # scaling the upload takes more than the painting
    ({"preset": "default", "size": 256}, (1024, 768), 1522),
    ({"preset": "default", "size": 384}, (1024, 768), 1860),
    ({"preset": "default", "size": 512}, (1024, 768), 2115),
    ({"preset": "default", "size": 768}, (1024, 768), 3059),
    ({"preset": "default", "size": 1024, "optimizer": {"kind": "lbfgs", "history": 6}}, (1024, 768), 3336),
]


@pytest.mark.parametrize(("fields", "shape", "mebibytes"), MEASURED)
def test_the_predicted_peak_is_what_was_measured_or_up_to_a_quarter_more(
    fields: dict[str, Any], shape: tuple[int, int], mebibytes: int
) -> None:
    assert 1 <= peak_memory(resolve(fields), *shape) / (mebibytes * 2**20) <= 1.25


@settings(deadline=None)
@given(recipe=RECIPES, width=SIDES, height=SIDES, memory=st.integers(2**29, 2**37))
def test_the_size_that_fits_does_fit_and_the_next_one_up_does_not(
    recipe: Recipe, width: int, height: int, memory: int
) -> None:
    size = fitting_size(recipe, width, height, memory)
    following = 64 if size is None else size + 8
    if size is not None:
        assert size % 8 == 0
        assert peak_memory(resized(recipe, size), width, height) <= memory
    assert following > recipe.size or peak_memory(resized(recipe, following), width, height) > memory


@pytest.mark.parametrize("preset", ["default", "tutorial"])
def test_a_job_that_fits_keeps_its_size(preset: str) -> None:
    recipe = resolve({"preset": preset, "size": 512})
    assert fitting_size(recipe, 800, 600, peak_memory(recipe, 800, 600)) == 512
    assert fitting_size(recipe, 800, 600, peak_memory(recipe, 800, 600) - 1) == 504


def test_nothing_fits_where_not_even_tensorflow_does() -> None:
    assert fitting_size(resolve({}), 800, 600, 256 * 2**20) is None
