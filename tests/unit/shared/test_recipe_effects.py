"""Options that cannot have an effect are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRecipe
from shared.presets import PRESETS, resolve
from shared.recipe import Recipe


@pytest.mark.parametrize(
    ("fields", "fix"),
    [
        ({"preset": "patches", "style_loss": "wasserstein"}, "raise steps"),
        ({"preset": "patches", "style_weight": 30}, "raise steps"),
        ({"preset": "patches", "match_weight": 2}, "raise steps"),
        ({"preset": "patches", "averaging": 0.9}, "raise steps"),
        ({"preset": "patches", "style_layers": {"relu3_1": 1}}, "raise steps"),
        ({"preset": "patches", "optimizer": {"kind": "adam"}}, "raise steps"),
        ({"preset": "patches", "optimizer": {"kind": "lbfgs", "history": 5}}, "raise steps"),
        ({"steps": 0, "pooling": "average"}, "raise steps"),
        ({"color_strength": 0.5}, "set color to content or match"),
        ({"preset": "tutorial", "chroma_variation": 4}, "set normalize to true"),
        ({"preset": "fast", "save_every": 500}, "lower it"),
        ({"style_layers": {}, "style_weight": 30}, "name a layer"),
        ({"style_layers": {}, "style_loss": "wasserstein"}, "name a layer"),
        ({"content_layers": {}, "content_weight": 5}, "name a layer"),
    ],
)
def test_a_value_without_effect_is_refused_with_the_field_and_the_fix(fields: dict[str, Any], fix: str) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve(fields)
    (error,) = caught.value.extra["errors"]
    assert error["field"] == list(fields)[-1]
    assert fix in error["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"content_weight": 0, "style_layers": {}},
        {"content_weight": 0, "style_layers": {"relu1_1": 0}},
        {"content_layers": {}, "style_weight": 0},
    ],
)
def test_a_recipe_without_a_content_or_a_style_loss_is_refused_with_the_fields_that_leave_none(
    fields: dict[str, Any],
) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve(fields)
    assert {error["field"] for error in caught.value.extra["errors"]} == set(fields)
    resolve({**fields, "match_weight": 0, "style_weight": 1, "style_layers": {"relu1_1": 1}})


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "patches", "style_scale": 2, "color": "content", "color_strength": 0.5, "seed": 3},
        {"preset": "patches", "steps": 5, "style_loss": "wasserstein"},
        {"preset": "tutorial", "seed": 3},
        {"color_strength": 1},
        {"style_weight": 0},
        {"style_layers": {}},
        {"content_layers": {}},
        {"content_weight": 0, "style_weight": 0, "match_weight": 1},
    ],
)
def test_a_value_that_has_an_effect_or_is_the_presets_is_accepted(fields: dict[str, Any]) -> None:
    resolve(fields)


@given(preset=st.sampled_from(sorted(PRESETS)), size=st.integers(64, 4096))
def test_a_complete_recipe_is_accepted_again(preset: str, size: int) -> None:
    recipe = resolve({"preset": preset, "size": size})
    assert resolve(recipe.model_dump(mode="json")) == recipe
    assert resolve({**PRESETS[preset].model_dump(mode="json"), "size": size}).size == size


def test_a_stored_recipe_is_read_whatever_has_an_effect() -> None:
    stored = {**PRESETS["patches"].model_dump(mode="json"), "style_loss": "wasserstein"}
    assert Recipe.model_validate(stored).style_loss == "wasserstein"
