"""Requests generated from the OpenAPI document: no response is a 5xx, and every one is documented."""

from base64 import b64encode
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis import GenerationMode, checks
from support.fixtures.api import PHOTO, STYLE, Submit, claim, report_progress, succeed

from api.app import create_app
from shared.services import Services
from shared.settings import Settings

KEY = "a-key"
BASE64 = {"base64": b64encode(PHOTO).decode()}
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
LONG_TIMEOUTS = hypothesis.settings(
    max_examples=40, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)


@pytest.fixture
def app(settings: Settings, services: Services) -> Flask:
    """Return an app with a key, whose streams and long polls end immediately, as during a shutdown."""
    changed = {"queue_limit": 100_000, "api_keys": (SecretStr(KEY),)}
    app = create_app(settings.model_copy(update=changed), services)
    app.extensions["easel"].stopping.set()
    return app


@pytest.fixture
def ids(submit: Submit, services: Services) -> list[str]:
    """Return the IDs of a succeeded job, a running one and two queued ones."""
    ids = [str(submit().get_json()["id"]) for _ in range(4)]
    claimed = claim(services)
    report_progress(services, claimed, 3)
    succeed(services, claimed)
    report_progress(services, claim(services), 3)
    return ids


def test_generated_requests_get_documented_responses_and_never_a_5xx(app: Flask, ids: list[str]) -> None:
    operations = [result.ok() for result in schemathesis.openapi.from_wsgi("/openapi.json", app).get_all_operations()]
    assert len(operations) == len(app.url_map._rules) - 1, "all but the document itself"
    for operation in sorted(operations, key=lambda operation: operation.method.upper() == "DELETE"):
        for mode in GenerationMode:
            _send_generated(operation, mode, ids)


def _send_generated(operation: Any, mode: GenerationMode, ids: list[str]) -> None:
    """Send a few dozen valid or invalid requests, some with an existing job or valid images.

    Generated objects are replaced, not changed: later cases may have them, too.
    """

    @LONG_TIMEOUTS
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), job_id=st.sampled_from([None, *ids]))
    def call(case: Any, job_id: str | None) -> None:
        if job_id and "job_id" in (case.path_parameters or {}):
            case.path_parameters = {**case.path_parameters, "job_id": job_id}
        if job_id and operation.path == "/v1/jobs" and isinstance(case.body, dict) and case.media_type.endswith("json"):
            case.body = {**case.body, "content": BASE64, "styles": [BASE64]}
        elif job_id and isinstance(case.body, dict) and operation.path == "/v1/jobs":
            # Schemathesis cannot encode images, not even those that it generates itself.
            masks = {"style_mask": [PHOTO], "content_mask": [PHOTO]}
            images = {"content": PHOTO, "style": [STYLE], **masks, "init_image": PHOTO}
            optional = {*masks, "init_image"} - case.body.keys()
            case.body = {**case.body, **{name: image for name, image in images.items() if name not in optional}}
        if job_id and operation.path == "/v1/batches" and isinstance(case.body, dict):
            case.body = {**case.body, "defaults": {"content": BASE64, "styles": [BASE64]}}
        if operation.path == "/v1/images" and isinstance(case.body, dict) and "image" in case.body:
            case.body = {**case.body, "image": PHOTO}
        case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {KEY}"})

    with suppress(hypothesis.errors.Unsatisfiable):  # without parameters there are no invalid requests
        call()
