"""Plain-English messages for invalid parameters."""

from typing import Any

import pytest

from shared.errors import InvalidRecipe
from shared.recipe import resolve


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 5000}, "at most 4096"),
        ({"seed": 2**31}, "below 2147483648"),
        ({"steps": 0}, "at least 1"),
        ({"steps": 1.5}, "a whole number"),
        ({"steps": "many"}, "a whole number"),
        ({"steps": None}, "a whole number"),
        ({"style_weight": None}, "a number"),
        ({"style_weight": "much"}, "a number"),
        ({"style_weight": float("nan")}, "a finite number"),
        ({"normalize": "perhaps"}, "true or false"),
        ({"init": "blank"}, "one of 'content' or 'noise'"),
        ({"stages": 3}, "a list"),
        ({"stages": []}, "needs at least 1"),
        ({"stages": [{"scale": 1}, {"scale": 1, "share": 1}]}, "is missing"),
        ({"content_layers": 3}, "an object"),
        ({"style_mix": [1] * 9}, "at most 8 entries"),
        ({"optimizer": {"kind": "sgd"}}, "'kind' is one of 'adam', 'lbfgs'"),
        ({"optimizer": {}}, "'kind' is missing"),
        ({"optimizer": {"kind": "adam", "learning_rate": 0}}, "above 0"),
        ({"sise": 1}, "unknown parameter"),
        ({"style_mix": [0, 0]}, "give at least one style image a weight above 0 in style_mix"),
    ],
)
def test_each_error_has_a_plain_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve(fields)
    assert [error["message"] for error in caught.value.extra["errors"]] == [message]
    assert f": {message}." in caught.value.detail
