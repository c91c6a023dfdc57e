"""Recipes as text: any input is parsed or rejected with a code."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.submission import parse_recipe
from shared.errors import BadInput, InvalidRecipe, MalformedRequest
from shared.presets import PRESETS, resolve
from shared.recipe import Recipe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*Recipe.model_fields, "beta1", "unknown"])


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    with suppress(BadInput):
        assert isinstance(parse_recipe(text), dict)


@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_fields_make_a_recipe_or_are_rejected(fields: dict[str, Any]) -> None:
    try:
        assert isinstance(resolve(parse_recipe(json.dumps(fields))), Recipe)
    except BadInput as error:
        json.dumps(error.extra).encode()


@pytest.mark.parametrize("name", PRESETS)
def test_a_recipe_round_trips_through_json(name: str) -> None:
    recipe = PRESETS[name]
    assert resolve(parse_recipe(recipe.model_dump_json())) == recipe


def test_blank_text_is_the_default_recipe() -> None:
    assert resolve(parse_recipe(" \n")) == PRESETS["default"]


def test_a_repeated_nested_field_is_rejected() -> None:
    with pytest.raises(InvalidRecipe, match="beta1"):
        parse_recipe('{"optimizer": {"kind": "adam", "beta1": 0.5, "beta1": 0.6}}')


def test_a_syntax_error_names_its_position() -> None:
    with pytest.raises(MalformedRequest, match="line 1 column 10"):
        parse_recipe('{"size": }')
