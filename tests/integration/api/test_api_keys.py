"""Keys of tenants: scopes, expiry, revocation, and how they are created, listed and stored."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from support.fixtures.api import submit_job
from support.fixtures.tenants import MakeClient, client_of

from api.app import create_app
from api.http import callers, session_cookie
from api.http.auth import check_exposure
from api.live import event_hub
from api.routes import events
from shared.errors import StorageUnavailable
from shared.services import Services, open_blobs
from shared.settings import InvalidSettings, Settings
from shared.storage import keys
from shared.tenants.keys import NewKey, create_key, list_keys, revoke_key

SOME_JOB = "/v1/jobs/0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"
LONG = {"wait": "60"}


def code(response: Any) -> tuple[int, str | None]:
    return response.status_code, (response.get_json(silent=True) or {}).get("code")


REQUESTS = {
    "read": ("GET", "/v1/jobs"),
    "jobs": ("POST", f"{SOME_JOB}/cancel"),
    "metrics": ("GET", "/metrics"),
    "admin": ("GET", "/v1/keys"),
}


@pytest.mark.parametrize("scope", REQUESTS)
def test_a_key_can_do_what_its_scope_allows_and_nothing_else(scope: Any, make_client: MakeClient) -> None:
    client, _ = make_client("acme", scope)
    allowed = {scope, "read"} if scope == "jobs" else {scope}
    for needed, (method, path) in REQUESTS.items():
        response = client.open(path, method=method)
        if needed in allowed:
            assert response.status_code in {200, 404}
        else:
            assert code(response) == (403, "insufficient_scope")
            assert response.get_json()["scope"] == needed
            assert f'scope="{needed}"' in response.headers["WWW-Authenticate"]
            assert needed in response.get_json()["detail"]


def test_a_key_of_the_settings_has_all_scopes(settings: Settings, services: Services) -> None:
    keyed = settings.model_validate({**settings.model_dump(), "api_keys": "a-key"})
    client = client_of(create_app(keyed, services), "a-key")
    for method, path in REQUESTS.values():
        assert client.open(path, method=method).status_code in {200, 404}


def test_unknown_wrong_revoked_and_expired_keys_are_refused(make_client: MakeClient, uncached_app: Flask) -> None:
    client, key = make_client()
    text = client.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    other_secret, other_prefix = text[:-1] + ("a" if text[-1] != "a" else "b"), text.replace(key.prefix, "0" * 8)
    for wrong in (other_secret, other_prefix, text[:-1], f"{text}x", key.prefix, key.digest, text.upper()):
        assert code(client_of(uncached_app, wrong).get("/v1/jobs")) == (401, "unauthorized")
    expired, _ = make_client(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "expired" in expired.get("/v1/jobs").get_json()["detail"]
    assert make_client(expires_at=datetime.now(UTC) + timedelta(days=1))[0].get("/v1/jobs").status_code == 200


def test_a_revoked_key_ends_with_its_sessions(make_client: MakeClient, uncached_app: Flask, services: Services) -> None:
    client, key = make_client()
    browser = uncached_app.test_client()
    session = browser.post("/v1/session", json={"key": client.environ_base["HTTP_AUTHORIZATION"][7:]}).get_json()
    assert session["signed_in"]
    assert client.get("/v1/jobs").status_code == browser.get("/v1/jobs").status_code == 200
    assert browser.post(f"{SOME_JOB}/cancel", headers={"X-CSRF-Token": session["csrf_token"]}).status_code == 404
    revoke_key(services.blobs, key.prefix)
    for ended in (client, browser):
        assert code(ended.get("/v1/jobs")) == (401, "unauthorized")
    assert "revoked" in client.get("/v1/jobs").get_json()["detail"]
    assert browser.get("/v1/session").get_json()["signed_in"] is False


def test_a_session_cannot_be_forged_with_what_is_stored(make_client: MakeClient, uncached_app: Flask) -> None:
    """Its signature needs a secret that only Redis has."""
    _, key = make_client()
    forged = callers.Caller("forged", key_prefix=None, secret=SecretStr(key.digest))
    serializer = session_cookie._serializer(forged.signing_key(b"a guess", "session"))
    browser = uncached_app.test_client()
    browser.set_cookie("easel_session", str(serializer.dumps(["session", key.prefix])))
    assert code(browser.get("/v1/jobs")) == (401, "unauthorized")


def test_a_session_ends_if_redis_loses_its_secret(
    make_client: MakeClient, uncached_app: Flask, services: Services
) -> None:
    client, _ = make_client()
    browser = uncached_app.test_client()
    browser.post("/v1/session", json={"key": client.environ_base["HTTP_AUTHORIZATION"][7:]})
    assert browser.get("/v1/jobs").status_code == 200
    services.ledger._redis.delete("easel:signing_secret")
    assert code(browser.get("/v1/jobs")) == (401, "unauthorized")


def submit_with(client: FlaskClient) -> str:
    return str(submit_job(client).get_json()["id"])


@pytest.mark.parametrize("path", ["/v1/queue/events", "/v1/jobs/{job}/events"])
def test_an_open_stream_ends_when_its_key_is_revoked(path: str, make_client: MakeClient, services: Services) -> None:
    client, key = make_client()
    response = client.get(path.format(job=submit_with(client)))
    lines = iter(response.response)
    assert "event:" in "".join(str(next(lines)) for _ in range(2))
    revoke_key(services.blobs, key.prefix)
    assert "unauthorized" in str([*lines][-1])
    response.close()


def test_an_open_long_poll_ends_when_its_key_is_revoked(make_client: MakeClient, services: Services) -> None:
    client, key = make_client()
    job_id = submit_with(client)
    context = client.application.extensions["easel"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"/v1/jobs/{job_id}", query_string=LONG)
        while not context.event_hub._topics:
            pass
        revoke_key(services.blobs, key.prefix)
        assert code(waiting.result(30)) == (401, "unauthorized")


def test_a_revocation_counts_within_five_seconds() -> None:
    """A cached key is used for this long, and open streams and long polls look at it this often."""
    assert callers._FRESH_SECONDS + callers._STALE_SECONDS + event_hub._QUIET_SECONDS < 5


def test_with_the_store_away_a_key_gets_a_503_and_no_401(
    make_client: MakeClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = make_client()

    def fail(*_: object) -> bytes:
        raise StorageUnavailable("away")

    monkeypatch.setattr(type(services.blobs), "get", fail)
    response = client.get("/v1/jobs")
    assert code(response) == (503, "storage_unavailable")
    assert response.headers["Retry-After"]


def test_a_store_whose_disk_is_not_mounted_opens_nothing(
    uncached_app: Flask, make_client: MakeClient, settings: Settings, services: Services
) -> None:
    client, _ = make_client()
    submit_with(client)
    folder = Path(settings.store_url.removeprefix("file://"))
    folder.rename(folder.with_name("away"))
    folder.mkdir()
    unknown = client_of(uncached_app, f"easel_{'a' * 8}_{'b' * 43}")
    restarted = create_app(settings, services).test_client()
    assert code(uncached_app.test_client().get("/v1/jobs")) == (401, "unauthorized")
    for one in (client, unknown, restarted):
        assert code(one.get("/v1/jobs")) == (503, "storage_unavailable")
        assert code(one.post("/v1/keys", json={})) == (503, "storage_unavailable")
    assert not [*folder.rglob("*.json")]


@pytest.mark.parametrize("path", ["/v1/queue/events", "/v1/jobs/{job}/events"])
def test_a_stream_without_a_key_ends_with_the_first_key(
    path: str, uncached_app: Flask, make_client: MakeClient
) -> None:
    anyone = uncached_app.test_client()
    response = anyone.get(path.format(job=submit_with(anyone)))
    lines = iter(response.response)
    assert "event:" in "".join(str(next(lines)) for _ in range(2))
    make_client()
    assert "unauthorized" in str([*lines][-1])
    response.close()


def test_the_first_stored_key_ends_access_without_a_key(uncached_app: Flask, make_client: MakeClient) -> None:
    anyone = uncached_app.test_client()
    assert anyone.get("/v1/jobs").status_code == 200
    assert anyone.get("/v1/session").get_json()["required"] is False
    make_client()
    assert code(anyone.get("/v1/jobs")) == (401, "unauthorized")
    assert anyone.get("/v1/session").get_json()["required"] is True
    assert anyone.get("/healthz").status_code == 200
    assert anyone.get("/", headers={"X-Forwarded-For": "203.0.113.7"}).status_code == 200, "a proxy may be used now"


def test_keys_are_created_listed_and_revoked_over_http(
    make_client: MakeClient, uncached_app: Flask, services: Services
) -> None:
    admin, own = make_client("default", "admin")
    fields = {"tenant": "acme", "name": "shop", "scopes": ["read"], "expires_at": "2050-01-01T00:00:00Z"}
    created = admin.post("/v1/keys", json=fields)
    body = created.get_json()
    assert created.status_code == 201
    assert {name: body[name] for name in fields} == fields
    assert body["key"].startswith(f"easel_{body['prefix']}_")
    user = client_of(uncached_app, body["key"])
    assert user.get("/v1/jobs").status_code == 200
    listed = {key["prefix"]: key for key in admin.get("/v1/keys").get_json()["keys"]}
    assert listed.keys() == {own.prefix, body["prefix"]}
    assert listed[body["prefix"]] == {name: value for name, value in body.items() if name != "key"}
    for _ in range(2):
        assert admin.delete(f"/v1/keys/{body['prefix']}").status_code == 204
    assert user.get("/v1/jobs").status_code == 401
    assert {key.prefix for key in list_keys(services.blobs) if key.revoked_at} == {body["prefix"]}
    for unknown in ("00000000", "x", "..", "ABCDEFGH"):
        assert admin.delete(f"/v1/keys/{unknown}").status_code == 404


def test_invalid_keys_are_not_created(make_client: MakeClient, services: Services) -> None:
    admin, _ = make_client("default", "admin")
    invalid: list[dict[str, Any]] = [{"tenant": "A"}, {"scopes": []}, {"scopes": ["x"]}, {"expires_at": "2050-01-01"}]
    invalid += [{"expires_at": 2524608000}, {"scopes": "read"}, {"name": 7}, {"tennant": "acme"}]
    for fields in (*invalid, {"tenant": ""}, {"tenant": "a:b"}, {"tenant": "a" * 41}, {"prefix": "12345678"}):
        response = admin.post("/v1/keys", json=fields)
        assert code(response) == (400, "malformed_request")
        assert response.get_json()["errors"][0]["field"].split(".")[0] in fields
    assert code(admin.post("/v1/keys", data="[]", content_type="application/json")) == (400, "malformed_request")
    assert len([*list_keys(services.blobs)]) == 1


def test_neither_a_key_nor_its_secret_is_stored(services: Services) -> None:
    key, text = create_key(services.blobs, NewKey(tenant="acme"))
    stored = services.blobs.get(keys.api_key(key.prefix)).decode()
    assert key.prefix in stored
    assert text.rpartition("_")[2] not in stored
    assert len(text.rpartition("_")[2]) == 43


def test_a_stored_key_suffices_to_listen_beyond_loopback(tmp_path: Path) -> None:
    settings = Settings(host="0.0.0.0", store_url=(tmp_path / "blobs").as_uri())  # noqa: S104 - the point
    with pytest.raises(InvalidSettings, match="easel-worker keys create"):
        check_exposure(settings)
    create_key(open_blobs(settings), NewKey())
    check_exposure(settings)


def test_a_stream_sends_no_empty_messages(make_client: MakeClient) -> None:
    client, _ = make_client()
    response = client.get(f"/v1/jobs/{submit_with(client)}/events")
    client.application.extensions["easel"].stopping.set()
    assert b"" not in list(response.response)
    assert events.NO_MESSAGE == ""
