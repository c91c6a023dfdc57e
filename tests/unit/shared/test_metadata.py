"""Metadata: what is accepted, and which key an error names."""

import json

import pytest

from shared.errors import InvalidMetadata
from shared.jobs.metadata import MAX_KEY_LENGTH, MAX_KEYS, MAX_VALUE_LENGTH, parse_metadata


def test_metadata_at_its_bounds_is_accepted() -> None:
    metadata = {f"{number:0{MAX_KEY_LENGTH}}": "ü" * MAX_VALUE_LENGTH for number in range(MAX_KEYS)}
    assert parse_metadata(json.dumps(metadata)) == metadata
    assert parse_metadata('{"empty": ""}') == {"empty": ""}
    assert parse_metadata("") == {}


@pytest.mark.parametrize(
    ("metadata", "field", "message"),
    [
        ({str(number): "" for number in range(MAX_KEYS + 1)}, "metadata", "must have at most 20 entries"),
        ({"k" * (MAX_KEY_LENGTH + 1): ""}, f"metadata[{'k' * MAX_KEY_LENGTH}]", "must have at most 40 characters"),
        ({"": "x"}, "metadata[]", "must have a length of at least 1"),
        ({"note": "secret" * 84}, "metadata[note]", "must have at most 500 characters"),
        ({"order": 6735}, "metadata[order]", "must be a string"),
        ({"order": {"id": "1"}}, "metadata[order]", "must be a string"),
        (["order"], "metadata", "must be an object"),
    ],
)
def test_an_error_names_the_key_and_never_shows_a_value(metadata: object, field: str, message: str) -> None:
    with pytest.raises(InvalidMetadata) as caught:
        parse_metadata(json.dumps(metadata))
    assert caught.value.extra == {"field": "metadata", "errors": [{"field": field, "message": message}]}
    assert f"{field}: {message}." in caught.value.detail
    assert "secret" not in caught.value.detail


@pytest.mark.parametrize("text", ["order=6735", '{"a": "\\ud800"}', "[" * 100_000])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidMetadata, match="metadata: is not valid JSON, or nested too deeply: "):
        parse_metadata(text)


def test_a_number_that_is_not_finite_is_no_string() -> None:
    with pytest.raises(InvalidMetadata, match="must be a string"):
        parse_metadata('{"a": NaN}')
