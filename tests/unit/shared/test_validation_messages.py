"""Plain-English messages for invalid parameters."""

from typing import Any

import pytest

from shared.errors import InvalidRecipe
from shared.presets import resolve


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 5000}, "must be at most 4096"),
        ({"seed": 2**31}, "must be below 2147483648"),
        ({"steps": -1}, "must be at least 0"),
        ({"steps": 1.5}, "must be a whole number"),
        ({"steps": "many"}, "must be a whole number"),
        ({"steps": None}, "must be a whole number"),
        ({"style_weight": None}, "must be a number"),
        ({"style_weight": "much"}, "must be a number"),
        ({"style_weight": float("nan")}, "must be a finite number"),
        ({"normalize": "perhaps"}, "must be true or false"),
        ({"init": "blank"}, "must be one of 'content', 'noise', 'patches' or 'image'"),
        ({"stages": 3}, "must be a list"),
        ({"stages": []}, "must have at least 1"),
        ({"stages": [{"scale": 1}, {"scale": 1, "share": 1}]}, "is missing"),
        ({"content_layers": 3}, "must be an object"),
        ({"style_mix": [1] * 9}, "must have at most 8 entries"),
        ({"optimizer": {"kind": "sgd"}}, "'kind' must be one of 'adam', 'lbfgs'"),
        ({"optimizer": {}}, "'kind' is missing"),
        ({"optimizer": {"kind": "adam", "learning_rate": 0}}, "must be above 0"),
        ({"sise": 1}, "unknown parameter; did you mean size?"),
        ({"zzz": 1}, "unknown parameter"),
        ({"style_mix": [0, 0]}, "give at least one style image a weight above 0"),
    ],
)
def test_each_error_has_a_plain_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve(fields)
    assert [error["message"] for error in caught.value.extra["errors"]] == [message]
    assert f": {message}." in caught.value.detail
