"""Rules for all routes and errors, including future ones."""

import json
import re
from pathlib import Path

import pytest
from flask import Flask

from api.app import create_app
from api.http.auth import PUBLIC
from api.http.openapi import document, error_classes
from shared.errors import EaselError, JobFailure, LedgerLost
from shared.services import open_services
from shared.settings import Settings

KEY = "0123456789abcdef"


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return an app without Redis: requests without a key are refused before Redis is needed."""
    settings = Settings.model_validate(
        {"redis_url": "redis://127.0.0.1:1/0", "store_url": tmp_path.as_uri(), "api_keys": KEY}
    )
    return create_app(settings, open_services(settings))


def test_every_route_requires_a_key_unless_it_is_public(app: Flask) -> None:
    client = app.test_client()
    open_endpoints = set()
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            response = client.open(re.sub("<[^>]*>", "1", rule.rule), method=method)
            if response.status_code != 401:
                open_endpoints.add(rule.endpoint)
            else:
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
                assert response.get_json()["code"] == "unauthorized"
    assert open_endpoints == PUBLIC


def test_every_route_is_documented_with_a_summary(app: Flask) -> None:
    paths = document(app)["paths"]
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            call = paths[path][method.lower()]
            assert call["summary"]
            assert any(status.startswith("2") for status in call["responses"])


def test_both_streams_refer_to_the_schema_of_each_kind_of_event(app: Flask) -> None:
    described = document(app)
    kinds = {}
    for path in ("/v1/jobs/{job_id}/events", "/v1/queue/events"):
        schema = described["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
        events = [described["components"]["schemas"][one["$ref"].rpartition("/")[2]] for one in schema["oneOf"]]
        kinds[path] = [event["properties"]["kind"]["const"] for event in events]
        assert "`data: JSON`" in schema["description"]
    assert kinds["/v1/queue/events"] == ["queue"]
    assert {"state", "progress", "preview", "warning", "lease_lost"} < set(kinds["/v1/jobs/{job_id}/events"])


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = error_classes()
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert re.fullmatch(r"[a-z0-9_]+", kind.code)
        assert 400 <= kind.status < 600
        assert kind.__doc__


def test_every_leaf_class_of_errors_has_a_code_of_its_own() -> None:
    leaves = [kind for kind in _tree(EaselError) if not kind.__subclasses__()]
    assert [kind for kind in leaves if "code" not in vars(kind)] == []


def test_an_error_without_a_detail_has_the_default_detail() -> None:
    assert LedgerLost().detail == str(LedgerLost()) == LedgerLost.default_detail
    assert LedgerLost("Today it is special.").detail == "Today it is special."


def test_every_documented_code_has_its_documented_status(app: Flask) -> None:
    statuses = {kind.code: kind.status for kind in error_classes()}
    for methods in document(app)["paths"].values():
        for call in methods.values():
            for status, response in call["responses"].items():
                content = response.get("content", {}).get("application/problem+json")
                for code in content["schema"]["allOf"][1]["properties"]["code"]["enum"] if content else ():
                    assert statuses[code] == int(status)


def test_every_code_that_a_client_can_receive_is_documented(app: Flask) -> None:
    documented = set(re.findall(r"\(`(\w+)`\)", str(document(app)["paths"])))
    of_workers = {kind.code for kind in _tree(JobFailure)} | {"claim_lost", "weights_unavailable", "gpu_unavailable"}
    of_families = {"bad_input", "blob_missing", "unavailable"}
    never_of_a_known_route = {"not_found", "method_not_allowed"}
    missing = {kind.code for kind in error_classes()} - documented - of_workers - of_families - never_of_a_known_route
    assert missing == set()


def test_the_docs_page_explains_every_code(app: Flask) -> None:
    page = app.test_client().get("/docs")
    assert page.status_code == 200
    for kind in error_classes():
        assert f'id="{kind.code}"' in page.text
    assert re.findall("<script(?! type=.module. src=)|<style| style=", page.text) == []  # nothing inline
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_document_starts_with_submit_and_ends_with_the_pages(app: Flask) -> None:
    paths = document(app)["paths"]
    assert next(iter(paths["/v1/jobs"])) == "post"
    assert next(iter(paths)) == "/v1/jobs"
    assert set(list(paths)[-4:]) == {"/", "/queue", "/gallery", "/assets/{name}"}


def test_every_reference_in_the_document_resolves_and_every_schema_is_used(app: Flask) -> None:
    documented = document(app)
    referred = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(documented)))
    assert referred == set(documented["components"]["schemas"])


def test_the_document_describes_webhooks(app: Flask) -> None:
    sent = document(app)["webhooks"]["job"]["post"]
    assert sent["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/WebhookPayload")
    assert {one["name"] for one in sent["parameters"]} == {"webhook-id", "webhook-timestamp", "webhook-signature"}


def test_the_document_has_the_main_routes(app: Flask) -> None:
    assert document(app)["openapi"].startswith("3.1")
    assert {"/v1/jobs", "/v1/jobs/{job_id}", "/v1/jobs/{job_id}/events", "/v1/queue", "/healthz", "/readyz"} <= set(
        document(app)["paths"]
    )


def _tree(kind: type[EaselError]) -> list[type[EaselError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in _tree(below))]
