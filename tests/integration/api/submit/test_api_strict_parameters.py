"""Unknown parameters get a suggestion, and a string is no number."""

import re

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import STYLE, Submit
from werkzeug.routing import Rule

from api.http.operations import OPERATIONS

UNKNOWN = "01a220c5-f919-72ad-a403-13a965b97a3a"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/v1/jobs?sate=queued", "sate: unknown parameter, did you mean state?"),
        ("/v1/jobs?state=quued", "state: must be one of 'queued', 'running', 'succeeded', 'failed' or 'canceled'."),
        ("/v1/jobs?batch=abc", "batch: must be a UUID such as 0199d3c1-"),
        ("/v1/jobs?metadata[]=x", "metadata[]: unknown parameter, did you mean metadata?"),
        ("/v1/jobs?created_after[x]=2026", "created_after: must be a time with an offset"),
        (f"/v1/jobs/{UNKNOWN}/result?fromat=png", "fromat: unknown parameter, did you mean format?"),
        (f"/v1/jobs/{UNKNOWN}/timelapse?download=perhaps", 'download: must be true or false, not "perhaps".'),
    ],
)
def test_a_wrong_parameter_is_explained(address: str, message: str, client: FlaskClient) -> None:
    response = client.get(address)
    assert (response.status_code, response.get_json()["code"]) == (400, "malformed_request")
    assert f"Invalid query parameter. {message}" in response.get_json()["detail"]


def test_parameters_in_a_url_are_strings(client: FlaskClient) -> None:
    assert client.get(f"/v1/jobs?limit=5&state=queued&batch={UNKNOWN.upper()}").status_code == 200


def test_no_parameter_gets_pydantics_own_message(client: FlaskClient) -> None:
    views = client.application.view_functions
    checked = 0
    for rule in _get_rules(client):
        path = re.sub(r"<(int:)?\w+>", lambda part: "0" if part[1] else UNKNOWN, rule.rule)
        for name in OPERATIONS[views[rule.endpoint]].query.model_fields:
            response = client.get(path, query_string={name: "x" * 1000})
            checked += response.status_code == 400
            assert "nput should" not in response.text, f"{path}?{name}: {response.text}"
    assert checked > 10


def _get_rules(client: FlaskClient) -> list[Rule]:
    return [rule for rule in client.application.url_map.iter_rules() if "GET" in (rule.methods or ())]


def test_an_unknown_part_gets_a_suggestion(submit: Submit) -> None:
    assert "Unknown form part 'stlye', did you mean style?" in submit(stlye=STYLE).get_json()["detail"]


def test_a_recipe_with_a_string_for_a_number_is_refused(submit: Submit) -> None:
    response = submit(recipe='{"preset": "fast", "size": "96", "normalize": "yes"}')
    assert response.get_json()["errors"] == [
        {"field": "size", "message": 'must be a whole number, not "96"'},
        {"field": "normalize", "message": 'must be true or false, not "yes"'},
    ]
