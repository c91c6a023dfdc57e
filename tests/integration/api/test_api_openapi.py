"""schemathesis makes up requests from the OpenAPI document: none ends as a 5xx, every answer is a documented one."""

from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks
from support.fixtures.api import PAINTING, PHOTO, Submit, claim, succeed, work

from api.app import create_app
from shared.services import Services
from shared.settings import Settings

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
PATIENT = hypothesis.settings(
    max_examples=40, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)


@pytest.fixture
def app(settings: Settings, services: Services) -> Flask:
    """Its streams and long polls end at once, as if the server were about to stop."""
    found = create_app(settings.model_copy(update={"queue_limit": 100_000}), services)
    found.extensions["easel"].stopping.set()
    return found


@pytest.fixture
def ids(submit: Submit, services: Services) -> list[str]:
    """A job that succeeded, one that runs, and two that wait."""
    found = [str(submit().get_json()["id"]) for _ in range(4)]
    held = claim(services)
    work(services, held, 3)
    succeed(services, held)
    work(services, claim(services), 3)
    return found


def test_made_up_requests_get_documented_answers_and_never_a_5xx(app: Flask, ids: list[str]) -> None:
    found = [result.ok() for result in schemathesis.openapi.from_wsgi("/openapi.json", app).get_all_operations()]
    assert len(found) == len(app.url_map._rules) - 1, "all but the document itself"
    for operation in sorted(found, key=lambda operation: operation.method.upper() == "DELETE"):
        for mode in GenerationMode:
            _make_up(operation, mode, ids)


def _make_up(operation: Any, mode: GenerationMode, ids: list[str]) -> None:
    """A few dozen calls that keep to the document or break it, some with a job or images that exist."""

    @PATIENT
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), job_id=st.sampled_from([None, *ids]))
    def call(case: Any, job_id: str | None) -> None:
        if job_id and "job_id" in (case.path_parameters or {}):
            case.path_parameters["job_id"] = job_id
        if job_id and isinstance(case.body, dict) and operation.path == "/v1/jobs":
            case.body = {**case.body, "content": PHOTO, "style": [PAINTING]}
        case.call_and_validate(checks=CHECKS)

    with suppress(hypothesis.errors.Unsatisfiable):  # a call without parameters cannot be broken
        call()
