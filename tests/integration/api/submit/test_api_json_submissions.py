"""Submissions as JSON: the same jobs, quotes and errors as those of forms."""

import json
import random
from base64 import b64encode
from typing import Any, Final

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr
from support.fixtures.api import PHOTO, STYLE, image_file, submit_job, upload
from support.image_files import encode, solid
from werkzeug.test import TestResponse

from api.app import create_app
from shared.services import Services
from shared.settings import Settings

RECIPE: Final = {"preset": "fast", "size": 96}


def base64(image: bytes) -> dict[str, str]:
    return {"base64": b64encode(image).decode()}


def post(client: FlaskClient, query: str = "", headers: dict[str, str] | None = None, **fields: Any) -> TestResponse:
    """Submit a valid job, with the fields that the test changes."""
    body = {"content": base64(PHOTO), "styles": [base64(STYLE)], "recipe": RECIPE, **fields}
    return client.post(f"/v1/jobs{query}", json=body, headers=headers)


def request_of(services: Services, response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    request = services.ledger.get(response.get_json()["id"]).request
    return request.model_dump(exclude={"id", "created_at", "request_id"})


def test_json_makes_the_same_job_as_a_form(settings: Settings, services: Services) -> None:
    with_webhooks = settings.model_copy(update={"webhook_secret": (SecretStr(f"whsec_{'a' * 32}"),)})
    client = create_app(with_webhooks, services).test_client()
    photo, mask = upload(client).get_json()["id"], encode(solid("L", 255, (96, 64)))
    recipe = {"preset": "fast", "size": 96, "style_mix": [1, 2]}
    events = ["job.failed", "job.succeeded"]
    texts = {"tier": "batch", "webhook_url": "https://example.com/easel"}
    by_form = submit_job(
        client,
        **{"content": photo, "style": [STYLE, PHOTO], "style_mask": [mask, mask], "init_image": STYLE, **texts},
        recipe=json.dumps(recipe),
        metadata='{"order": "1"}',
        webhook_events=json.dumps(events),
    )
    by_json = post(
        client,
        **{"content": photo, "styles": [base64(STYLE), photo], "style_masks": [base64(mask)] * 2, **texts},
        init_image=base64(STYLE),
        recipe=recipe,
        metadata={"order": "1"},
        webhook_events=events,
    )
    assert request_of(services, by_json) == request_of(services, by_form)


def test_json_makes_the_same_quote_as_a_form(client: FlaskClient) -> None:
    mask = encode(solid("L", 255, (96, 64)))
    by_json = post(client, "?dry_run=true", content_masks=[base64(mask)])
    by_form = submit_job(client, query="?dry_run=true", content_mask=mask)
    assert by_json.status_code == 200
    assert by_json.get_json() == by_form.get_json()


def test_a_recipe_may_be_a_presets_name_or_omitted(client: FlaskClient) -> None:
    assert post(client, recipe="gentle").get_json()["recipe"]["preset"] == "gentle"
    body = {"content": base64(PHOTO), "styles": [base64(STYLE)]}
    assert client.post("/v1/jobs", json=body).get_json()["recipe"]["preset"] == "default"


def test_the_idempotency_key_counts_across_both_forms(client: FlaskClient) -> None:
    key = {"Idempotency-Key": "k"}
    first, again = submit_job(client, headers=key), post(client, headers=key)
    assert (again.get_json()["id"], again.headers["Idempotency-Replayed"]) == (first.get_json()["id"], "true")


def test_a_job_starts_from_another_ones_result_like_with_a_form(client: FlaskClient) -> None:
    job_id = post(client).get_json()["id"]
    answers = [post(client, init_job=job_id), submit_job(client, init_job=job_id)]
    assert [(one.status_code, one.get_json()["code"]) for one in answers] == [(409, "not_ready")] * 2


BAD: Final[dict[str, tuple[dict[str, Any], str, dict[str, Any]]]] = {
    "no photo": ({"content": None}, "missing_image", {"field": "content"}),
    "no style": ({"styles": []}, "missing_image", {"field": "style"}),
    "a path": ({"content": "photo.jpg"}, "missing_image", {"field": "content"}),
    "a number": ({"styles": [base64(STYLE), 5]}, "missing_image", {"field": "style", "number": 1}),
    "broken base64": ({"content": {"base64": "a"}}, "missing_image", {"field": "content"}),
    "base64 with line breaks": ({"content": {"base64": "iVBO\nRw0K"}}, "missing_image", {"field": "content"}),
    "base64 that is no ASCII": ({"content": {"base64": "\u00e9"}}, "missing_image", {"field": "content"}),
    "a data URL": (
        {"content": {"base64": f"data:image/png;base64,{'A' * 290_000}"}},
        "missing_image",
        {"field": "content"},
    ),
    "base64 of text": ({"content": {"base64": "dGV4dA=="}}, "not_an_image", {"field": "content"}),
    "an unknown image": ({"styles": [f"sha256:{64 * '0'}"]}, "image_not_found", {"field": "style", "number": 0}),
    "a broken image": ({"content": base64(PHOTO[:60])}, "broken_image", {"field": "content"}),
    "styles that are no list": ({"styles": base64(STYLE)}, "malformed_request", {}),
    "too many styles": ({"styles": [base64(STYLE)] * 9}, "too_many_images", {"field": "style"}),
    "masks that do not match": ({"style_masks": [base64(STYLE)] * 2}, "invalid_mask", {"field": "style_mask"}),
    "a start image of another shape": (
        {"init_image": base64(image_file(size=(64, 96)))},
        "invalid_shape",
        {"field": "init_image"},
    ),
    "two starts": ({"init_image": base64(PHOTO), "init_job": "x"}, "too_many_images", {"field": "init_job"}),
    "an unknown field": ({"style": base64(STYLE)}, "malformed_request", {}),
    "a recipe that is a list": ({"recipe": []}, "invalid_recipe", {}),
    "a recipe that is JSON in a string": ({"recipe": "{}"}, "invalid_recipe", {}),
    "a size that is text": ({"recipe": {"size": "large"}}, "invalid_recipe", {}),
    "an unknown tier": ({"tier": "gold"}, "unknown_tier", {}),
    "a tier that is a number": ({"tier": 1}, "malformed_request", {}),
    "metadata that are numbers": ({"metadata": {"order": 6735}}, "invalid_metadata", {"field": "metadata"}),
    "a webhook": ({"webhook_url": "https://example.com"}, "webhooks_disabled", {}),
    "a lone surrogate": ({"webhook_url": "\ud800"}, "malformed_request", {}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_body_gets_the_code_of_a_bad_form_and_stores_nothing(
    name: str, client: FlaskClient, stored_data: Any
) -> None:
    fields, code, position = BAD[name]
    before = stored_data()
    problem = post(client, **fields).get_json()
    assert problem["code"] == code
    assert position.items() <= problem.items()
    assert stored_data() == before


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"text"', b"{" * 100_000, b'{"tier": "a", "tier": "b"}', b'{"recipe": NaN}', b"\xff"),
        *('{"tier": "\ud800"}'.encode(encoding, "surrogatepass") for encoding in ("utf-16", "utf-32", "utf-8")),
    ],
)
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes, client: FlaskClient) -> None:
    response = client.post("/v1/jobs", data=body, content_type="application/json")
    assert (response.status_code, response.get_json()["code"]) == (400, "malformed_request")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b" ", "The body is empty."),
        (b"[]", "The body must be a JSON object."),
        (b"[1", "The body is not valid JSON: Expecting ',' delimiter: line 1 column 3 (char 2)."),
    ],
)
def test_what_is_wrong_with_a_body_is_a_sentence(body: bytes, detail: str, client: FlaskClient) -> None:
    response = client.post("/v1/jobs", data=body, content_type="application/json")
    assert response.get_json()["detail"] == detail


def test_a_body_of_many_repeated_names_is_refused_at_once(client: FlaskClient) -> None:
    pairs = ", ".join(f'"{number}": 1' for number in range(15_000))
    response = client.post("/v1/jobs", data=f'{{{pairs}, "{14_999}": 2}}', content_type="application/json")
    assert response.get_json()["errors"] == [{"field": "14999", "message": "repeated"}]


def test_a_body_of_many_unknown_fields_gets_few_short_errors(client: FlaskClient) -> None:
    problem = post(client, **{f"{number}{'x' * 5000}": 1 for number in range(50)}).get_json()
    assert (problem["code"], len(problem["errors"])) == ("malformed_request", 20)
    assert len(json.dumps(problem)) < 10_000


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"styles": [[]] * 100_000}, "body_too_large"),
        ({"recipe": {"preset": "x" * 300_000}}, "body_too_large"),
        ({"init_job": f"{'x' * 4000} " * 90}, "body_too_large"),
        ({"styles": [{"base64": ""}] * 65}, "malformed_request"),
    ],
)
def test_a_body_that_would_take_much_memory_is_refused(client: FlaskClient, fields: dict[str, Any], code: str) -> None:
    assert post(client, **fields).get_json()["code"] == code


def test_an_encoder_may_escape_the_slashes_of_base64(client: FlaskClient) -> None:
    noise = random.Random(0).randbytes(200_000)  # noqa: S311 - not for cryptography
    data = json.dumps({"content": base64(PHOTO + noise), "styles": [base64(STYLE)], "recipe": RECIPE})
    assert data.count("/") > 1000
    response = client.post("/v1/jobs", data=data.replace("/", "\\/"), content_type="application/json")
    assert response.status_code == 202, response.text


def test_a_body_above_the_limit_is_refused(client: FlaskClient) -> None:
    assert post(client, init_job="x" * 400_001).get_json()["code"] == "body_too_large"
