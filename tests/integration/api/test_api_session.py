"""Signing in with a key, as the pages do, over a real Valkey."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit
from support.fixtures.valkey import free_port

from api.app import create_app
from api.routes import events, queue
from shared.services import Services, open_services
from shared.settings import Settings

KEYS = ("first-key-0123456789", "second-key-0123456789")
SOME_JOB = "/v1/jobs/0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"


def guarded(settings: Settings, services: Services, *keys: str) -> FlaskClient:
    told = {**settings.model_dump(), "api_keys": ",".join(keys)}
    return create_app(Settings.model_validate(told), services).test_client()


@pytest.fixture
def browser(settings: Settings, services: Services) -> FlaskClient:
    """Keeps cookies, sends no bearer."""
    return guarded(settings, services, *KEYS)


def sign_in(browser: FlaskClient, key: str = KEYS[0]) -> Any:
    return browser.post("/v1/session", json={"key": key})


def cookie_of(browser: FlaskClient) -> str:
    cookie = browser.get_cookie("easel_session")
    assert cookie is not None
    return str(cookie.value)


def test_who_signs_in_may_look_and_with_the_token_steer(browser: FlaskClient) -> None:
    assert browser.get("/v1/session").get_json() == {"required": True, "signed_in": False, "csrf_token": None}
    assert browser.get("/v1/jobs").status_code == 401
    told = sign_in(browser).get_json()
    assert (told["required"], told["signed_in"]) == (True, True)
    assert browser.get("/v1/session").get_json() == told
    assert browser.get("/v1/jobs").status_code == 200
    for method, path in (("POST", f"{SOME_JOB}/cancel"), ("DELETE", SOME_JOB), ("POST", "/v1/jobs")):
        for headers in ({}, {"X-CSRF-Token": "wrong"}, {"X-CSRF-Token": "schön"}):
            answer = browser.open(path, method=method, headers=headers)
            assert (answer.status_code, answer.get_json()["code"]) == (403, "csrf_failed")
        let_in = browser.open(path, method=method, headers={"X-CSRF-Token": told["csrf_token"]})
        assert let_in.status_code in {404, 415}


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(browser: FlaskClient) -> None:
    cookie = sign_in(browser).headers["Set-Cookie"]
    assert cookie.startswith("easel_session=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert KEYS[0] not in cookie
    safe = browser.post("/v1/session", json={"key": KEYS[0]}, base_url="https://easel.example")
    assert "Secure" in safe.headers["Set-Cookie"]


def test_who_signs_out_is_out(browser: FlaskClient) -> None:
    sign_in(browser)
    assert browser.delete("/v1/session").status_code == 204
    assert browser.get("/v1/jobs").status_code == 401
    assert browser.get("/v1/session").get_json()["signed_in"] is False


def test_a_copy_of_the_cookie_opens_nothing_after_signing_out(
    browser: FlaskClient, settings: Settings, services: Services
) -> None:
    elsewhere, thief = (guarded(settings, services, *KEYS) for _ in range(2))
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
def test_a_stream_ends_with_the_session_that_opened_it(
    browser: FlaskClient, job_id: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    sign_in(browser)
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0)
    monkeypatch.setattr(queue, "HEARTBEAT_SECONDS", 0)
    response = browser.get(path.format(job=job_id))
    lines = iter(response.response)
    next(lines)
    browser.delete("/v1/session")
    assert len(list(lines)) < 2
    response.close()


def test_that_a_session_is_over_is_forgotten_no_sooner_than_its_cookie_grows_old(
    browser: FlaskClient, services: Services
) -> None:
    sign_in(browser)
    browser.delete("/v1/session")
    client = services.ledger._redis
    (key,) = client.scan_iter("easel:signed_out:*")
    assert client.ttl(key) > 30 * 24 * 3600


def test_a_session_that_nobody_can_judge_opens_nothing_and_is_not_said_to_be_over(
    browser: FlaskClient, settings: Settings
) -> None:
    sign_in(browser)
    away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    later = guarded(away, open_services(away), *KEYS)
    later.set_cookie("easel_session", cookie_of(browser))
    for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/session"), ("DELETE", "/v1/session")):
        answer = later.open(path, method=method)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "ledger_unavailable")
        assert "Set-Cookie" not in answer.headers


def test_a_session_ends_with_its_key(browser: FlaskClient, settings: Settings, services: Services) -> None:
    sign_in(browser, KEYS[0])
    for keys, status in ((KEYS, 200), (KEYS[::-1], 200), (KEYS[1:], 401)):
        later = guarded(settings, services, *keys)
        later.set_cookie("easel_session", cookie_of(browser))
        assert later.get("/v1/jobs").status_code == status


@pytest.mark.parametrize("forged", ["", "x", "a.b.c", "Zm9v.Zm9v.Zm9v", "schön"])
def test_a_forged_cookie_opens_nothing(forged: str, browser: FlaskClient) -> None:
    browser.set_cookie("easel_session", forged)
    assert browser.get("/v1/jobs").status_code == 401


def test_one_sessions_token_is_not_anothers(browser: FlaskClient) -> None:
    first = sign_in(browser).get_json()["csrf_token"]
    second = sign_in(browser).get_json()["csrf_token"]
    assert first != second
    assert browser.delete(SOME_JOB, headers={"X-CSRF-Token": first}).get_json()["code"] == "csrf_failed"


def test_a_bearer_needs_no_token_and_a_wrong_one_is_not_saved_by_a_cookie(browser: FlaskClient) -> None:
    sign_in(browser)
    right, wrong = ({"Authorization": f"Bearer {key}"} for key in (KEYS[1], "no-key"))
    assert browser.delete(SOME_JOB, headers=right).get_json()["code"] == "job_not_found"
    assert browser.get("/v1/jobs", headers=wrong).status_code == 401


def test_a_wrong_key_signs_nobody_in_and_keeps_nobody_out(browser: FlaskClient) -> None:
    for _ in range(9):
        answer = sign_in(browser, "wrong")
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
        assert "Set-Cookie" not in answer.headers
    assert sign_in(browser).status_code == 200


def test_what_is_no_key_is_refused_in_words(browser: FlaskClient) -> None:
    for body in ("", "{", "[]", '{"key": 1}', '{"key": "a", "b": 1}', "[" * 4000):
        answer = browser.post("/v1/session", data=body, content_type="application/json")
        assert (answer.status_code, answer.get_json()["code"]) == (400, "malformed_request")
    assert sign_in(browser, "\ud800").status_code == 401
    assert browser.post("/v1/session", data={"key": KEYS[0]}).get_json()["code"] == "unsupported_media_type"
    long = browser.post("/v1/session", json={"key": "x" * 5000})
    assert (long.status_code, long.get_json()["code"]) == (413, "body_too_large")


def test_where_no_key_is_needed_nobody_signs_in(client: FlaskClient) -> None:
    assert client.get("/v1/session").get_json() == {"required": False, "signed_in": False, "csrf_token": None}
    answer = client.post("/v1/session", json={"key": "any"})
    assert answer.get_json()["required"] is False
    assert "Set-Cookie" not in answer.headers


def test_one_client_may_not_take_all_the_seats(settings: Settings, services: Services, submit: Submit) -> None:
    path = f"/v1/jobs/{submit().get_json()['id']}/events"
    browser = guarded(settings.model_copy(update={"streams_per_client": 2}), services, *KEYS)
    own, anothers = ({"Authorization": f"Bearer {key}"} for key in KEYS)
    sign_in(browser)
    mine = [browser.get(path), browser.get(path, headers=own)]
    sign_in(browser)  # a session more is no seat more
    for asked in (path, "/v1/queue/events", f"{path.removesuffix('/events')}?wait=5"):
        refused = browser.get(asked)
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_streams")
        assert refused.headers["Retry-After"]
    others = browser.get(path, headers=anothers)
    assert others.status_code == 200, "of another client"
    mine[0].close()
    again = browser.get(path)
    assert again.status_code == 200
    for watched in (*mine[1:], others, again):
        watched.close()
