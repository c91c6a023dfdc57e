"""Authentication and the loopback restriction."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.paired_store import pair_store

from api.app import create_app
from api.http.auth import check_exposure
from shared.services import open_services
from shared.settings import InvalidSettings, Settings

KEYS = ("first-key", "sch\u00f6ner-schl\u00fcssel")


def client_of(folder: Path, **settings: Any) -> FlaskClient:
    """Return a client of an app without Redis: an authorized request gets a 503."""
    validated = Settings.model_validate(
        {"redis_url": "redis://127.0.0.1:1/0", "store_url": pair_store(folder), **settings}
    )
    return create_app(validated, open_services(validated)).test_client()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_listening_on_loopback_needs_no_key(host: str) -> None:
    check_exposure(Settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "easel.example"])  # noqa: S104 - must be refused
def test_listening_elsewhere_needs_keys(host: str) -> None:
    with pytest.raises(InvalidSettings, match="EASEL_API_KEYS"):
        check_exposure(Settings(host=host))
    check_exposure(Settings.model_validate({"host": host, "api_keys": "a-key"}))


def test_every_key_is_accepted_and_nothing_else(tmp_path: Path) -> None:
    client = client_of(tmp_path, api_keys=",".join(KEYS))
    for key in KEYS:
        for scheme in ("Bearer", "bearer"):
            header = f"{scheme} {key}".encode().decode("latin-1")
            assert client.get("/v1/jobs", headers={"Authorization": header}).status_code in {401, 503}
    assert client.get("/v1/jobs", headers={"Authorization": "Bearer first-key"}).status_code == 503
    for wrong in ("", "Bearer", "Bearer ", "Bearer first-ke", "Bearer first-keyy", "Basic first-key", "first-key"):
        assert client.get("/v1/jobs", headers={"Authorization": wrong}).status_code == 401
    assert client.get("/v1/jobs").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert client.get("/nothing").status_code == 404
    assert client.post("/nothing").status_code == 401, "a body is not read without a key"
    assert client.get("/healthz").status_code == 200


def test_other_machines_have_access_with_a_key(tmp_path: Path) -> None:
    client = client_of(tmp_path, api_keys="first-key")
    response = client.get(
        "/v1/jobs",
        headers={"Authorization": "Bearer first-key", "Host": "easel.example"},
        environ_base={"REMOTE_ADDR": "10.0.0.7"},
    )
    assert response.status_code == 503


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"])
def test_without_keys_this_machine_has_access_by_any_of_its_names(host: str, tmp_path: Path) -> None:
    assert client_of(tmp_path).get("/v1/jobs", headers={"Host": host}).status_code == 503


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.7", "a b"]
)
def test_without_keys_dns_rebinding_is_refused(host: str, tmp_path: Path) -> None:
    for path in ("/v1/jobs", "/metrics", "/healthz", "/docs"):
        response = client_of(tmp_path).get(path, headers={"Host": host})
        assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://[bad"])
def test_without_keys_pages_of_other_sites_cannot_change_anything(origin: str, tmp_path: Path) -> None:
    client = client_of(tmp_path)
    for method, path in (("POST", "/v1/jobs"), ("DELETE", "/v1/jobs/x"), ("POST", "/v1/jobs/x/cancel")):
        response = client.open(path, method=method, headers={"Origin": origin})
        assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")
    assert client.post("/v1/jobs", headers={"Origin": "http://localhost:8080"}).status_code == 503


def test_without_keys_other_machines_are_refused(tmp_path: Path) -> None:
    response = client_of(tmp_path).get("/v1/jobs", environ_base={"REMOTE_ADDR": "10.0.0.7"})
    assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Host", "easel.example"),
        ("X-Real-IP", "203.0.113.7"),
        ("Via", "1.1 Caddy"),
        ("Forwarded", "for=203.0.113.7"),
        ("forwarded", ""),
    ],
)
def test_without_keys_requests_through_a_local_proxy_are_refused(header: str, value: str, tmp_path: Path) -> None:
    for path in ("/v1/jobs", "/metrics", "/healthz", "/"):
        response = client_of(tmp_path).get(path, headers={header: value})
        assert (response.status_code, response.get_json()["code"]) == (403, "forbidden")
        assert "EASEL_API_KEYS" in response.get_json()["detail"]
    keyed = client_of(tmp_path, api_keys="a-key")
    assert keyed.get("/v1/jobs", headers={header: value, "Authorization": "Bearer a-key"}).status_code == 503
