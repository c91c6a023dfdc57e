"""Everything in the OpenAPI document has a description and valid examples."""

from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator

from api.app import create_app
from api.http.openapi import document
from shared.services import open_services
from shared.settings import Settings


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    settings = Settings(store_url="memory:")
    app: Flask = create_app(settings, open_services(settings))
    return document(app)


def test_every_property_and_parameter_has_a_description(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        assert schema["description"], name
        for field, one in schema.get("properties", {}).items():
            assert one.get("description"), f"{name}.{field}"
    for path, methods in described["paths"].items():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                assert parameter["description"], f"{path} {parameter['name']}"


def test_every_property_and_object_has_examples_that_validate(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        properties = {f"{name}.{field}": one for field, one in schema.get("properties", {}).items()}
        for label, one in {**properties, **({name: schema} if properties else {})}.items():
            assert one["examples"], label
            validator = Draft202012Validator({**one, "components": described["components"]})
            for example in one["examples"]:
                assert [f"{label}: {error.message}" for error in validator.iter_errors(example)] == []


def test_every_operation_has_one_of_the_tags(described: dict[str, Any]) -> None:
    tags = [tag["name"] for tag in described["tags"]]
    assert {"Jobs", "Images", "Events", "Queue"} < set(tags)
    assert not [tag for tag in tags if "_" in tag]
    for methods in described["paths"].values():
        for operation in methods.values():
            assert [tag in tags for tag in operation["tags"]] == [True]
