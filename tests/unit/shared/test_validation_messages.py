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
        ({"steps": 1.5}, "must be a whole number, not 1.5"),
        ({"steps": "many"}, 'must be a whole number, not "many"'),
        ({"steps": None}, "must be a whole number"),
        ({"style_weight": None}, "must be a number"),
        ({"style_weight": "much"}, 'must be a number, not "much"'),
        ({"style_weight": "more than a few words of it"}, "must be a number"),
        ({"style_weight": float("nan")}, "must be a finite number"),
        ({"normalize": "perhaps"}, 'must be true or false, not "perhaps"'),
        ({"size": "512"}, 'must be a whole number, not "512"'),
        ({"size": True}, "must be a whole number, not true"),
        ({"style_weight": "10"}, 'must be a number, not "10"'),
        ({"normalize": "yes"}, 'must be true or false, not "yes"'),
        ({"normalize": 1}, "must be true or false, not 1"),
        ({"optimizer": {"kind": "adam", "beta1": "0.9"}}, 'must be a number, not "0.9"'),
        ({"stages": [3]}, "must be an object"),
        ({"init": "blank"}, "must be one of 'content', 'noise', 'patches' or 'image'"),
        ({"stages": 3}, "must be a list"),
        ({"stages": []}, "must have at least 1"),
        ({"stages": [{"scale": 1}, {"scale": 1, "share": 1}]}, "is missing"),
        ({"content_layers": 3}, "must be an object"),
        ({"style_mix": [1] * 9}, "must have at most 8 entries"),
        ({"optimizer": {"kind": "sgd"}}, "'kind' must be one of 'adam', 'lbfgs'"),
        ({"optimizer": {}}, "'kind' is missing"),
        ({"optimizer": {"kind": "adam", "learning_rate": 0}}, "must be above 0"),
        ({"sise": 1}, "unknown parameter, did you mean size?"),
        ({"stlye_weight": 1}, "unknown parameter, did you mean style_weight?"),
        ({"optimizer": {"kind": "adam", "lerning_rate": 1}}, "unknown parameter, did you mean learning_rate?"),
        ({"optimizer": {"kind": "lbfgs", "learning_rate": 1}}, "unknown parameter"),
        ({"optimizer": {"kind": "lbfgs", "histroy": 1}}, "unknown parameter, did you mean history?"),
        ({"stages": [{"scale": 1, "share": 1, "scael": 1}]}, "unknown parameter, did you mean scale?"),
        ({"preset": "gentel"}, "unknown preset, did you mean gentle?"),
        ({"preset": "zzz"}, "unknown preset"),
        ({"preset": "default" * 10}, "unknown preset"),
        ({"zzz": 1}, "unknown parameter"),
        ({"style_mix": [0, 0]}, "give at least one style image a weight above 0"),
    ],
)
def test_each_error_has_a_plain_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve(fields)
    assert [error["message"] for error in caught.value.extra["errors"]] == [message]
    if fields.keys() != {"preset"}:
        assert caught.value.detail.endswith(message if message.endswith("?") else f": {message}.")


def test_a_whole_number_may_be_written_as_a_decimal() -> None:
    assert resolve({"size": 512.0, "optimizer": {"kind": "lbfgs", "history": 5.0}}).size == 512


def test_every_wrong_field_is_listed() -> None:
    with pytest.raises(InvalidRecipe) as caught:
        resolve({"size": "512", "stlye_weight": 1})
    assert caught.value.detail == (
        'Invalid recipe: size: must be a whole number, not "512"; '
        "stlye_weight: unknown parameter, did you mean style_weight?"
    )


def test_long_names_are_cut_off_and_many_errors_are_not_all_listed() -> None:
    for fields in ({"preset": "x" * 10_000}, {f"{number}{'x' * 10_000}": 1 for number in range(30)}):
        with pytest.raises(InvalidRecipe) as caught:
            resolve(fields)
        assert len(caught.value.extra["errors"]) <= 20
        assert len(caught.value.detail) < 3000


def test_a_recipe_that_is_nested_too_deeply_is_invalid() -> None:
    fields: dict[str, Any] = {}
    for _ in range(400):
        fields = {"a": fields}
    with pytest.raises(InvalidRecipe, match="nested too deeply"):
        resolve(fields)
