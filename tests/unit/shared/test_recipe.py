"""Recipes: presets, overrides, and invalid fields."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRecipe
from shared.presets import PRESETS, adapted_to_weights, resolve, with_size
from shared.recipe import LBFGS, VGG19_LAYERS

STAGES = st.lists(
    st.fixed_dictionaries({"scale": st.floats(0.05, 1), "share": st.floats(0.01, 1)}), min_size=1, max_size=6
)


@given(size=st.integers(64, 4096), steps=st.integers(6, 20_000), stages=STAGES)
def test_the_schedule_spends_exactly_the_steps_with_at_least_one_per_stage(
    size: int, steps: int, stages: list[dict[str, float]]
) -> None:
    schedule = resolve({"size": size, "steps": steps, "stages": stages}).schedule()
    assert sum(evaluations for _, evaluations in schedule) == steps
    assert all(evaluations >= 1 and 64 <= longest <= size for longest, evaluations in schedule)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_resolves_to_itself(name: str) -> None:
    assert resolve({"preset": name}) == PRESETS[name]


def test_an_empty_recipe_is_the_default_preset() -> None:
    assert resolve({}) == PRESETS["default"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"preset": "nope"}, "preset"),
        ({"preset": 7}, "preset"),
        ({"sise": 512}, "sise"),
        ({"": 512}, ""),
        ({"size": 63}, "size"),
        ({"size": 4097}, "size"),
        ({"steps": -1}, "steps"),
        ({"steps": 0, "init": "noise"}, "steps"),
        ({"color": "photo"}, "color"),
        ({"color_strength": 1.1}, "color_strength"),
        ({"steps": "many"}, "steps"),
        ({"style_weight": float("nan")}, "style_weight"),
        ({"style_weight": float("inf")}, "style_weight"),
        ({"content_weight": -1}, "content_weight"),
        ({"style_layers": {"block6_conv1": 1}}, "style_layers"),
        ({"optimizer": {"kind": "sgd"}}, "optimizer"),
        ({"optimizer": {"kind": "adam", "momentum": 1}}, "optimizer.adam.momentum"),
        ({"stages": []}, "stages"),
        ({"style_mix": [0, 0]}, "style_mix"),
        ({"content_layers": {}, "style_layers": {}}, "style_layers"),
        ({"content_weight": 0, "style_weight": 0}, "style_weight"),
        ({"style_loss": "wasserstein", "normalize": False}, "style_loss"),
        ({"match_weight": 1, "style_layers": {"relu3_1": 1}}, "match_weight"),
        ({"steps": 1, "stages": [{"scale": 1, "share": 1}] * 2}, "stages"),
        ({"content_layers": {"relu6_1": 1}}, "content_layers"),
        ({"save_every": -1}, "save_every"),
        ({"save_every": 1, "steps": 100}, "save_every"),
        ({"content_layers": {"relu4_2": 1, "block4_conv2": 1}}, "content_layers"),
    ],
)
def test_an_invalid_recipe_is_rejected_with_the_name_of_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve(fields)
    assert field in [error["field"] for error in caught.value.extra["errors"]]


def test_layers_are_sorted_by_depth() -> None:
    layers = {"block3_conv1": 1.0, "block1_conv1": 2.0}
    assert list(resolve({"style_layers": layers}).style_layers) == ["block1_conv1", "block3_conv1"]
    assert len(VGG19_LAYERS) == 16


def test_layers_have_their_torch_names_too() -> None:
    assert resolve({"style_layers": {"relu4_1": 3}}).style_layers == {"block4_conv1": 3.0}


def test_without_steps_patch_matching_makes_the_result_at_the_recipes_size() -> None:
    recipe = resolve({"preset": "patches", "size": 320})
    assert recipe.schedule() == [(320, 0)]
    assert recipe.total_steps == len(recipe.patch_iterations()) - 1


@given(steps=st.integers(1, 20_000), every=st.integers(1, 20_000), init=st.sampled_from(["content", "patches"]))
def test_a_job_saves_at_most_a_hundred_images_and_the_error_names_the_least_interval(
    steps: int, every: int, init: str
) -> None:
    fields, every = {"steps": steps, "init": init}, min(every, steps)
    try:
        recipe = resolve({**fields, "save_every": every})
    except InvalidRecipe as error:
        least = int(re.findall(r"set it to (\d+) or more", error.detail)[0])
        recipe = resolve({**fields, "save_every": least})
        assert every < least
        with pytest.raises(InvalidRecipe):
            resolve({**fields, "save_every": least - 1})
    assert sum(map(recipe.saves, range(recipe.total_steps + 1))) <= 100


def test_no_iteration_is_saved_by_default_and_never_the_start_image() -> None:
    assert not any(map(resolve({"steps": 50}).saves, range(51)))
    assert [step for step in range(51) if resolve({"steps": 50, "save_every": 20}).saves(step)] == [20, 40]


def test_large_images_get_a_shorter_history_unless_the_client_sets_it() -> None:
    def pairs(**fields: Any) -> int:
        optimizer = resolve(fields).optimizer
        assert isinstance(optimizer, LBFGS)
        return optimizer.history

    assert (pairs(size=512), pairs(size=2048), pairs(size=4096)) == (20, 5, 3)
    assert pairs(size=4096, optimizer={"kind": "lbfgs", "history": 20}) == 20


@given(size=st.integers(64, 4096), other=st.integers(64, 4096), preset=st.sampled_from(sorted(PRESETS)))
def test_with_size_equals_resolving_with_that_size(size: int, other: int, preset: str) -> None:
    assert with_size(resolve({"preset": preset, "size": size}), other) == resolve({"preset": preset, "size": other})


def test_with_size_keeps_an_explicit_history() -> None:
    chosen = {"optimizer": {"kind": "lbfgs", "history": 7}}
    assert with_size(resolve({"size": 4096, **chosen}), 512) == resolve({"size": 512, **chosen})


def test_calibrated_weights_use_a_shallower_content_layer_and_more_padding_unless_the_client_chose_one() -> None:
    default, chosen = PRESETS["default"], resolve({"content_layers": {"block5_conv2": 1}})
    assert adapted_to_weights(default, "imagenet") == default
    assert adapted_to_weights(default, "calibrated").content_layers == {"block3_conv2": 1.0}
    assert adapted_to_weights(default, "calibrated").padding > default.padding
    assert adapted_to_weights(chosen, "calibrated") == chosen
    assert adapted_to_weights(PRESETS["tutorial"], "calibrated") == PRESETS["tutorial"]
