"""Sign-in with an API key, as the pages do, over a real Valkey."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer
from support.fixtures.api import Submit

from api.app import create_app
from api.routes import events
from deploy.local.stack import free_port
from shared.services import Services, open_services
from shared.settings import Settings

KEYS = ("first-key-0123456789", "second-key-0123456789")
SOME_JOB = "/v1/jobs/0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"


def client_with_keys(settings: Settings, services: Services, *keys: str) -> FlaskClient:
    fields = {**settings.model_dump(), "api_keys": ",".join(keys)}
    return create_app(Settings.model_validate(fields), services).test_client()


@pytest.fixture
def browser(settings: Settings, services: Services) -> FlaskClient:
    """Return a client that stores cookies and sends no Authorization header."""
    return client_with_keys(settings, services, *KEYS)


def sign_in(browser: FlaskClient, key: str = KEYS[0]) -> Any:
    return browser.post("/v1/session", json={"key": key})


def cookie_of(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("easel_session")
    assert cookie is not None
    return str(cookie.value)


def test_a_session_can_read_and_with_the_csrf_token_write(browser: FlaskClient) -> None:
    assert browser.get("/v1/session").get_json() == {"required": True, "signed_in": False, "csrf_token": None}
    assert browser.get("/v1/jobs").status_code == 401
    session = sign_in(browser).get_json()
    assert (session["required"], session["signed_in"]) == (True, True)
    assert browser.get("/v1/session").get_json() == session
    assert browser.get("/v1/jobs").status_code == 200
    for method, path in (("POST", f"{SOME_JOB}/cancel"), ("DELETE", SOME_JOB), ("POST", "/v1/jobs")):
        for headers in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": "schön"}):
            response = browser.open(path, method=method, headers=headers)
            assert (response.status_code, response.get_json()["code"]) == (403, "csrf_failed")
        accepted = browser.open(path, method=method, headers={"X-CSRF-Token": session["csrf_token"]})
        assert accepted.status_code in {404, 415}


def test_the_cookie_is_http_only_and_same_site(browser: FlaskClient) -> None:
    cookie = sign_in(browser).headers["Set-Cookie"]
    assert cookie.startswith("easel_session=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert KEYS[0] not in cookie
    safe = browser.post("/v1/session", json={"key": KEYS[0]}, base_url="https://easel.example")
    assert "Secure" in safe.headers["Set-Cookie"]


def test_signing_out_ends_the_session(browser: FlaskClient) -> None:
    sign_in(browser)
    assert browser.delete("/v1/session").status_code == 204
    assert browser.get("/v1/jobs").status_code == 401
    assert browser.get("/v1/session").get_json()["signed_in"] is False


def test_a_copied_cookie_is_invalid_after_sign_out(
    browser: FlaskClient, settings: Settings, services: Services
) -> None:
    elsewhere, thief = (client_with_keys(settings, services, *KEYS) for _ in range(2))
    sign_in(elsewhere)
    sign_in(browser)
    thief.set_cookie("easel_session", cookie_of(browser))
    assert thief.get("/v1/jobs").status_code == 200
    browser.delete("/v1/session")
    assert thief.get("/v1/jobs").status_code == 401
    assert thief.get("/v1/session").get_json() == {"required": True, "signed_in": False, "csrf_token": None}
    assert elsewhere.get("/v1/jobs").status_code == 200, "another session of the same key"
    assert sign_in(browser).status_code == 200
    assert browser.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize("path", ["/v1/queue/events", "/v1/jobs/{job}/events"])
def test_a_stream_ends_with_its_session(
    browser: FlaskClient, job_id: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    sign_in(browser)
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0)
    response = browser.get(path.format(job=job_id))
    lines = iter(response.response)
    next(lines)
    browser.delete("/v1/session")
    assert len(list(lines)) < 2
    response.close()


def test_a_revocation_outlives_its_cookie(browser: FlaskClient, services: Services) -> None:
    sign_in(browser)
    browser.delete("/v1/session")
    client = services.ledger._redis
    (key,) = client.scan_iter("easel:revoked_session:*")
    assert client.ttl(key) > 30 * 24 * 3600


def test_a_session_that_cannot_be_checked_gets_a_503_and_keeps_its_cookie(
    browser: FlaskClient, settings: Settings
) -> None:
    sign_in(browser)
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    later = client_with_keys(away, open_services(away), *KEYS)
    later.set_cookie("easel_session", cookie_of(browser))
    for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/session"), ("DELETE", "/v1/session")):
        response = later.open(path, method=method)
        assert (response.status_code, response.get_json()["code"]) == (503, "ledger_unavailable")
        assert "Set-Cookie" not in response.headers


def test_a_session_ends_with_its_key(browser: FlaskClient, settings: Settings, services: Services) -> None:
    sign_in(browser, KEYS[0])
    for keys, status in ((KEYS, 200), (KEYS[::-1], 200), (KEYS[1:], 401)):
        later = client_with_keys(settings, services, *keys)
        later.set_cookie("easel_session", cookie_of(browser))
        assert later.get("/v1/jobs").status_code == status


@pytest.mark.parametrize("forged", ["", "x", "a.b.c", "Zm9v.Zm9v.Zm9v", "schön"])
def test_a_forged_cookie_is_rejected(forged: str, browser: FlaskClient) -> None:
    browser.set_cookie("easel_session", forged)
    assert browser.get("/v1/jobs").status_code == 401


@pytest.mark.parametrize("prefix", ["abcd1234", "../tenants/x", "a b", "\0", ""])
def test_a_forged_cookie_that_names_a_key_is_rejected(prefix: str, browser: FlaskClient) -> None:
    forged = URLSafeTimedSerializer(b"a guess", salt="easel session").dumps(["session", prefix])
    browser.set_cookie("easel_session", str(forged))
    assert browser.get("/v1/jobs").status_code == 401


def test_csrf_tokens_differ_between_sessions(browser: FlaskClient) -> None:
    first = sign_in(browser).get_json()["csrf_token"]
    second = sign_in(browser).get_json()["csrf_token"]
    assert first != second
    assert browser.delete(SOME_JOB, headers={"X-CSRF-Token": first}).get_json()["code"] == "csrf_failed"


def test_an_api_key_needs_no_csrf_token_and_overrides_the_cookie(browser: FlaskClient) -> None:
    sign_in(browser)
    right, wrong = ({"Authorization": f"Bearer {key}"} for key in (KEYS[1], "no-key"))
    assert browser.delete(SOME_JOB, headers=right).get_json()["code"] == "job_not_found"
    assert browser.get("/v1/jobs", headers=wrong).status_code == 401


def test_wrong_keys_are_refused_and_do_not_lock_anyone_out(browser: FlaskClient) -> None:
    for _ in range(9):
        response = sign_in(browser, "wrong")
        assert (response.status_code, response.get_json()["code"]) == (401, "unauthorized")
        assert "Set-Cookie" not in response.headers
    assert sign_in(browser).status_code == 200


def test_malformed_sign_ins_are_rejected(browser: FlaskClient) -> None:
    for body in ("", "{", "[]", '{"key": 1}', '{"key": "a", "b": 1}', "[" * 4000, r'{"key": "\ud800"}'):
        response = browser.post("/v1/session", data=body, content_type="application/json")
        assert (response.status_code, response.get_json()["code"]) == (400, "malformed_request")
    assert browser.post("/v1/session", data={"key": KEYS[0]}).get_json()["code"] == "unsupported_media_type"
    long = browser.post("/v1/session", json={"key": "x" * 5000})
    assert (long.status_code, long.get_json()["code"]) == (413, "body_too_large")


def test_without_keys_sign_in_does_nothing(client: FlaskClient) -> None:
    assert client.get("/v1/session").get_json() == {"required": False, "signed_in": False, "csrf_token": None}
    response = client.post("/v1/session", json={"key": "any"})
    assert response.get_json()["required"] is False
    assert "Set-Cookie" not in response.headers


def test_one_client_cannot_open_all_streams(settings: Settings, services: Services, submit: Submit) -> None:
    path = f"/v1/jobs/{submit().get_json()['id']}/events"
    browser = client_with_keys(settings.model_copy(update={"streams_per_client": 2}), services, *KEYS)
    own_key, other_key = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    sign_in(browser)
    streams = [browser.get(path), browser.get(path, headers=own_key)]
    sign_in(browser)  # another session has the same limit
    for url in (path, "/v1/queue/events", f"{path.removesuffix('/events')}?wait=5"):
        refused = browser.get(url)
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_streams")
        assert refused.headers["Retry-After"]
    other = browser.get(path, headers=other_key)
    assert other.status_code == 200, "another client has its own limit"
    streams[0].close()
    again = browser.get(path)
    assert again.status_code == 200
    for watched in (*streams[1:], other, again):
        watched.close()
