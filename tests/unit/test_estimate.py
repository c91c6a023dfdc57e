"""Predicted costs: which size a worker's memory allows."""

from hypothesis import given
from hypothesis import strategies as st

from shared.estimate import fitting_size, quote
from shared.recipe import resolve

SIDES = st.integers(32, 5000)


@given(asked=st.integers(64, 4096), width=SIDES, height=SIDES, memory=st.integers(2**29, 2**37))
def test_the_fitting_size_is_the_largest_whose_peak_fits(asked: int, width: int, height: int, memory: int) -> None:
    recipe = resolve({"size": asked})

    def fits(size: int) -> bool:
        smaller = recipe.model_copy(update={"size": size})
        return quote(smaller, width, height, None).peak_memory_bytes <= memory

    assert fitting_size(recipe, width, height, memory) == next(filter(fits, range(asked // 8 * 8, 63, -8)), None)
