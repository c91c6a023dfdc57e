"""Header fields that tell browsers what a response may do, at every route."""

from collections.abc import Iterator
from typing import Final

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import add_iteration, add_preview, claim, submit_job, succeed
from werkzeug.test import TestResponse

from api.app import create_app
from shared.jobs.saved_iterations import SavedIterations
from shared.services import Services
from shared.settings import Settings

FIXED: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
VALUES: Final = {"number": "0", "step": "1", "tier": "standard", "name": "common/base.css", "prefix": "abcd1234"}


@pytest.fixture
def finished(client: FlaskClient, services: Services) -> str:
    """Return the ID of a job with everything that a job can have."""
    job_id = str(submit_job(client).get_json()["id"])
    claimed = claim(services)
    for step in (1, 2):
        add_preview(services, claimed, step)
    add_iteration(services, claimed, SavedIterations(), 1)
    succeed(services, claimed)
    return job_id


def responses(client: FlaskClient, job_id: str) -> Iterator[tuple[str, TestResponse]]:
    """Yield the response of each method of each route, of the deletion last, and of some unknown URLs."""
    shared = client.post(f"/v1/jobs/{job_id}/share").get_json()["url"]
    calls = [
        (method, rule) for rule in client.application.url_map.iter_rules() for method in sorted(rule.methods or set())
    ]
    for method, rule in sorted(calls, key=lambda call: call[0] == "DELETE"):
        arguments = {name: VALUES.get(name, job_id) for name in rule.arguments}
        url = rule.build(arguments)[1] if "picture" not in arguments else shared  # type: ignore[index]
        yield f"{method} {rule.rule}", client.open(url, method=method)
    yield "GET an unknown URL", client.get("/nothing")
    yield "GET an unknown URL in a browser", client.get("/nothing", headers={"Accept": "text/html"})
    yield "PATCH", client.patch("/v1/jobs")


def test_every_response_has_them(client: FlaskClient, finished: str) -> None:
    seen = set()
    for name, response in responses(client, finished):
        seen.add(response.status_code)
        headers = response.headers
        assert {field: headers[field] for field in FIXED} == FIXED, name
        policy = headers["Content-Security-Policy"]
        assert all(f"{part} 'none'" in policy for part in ("default-src", "base-uri", "frame-ancestors")), name
        assert "unsafe" not in policy
        assert "form-action" in policy
        assert "camera=()" in headers["Permissions-Policy"]
        anywhere = "/v1/shared/" in name and response.mimetype.startswith("image/")
        assert headers["Cross-Origin-Resource-Policy"] == ("cross-origin" if anywhere else "same-origin"), name
        assert len(headers.getlist("Content-Security-Policy")) == 1
        assert "Strict-Transport-Security" not in headers, "over plain HTTP"
        response.close()
    assert seen >= {200, 201, 204, 404, 405, 415}


def test_only_files_may_be_cached_and_by_their_reader_alone(client: FlaskClient, finished: str) -> None:
    for name, response in responses(client, finished):
        cache = response.headers["Cache-Control"]
        if response.mimetype in {"application/json", "application/problem+json", "text/event-stream"}:
            assert cache == "no-store" or name.endswith(("/provenance", "/openapi.json")), name
        if "/v1/" in name:
            assert cache == "no-store" or cache.startswith("private"), name
        response.close()


def test_a_page_may_run_its_own_scripts_and_an_image_nothing(client: FlaskClient, finished: str) -> None:
    page, picture = client.get("/"), client.get(f"/v1/jobs/{finished}/result")
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert "-src 'self'" not in picture.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("public_url", "base_url", "value"),
    [
        (None, "http://localhost", None),
        (None, "https://localhost", "max-age=31536000"),
        ("https://easel.example", "http://localhost", "max-age=31536000"),
        ("http://easel.example", "http://localhost", None),
    ],
)
def test_browsers_are_told_to_use_tls_where_there_is_tls(
    public_url: str | None, base_url: str, value: str | None, settings: Settings, services: Services
) -> None:
    client = create_app(settings.model_copy(update={"public_url": public_url}), services).test_client()
    response = client.get("/healthz", base_url=base_url)
    assert response.headers.get("Strict-Transport-Security") == value
